import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { openStage } from "../../src/gallery/settings.ts";
import { performHistory, planConfig } from "../../src/runner/perform-history.ts";
import type { HistoryPlan } from "../../src/selectors/history-builder.ts";
import { historyText, parseHistory } from "../../src/selectors/history-text.ts";
import { geometries, histories } from "../../src/testing/arbitraries.ts";
import type { GeometrySpec } from "../../src/testing/geometries.ts";
import { losingWrites, performed, violationOf } from "./memory-target.ts";

const spec: GeometrySpec = {
  blockSizes: [4096, 512],
  extentBlocks: { min: 3, max: 20 },
  extents: { min: 2, max: 5 },
  volumes: { min: 1, max: 3 },
  startExtents: 2,
  contents: ["text", "compressible"],
};
const small: GeometrySpec = { extentBlocks: { min: 4, max: 16 }, volumes: { min: 1, max: 2 } };
const growing: GeometrySpec = { ...small, startExtents: 2 };

/** What a history does, each once. */
function kindsOf({ visits }: HistoryPlan): readonly string[] {
  return visits.flatMap(({ operations, reads = [], steps = [] }) => [
    ...operations.map(({ kind }) => kind),
    ...(reads.length > 0 ? ["read"] : []),
    ...(operations.length > 1 ? ["simultaneously"] : []),
    ...steps.map(({ kind }) => kind),
  ]);
}

function callCount({ visits, clones }: HistoryPlan): number {
  const cloneOperations = [...clones.values()].flat().flatMap(({ operations }) => operations);
  return visits.reduce(
    (sum, { operations, reads = [], steps = [] }) => sum + operations.length + reads.length + steps.length,
    cloneOperations.length,
  );
}

describe("arbitrary geometries", () => {
  test("are what the specification allows", () => {
    fc.assert(
      fc.property(geometries(spec), ({ extentBlocks, extents, volumes, ...rest }) => {
        for (const [value, { min, max }] of [
          [extentBlocks, spec.extentBlocks!],
          [extents, spec.extents!],
          [volumes, spec.volumes!],
        ] as const) {
          expect(value).toBeGreaterThanOrEqual(min);
          expect(value).toBeLessThanOrEqual(max);
        }
        expect(spec.blockSizes).toContain(rest.blockSize);
        expect(spec.contents).toContain(rest.content);
        expect(rest.startExtents).toBe(2);
      }),
    );
  });

  test("shrink to the least that is allowed", () => {
    const { counterexample } = fc.check(
      fc.property(geometries(spec), () => false),
      { seed: 3 },
    );
    expect(counterexample).toEqual([
      { blockSize: 4096, extentBlocks: 3, extents: 2, volumes: 1, startExtents: 2, content: "text" },
    ]);
  });
});

describe("arbitrary histories", () => {
  test.for([
    ["volumes of one size", small],
    ["volumes that grow", growing],
  ] as const)("of %s are right where nothing is wrong", async ([, geometry]) => {
    await fc.assert(
      fc.asyncProperty(histories({ geometries: geometry, callsMax: 10 }), async (plan) => {
        expect(await performed(plan)).toMatchObject({
          verdict: "consistent",
          violations: [],
          targetFailure: undefined,
          crash: undefined,
        });
      }),
      { numRuns: 100 },
    );
  });

  test("with crashes are right where only what was not flushed is lost", async () => {
    const plans = histories({ geometries: small, callsMax: 10, crashes: true });
    await fc.assert(
      fc.asyncProperty(
        plans.filter((plan) => kindsOf(plan).includes("crash")),
        async (plan) => {
          expect((await shaken(plan)).verdict).toBe("consistent");
        },
      ),
      { numRuns: 30 },
    );
  });

  test("have every call of the builder, and crashes and resizes only if asked for", () => {
    const seen = (options: Parameters<typeof histories>[0]): Set<string> =>
      new Set(fc.sample(histories(options), { numRuns: 150, seed: 1 }).flatMap(kindsOf));
    const usual = [
      ...["write", "writeFua", "writeZeroes", "deallocate", "deallocateTail", "deallocateExtent"],
      ...["flush", "compareAndWrite", "read", "simultaneously"],
      ...["snapshot", "deleteSnapshot", "diff", "diffDeletedBase", "sync", "rollback"],
      ...["clone", "checkClone", "deleteClone"],
    ];
    expect(seen({})).toEqual(new Set(usual));
    expect(seen({ geometries: growing })).toEqual(new Set([...usual, "resize"]));
    expect(seen({ crashes: true })).toEqual(new Set([...usual, "crash"]));
  });

  test("have as many calls as asked for, at most, and get that long", () => {
    const stepCounts = (callsMax: number): readonly number[] =>
      fc
        .sample(histories({ callsMax }), { numRuns: 50, seed: 1 })
        .map(({ visits }) => visits.flatMap(({ steps = [] }) => steps).length);
    expect(Math.max(...stepCounts(1))).toBe(1);
    const [some, more] = [Math.max(...stepCounts(4)), Math.max(...stepCounts(30))];
    expect(some).toBeLessThanOrEqual(8);
    expect(more).toBeGreaterThan(2 * some);
  });

  test("that show a lost write shrink to a few simple calls", async () => {
    const { counterexample } = await fc.check(
      fc.asyncProperty(
        histories({ geometries: small, callsMax: 8 }),
        async (plan) => (await violationOf(plan, losingWrites)) === undefined,
      ),
      { seed: 5, numRuns: 200 },
    );
    const [plan] = counterexample!;
    expect(callCount(plan)).toBe(3);
    expect(plan).toMatchObject({ seed: 0n, content: "incompressible" });
    expect(plan.geometry).toMatchObject({ extentBlocks: 4, volumeBlocks: [16] });
    expect(plan.visits.flatMap(({ operations }) => operations)).toMatchObject(
      Array(3).fill({ blockCount: 1 }),
    );
  });

  test("are the same for a seed of fast-check, and others for another", () => {
    const texts = (seed: number): readonly string[] =>
      fc.sample(histories(), { numRuns: 20, seed }).map(historyText);
    expect(texts(7)).toEqual(texts(7));
    expect(texts(7)).not.toEqual(texts(8));
  });

  test("are printed as text that is read as the same", () => {
    fc.assert(
      fc.property(histories({ geometries: growing, crashes: true }), (plan) => {
        const printed = fc.stringify(plan);
        expect(printed).toBe(historyText(plan));
        expect(historyText(parseHistory(printed, "printed"))).toBe(printed);
      }),
    );
  });

  test("are refused where the specification allows no geometry", () => {
    expect(() => histories({ geometries: { extents: { min: 3, max: 2 } } })).toThrow(
      "extents of geometries, 3 to 2: expected whole numbers from 1, the least first",
    );
  });
});

/** Performs a history on volumes with a volatile cache, where writes take effect at random instants. */
async function shaken(plan: HistoryPlan) {
  const about = {
    name: "test",
    log: { info: () => {}, warn: () => {} },
    signal: new AbortController().signal,
  };
  const config = planConfig(plan, {
    target: { kind: "embedded", directory: "a temporary one", volatileCache: true },
  });
  await using stage = await openStage({
    ...about,
    ...{ entry: undefined, setting: "jittery", config, seed: plan.seed, serveCommand: [] },
    onStruck: () => {},
  });
  const { target, clock, stalled } = stage;
  const performing = performHistory({ ...about, plan, config, target, clock });
  return await Promise.race([performing, stalled!]);
}
