/**
 * Tests 8 to 13: large and odd regions, deletions, chains, repetition.
 *
 * @packageDocumentation
 */
import { ServiceError } from "../../sut/port.ts";
import type { SuiteSnapshot } from "./bench-options.ts";
import { expectAtLeast, expectChunks, expectContiguous, expectEmpty } from "./bounds.ts";
import { walkChain } from "./chain-walk.ts";
import { expectReported, expectSameRanges } from "./diff-judge.ts";
import { SuiteFailure } from "./suite-failure.ts";
import type { SuiteTest } from "./test-case.ts";
import type { Workbench } from "./workbench.ts";

/** A write of four chunks that begins and ends in the middle of one. */
const unalignedChunks = 4;

export const edgeCaseTests: readonly SuiteTest[] = [
  {
    name: "large_sequential",
    phase: "edge cases",
    shows: "one long write is reported in one piece, and copied",
    run: async (bench) => {
      const region = bench.layout.region(700, 150);
      const base = await bench.snapshot("before");
      await bench.write(region);
      const snapshot = await bench.snapshot("after");
      const answer = await bench.diff(snapshot, base);
      expectReported(answer, region);
      expectAtLeast(answer, [region], bench.layout);
      expectContiguous(answer, region);
      await bench.sync(snapshot, base);
      await bench.expectCopied(snapshot, region);
    },
  },
  {
    name: "delete_then_rewrite",
    phase: "edge cases",
    shows: "what becomes zeros, and what is written after that, is reported and copied",
    run: async (bench) => {
      const { layout } = bench;
      const region = layout.region(860, 30);
      await bench.write(region);
      const first = await bench.snapshot("data");
      await bench.sync(first);
      await bench.expectCopied(first, region);
      const third = Math.floor(region.blockCount / 3);
      await bench.zero("write", layout.within(region, 0, third));
      await bench.zero("writeZeroes", layout.within(region, third, third));
      await bench.zero("deallocate", layout.within(region, 2 * third, region.blockCount - 2 * third));
      const second = await bench.snapshot("zeroed");
      expectReported(await bench.diff(second, first), region);
      await bench.sync(second, first);
      await bench.expectCopied(second, region);
      await bench.write(region);
      const last = await bench.snapshot("rewritten");
      expectReported(await bench.diff(last, second), region);
      await bench.sync(last, second);
      await bench.expectCopied(last, region);
    },
  },
  {
    name: "rapid_snapshot_chain",
    phase: "edge cases",
    shows: "each step of a chain of snapshots copies what was written in it",
    run: (bench) => walkChain(bench, { at: 900, rounds: 5, length: 15, tolerance: 0.1 }),
  },
  {
    name: "idempotent_sync",
    phase: "edge cases",
    shows: "the same copy a second time does the same",
    run: async (bench) => {
      const region = bench.layout.region(995, 15);
      await bench.write(region);
      const snapshot = await bench.snapshot("snap1");
      const first = await bench.sync(snapshot);
      await bench.expectCopied(snapshot, region);
      const second = await bench.sync(snapshot);
      await bench.expectCopied(snapshot, region);
      expectSameRanges(first.answer, second.answer);
    },
  },
  {
    name: "boundary_alignment",
    phase: "edge cases",
    shows: "chunks that are written in part are told bit by bit",
    run: async (bench) => {
      const { layout } = bench;
      const { chunkBlocks } = bench.service.diffCapabilities;
      // LBA 250,880 on a volume with chunks of 64 blocks of 4 KiB.
      const place = layout.region(980, 1);
      const region = layout.within(place, chunkBlocks / 2, unalignedChunks * chunkBlocks);
      const base = await bench.snapshot("before");
      await bench.write(region);
      const snapshot = await bench.snapshot("after");
      const answer = await bench.diff(snapshot, base);
      expectReported(answer, region);
      expectChunks(answer, region, bench.service.diffCapabilities);
      await bench.sync(snapshot, base);
      await bench.expectCopied(snapshot, region);
      // Halves of a chunk look alike in two orders of bits: a single block does in none.
      const single = layout.within(place, (unalignedChunks + 2) * chunkBlocks + 1, 1);
      await bench.write(single);
      const last = await bench.snapshot("single");
      expectChunks(await bench.diff(last, snapshot), single, bench.service.diffCapabilities);
      await bench.sync(last, snapshot);
      await bench.expectCopied(last, single);
    },
  },
  {
    name: "snapshot_lifecycle",
    phase: "edge cases",
    shows: "snapshots one after another do not differ, and are gone when they are deleted",
    run: async (bench) => {
      await bench.write(bench.layout.region(985, 1));
      const taken: SuiteSnapshot[] = [];
      for (const label of ["snap1", "snap2", "snap3"]) taken.push(await bench.snapshot(label));
      for (const [index, snapshot] of taken.slice(1).entries())
        expectEmpty(await bench.diff(snapshot, taken[index]!));
      const before = await listed(bench);
      for (const { uuid, label } of taken)
        if (!before.has(uuid))
          throw new SuiteFailure(`${label} is not in the listing`, { faultClass: "lost-snapshot" });
      for (const snapshot of taken) await bench.deleteSnapshot(snapshot);
      const left = await listed(bench);
      for (const { uuid, label } of taken) {
        if (left.has(uuid)) throw new SuiteFailure(`${label} was deleted, and is still in the listing`);
        if (await isFound(bench, uuid))
          throw new SuiteFailure(`${label} was deleted, and can still be asked for`);
      }
      bench.note(`${taken.length} snapshots taken, listed, deleted, and gone`);
    },
  },
];

/** Snapshots that are there to stay. */
async function listed({ service }: Workbench): Promise<ReadonlySet<string>> {
  const all = await service.listSnapshots();
  const staying = all.filter(({ state }) => state !== "deleting" && state !== "deleted");
  return new Set(staying.map(({ uuid }) => uuid));
}

async function isFound({ service }: Workbench, uuid: string): Promise<boolean> {
  try {
    const { state } = await service.getSnapshot(uuid);
    return state !== "deleting" && state !== "deleted";
  } catch (error) {
    if (error instanceof ServiceError && error.code === "ERR_NOT_FOUND") return false;
    throw error;
  }
}
