import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BlockOrder, type Turn, type TurnKind } from "../../src/runner/block-order.ts";

interface Entry {
  readonly turn: Turn;
  isReady: boolean;
}

/** An order, and who has been let through. */
function orderOf(overlap: boolean) {
  const order = new BlockOrder({ overlap });
  let position = 0;
  return {
    order,
    enter(firstBlock: number, blockCount: number, kind: TurnKind = "operation", pd = 0): Entry {
      const turn = order.enter({
        pd,
        firstBlock,
        blockCount,
        kind,
        position: kind === "look" ? 0 : ++position,
      });
      const entry: Entry = { turn, isReady: false };
      const wait = order.ready(turn);
      if (wait === undefined) entry.isReady = true;
      else void wait.then(() => void (entry.isReady = true));
      return entry;
    },
  };
}

const tick = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("a block order without overlap", () => {
  test("lets operations on the same block through one after another, as they entered", async () => {
    const { order, enter } = orderOf(false);
    const [first, second, third] = [enter(0, 4), enter(3, 2), enter(4, 4)];
    expect([first.isReady, second.isReady, third.isReady]).toEqual([true, false, false]);
    order.submitted(first.turn);
    await tick();
    expect(second.isReady).toBe(false);
    order.leave(first.turn);
    await tick();
    expect([second.isReady, third.isReady]).toEqual([true, false]);
    order.leave(second.turn);
    await tick();
    expect(third.isReady).toBe(true);
  });

  test("lets operations on different blocks, and on different extents, go at once", () => {
    const { enter } = orderOf(false);
    enter(0, 4);
    expect(enter(4, 4).isReady).toBe(true);
    expect(enter(0, 4, "operation", 1).isReady).toBe(true);
  });

  test("has nobody overlap", () => {
    const { order, enter } = orderOf(false);
    const first = enter(0, 4);
    order.submitted(first.turn);
    expect(order.overlapping(enter(0, 4).turn)).toEqual([]);
  });

  test("makes a look wait for what came before, and hold up what comes after, but not other looks", async () => {
    const { order, enter } = orderOf(false);
    const [write, look, other, later] = [enter(2, 1), enter(0, 8, "look"), enter(0, 8, "look"), enter(5, 1)];
    expect([look.isReady, other.isReady, later.isReady]).toEqual([false, false, false]);
    order.leave(write.turn);
    await tick();
    expect([look.isReady, other.isReady, later.isReady]).toEqual([true, true, false]);
    order.leave(look.turn);
    await tick();
    expect(later.isReady).toBe(false);
    order.leave(other.turn);
    await tick();
    expect(later.isReady).toBe(true);
  });

  test("does not let the same turn end twice", () => {
    const { order, enter } = orderOf(false);
    const [first] = [enter(0, 1), enter(0, 1)];
    order.leave(first.turn);
    expect(() => order.leave(first.turn)).toThrow("a turn on extent 0 ends twice");
  });
});

describe("a block order with overlap", () => {
  test("lets the next operation go when the one before is submitted, and names it", async () => {
    const { order, enter } = orderOf(true);
    const [first, second, third] = [enter(0, 4), enter(3, 2), enter(4, 2)];
    expect(second.isReady).toBe(false);
    order.submitted(first.turn);
    await tick();
    expect([second.isReady, third.isReady]).toEqual([true, false]);
    expect(order.overlapping(second.turn)).toEqual([1]);
    order.submitted(second.turn);
    await tick();
    expect(third.isReady).toBe(true);
    // The first touches nothing of the third.
    expect(order.overlapping(third.turn)).toEqual([2]);
    order.leave(second.turn);
    expect(order.overlapping(third.turn)).toEqual([]);
  });

  test.for(["exclusive", "look"] as const)("has nothing overlap with one of kind %s", async (kind) => {
    const { order, enter } = orderOf(true);
    const [before, alone, after] = [enter(0, 4), enter(0, 4, kind), enter(0, 4)];
    order.submitted(before.turn);
    await tick();
    expect(alone.isReady).toBe(false);
    order.leave(before.turn);
    await tick();
    expect([alone.isReady, after.isReady]).toEqual([true, false]);
    order.submitted(alone.turn);
    await tick();
    expect(after.isReady).toBe(false);
    order.leave(alone.turn);
    await tick();
    expect(after.isReady).toBe(true);
  });
});

describe("any sequence of turns", () => {
  const turn = fc.record({
    firstBlock: fc.nat(7),
    blockCount: fc.integer({ min: 1, max: 4 }),
    kind: fc.constantFrom<TurnKind>("operation", "exclusive", "look"),
    pd: fc.nat(1),
  });

  test.for([false, true])(
    "comes to an end, and each block sees its turns in order (overlap: %s)",
    (overlap) =>
      fc.assert(
        fc.asyncProperty(fc.array(turn, { maxLength: 12 }), fc.array(fc.nat(99)), async (turns, picks) => {
          const { order, enter } = orderOf(overlap);
          const entries = turns.map(({ firstBlock, blockCount, kind, pd }) =>
            enter(firstBlock, blockCount, kind, pd),
          );
          const left = new Set(entries);
          const submitted = new Set<Entry>();
          for (let step = 0; left.size > 0; step++) {
            const ready = [...left].filter(({ isReady }) => isReady);
            expect(ready.length).toBeGreaterThan(0);
            for (const one of ready)
              for (const earlier of entries.slice(0, entries.indexOf(one))) {
                if (!left.has(earlier) || !touch(earlier.turn, one.turn)) continue;
                const areLooks = earlier.turn.kind === "look" && one.turn.kind === "look";
                const mayOverlap =
                  overlap &&
                  submitted.has(earlier) &&
                  earlier.turn.kind === "operation" &&
                  one.turn.kind === "operation";
                expect(areLooks || mayOverlap).toBe(true);
              }
            const next = ready[(picks[step] ?? 0) % ready.length]!;
            if (submitted.has(next) || next.turn.kind === "look") {
              order.leave(next.turn);
              left.delete(next);
            } else {
              submitted.add(next);
              order.submitted(next.turn);
            }
            await Promise.resolve();
            await Promise.resolve();
          }
        }),
        { numRuns: 200 },
      ),
  );
});

function touch(a: Turn, b: Turn): boolean {
  if (a.pd !== b.pd) return false;
  return a.firstBlock < b.firstBlock + b.blockCount && b.firstBlock < a.firstBlock + a.blockCount;
}
