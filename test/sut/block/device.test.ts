/**
 * Files as block devices, through the port alone, against an array of bytes.
 *
 * @packageDocumentation
 */
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { pageAligned } from "../../../src/sut/block/aligned-memory.ts";
import { type BlockDeviceOptions, openBlockDevice } from "../../../src/sut/block/open.ts";
import type { BlockDevice, Outcome } from "../../../src/sut/port.ts";

const ok = { kind: "ok" };
const mebibyte = 2 ** 20;
const modes = [
  { io: "sync" },
  { io: "threads" },
  { io: "sync", direct: true },
  { io: "threads", direct: true },
] as const satisfies readonly Partial<BlockDeviceOptions>[];
let folder: string;
let fileCount = 0;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "harrow-block-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A device over a new file, disposed with the test. */
async function opened(options: Partial<BlockDeviceOptions> & { readonly sizeBytes: number }) {
  const path = join(folder, `${fileCount++}.img`);
  const device = await openBlockDevice({ path, blockSizeBytes: 4096, io: "sync", ...options });
  onTestFinished(() => Promise.resolve(device[Symbol.asyncDispose]()));
  return { device, path };
}

function pages(byteCount: number, byte = 0): Uint8Array {
  return pageAligned(byteCount).fill(byte);
}

async function contentOf(device: BlockDevice): Promise<Uint8Array> {
  const into = pages(device.blockCount * device.capabilities.blockSizeBytes, 0xee);
  expect(await device.read({ block: 0, blockCount: device.blockCount, into })).toEqual(ok);
  return into;
}

