import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ServiceError } from "../../../src/sut/port.ts";
import { type PowerCut, type Replayed, replay } from "../../../src/sut/vm/log-writes-replay.ts";
import { type LogEntry, WriteLog } from "../../../src/sut/vm/log-writes.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "harrow-log-writes-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** The log as the kernel wrote it; what was asked of the disk stands at its beginning. */
const recorded = undump(readFileSync(new URL("./fixtures/log-writes.hexdump", import.meta.url), "utf8"));
const diskSectors = 128;
/** Where the header of an entry stands, by its index. */
const headerAt = [
  512, 3072, 11776, 12288, 12800, 15360, 15872, 17408, 17920, 18432, 19968, 24576, 25600, 26112,
];

function undump(text: string): Uint8Array {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const bytes = new Uint8Array(Number.parseInt(lines.at(-1)!, 16));
  let before: number[] = [];
  let isRepeated = false;
  let at = 0;
  for (const line of lines) {
    if (line === "*") {
      isRepeated = true;
      continue;
    }
    const offset = Number.parseInt(line.slice(0, 8), 16);
    for (; isRepeated && at < offset; at += 16) bytes.set(before, at);
    isRepeated = false;
    before = line
      .slice(8, 59)
      .trim()
      .split(/\s+/)
      .filter(Boolean)
      .map((byte) => Number.parseInt(byte, 16));
    bytes.set(before, offset);
    at = offset + before.length;
  }
  return bytes;
}

/** The recorded log with some bytes replaced: `[offset, ...bytes]`. */
function altered(...changes: readonly (readonly number[])[]): Uint8Array {
  const bytes = recorded.slice();
  for (const [offset, ...values] of changes) bytes.set(values, offset);
  return bytes;
}

function fileOf(bytes: Uint8Array, name = "log"): string {
  const path = join(directory, name);
  writeFileSync(path, bytes);
  return path;
}

async function entriesOf(bytes: Uint8Array): Promise<LogEntry[]> {
  await using log = await WriteLog.open(fileOf(bytes));
  const entries: LogEntry[] = [];
  for await (const entry of log.entries()) entries.push(entry);
  return entries;
}

/** One letter for each sector of the disk; `.` for zeros, `?` for one that is not all the same. */
async function cut(
  how: PowerCut,
  {
    log = recorded,
    disk = new Uint8Array(diskSectors * 512),
    ...options
  }: { readonly log?: Uint8Array; readonly disk?: Uint8Array; readonly mark?: string } = {},
): Promise<Replayed & { readonly sectors: string }> {
  const into = fileOf(disk, "disk");
  const replayed = await replay(fileOf(log), into, how, options);
  const bytes = readFileSync(into);
  const sectors = Array.from({ length: diskSectors }, (_, sector) => {
    const found = new Set(bytes.subarray(sector * 512, (sector + 1) * 512));
    if (found.size !== 1) return "?";
    const [byte] = found;
    return byte === 0 ? "." : String.fromCharCode(byte!);
  });
  return { ...replayed, sectors: sectors.join("").replace(/\.+$/, "") };
}

/** Sectors as text, each run of letters at its sector. */
function disk(runs: Readonly<Record<number, string>>): string {
  return Object.entries(runs).reduce((text, [sector, run]) => text.padEnd(Number(sector), ".") + run, "");
}

