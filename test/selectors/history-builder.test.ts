import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Geometry } from "../../src/selectors/geometry.ts";
import { HistoryBuilder, type HistoryPlan } from "../../src/selectors/history-builder.ts";
import type { OperationGroup } from "../../src/selectors/operation-group.ts";

const geometry = new Geometry({ blockSizeBytes: 4096, volumeBlocks: [64], extentBlocks: 16 });
const small = new Geometry({ blockSizeBytes: 512, volumeBlocks: [32, 32], extentBlocks: 16 });

function builder(seed = 1n): HistoryBuilder {
  return new HistoryBuilder({ seed, geometry });
}

/** Operations as `kind first+count`, lts by lts. */
function text({ visits }: HistoryPlan): string[] {
  return visits.map(({ operations, reads = [] }) =>
    [
      ...operations.map(({ kind, firstBlock, blockCount }) => `${kind} ${firstBlock}+${blockCount}`),
      ...reads.map(({ firstBlock, blockCount }) => `read ${firstBlock}+${blockCount}`),
    ].join(", "),
  );
}

describe("a history", () => {
  test("is what was written, in its order, each operation at an lts of its own", () => {
    const plan = builder()
      .extent(1)
      .write({ block: 3, blocks: 2 })
      .writeZeroes({ block: 0, blocks: 1 })
      .deallocateRange(4, 3)
      .deallocateTail(9)
      .deallocateExtent()
      .compareAndWrite({ block: 5 })
      .flush()
      .readRange(1, 2)
      .readTail(12)
      .readExtent()
      .finish()
      .finish();
    expect(text(plan)).toEqual([
      "write 3+2",
      "writeZeroes 0+1",
      "deallocate 4+3",
      "deallocateTail 9+7",
      "deallocateExtent 0+16",
      "compareAndWrite 5+1",
      "flush 0+0",
      "read 1+2",
      "read 12+4",
      "read 0+16",
    ]);
    expect(new Set(plan.visits.map(({ pd }) => pd)).size).toBe(1);
  });

  test("has operations of one lts in flight together, with numbers of their own", () => {
    const plan = builder()
      .nextExtent()
      .simultaneously()
      .writes(3, { blocks: 2 })
      .deallocateRange(0, 2)
      .readExtent()
      .finish()
      .finish();
    expect(plan.visits).toHaveLength(1);
    const { operations, reads } = plan.visits[0]!;
    expect(operations.map(({ operationId, batch }) => [operationId, batch])).toEqual([
      [0, 0],
      [1, 0],
      [2, 0],
      [3, 0],
    ]);
    expect(reads).toEqual([{ firstBlock: 0, blockCount: 16 }]);
  });

  test("takes a new extent each time, and begins again when there is none left", () => {
    const history = builder();
    for (let index = 0; index < 5; index++) history.nextExtent().write().finish();
    const pds = history.finish().visits.map(({ pd }) => pd);
    expect(new Set(pds.slice(0, 4)).size).toBe(4);
    expect(pds[4]).toBe(pds[0]);
  });

  test("is the same for a seed, and another for another", () => {
    const write = (seed: bigint) =>
      text(builder(seed).nextExtent().randomOrder().writes(10).deallocates(5).updates(3).finish().finish());
    expect(write(1n)).toEqual(write(1n));
    expect(write(1n)).not.toEqual(write(2n));
  });

  test("never leaves its extent, and never touches a block twice at one lts, whatever the seed", () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        fc.integer({ min: 0, max: 4 }),
        fc.integer({ min: 0, max: 3 }),
        fc.boolean(),
        (seed, writes, deallocates, isTogether) => {
          const history = new HistoryBuilder({ seed, geometry: small });
          const group = history.nextExtent().randomOrder().writes(writes).deallocates(deallocates).updates(2);
          group.flush().deallocateRange(0, 1);
          const { visits } = (isTogether ? group.simultaneously() : group).finish().finish();
          expect(visits.length).toBe(isTogether ? 1 : writes + deallocates + 4);
          for (const { operations } of visits) {
            const taken = new Set<number>();
            for (const { kind, firstBlock, blockCount } of operations) {
              expect(blockCount).toBe(kind === "flush" ? 0 : Math.max(1, blockCount));
              expect(firstBlock + blockCount).toBeLessThanOrEqual(16);
              for (let block = firstBlock; block < firstBlock + blockCount; block++) {
                expect(taken.has(block)).toBe(false);
                taken.add(block);
              }
            }
          }
        },
      ),
    );
  });

  test("updates a part of a page of 512-byte blocks, and one block of 4096", () => {
    for (let seed = 0n; seed < 50n; seed++) {
      const plan = new HistoryBuilder({ seed, geometry: small }).extent(0).update().finish().finish();
      const { firstBlock, blockCount } = plan.visits[0]!.operations[0]!;
      expect(blockCount).toBeLessThan(8);
      expect(Math.floor(firstBlock / 8)).toBe(Math.floor((firstBlock + blockCount - 1) / 8));
      expect(builder(seed).extent(0).update().finish().finish().visits[0]!.operations[0]!.blockCount).toBe(1);
    }
  });

  test("has what follows an lts where it was written", () => {
    const plan = builder()
      .snapshot("first")
      .nextExtent()
      .write()
      .finish()
      .snapshot("second")
      .diff("first", "second")
      .diff(undefined, "second")
      .sync("first")
      .sync("second")
      .deleteSnapshot("first")
      .diff("first", "second")
      .crash()
      .finish();
    expect(plan.visits.map(({ steps = [] }) => steps.map(({ kind }) => kind))).toEqual([
      ["snapshot"],
      ["snapshot", "diff", "diff", "sync", "sync", "deleteSnapshot", "diffDeletedBase", "crash"],
    ]);
    expect(plan.visits[1]!.steps).toMatchObject([
      { snapshot: 1 },
      { snapshot: 1, base: 0 },
      { snapshot: 1, base: undefined },
      { snapshot: 0, base: undefined },
      { snapshot: 1, base: 0 },
      { snapshot: 0 },
      { snapshot: 1, base: 0 },
      {},
    ]);
    expect(plan.snapshotNames).toEqual(["first", "second"]);
  });

  test("writes to clones what it is told, or one write on each of the first two extents", () => {
    const plan = builder()
      .nextExtent()
      .write()
      .finish()
      .snapshot("s")
      .clone("a", "s", (clone) =>
        clone.write(1, { block: 2, blocks: 3 }).deallocate(1).writeZeroes(0, { block: 0 }),
      )
      .clone("b", "s")
      .finish();
    expect(plan.clones.get(0)).toHaveLength(2);
    expect(plan.clones.get(0)![0]!.operations[0]).toMatchObject({
      kind: "write",
      firstBlock: 2,
      blockCount: 3,
    });
    expect(plan.clones.get(1)!.map(({ operations }) => operations.map(({ kind }) => kind))).toEqual(
      Array(2).fill(["write"]),
    );
  });

  test("grows volumes, and only then has their extents", () => {
    const history = new HistoryBuilder({ seed: 1n, geometry, startExtents: 2 });
    expect(() => history.extent(2)).toThrow("extent 2: there are 2, numbered from 0");
    const plan = history.extent(0).write().finish().resize(4).extent(3).write().finish().finish();
    expect(plan.startExtents).toEqual([2]);
    expect(plan.visits[0]!.steps).toEqual([{ kind: "resize", step: 1, blockCounts: [64] }]);
    expect(plan.visits).toHaveLength(2);
  });

  test("goes on at the next lts after a resize, where volumes are as large as it made them", () => {
    const history = new HistoryBuilder({ seed: 1n, geometry, startExtents: 1 });
    const plan = history.extent(0).write().finish().resize(2).snapshot("s").diff(undefined, "s").finish();
    expect(plan.visits.map(({ steps = [] }) => steps.map(({ kind }) => kind))).toEqual([
      ["resize"],
      ["snapshot", "diff"],
    ]);
  });

  test("writes to the extents that a clone's snapshot has", () => {
    const history = new HistoryBuilder({ seed: 1n, geometry, startExtents: 2 });
    history.snapshot("s").resize(4);
    expect(() => history.clone("c", "s", (clone) => clone.write(2))).toThrow(
      "extent 2: there are 2, numbered from 0",
    );
    expect(history.clone("d", "s").finish().clones.get(0)).toHaveLength(2);
  });
});

