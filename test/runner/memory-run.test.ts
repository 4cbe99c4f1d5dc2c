import { describe, expect, test } from "vitest";
import type { FaultClass } from "../../src/model/violation.ts";
import {
  addRanges,
  type DeviceFaults,
  diffPageFault,
  dropRanges,
  type ServiceFaults,
  shiftRanges,
} from "../../src/sut/faults.ts";
import { inflateBlock } from "../../src/generators/content.ts";
import { replaced } from "../../src/sut/replaced.ts";
import { memoryRun, smallConfig } from "../support/memory-run.ts";
import { replacing } from "../support/replacing.ts";
import { smallWorkload } from "../support/workloads.ts";

describe("a run on a target that keeps its word", () => {
  test.for([1n, 2n, 3n, 0xffffffffffffffffn])(
    "proves every last version, snapshot and diff (seed %d)",
    async (seed) => {
      const result = await memoryRun({ seed });
      expect(result.violations).toEqual([]);
      expect(result).toMatchObject({ verdict: "consistent", targetErrorCount: 0, ltsCount: 300 });
      const { ledger } = result;
      expect(ledger.lastVersions.provenPercent).toBe(100);
      expect(ledger.lastVersions.blocks).toBeGreaterThan(500);
      expect(ledger.snapshots.taken).toBe(8);
      expect(ledger.diffs.proven).toBeGreaterThanOrEqual(7);
      expect(ledger.diffs.pages).toBeGreaterThan(ledger.diffs.proven);
    },
  );

  test("is the same run each time, and another with another seed", async () => {
    const [first, second, other] = [await memoryRun(), await memoryRun(), await memoryRun({ seed: 12n })];
    expect(second.historyDigest).toBe(first.historyDigest);
    expect({ ...second.ledger }).toEqual(first.ledger);
    expect(other.historyDigest).not.toBe(first.historyDigest);
  });

  test("keeps the history of seed 11 as it has always been", async () => {
    const { historyDigest } = await memoryRun();
    expect(historyDigest).toBe("7441104514d8227669a79a08a3a9530a24cb6d1e27b0e97e2c0c53d605112a17");
  });

  test.for([
    ["of 512-byte blocks", "geometry: { volumeSize: 1MiB, extentSize: 64KiB, blockSize: 512 }"],
    [
      "of several volumes, with a short last extent",
      "geometry: { volumes: 3, volumeSize: 1300KiB, extentSize: 256KiB }",
    ],
    ["with sectors in descending order", "content: { order: descending }"],
  ])("proves a workload %s", async ([, line]) => {
    const key = line!.split(":")[0]!;
    const config = smallConfig.replace(new RegExp(`^${key}:.*\n`, "m"), "");
    const result = await memoryRun({ config: `${config}\n${line}\n` });
    expect(result.violations).toEqual([]);
    expect(result.ledger.lastVersions).toMatchObject({ provenPercent: 100 });
    expect(result.ledger.lastVersions.blocks).toBeGreaterThan(300);
  });
});

/** Applies to the n-th request that `where` names, once. */
function nth<Request>(n: number, isMeant: (request: Request) => boolean = () => true) {
  let seen = 0;
  return (request: Request): boolean => isMeant(request) && ++seen === n;
}

function onVolume(faults: () => DeviceFaults): () => ServiceFaults {
  return () => {
    const plan = faults();
    return { volume: () => plan };
  };
}

