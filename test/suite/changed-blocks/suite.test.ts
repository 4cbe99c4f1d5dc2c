import { describe, expect, test } from "vitest";
import { findLeftovers, removeSnapshots } from "../../../src/suite/changed-blocks/leftovers.ts";
import {
  type ChangedBlocksOptions,
  changedBlocksTests,
  runChangedBlocks,
} from "../../../src/suite/changed-blocks/suite.ts";
import type { SuiteResult } from "../../../src/suite/report.ts";
import { memoryService } from "../../../src/sut/memory.ts";
import type { VolumeService } from "../../../src/sut/port.ts";
import { replaced } from "../../../src/sut/replaced.ts";
import { resultsOf, scale } from "../../support/changed-blocks.ts";

const names = changedBlocksTests.map(({ name }) => name);
const silent = { started() {}, finished() {}, done() {} };

async function run(
  service: VolumeService,
  options: Partial<ChangedBlocksOptions> & {
    readonly only?: string;
    readonly volumeMebibytes?: number;
    readonly sectorSizeBytes?: number;
  } = {},
) {
  const volume = async (name: string) => {
    const sizeBytes = (options.volumeMebibytes ?? 64) * 2 ** 20;
    const { uuid } = await service.createVolume({
      name,
      sizeBytes,
      sectorSizeBytes: options.sectorSizeBytes ?? 4096,
    });
    return { uuid, device: await service.openVolume(uuid), wasEmpty: true };
  };
  const warnings: string[] = [];
  const results: SuiteResult[] = [];
  const summary = await runChangedBlocks({
    ...{ service, scale, contentSeed: 3n, prefix: "harrow-cb-1" },
    source: options.source ?? (await volume("source")),
    target: options.target ?? (await volume("target")),
    tests: changedBlocksTests.filter(({ name }) => options.only === undefined || name === options.only),
    signal: new AbortController().signal,
    warn: (message) => void warnings.push(message),
    reporter: { ...silent, finished: (_test, result) => void results.push(result) },
    ...options,
  });
  return { summary, results, warnings };
}

describe("the changed-blocks suite on volumes that keep their word", () => {
  test("has the published tests in their order", () => {
    expect(names).toHaveLength(20);
    expect([names[0], names[7], names[13], names[19]]).toEqual([
      "no_change_diff",
      "large_sequential",
      "deleted_base_snapshot",
      "sync_throughput_baseline",
    ]);
  });

  test.for([1, 2, 3])("passes in one run, time %i", async () => {
    const results = await resultsOf(names);
    expect([...results].filter(([, { kind }]) => kind !== "pass")).toEqual([]);
    expect(results.size).toBe(20);
  });

  test.for(names)("passes alone: %s", async (name) => {
    expect((await resultsOf([name])).get(name)).toMatchObject({ kind: "pass" });
  });

  test("asks for several pages where the service has them, and says so", async () => {
    const pages = (await resultsOf(["pagination_stress"])).get("pagination_stress");
    expect(pages?.notes.join("\n")).toMatch(/pagination exercised: \d+ pages/);
    const { results } = await run(await memoryService(), { only: "pagination_stress" });
    expect(results[0]?.notes.join("\n")).toMatch(/pagination was not triggered/);
  });

  test("may be repeated and moved", async () => {
    const service = await memoryService();
    const { summary } = await run(service, {
      repeat: 2,
      offsetBytes: 5 * 2 ** 20 + 1,
      only: "sync_integrity",
    });
    expect(summary).toMatchObject({ passed: 2, failed: 0 });
  });

  test("passes on used volumes of which nobody knows what they hold", async () => {
    const service = await memoryService();
    const volume = async (name: string, fill: number) => {
      const { uuid } = await service.createVolume({ name, sizeBytes: 64 * 2 ** 20, sectorSizeBytes: 4096 });
      const device = await service.openVolume(uuid);
      const from = new Uint8Array(2 ** 20).fill(fill);
      for (let block = 0; block < device.blockCount; block += 256)
        await device.write({ block, blockCount: 256, from });
      return { uuid, device, wasEmpty: false };
    };
    const { summary, results } = await run(service, {
      source: await volume("old-source", 1),
      target: await volume("old-target", 2),
    });
    expect(results.filter(({ kind }) => kind !== "pass")).toEqual([]);
    expect(summary.passed).toBe(20);
  });

  test("passes on volumes with blocks of 512 bytes", async () => {
    const { results } = await run(await memoryService(), { sectorSizeBytes: 512 });
    expect(results.flatMap((result) => (result.kind === "pass" ? [] : [result]))).toEqual([]);
  });

  test("passes where blocks are reported in units larger than a chunk", async () => {
    const plain = await memoryService();
    const units = 128;
    const service = replaced(plain, {
      diffCapabilities: { granularityBlocks: units, chunkBlocks: 64 },
      async *diff(request, options) {
        const first = (request.offsetLba ?? 0) - ((request.offsetLba ?? 0) % units);
        const starts = new Set<number>();
        for await (const page of plain.diff({ ...request, offsetLba: first }, options))
          for (const { lbaStart } of page.ranges) starts.add(lbaStart - (lbaStart % units));
        const ranges = [...starts].flatMap((lba) =>
          [lba, lba + 64].map((lbaStart) => ({ lbaStart, bitmap: new Uint8Array(8).fill(0xff) })),
        );
        yield {
          offsetLba: request.offsetLba ?? 0,
          ranges: ranges.filter(({ lbaStart }) => lbaStart >= (request.offsetLba ?? 0) - 63),
          nextOffsetLba: 0,
        };
      },
    });
    const { results } = await run(service, { scale: 0.05, volumeMebibytes: 128 });
    expect(results.flatMap((result) => (result.kind === "pass" ? [] : [result]))).toEqual([]);
    expect(results).toHaveLength(20);
  });
});