describe.each(modes)("a file with %o", (mode) => {
  test("reads as zeros where nothing was written, and what was written at both ends", async () => {
    const { device, path } = await opened({ ...mode, sizeBytes: 64 * 4096 });
    expect(device.blockCount).toBe(64);
    expect(await device.write({ block: 0, blockCount: 1, from: pages(4096, 1) })).toEqual(ok);
    expect(await device.write({ block: 62, blockCount: 2, from: pages(8192, 2), fua: true })).toEqual(ok);
    expect(await device.flush()).toEqual(ok);
    const expected = new Uint8Array(64 * 4096);
    expected.fill(1, 0, 4096).fill(2, 62 * 4096);
    expect(Buffer.compare(await contentOf(device), expected)).toBe(0);
    expect(Buffer.compare(readFileSync(path), expected)).toBe(0);
  });

  test("splits what is longer than one system call, also where the last piece is short", async () => {
    const sizeBytes = 2 * mebibyte + 4096;
    const { device } = await opened({ ...mode, sizeBytes });
    const from = pages(sizeBytes);
    for (let at = 0; at < sizeBytes; at += 4096) from.fill(1 + ((at / 4096) % 251), at, at + 4096);
    expect(await device.write({ block: 0, blockCount: sizeBytes / 4096, from })).toEqual(ok);
    expect(Buffer.compare(await contentOf(device), from)).toBe(0);
  });

  test("zeroes and deallocates short ranges and long ones, and nothing beside them", async () => {
    const sizeBytes = 10 * mebibyte;
    const { device, path } = await opened({ ...mode, sizeBytes });
    const expected = pages(sizeBytes, 7);
    const blockCount = sizeBytes / 4096;
    await device.write({ block: 0, blockCount, from: expected });
    await device.flush();
    const allocatedBytes = statSync(path).blocks * 512;
    expect(await device.writeZeroes({ block: 1, blockCount: 300 })).toEqual(ok);
    expected.fill(0, 4096, 301 * 4096);
    const ranges = [
      { block: 303, blockCount: 1 },
      { block: 305, blockCount: 0 },
      { block: 1001, blockCount: 1500 },
    ];
    expect(await device.deallocate({ ranges })).toEqual(ok);
    expected.fill(0, 303 * 4096, 304 * 4096).fill(0, 1001 * 4096, 2501 * 4096);
    expect(Buffer.compare(await contentOf(device), expected)).toBe(0);
    await device.flush();
    expect(allocatedBytes - statSync(path).blocks * 512).toBeGreaterThanOrEqual(1500 * 4096);
  });

  test("says when the file has become shorter, and has no effect then", async () => {
    const { device, path } = await opened({ ...mode, sizeBytes: 8 * 4096 });
    truncateSync(path, 6 * 4096);
    const outcome = await device.read({ block: 5, blockCount: 2, into: pages(8192) });
    expect(outcome).toMatchObject({ kind: "failed", code: "ERR_OUT_OF_RANGE" });
    expect(outcome).toHaveProperty("message", expect.stringMatching(/read of 2 blocks at 5 on .*shorter/));
  });

  test("refuses with certainty ranges and buffers that do not fit", async () => {
    const { device } = await opened({ ...mode, sizeBytes: 8 * 4096 });
    const from = pages(4096);
    const refused = async (range: { block: number; blockCount: number }, code: string) => {
      expect(await device.write({ ...range, from })).toMatchObject({ kind: "failed", code });
      expect(await device.read({ ...range, into: from })).toMatchObject({ kind: "failed", code });
    };
    await refused({ block: 8, blockCount: 1 }, "ERR_OUT_OF_RANGE");
    await refused({ block: 7, blockCount: 2 }, "ERR_OUT_OF_RANGE");
    await refused({ block: 2 ** 52, blockCount: 1 }, "ERR_OUT_OF_RANGE");
    await refused({ block: -1, blockCount: 1 }, "ERR_INVALID_REQUEST");
    await refused({ block: 0.5, blockCount: 1 }, "ERR_INVALID_REQUEST");
    await refused({ block: 0, blockCount: 2 }, "ERR_INVALID_REQUEST");
    expect(await device.writeZeroes({ block: 7, blockCount: 2 })).toMatchObject({ code: "ERR_OUT_OF_RANGE" });
    const ranges = Array.from({ length: 257 }, () => ({ block: 0, blockCount: 1 }));
    expect(await device.deallocate({ ranges })).toMatchObject({ code: "ERR_INVALID_REQUEST" });
    const ranges2 = [
      { block: 0, blockCount: 1 },
      { block: 8, blockCount: 1 },
    ];
    expect(await device.deallocate({ ranges: ranges2 })).toMatchObject({ kind: "failed" });
  });

  test("waits for what is in flight when it is disposed, and then refuses", async () => {
    const sizeBytes = 8 * mebibyte;
    const { device, path } = await opened({ ...mode, sizeBytes });
    const from = pages(sizeBytes, 5);
    let written: Outcome | undefined;
    // Of several pieces: the later ones are not even begun when disposing begins.
    void device.write({ block: 0, blockCount: sizeBytes / 4096, from }).then((outcome) => {
      written = outcome;
    });
    const disposing = device[Symbol.asyncDispose]();
    expect(await device.flush()).toMatchObject({ kind: "failed", code: "ERR_CLOSED" });
    await disposing;
    expect(written).toEqual(ok);
    await device[Symbol.asyncDispose]();
    expect(Buffer.compare(readFileSync(path), from)).toBe(0);
  });

  test("stays open for a deallocation of many ranges that has begun", async () => {
    const { device, path } = await opened({ ...mode, sizeBytes: 64 * 4096 });
    await device.write({ block: 0, blockCount: 64, from: pages(64 * 4096, 5) });
    const ranges = Array.from({ length: 32 }, (_, index) => ({ block: 2 * index, blockCount: 1 }));
    const deallocating = device.deallocate({ ranges });
    await device[Symbol.asyncDispose]();
    expect(await deallocating).toEqual(ok);
    expect(readFileSync(path).filter((byte, at) => byte !== ((at >> 12) % 2) * 5)).toHaveLength(0);
  });

  test("does nothing for a call that was aborted before", async () => {
    const { device } = await opened({ ...mode, sizeBytes: 4096 });
    const signal = AbortSignal.abort();
    const outcome = await device.write({ block: 0, blockCount: 1, from: pages(4096, 1) }, { signal });
    expect(outcome).toMatchObject({ kind: "failed", code: "ERR_ABORTED" });
    expect((await contentOf(device))[0]).toBe(0);
  });
});

describe("O_DIRECT", () => {
  test.each(["sync", "threads"] as const)("refuses buffers that are not aligned, with %s", async (io) => {
    const { device } = await opened({ io, direct: true, sizeBytes: 8 * 4096 });
    const into = pages(8192).subarray(100, 4196);
    const outcome = await device.read({ block: 0, blockCount: 1, into });
    expect(outcome).toMatchObject({ kind: "failed", code: "ERR_INVALID_REQUEST" });
    expect(outcome).toHaveProperty("message", expect.stringContaining("100 bytes past a multiple of 512"));
  });
});

describe("threads", () => {
  test("stop between two pieces of a call that is aborted, which is then unknown", async () => {
    const { device } = await opened({ io: "threads", sizeBytes: 8 * mebibyte });
    const abort = new AbortController();
    const from = pages(8 * mebibyte, 1);
    const writing = device.write({ block: 0, blockCount: 2048, from }, { signal: abort.signal });
    abort.abort();
    const outcome = await writing;
    expect(outcome).toMatchObject({ kind: "unknown", code: "ERR_ABORTED" });
    expect(outcome).toHaveProperty("message", expect.stringContaining("1048576 bytes were done before"));
  });

  test("offer no compare, which would not be one step", async () => {
    const { device } = await opened({ io: "threads", sizeBytes: 8192 });
    expect(device.capabilities).toMatchObject({ compare: false, compareAndWriteBlocksMax: 0 });
    const range = { block: 0, blockCount: 1, expected: pages(4096), from: pages(4096, 1) };
    expect(await device.compare(range)).toMatchObject({ kind: "failed", code: "ERR_UNSUPPORTED" });
    expect(await device.compareAndWrite(range)).toMatchObject({ kind: "failed", code: "ERR_UNSUPPORTED" });
    expect((await contentOf(device))[0]).toBe(0);
  });
});

