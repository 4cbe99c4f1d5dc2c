import { describe, expect, test, vi } from "vitest";
import type { FaultClass, Violation } from "../../src/model/violation.ts";
import { HistoryBuilder, type HistoryPlan } from "../../src/selectors/history-builder.ts";
import { historyText } from "../../src/selectors/history-text.ts";
import { geometryOf, parseGeometry } from "../../src/testing/geometries.ts";
import { shrunk } from "../../src/testing/shrink.ts";
import { losingWrites, violationOf } from "./memory-target.ts";

const geometry = geometryOf(parseGeometry("4096x16x4x1-text"));
const noDeadline = { deadline: Number.POSITIVE_INFINITY };

function violation(name: FaultClass, summary = ""): Violation {
  return {
    ...{ rule: "visible", class: name, summary, volume: 0, block: 0, blockCount: 1, ltsMax: 0 },
    ...{ expected: "", observed: "", operations: [] },
  };
}

/** 40 visits with snapshots, diffs and a clone; `culprit` deallocates blocks 3 to 5 of extent 2. */
function long(): HistoryPlan {
  const history = new HistoryBuilder({ seed: 1n, geometry });
  history.extent(0).writes(20).finish().snapshot("a").snapshot("b").diff("a", "b");
  history.extent(2).deallocateRange(3, 3).finish().snapshot("c").diff("b", "c").sync("c");
  history.clone("clone", "c").extent(1).simultaneously().writes(4).reads(2).finish();
  return history.extent(3).writes(18).finish().diff("a", "c").finish();
}

function hasCulprit({ visits }: HistoryPlan): boolean {
  return visits.some(({ operations }) =>
    operations.some(({ kind, firstBlock }) => kind === "deallocate" && firstBlock === 3),
  );
}

function hasDiff({ visits, snapshotNames }: HistoryPlan): boolean {
  return visits
    .flatMap(({ steps = [] }) => steps)
    .some((step) => step.kind === "diff" && step.base !== undefined && snapshotNames[step.base] === "b");
}

/** Lines of a history below its head. */
function body(plan: HistoryPlan): readonly string[] {
  return historyText(plan)
    .trimEnd()
    .split("\n\n")[1]!
    .split("\n")
    .map((line) => line.replaceAll(/ +/g, " "));
}

describe("a history that fails", () => {
  test("shrinks to the one operation that makes it fail", async () => {
    const found = { plan: long(), violation: violation("zeroed") };
    const { plan } = await shrunk(found, {
      ...noDeadline,
      try: async (plan) => (hasCulprit(plan) ? violation("zeroed", "again") : undefined),
    });
    expect(body(plan)).toEqual([expect.stringMatching(/^0\.0 0\/2 deallocate 3$/)]);
  });

  test("shrinks to a step with those that it needs, though they come before it", async () => {
    const found = { plan: long(), violation: violation("omission") };
    const { plan } = await shrunk(found, {
      ...noDeadline,
      try: async (plan) => (hasDiff(plan) ? violation("omission") : undefined),
    });
    expect(body(plan)).toEqual([
      expect.stringMatching(/^after \d+ snapshot b$/),
      expect.stringMatching(/^after \d+ snapshot c$/),
      expect.stringMatching(/^after \d+ diff b c$/),
    ]);
  });

  test("fails by what is told of it, as its violation is that of the shrunk one", async () => {
    const { plan, violation: told } = await shrunk(
      { plan: long(), violation: violation("zeroed", "at first") },
      {
        ...noDeadline,
        try: async (plan) => (hasCulprit(plan) ? violation("zeroed", String(plan.visits.length)) : undefined),
      },
    );
    expect(told.summary).toBe(String(plan.visits.length));
  });

  test("shrinks on a target that loses writes, to a few of them", async () => {
    const plan = long();
    const first = await violationOf(plan, losingWrites);
    const small = await shrunk(
      { plan, violation: first! },
      { ...noDeadline, try: (plan) => violationOf(plan, losingWrites) },
    );
    expect(small.violation.class).toBe(first!.class);
    expect(body(small.plan)).toHaveLength(3);
    expect(await violationOf(small.plan, losingWrites)).toMatchObject({ class: first!.class });
  });

  test("stays what it is if less does not fail, or fails by another name", async () => {
    const found = { plan: long(), violation: violation("zeroed") };
    expect(await shrunk(found, { ...noDeadline, try: async () => undefined })).toBe(found);
    expect(await shrunk(found, { ...noDeadline, try: async () => violation("stale") })).toBe(found);
  });

  test("never becomes one that was not tried, and did not fail", async () => {
    let count = 0;
    const failing = new Set<HistoryPlan>();
    const { plan } = await shrunk(
      { plan: long(), violation: violation("zeroed") },
      {
        ...noDeadline,
        // Fails now and then, as something does that depends on time.
        try: async (plan) => {
          if (++count % 3 !== 0) return undefined;
          failing.add(plan);
          return violation("zeroed");
        },
      },
    );
    expect(failing.has(plan)).toBe(true);
  });

  test("is not given up for a smaller one on which the target itself fails", async () => {
    const found = { plan: long(), violation: violation("zeroed") };
    const { plan } = await shrunk(found, {
      ...noDeadline,
      try: async (plan) => {
        if (plan.visits.length < 40) throw new Error("the target failed");
        return hasCulprit(plan) ? violation("zeroed") : undefined;
      },
    });
    expect(hasCulprit(plan)).toBe(true);
    expect(body(plan).length).toBeLessThan(body(found.plan).length);
  });

  test("is shrunk until the deadline, and not beyond", async () => {
    vi.useFakeTimers({ now: 0, toFake: ["performance"] });
    try {
      let count = 0;
      const found = { plan: long(), violation: violation("zeroed") };
      const tried = async (plan: HistoryPlan) => {
        count++;
        vi.advanceTimersByTime(100);
        return hasCulprit(plan) ? violation("zeroed") : undefined;
      };
      const start = performance.now();
      const { plan } = await shrunk(found, { deadline: start + 250, try: tried });
      expect(count).toBe(3);
      expect(hasCulprit(plan)).toBe(true);
      expect(await shrunk(found, { deadline: start, try: tried })).toBe(found);
      expect(count).toBe(3);
    } finally {
      vi.useRealTimers();
    }
  });
});