describe("a mistake is told at once, with its line:", () => {
  const group = (): OperationGroup<HistoryBuilder> => builder().extent(0);
  const withSnapshot = () => builder().extent(0).write().finish().snapshot("s");
  test.for<[string, () => unknown, string]>([
    ["an extent that there is not", () => builder().extent(4), "extent 4: there are 4, numbered from 0"],
    [
      "a block beyond the extent",
      () => group().write({ block: 16 }).finish(),
      "block 16: the extent has 16, numbered from 0",
    ],
    [
      "an operation that leaves the extent",
      () => group().deallocateRange(15, 2).finish(),
      "deallocate of 2 blocks at block 15: the extent has 16 blocks",
    ],
    [
      "two operations on one block at one lts",
      () => group().simultaneously().write({ block: 3, blocks: 2 }).deallocateRange(0, 5).finish(),
      "deallocate of 5 blocks at block 0: block 3 is another operation's of the same lts; use sequentially()",
    ],
    [
      "no room",
      () => group().simultaneously().deallocateExtent().write().finish(),
      "write: no block of the extent is left for another operation of this lts",
    ],
    [
      "finish() forgotten before the end",
      () => {
        const history = builder();
        history.extent(0).write();
        return history.finish();
      },
      "lack their finish()",
    ],
    [
      "finish() forgotten before a snapshot",
      () => {
        const history = builder();
        history.extent(0).write();
        return history.snapshot("s");
      },
      "snapshot: the operations begun at ",
    ],
    ["an empty history", () => builder().finish(), "the history is empty"],
    [
      "a diff against an unknown snapshot",
      () => withSnapshot().diff("t", "s"),
      "there is no snapshot 't': there are s",
    ],
    [
      "a diff of an unknown snapshot",
      () => builder().diff(undefined, "s"),
      "there is no snapshot 's': none was taken",
    ],
    [
      "a diff the wrong way round",
      () => withSnapshot().snapshot("t").diff("t", "s"),
      "the diff of 's' against 't': the first does not stand on the second",
    ],
    [
      "a diff across a rollback",
      () => withSnapshot().snapshot("t").rollback("s").snapshot("u").diff("t", "u"),
      "the diff of 'u' against 't': the first does not stand on the second",
    ],
    ["a name taken twice", () => withSnapshot().snapshot("s"), "there is a snapshot 's' already"],
    ["a name that is none", () => builder().snapshot("a b"), "snapshot 'a b': expected letters"],
    [
      "a rollback to a deleted snapshot",
      () => withSnapshot().deleteSnapshot("s").rollback("s"),
      "snapshot 's' was deleted",
    ],
    [
      "a rollback to a smaller snapshot",
      () => new HistoryBuilder({ seed: 1n, geometry, startExtents: 1 }).snapshot("s").resize(2).rollback("s"),
      "rollback to 's': the volumes have grown since it was taken",
    ],
    ["a clone twice", () => withSnapshot().clone("c", "s").clone("c", "s"), "there is a clone 'c' already"],
    ["a clone unknown", () => withSnapshot().checkClone("c"), "there is no clone 'c'"],
    [
      "a clone deleted",
      () => withSnapshot().clone("c", "s").deleteClone("c").checkClone("c"),
      "clone 'c' was deleted",
    ],
    [
      "a clone's extent that there is not",
      () => withSnapshot().clone("c", "s", (clone) => clone.write(9)),
      "extent 9: there are 4, numbered from 0",
    ],
    [
      "shrinking",
      () => builder().resize(1),
      "volumes of 1 extents: volume 0 has 4 already, and volumes only grow",
    ],
    [
      "a long compare-and-write",
      () => group().compareAndWrite({ block: 0, blocks: 2 }).finish(),
      "a compare-and-write of 2 blocks: expected at most 1",
    ],
  ])("%s", ([, act, message]) => {
    let error: unknown;
    try {
      act();
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ name: "HistoryError" });
    expect((error as Error).message).toContain(message);
    expect((error as Error).message).toMatch(/\n {2}at \S*history-builder\.test\.ts:\d+:\d+$/);
  });
});