/** Faults of the target, and the classes of which the run must name at least one, first of all violations. */
const faults: Record<string, [() => ServiceFaults, readonly FaultClass[]]> = {
  "loses a write": [
    onVolume(() => {
      const isLost = nth(200);
      return { write: (range) => (isLost(range) ? { kind: "drop" } : undefined) };
    }),
    ["lost-write"],
  ],
  "tears a write in the middle of a block": [
    onVolume(() => {
      const isTorn = nth(150, ({ blockCount }: { blockCount: number }) => blockCount >= 4);
      return {
        write: (range) => (isTorn(range) ? { kind: "tear", lengthBytes: 2 * 4096 + 1536 } : undefined),
      };
    }),
    ["torn", "lost-write"],
  ],
  "puts a write in the wrong place": [
    onVolume(() => {
      const isMoved = nth(200);
      return {
        write: (range) => (isMoved(range) ? { kind: "redirect", block: range.block ^ 1 } : undefined),
      };
    }),
    ["misdirected", "lost-write"],
  ],
  "skips a zeroing": [
    onVolume(() => {
      // Late enough that the blocks hold data.
      const isSkipped = (() => {
        let seen = 0;
        return () => ++seen > 60;
      })();
      return { dropsZeroes: isSkipped };
    }),
    ["resurrected"],
  ],
  "flips a bit of a block, for good": [
    onVolume(() => ({
      read: (range, bytes) => {
        if (range.block <= 70 && 70 < range.block + range.blockCount && bytes.some((byte) => byte !== 0))
          bytes[(70 - range.block) * 4096 + 99]! ^= 4;
      },
    })),
    ["bit-flip"],
  ],
  "returns zeros for a block that holds data": [
    onVolume(() => ({
      read: (range, bytes) => {
        if (range.block <= 70 && 70 < range.block + range.blockCount) {
          const at = (70 - range.block) * 4096;
          bytes.fill(0, at, at + 4096);
        }
      },
    })),
    ["zeroed", "lost-write", "torn"],
  ],
  "returns the block next door": [
    onVolume(() => ({
      read: (range, bytes) => {
        if (range.block <= 70 && 72 <= range.block + range.blockCount)
          bytes.copyWithin((70 - range.block) * 4096, (71 - range.block) * 4096, (72 - range.block) * 4096);
      },
    })),
    ["misdirected"],
  ],
  "changes a snapshot after it was read": [
    () => {
      const opened = new Map<string, number>();
      return {
        snapshot: (uuid) => {
          opened.set(uuid, (opened.get(uuid) ?? 0) + 1);
          return opened.get(uuid)! < 2
            ? undefined
            : { read: (range, bytes) => void (range.block === 0 && bytes.fill(0, 0, 4096)) };
        },
      };
    },
    ["mutated"],
  ],
  "leaves ranges out of a diff": [
    () => ({ diffPage: diffPageFault(dropRanges(({ lbaStart }) => lbaStart === 64)) }),
    ["omission"],
  ],
  "adds a range to a diff": [
    () => ({
      diffPage: (page, request) =>
        request.baseSnapshotUuid === undefined
          ? page
          : diffPageFault((ranges) =>
              ranges.map(({ lbaStart }) => ({ lbaStart, bitmap: new Uint8Array(8).fill(255) })),
            )(page),
    }),
    ["over-report"],
  ],
  "adds a range beyond the volume": [
    () => ({
      diffPage: (page) =>
        page.nextOffsetLba === 0
          ? diffPageFault(addRanges({ lbaStart: 1024, bitmap: Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0) }))(page)
          : page,
    }),
    ["contract"],
  ],
  "shifts a diff by a chunk": [
    () => ({ diffPage: diffPageFault(shiftRanges(64)) }),
    ["wrong-offset", "omission", "contract"],
  ],
};

describe("a run on a target that lies", () => {
  test.for(Object.entries(faults))("names a target that %s", async ([, [plan, classes]]) => {
    const result = await memoryRun({ faults: plan() });
    expect(result.verdict).toBe("violation");
    expect(classes).toContain(result.violations[0]!.class);
    for (const expected of classes.slice(0, 1))
      expect(result.violations.map((violation) => violation.class)).toContain(expected);
  });

  test("names a lost write that a snapshot shows first as the volume's own", async () => {
    const config = smallConfig
      .replace("every: 40", "every: 3")
      .replace("recent: { every: 5", "recent: { every: 250")
      .replace("sample: { every: 20", "sample: { every: 0");
    for (let write = 100; write < 110; write++) {
      const isLost = nth(write);
      const result = await memoryRun({
        config,
        faults: { volume: () => ({ write: (range) => (isLost(range) ? { kind: "drop" } : undefined) }) },
      });
      expect(result.violations[0]).toMatchObject({ class: "lost-write", rule: "quiescent" });
    }
  });

  test("is not taken in by a target that ignores every write, and has the data of the same seed from before", async () => {
    const { run } = smallWorkload(11n);
    const block = inflateBlock(run.format, { vd: 5n, volume: 0, block: 3, sectorCount: 8 });
    const result = await memoryRun({
      leftover: { block: 0, bytes: repeated(block, 1024) },
      faults: {
        volume: () => ({
          write: ({ blockCount }) => (blockCount === 1024 ? undefined : { kind: "drop" }),
          dropsZeroes: () => true,
        }),
      },
    });
    expect(result.verdict).toBe("violation");
    expect(result.violations[0]).toMatchObject({ rule: "quiescent", class: "misdirected" });
  });

  test("finds another tenant's data on a volume that it made, before it writes there", async () => {
    const config = smallConfig.replace("stopAfterViolations: 100", "stopAfterViolations: 1");
    const result = await memoryRun({
      config,
      leftover: { block: 0, bytes: new Uint8Array(1024 * 4096).fill(7) },
    });
    expect(result.violations[0]).toMatchObject({ class: "extra-data", rule: "quiescent" });
    expect(result.ledger.bytesWritten).toBe(0);
  });

  test("does not touch data on a volume that it was given, wherever it lies", async () => {
    for (const block of [0, 517, 1023]) {
      const leftover = { block, bytes: new Uint8Array(4096).fill(7) };
      await expect(memoryRun({ leftover, isCreated: false })).rejects.toThrow(
        /holds data at block \d+; harrow would destroy it/,
      );
    }
  });

  test("tells a block that is read wrong once from one that is stored wrong", async () => {
    const isMeant = nth(30);
    const result = await memoryRun({
      faults: onVolume(() => ({ read: (range, bytes) => void (isMeant(range) && (bytes[5]! ^= 1)) }))(),
    });
    expect(result.violations).toHaveLength(1);
    expect(result.violations[0]).toMatchObject({ rereads: "healed" });
    const stored = await memoryRun({
      faults: onVolume(() => ({ read: (range, bytes) => void (range.block === 0 && (bytes[5]! ^= 1)) }))(),
    });
    expect(stored.violations[0]).toMatchObject({ rereads: "same", class: "bit-flip" });
  });

  test("stops at the first violation unless told otherwise", async () => {
    const config = smallConfig.replace("stopAfterViolations: 100", "stopAfterViolations: 1");
    const result = await memoryRun({ config, faults: { diffPage: diffPageFault(dropRanges(() => true)) } });
    expect(result.violations).toHaveLength(1);
    expect(result.ltsCount).toBeLessThan(130);
  });

  test("finds old data in what a volume has grown by right after the resize", async () => {
    const config = `
geometry: { volumeSize: 4MiB, extentSize: 256KiB, growth: { start: 1/2, every: 100, steps: 1 } }
snapshots: { every: 0 }
checks: { recent: { every: 0 }, sample: { every: 0 }, all: { atEnd: false } }
runner: { kind: sequential, lts: 110, stopAfterViolations: 1 }
target: { kind: memory }
`;
    const result = await memoryRun({
      config,
      wrap: (service) =>
        replaced(service, {
          resizeVolume: async (request) => {
            const volume = await service.resizeVolume(request);
            const device = await service.openVolume(request.uuid);
            const from = new Uint8Array(512 * 4096).fill(7);
            await device.write({ block: 512, blockCount: 512, from });
            return volume;
          },
        }),
    });
    expect(result.violations[0]).toMatchObject({ class: "extra-data", rule: "quiescent", ltsMax: 100 });
  });

  const manyDeleted = smallConfig
    .replace("keep: 3", "keep: 1")
    .replace("deletedBase: 1/2", "deletedBase: 1/1");

  test("refuses a deleted base, if it is right", async () => {
    const result = await memoryRun({ config: manyDeleted });
    expect(result.violations).toEqual([]);
    expect(result.ledger.diffs.deletedBaseRefused).toBeGreaterThan(2);
  });

  test("is not satisfied with an answer to a question about a deleted base", async () => {
    const result = await memoryRun({
      config: manyDeleted,
      wrap: (service) =>
        replaced(service, {
          diff: async function* (request, options) {
            try {
              yield* service.diff(request, options);
            } catch {
              yield { offsetLba: 0, ranges: [], nextOffsetLba: 0 };
            }
          },
        }),
    });
    expect(result.violations.map((violation) => violation.class)).toContain("deleted-base-answered");
  });
});