describe("snapshots of the changed-blocks suite", () => {
  test("are removed after tests that pass and tests that fail", async () => {
    const plain = await memoryService();
    const service = replaced(plain, {
      async *diff() {
        yield { offsetLba: 0, ranges: [], nextOffsetLba: 0 };
      },
    });
    const { summary, warnings } = await run(service);
    expect([summary.passed > 0, summary.failed > 0, warnings]).toEqual([true, true, []]);
    expect(await plain.listSnapshots()).toEqual([]);
  });

  test("are removed after an interruption, and no result is told of the test that it met", async () => {
    const plain = await memoryService();
    const stop = new AbortController();
    let diffs = 0;
    const service = replaced(plain, {
      diff: (request, options) => {
        if (++diffs === 6) stop.abort();
        options?.signal?.throwIfAborted();
        return plain.diff(request, options);
      },
    });
    const { summary, results } = await run(service, { signal: stop.signal });
    expect(summary).toMatchObject({ failed: 0, isInterrupted: true });
    expect(results.length).toBeLessThan(5);
    expect(await plain.listSnapshots()).toEqual([]);
  });

  test("are kept on request, and found by the next run", async () => {
    const service = await memoryService();
    await run(service, { only: "non_adjacent_diff", isKeepingSnapshots: true });
    const [source] = await service.listVolumes();
    const { signal } = new AbortController();
    const left = await findLeftovers(service, source!.uuid, signal);
    expect(left.map(({ name }) => name.slice(-5))).toEqual(["snap3", "snap2", "snap1", "snap0"]);
    await removeSnapshots(service, left, (message) => expect.unreachable(message));
    expect(await findLeftovers(service, source!.uuid, signal)).toEqual([]);
  });

  test("are named if they can not be removed", async () => {
    const plain = await memoryService();
    const service = replaced(plain, { deleteSnapshot: () => Promise.reject(new Error("not now")) });
    const { warnings } = await run(service, { only: "no_change_diff" });
    expect(warnings).toEqual([
      "snapshot harrow-cb-1-1-no_change_diff-after stays: not now",
      "snapshot harrow-cb-1-1-no_change_diff-before stays: not now",
    ]);
  });
});

describe("a device that fails once", () => {
  /** Of both volumes, by the order of their opening. */
  async function failuresOf(opened: number, failing: number): Promise<readonly string[]> {
    const plain = await memoryService();
    let devices = 0;
    let writes = 0;
    const service = replaced(plain, {
      openVolume: async (uuid, options) => {
        const device = await plain.openVolume(uuid, options);
        if (++devices !== opened) return device;
        return replaced(device, {
          write: async (request, of) => {
            if (++writes !== failing) return device.write(request, of);
            // Half of it has landed, and nobody says which.
            const blockCount = Math.ceil(request.blockCount / 2);
            const from = request.from.subarray(0, blockCount * 4096);
            await device.write({ ...request, blockCount, from }, of);
            return { kind: "failed", code: "ERR_MEDIA", message: "the medium is worn" };
          },
        });
      },
    });
    const { results } = await run(service);
    return results.flatMap((result) => (result.kind === "fail" ? [result.message] : []));
  }

  test("fails the test that met it, and no other, whatever has landed", async () => {
    for (const failing of [1, 7]) {
      expect(await failuresOf(1, failing)).toMatchObject([expect.stringMatching(/the medium is worn/)]);
      expect(await failuresOf(2, failing)).toMatchObject([expect.stringMatching(/the medium is worn/)]);
    }
  });
});

test("nothing more is run once the target is gone", async () => {
  let calls = 0;
  const { summary } = await run(await memoryService(), { isGone: () => ++calls > 2 });
  expect(summary).toMatchObject({ passed: 2, failed: 0, isInterrupted: false });
});

describe("the changed-blocks suite refuses", () => {
  test("volumes that are too small, before it writes", async () => {
    const service = await memoryService();
    await expect(run(service, { scale: 1 })).rejects.toThrow(/the source volume .* has 16384 blocks/);
  });

  test("a scale at which neighbours would overlap", async () => {
    await expect(run(await memoryService(), { scale: 0.001 })).rejects.toThrow(/expected 0.025 to 1/);
  });

  test("a diff without end", async () => {
    const plain = await memoryService();
    const service = replaced(plain, {
      async *diff() {
        for (let offsetLba = 0; ; offsetLba++) yield { offsetLba, ranges: [], nextOffsetLba: offsetLba + 1 };
      },
    });
    const { results } = await run(service, { only: "no_change_diff" });
    expect(results[0]).toMatchObject({ kind: "fail", message: expect.stringMatching(/more than 257 pages/) });
  });
});
