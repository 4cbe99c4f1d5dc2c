import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HistoryBuilder, type HistoryPlan } from "../../src/selectors/history-builder.ts";
import type { WrittenVisit } from "../../src/selectors/written-history.ts";
import { histories } from "../../src/testing/arbitraries.ts";
import { parseGeometry, geometryOf } from "../../src/testing/geometries.ts";
import { interleaved } from "../../src/testing/interleave.ts";
import { performed } from "./memory-target.ts";

const geometry = geometryOf(parseGeometry("512x16x6x2+4-text"));

/** Uses extents 0 and 1 itself, and extent 4 (the first of the other volume) in a clone. */
function written(seed = 1n): HistoryPlan {
  const history = new HistoryBuilder({ seed, geometry, startExtents: 4 });
  history.extent(0).writes(3).readExtent().finish().snapshot("a").diff(undefined, "a");
  history.extent(1).simultaneously().writes(2).deallocate().finish().snapshot("b").diff("a", "b");
  history.clone("c", "b", (clone) => clone.write(4)).rollback("a");
  return history.extent(0).write().finish().finish();
}

/** Extents that a history works on itself. */
function used({ visits, clones }: HistoryPlan): ReadonlySet<number> {
  return new Set([...visits, ...[...clones.values()].flat()].map(({ pd }) => pd));
}

function trafficOf({ visits }: HistoryPlan, own: ReadonlySet<number>): readonly WrittenVisit[] {
  return visits.filter(({ pd }) => !own.has(pd));
}

const faults = ["crash", "resetConnections"] as const;

function faultCount({ visits }: HistoryPlan, kind: (typeof faults)[number]): number {
  return visits.flatMap(({ steps = [] }) => steps).filter((step) => step.kind === kind).length;
}

describe("a history mixed with traffic", () => {
  test("keeps its own visits in their order, with what follows each", () => {
    const plan = written();
    const mixed = interleaved(plan, { traffic: { lts: 30 } });
    expect(mixed.visits).toHaveLength(plan.visits.length + 30);
    expect(mixed.visits.filter(({ pd }) => used(plan).has(pd))).toEqual(plan.visits);
    expect({ ...mixed, visits: [] }).toEqual({ ...plan, visits: [] });
  });

  test("has the traffic on extents that it does not use itself, and that are there from the start", () => {
    const plan = written();
    const own = used(plan);
    const traffic = trafficOf(interleaved(plan, { traffic: { lts: 200 } }), own);
    expect(traffic).toHaveLength(200);
    const places = traffic.map(({ pd }) => geometry.keys.inflate(pd).join("/"));
    expect([...new Set(places)].sort()).toEqual(["0/2", "0/3", "1/1", "1/2", "1/3"]);
  });

  test("has traffic of every kind, that leaves no extent and touches no block twice at one lts", () => {
    const plan = written();
    const traffic = trafficOf(interleaved(plan, { traffic: { lts: 200 } }), used(plan));
    const kinds = new Set<string>();
    for (const { operations, reads = [], steps } of traffic) {
      expect(steps).toBeUndefined();
      expect(operations.map(({ operationId }) => operationId)).toEqual([...operations.keys()]);
      expect(operations.length + reads.length).toBeGreaterThan(0);
      const taken = new Set<number>();
      for (const { kind, firstBlock, blockCount } of operations) {
        kinds.add(kind);
        expect(firstBlock + blockCount).toBeLessThanOrEqual(16);
        for (let block = firstBlock; block < firstBlock + blockCount; block++) {
          expect(taken.has(block)).toBe(false);
          taken.add(block);
        }
      }
      if (reads.length > 0) kinds.add("read");
    }
    expect([...kinds].sort()).toEqual(["deallocate", "flush", "read", "write", "writeFua", "writeZeroes"]);
  });

  test("has traffic before, between and after its own visits", () => {
    const plan = written();
    const own = used(plan);
    const places = Array.from({ length: 20 }, (_, seed) => {
      const { visits } = interleaved({ ...plan, seed: BigInt(seed) }, { traffic: { lts: 5 } });
      return visits.map(({ pd }) => (own.has(pd) ? "h" : "t")).join("");
    });
    for (const pattern of [/^t/, /h.*t.*h/, /t$/, /^h/, /h$/])
      expect(places.some((one) => pattern.test(one))).toBe(true);
  });

  test("is the same each time for a seed, and another for another", () => {
    const options = { traffic: { lts: 20 }, trouble: { crashes: 2, connectionResets: 2 } };
    const visits = (seed: bigint) => interleaved({ ...written(), seed }, options).visits;
    expect(visits(1n)).toEqual(visits(1n));
    expect(visits(1n)).not.toEqual(visits(2n));
  });

  test("is refused if it leaves no extent for traffic", () => {
    const history = new HistoryBuilder({ seed: 1n, geometry, startExtents: 1 });
    const plan = history.extent(0).write().finish().extent(1).read().finish().finish();
    expect(() => interleaved(plan, { traffic: { lts: 1 } })).toThrow("leaves none for traffic");
    const whole = { ...plan, startExtents: [2, 1] };
    expect(interleaved(whole, { traffic: { lts: 1 } }).visits).toHaveLength(3);
  });

  test("is right where nothing is wrong", async () => {
    const spec = { extentBlocks: { min: 4, max: 8 }, extents: { min: 8, max: 10 } };
    let count = 0;
    await fc.assert(
      fc.asyncProperty(histories({ geometries: spec, callsMax: 6 }), async (plan) => {
        if (used(plan).size === plan.geometry.extentCount) return;
        count++;
        expect((await performed(interleaved(plan, { traffic: { lts: 5 } }))).verdict).toBe("consistent");
      }),
      { numRuns: 20 },
    );
    expect(count).toBeGreaterThan(15);
  });
});

describe("a history with trouble", () => {
  test.for([
    [0, 0],
    [1, 0],
    [0, 3],
    // As many as hit each visit.
    [40, 20],
  ] as const)(
    "has %i crashes and %i connection resets, after what follows a visit anyway",
    ([crashes, connectionResets]) => {
      const plan = written();
      const mixed = interleaved(plan, { trouble: { crashes, connectionResets } });
      expect(faultCount(mixed, "crash")).toBe(crashes);
      expect(faultCount(mixed, "resetConnections")).toBe(connectionResets);
      for (const [lts, { steps: own = [], ...visit }] of plan.visits.entries()) {
        const { steps = [], ...rest } = mixed.visits[lts]!;
        expect(rest).toEqual(visit);
        expect(steps.slice(0, own.length)).toEqual(own);
        for (const { kind } of steps.slice(own.length)) expect(faults).toContain(kind);
      }
    },
  );

  test("has it in different places for different seeds", () => {
    const places = new Set(
      Array.from({ length: 30 }, (_, seed) =>
        interleaved({ ...written(), seed: BigInt(seed) }, { trouble: { crashes: 1 } }).visits.findIndex(
          ({ steps = [] }) => steps.some(({ kind }) => kind === "crash"),
        ),
      ),
    );
    expect(places.size).toBe(written().visits.length);
  });

  test("is the history itself without any, and leaves the one that it was made of as it was", () => {
    const plan = written();
    const before = JSON.stringify(plan.visits);
    expect(interleaved(plan, {}).visits).toEqual(plan.visits);
    interleaved(plan, { traffic: { lts: 5 }, trouble: { crashes: 5 } });
    expect(JSON.stringify(plan.visits)).toBe(before);
  });
});