describe("the log of dm-log-writes", () => {
  test("is read as the kernel wrote it", async () => {
    const entries = await entriesOf(recorded);
    expect(
      entries.map(({ offsetBytes, lengthBytes, isFlush, isFua, isDiscard, mark }) =>
        [
          isFlush ? "flush" : mark !== undefined ? `mark ${mark}` : isDiscard ? "discard" : "write",
          ...(isFua ? ["fua"] : []),
          ...(lengthBytes === 0 ? [] : [`${offsetBytes / 512}+${lengthBytes / 512}`]),
        ].join(" "),
      ),
    ).toEqual([
      "write 0+4",
      "write 8+16",
      "discard 4+2",
      "flush",
      "write fua 32+4",
      "mark half",
      "write 1+2",
      "discard 8+8",
      "flush",
      "write fua 48+2",
      "write 40+8",
      "write 127+1",
      "discard 32+1",
      "mark dm-log-writes-end",
    ]);
    expect(entries.map(({ dataOffsetBytes }) => dataOffsetBytes - 512)).toEqual(headerAt);
  });

  const last = headerAt.at(-1)!;
  const damaged: Record<string, readonly [Uint8Array, RegExp]> = {
    "is empty": [new Uint8Array(), /has 0 bytes/],
    "was never counted": [new Uint8Array(4096), /nothing is written where the super belongs/],
    "is something else": [altered([0, 0x53]), /starts with 0x6a736677736853, not 0x6a736677736872/],
    "has another version": [altered([8, 2]), /version 2/],
    "has sectors of an odd size": [altered([24, 1, 2]), /sectors of 513 bytes/],
    "announces more entries than it has room for": [
      altered([16, 255, 255, 255, 255, 255, 255, 255, 127]),
      /announces 9223372036854775807 entries, and 1048576 bytes have room for at most 2047/,
    ],
    "announces fewer entries than it has": [altered([16, 13]), /ends with no mark instead of/],
    "announces more entries than it has": [altered([16, 15]), /entry 14 is neither a flush nor a write/],
    "ends with another mark": [altered([last + 32, 0x44]), /ends with the mark "Dm-log-writes-end"/],
    "is cut off within a header": [recorded.slice(0, last + 100), /within the header of entry 13/],
    "is cut off within data": [recorded.slice(0, headerAt[11]! + 600), /data of entry 11 end at byte 25600/],
    "has a write beyond every device": [
      altered([headerAt[1]! + 7, 1]),
      /entry 1 has a position of 36893488147419107328 bytes, beyond every device/,
    ],
    "has a write longer than itself": [altered([headerAt[1]! + 10, 1]), /data of entry 1 end at byte/],
    "has an unknown flag": [altered([headerAt[3]! + 16, 33]), /entry 3 has the flags 0x21/],
    "has a mark longer than a sector": [
      altered([headerAt[5]! + 24, 0, 2]),
      /mark of 512 bytes, and at most 480/,
    ],
    "has a mark with data": [altered([headerAt[5]! + 8, 1]), /entry 5 is a mark and a write/],
  };
  test.for(Object.entries(damaged))("that %s is refused", async ([, [bytes, message]]) => {
    const refused = await entriesOf(bytes).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(ServiceError);
    expect(refused).toMatchObject({ code: "ERR_BAD_ANSWER", message: expect.stringMatching(message) });
  });

  test("with any bytes of its super and headers replaced is read or refused, and nothing else", async () => {
    const place = fc.constantFrom(0, ...headerAt);
    const change = fc.tuple(place, fc.nat(40), fc.nat(255)).map(([at, byte, value]) => [at + byte, value]);
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const outcome = await cut({ kind: "everything" }, { log: altered(...changes) }).catch(
          (error: unknown) => error,
        );
        if (outcome instanceof Error) expect(outcome).toBeInstanceOf(ServiceError);
      }),
      { numRuns: 200 },
    );
  });
});

