import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fuzzChangedBlocks } from "../../../src/suite/changed-blocks/fuzz.ts";
import { drawCase } from "../../../src/suite/changed-blocks/fuzz-plan.ts";
import { smallerCase } from "../../../src/suite/changed-blocks/shrink-plan.ts";
import { memoryService } from "../../../src/sut/memory.ts";
import { fuzzFailure, galleryMistake } from "../../support/changed-blocks.ts";
import { losesLastBlockOfRange } from "../../support/diff-mistakes.ts";

const limits = { triesMax: 1000, timeMs: 10_000 };

describe("drawn cases", () => {
  test("stay inside the volume, and are the same for a seed each time", () => {
    const plans = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    fc.assert(
      fc.property(plans, fc.constantFrom(undefined, 1, 63, 64, 65, 5000), (seed, blockCount) => {
        const space = { seed, chunkBlocks: 64, ...(blockCount === undefined ? {} : { blockCount }) };
        const plan = drawCase(space);
        expect(drawCase(space)).toEqual(plan);
        for (const step of plan.steps) {
          const ranges = step.kind === "write" || step.kind === "zero" ? step.ranges : [];
          const offset = step.kind === "diff" ? (step.offset ?? 0) : 0;
          expect(offset).toBeLessThan(plan.blockCount);
          for (const { block, blockCount: count } of ranges)
            expect([block >= 0, count > 0, block + count <= plan.blockCount]).toEqual([true, true, true]);
        }
      }),
      { numRuns: 200 },
    );
  });

  test("reach the edges of chunks, both ends of the volume, chains, gaps in them, and every way to make zeros", () => {
    const plans = Array.from({ length: 300 }, (_, seed) => drawCase({ seed: BigInt(seed), chunkBlocks: 64 }));
    const steps = plans.flatMap((plan) => plan.steps);
    const edges = steps
      .flatMap((step) => (step.kind === "write" ? step.ranges : []))
      .map(({ block }) => block % 64);
    expect([0, 1, 31, 32, 62, 63].filter((edge) => !edges.includes(edge))).toEqual([]);
    const atEnd = plans.filter(({ blockCount, steps: of }) =>
      of.some(
        (step) =>
          step.kind === "write" &&
          step.ranges.some(({ block, blockCount: count }) => block + count === blockCount),
      ),
    );
    expect(atEnd.length).toBeGreaterThan(20);
    expect(new Set(steps.flatMap((step) => (step.kind === "zero" ? [step.by] : [])))).toHaveProperty(
      "size",
      3,
    );
    const labels = new Set(steps.flatMap((step) => (step.kind === "snapshot" ? [step.label] : [])));
    expect([...labels].sort()).toEqual(["s0", "s1", "s2", "s3", "s4", "s5", "s6"]);
    const spans = steps.flatMap((step) =>
      step.kind === "diff" && step.base !== undefined
        ? [Number(step.of.slice(1)) - Number(step.base.slice(1))]
        : [],
    );
    expect(Math.max(...spans)).toBe(6);
    expect(plans.some(({ blockCount }) => blockCount % 64 !== 0)).toBe(true);
  });

  test("pass on volumes that keep their word, new ones or the same for all", async () => {
    expect(await fuzzFailure(15, {}, 100n)).toBeUndefined();
    const service = await memoryService({ diffPageRanges: 3 });
    const volume = async (name: string) => {
      const { uuid } = await service.createVolume({ name, sizeBytes: 2_000 * 4096, sectorSizeBytes: 4096 });
      return { uuid, device: await service.openVolume(uuid), wasEmpty: false };
    };
    const summary = await fuzzChangedBlocks({
      ...{
        service,
        seed: 100n,
        caseCount: 15,
        contentSeed: 1n,
        prefix: "t",
        again: "",
        blockSizeBytes: 4096,
      },
      given: { source: await volume("source"), target: await volume("target") },
      signal: new AbortController().signal,
      warn: (message) => expect.unreachable(message),
      reporter: { started() {}, finished() {}, done() {} },
    });
    expect(summary).toMatchObject({ passed: 15, failed: 0 });
    expect([await service.listSnapshots(), (await service.listVolumes()).length]).toEqual([[], 2]);
  });

  test("tell how a failure is found again, with few steps", async () => {
    const found = await fuzzFailure(10, galleryMistake("M54"));
    const seed = /the case again: again --seed (\d+)/.exec(found?.message ?? "")?.[1];
    const counts = /(\d+) of its (\d+) steps/
      .exec(found?.message ?? "")
      ?.slice(1)
      .map(Number);
    expect(counts![0]).toBeLessThanOrEqual(8);
    const again = await fuzzFailure(1, galleryMistake("M54"), BigInt(seed!));
    expect(again?.message).toBe(found?.message);
  });

  test("leave nothing behind when they fail", async () => {
    await using service = await memoryService();
    await fuzzChangedBlocks({
      ...{ seed: 1n, caseCount: 5, contentSeed: 1n, prefix: "t", again: "", blockSizeBytes: 4096 },
      service: losesLastBlockOfRange(service),
      signal: new AbortController().signal,
      warn: (message) => expect.unreachable(message),
      reporter: { started() {}, finished() {}, done() {} },
    });
    expect([await service.listSnapshots(), await service.listVolumes()]).toEqual([[], []]);
  });
});

describe("shrinking a case", () => {
  const plan = drawCase({ seed: 5n, chunkBlocks: 64 });

  test("keeps only the steps that matter", async () => {
    const needed = [plan.steps[1]!, plan.steps.at(-1)!];
    const isFailing = async ({ steps }: typeof plan) => needed.every((step) => steps.includes(step));
    expect((await smallerCase(plan, isFailing, limits)).steps).toEqual(needed);
  });

  test("gives back a case of which nothing may be left out, and ends", async () => {
    expect(await smallerCase(plan, async () => false, limits)).toEqual(plan);
    let tries = 0;
    const counted = async () => ++tries < 0;
    await smallerCase(plan, counted, { triesMax: 3, timeMs: 10_000 });
    expect(tries).toBe(3);
  });
});