describe("a run on a target that fails", () => {
  test("ends undecided when reads fail for good", async () => {
    let reads = 0;
    const result = await memoryRun({
      wrap: replacing((device) => ({
        read: (request) =>
          ++reads > 20
            ? Promise.resolve({ kind: "failed", code: "ERR_MEDIA", message: "unrecovered read error" })
            : device.read(request),
      })),
    });
    expect(result.verdict).toBe("undecided");
    expect(result.targetFailure).toMatch(
      /reading \d+ blocks at \d+ of .*: ERR_MEDIA: unrecovered read error/,
    );
    expect(result.violations).toEqual([]);
  });

  test("goes on after an operation was refused, and counts it", async () => {
    let writes = 0;
    const result = await memoryRun({
      wrap: replacing((device) => ({
        write: (request) =>
          ++writes % 100 === 0
            ? Promise.resolve({ kind: "failed", code: "ERR_CAPACITY", message: "no space" })
            : device.write(request),
      })),
    });
    expect(result.violations).toEqual([]);
    expect(result.ledger.operationsFailed).toBe(Math.floor(writes / 100));
    expect(result.warnings[0]).toContain("refused (ERR_CAPACITY): no space");
    expect(result.ledger.lastVersions.provenPercent).toBe(100);
  });

  test("accepts either outcome of a write in doubt", async () => {
    let writes = 0;
    const result = await memoryRun({
      wrap: replacing((device) => ({
        write: async (request) => {
          if (++writes % 60 !== 0) return device.write(request);
          // Every other one takes effect.
          if (writes % 120 === 0) await device.write(request);
          return { kind: "unknown", code: "ERR_CONNECTION_LOST", message: "the connection was lost" };
        },
      })),
    });
    expect(result.violations).toEqual([]);
    expect(result.ledger.operationsInDoubt).toBe(Math.floor(writes / 60));
  });

  test("is interrupted in order", async () => {
    const stop = new AbortController();
    const result = await memoryRun({
      signal: stop.signal,
      onLts: (lts) => void (lts === 57 && stop.abort()),
    });
    expect(result).toMatchObject({ wasInterrupted: true, verdict: "consistent", ltsCount: 57 });
    expect(result.ledger.ltsCount).toBe(57);
  });
});

function repeated(bytes: Uint8Array, count: number): Uint8Array {
  const all = new Uint8Array(bytes.length * count);
  for (let index = 0; index < count; index++) all.set(bytes, index * bytes.length);
  return all;
}