describe("a disk after a power cut", () => {
  // What the file behind the disk held when the log was recorded.
  const everything = disk({ 0: "ACCA", 16: "BBBBBBBB", 33: "DDD", 40: "EEEEEEEE", 48: "FF", 127: "G" });

  test("holds what the real disk held if nothing is lost", async () => {
    expect(await cut({ kind: "everything" })).toEqual({
      sectors: everything,
      writeCount: 10,
      flushCount: 2,
      lostCount: 0,
      unorderedCount: 0,
    });
  });

  test("may hold only what was flushed, and what was written with FUA", async () => {
    const sectors = disk({ 0: "ACCA", 16: "BBBBBBBB", 32: "DDDD", 48: "FF" });
    expect(await cut({ kind: "afterLastFlush" })).toMatchObject({ sectors, lostCount: 3 });
  });

  test("may hold any of the others as well, which the seed decides", async () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 60; seed++) {
      const how = { kind: "subset", seed, isTorn: false } as const;
      const { sectors } = await cut(how);
      expect(await cut(how)).toMatchObject({ sectors });
      expect(sectors).toMatch(/^ACCA\.{12}BBBBBBBB\.{8}[D.]DDD\.{4}(\.{8}|E{8})FF(\.{77}G)?$/);
      seen.add(sectors);
    }
    expect(seen.size).toBe(8);
  });

  test("holds some sectors of a write that is torn", async () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 80; seed++) {
      const { sectors } = await cut({ kind: "subset", seed, isTorn: true });
      const torn = sectors.slice(40, 48);
      expect(torn).toMatch(/^[E.]{8}$/);
      seen.add(torn);
    }
    expect(seen).toContain("EEEEEEEE");
    expect(seen).toContain("........");
    expect(seen.size).toBeGreaterThan(10);
  });

  test("that breaks its word lacks what the last flushes covered, and writes with FUA", async () => {
    const sectors = disk({ 0: "AAAA", 8: "BBBBBBBBBBBBBBBB" });
    expect(await cut({ kind: "lying", flushCount: 1 })).toMatchObject({ sectors, lostCount: 7 });
    expect(await cut({ kind: "lying", flushCount: 2 })).toMatchObject({ sectors: "", lostCount: 10 });
    expect(await cut({ kind: "lying", flushCount: 1000 })).toMatchObject({ sectors: "" });
    const kept = await cut({ kind: "lying", flushCount: 0 });
    expect(kept.sectors).toBe(disk({ 0: "ACCA", 16: "BBBBBBBB", 32: "DDDD" }));
  });

  test("may come before the first flush after a mark", async () => {
    const mark = "half";
    const flushed = disk({ 0: "AAAA", 8: "BBBBBBBBBBBBBBBB", 32: "DDDD" });
    expect(await cut({ kind: "afterLastFlush" }, { mark })).toMatchObject({ sectors: flushed, lostCount: 2 });
    const all = disk({ 0: "ACCA", 16: "BBBBBBBB", 32: "DDDD" });
    expect(await cut({ kind: "everything" }, { mark })).toMatchObject({ sectors: all, writeCount: 6 });
    expect(await cut({ kind: "lying", flushCount: 1 }, { mark })).toMatchObject({ sectors: "" });
    const atEnd = { mark: "dm-log-writes-end" };
    expect(await cut({ kind: "everything" }, atEnd)).toMatchObject({ sectors: everything });
    await expect(cut({ kind: "everything" }, { mark: "none" })).rejects.toThrow(/has no mark "none"/);
  });

  test("keeps what it held before where nothing was written", async () => {
    const before = new Uint8Array(diskSectors * 512).fill("x".charCodeAt(0));
    const { sectors } = await cut({ kind: "afterLastFlush" }, { disk: before });
    expect(sectors.slice(0, 36)).toBe("ACCA..xx........BBBBBBBBxxxxxxxxDDDD");
  });

  test("is told not to be known where a plain write and one with FUA met between two flushes", async () => {
    // Entry 6 writes 33+2 instead of 1+2, in the batch of the FUA at 32+4.
    const log = altered([headerAt[6]!, 33]);
    expect(await cut({ kind: "everything" }, { log })).toMatchObject({ unorderedCount: 1 });
  });

  test("is not made if the log writes past its end", async () => {
    const small = cut({ kind: "everything" }, { disk: new Uint8Array(127 * 512) });
    await expect(small).rejects.toThrow(/entry 11 of the log writes up to byte 65536, and .* has 65024/);
  });

  test("stays a sparse file where zeros are written or deallocated", async () => {
    // The write of B becomes one of zeros, and the first discard one of 32 MiB.
    const zeros = Array.from({ length: 16 * 512 }, () => 0);
    const log = altered([headerAt[1]! + 512, ...zeros], [headerAt[2]! + 8, 0, 0, 1]);
    const into = fileOf(new Uint8Array(), "sparse");
    truncateSync(into, 64 * 2 ** 20);
    await replay(fileOf(log), into, { kind: "everything" });
    expect(statSync(into).blocks * 512).toBeLessThanOrEqual(2 ** 16);
  });
});