describe("compare on one thread", () => {
  test("finds a difference in the last byte, beyond the first piece too, and writes only if there is none", async () => {
    const { device } = await opened({ sizeBytes: 2 * mebibyte });
    const expected = pages(2 * mebibyte);
    expect(await device.compare({ block: 0, blockCount: 512, expected })).toEqual(ok);
    expected[2 * mebibyte - 1] = 1;
    expect(await device.compare({ block: 0, blockCount: 512, expected })).toMatchObject({
      kind: "failed",
      code: "ERR_COMPARE_FAILED",
    });
    const range = { block: 3, blockCount: 1 };
    const write = (old: number, next: number) =>
      device.compareAndWrite({ ...range, expected: pages(4096, old), from: pages(4096, next) });
    expect(await write(5, 6)).toMatchObject({ kind: "failed", code: "ERR_COMPARE_FAILED" });
    expect(await write(0, 6)).toEqual(ok);
    expect(await write(6, 7)).toEqual(ok);
    expect((await contentOf(device))[3 * 4096]).toBe(7);
  });

  test("of more blocks than the device says is refused for compare and write", async () => {
    const { device } = await opened({ sizeBytes: 2 * mebibyte });
    const [expected, from] = [pages(2 * mebibyte), pages(2 * mebibyte)];
    expect(await device.compareAndWrite({ block: 0, blockCount: 512, expected, from })).toMatchObject({
      kind: "failed",
      code: "ERR_INVALID_REQUEST",
    });
  });
});

type Step =
  | { readonly kind: "write"; readonly block: number; readonly blockCount: number; readonly byte: number }
  | {
      readonly kind: "read" | "writeZeroes" | "deallocate";
      readonly block: number;
      readonly blockCount: number;
    };

const blockCountOfModel = 40;
const range = fc
  .tuple(fc.nat(blockCountOfModel - 1), fc.nat(blockCountOfModel))
  .map(([block, length]) => ({ block, blockCount: Math.min(length, blockCountOfModel - block) }));
const step: fc.Arbitrary<Step> = fc.oneof(
  fc
    .record({ byte: fc.integer({ min: 1, max: 255 }), range })
    .map(({ byte, range }): Step => ({ kind: "write", ...range, byte })),
  fc
    .record({ kind: fc.constantFrom("read" as const, "writeZeroes" as const, "deallocate" as const), range })
    .map(({ kind, range }): Step => ({ kind, ...range })),
);

test.each([512, 4096])("every way of I/O agrees with an array of bytes, in blocks of %i", async (size) => {
  const devices = await Promise.all(
    modes.map(async (mode) => {
      const sizeBytes = blockCountOfModel * size;
      return (await opened({ ...mode, blockSizeBytes: size, sizeBytes })).device;
    }),
  );
  const buffer = pages(blockCountOfModel * size);
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      const model = new Uint8Array(blockCountOfModel * size);
      for (const device of devices) {
        model.fill(0);
        await device.writeZeroes({ block: 0, blockCount: blockCountOfModel });
        for (const one of steps) await apply(device, one, model, buffer.subarray(0, one.blockCount * size));
        expect(Buffer.compare(await contentOf(device), model)).toBe(0);
      }
    }),
    { numRuns: 40 },
  );
});

async function apply(device: BlockDevice, step: Step, model: Uint8Array, bytes: Uint8Array): Promise<void> {
  const { kind, block, blockCount } = step;
  const size = device.capabilities.blockSizeBytes;
  const [start, end] = [block * size, (block + blockCount) * size];
  switch (kind) {
    case "write":
      expect(await device.write({ block, blockCount, from: bytes.fill(step.byte) })).toEqual(ok);
      model.fill(step.byte, start, end);
      return;
    case "read":
      expect(await device.read({ block, blockCount, into: bytes.fill(0xee) })).toEqual(ok);
      expect(Buffer.compare(bytes, model.subarray(start, end))).toBe(0);
      return;
    case "writeZeroes":
      expect(await device.writeZeroes({ block, blockCount })).toEqual(ok);
      model.fill(0, start, end);
      return;
    case "deallocate":
      expect(await device.deallocate({ ranges: [{ block, blockCount }] })).toEqual(ok);
      model.fill(0, start, end);
  }
}
