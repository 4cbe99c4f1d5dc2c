/**
 * Tests 1 to 7: the diff and the copy in plain circumstances.
 *
 * @packageDocumentation
 */
import { expectAtLeast, expectEmpty } from "./bounds.ts";
import { expectNotReported, expectReported } from "./diff-judge.ts";
import type { SuiteTest } from "./test-case.ts";

export const sanityTests: readonly SuiteTest[] = [
  {
    name: "no_change_diff",
    phase: "sanity",
    shows: "two snapshots with no write between them do not differ",
    run: async (bench) => {
      // On a volume without any data there would be nothing to report wrongly.
      await bench.write(bench.layout.region(90, 1));
      const before = await bench.snapshot("before");
      const after = await bench.snapshot("after");
      expectEmpty(await bench.diff(after, before));
      bench.note("diff returned 0 lbaRange(s)");
    },
  },
  {
    name: "full_scan_accuracy",
    phase: "sanity",
    shows: "a diff without base reports all data, and its copy holds it",
    run: async (bench) => {
      const region = bench.layout.region(0, 50);
      await bench.write(region);
      const snapshot = await bench.snapshot("snap1");
      const answer = await bench.diff(snapshot);
      expectReported(answer, region);
      expectAtLeast(answer, [region], bench.layout);
      await bench.sync(snapshot);
      await bench.expectCopied(snapshot, region);
    },
  },
  {
    name: "incremental_new_region",
    phase: "sanity",
    shows: "a diff against a base reports what is new, and not what the base holds",
    run: async (bench) => {
      const [first, second] = [bench.layout.region(100, 50), bench.layout.region(200, 50)];
      await bench.write(first);
      const base = await bench.snapshot("snap1");
      await bench.write(second);
      const snapshot = await bench.snapshot("snap2");
      const answer = await bench.diff(snapshot, base);
      expectReported(answer, second);
      expectNotReported(answer, first);
      await bench.sync(snapshot, base);
      await bench.expectCopied(snapshot, second);
    },
  },
  {
    name: "overwrite_same_region",
    phase: "sanity",
    shows: "what is overwritten is reported, and the copy has the new data",
    run: async (bench) => {
      const region = bench.layout.region(300, 30);
      await bench.write(region);
      const base = await bench.snapshot("snap1");
      await bench.write(region);
      const snapshot = await bench.snapshot("snap2");
      expectReported(await bench.diff(snapshot, base), region);
      await bench.sync(snapshot, base);
      await bench.expectCopied(snapshot, region);
    },
  },
  {
    name: "scattered_writes",
    phase: "sanity",
    shows: "of small writes far apart each is reported, and no gap between them",
    run: async (bench) => {
      const { layout } = bench;
      const places = layout.places({ at: 400, length: 1, stride: 10, count: 10 });
      const base = await bench.snapshot("before");
      await bench.write(...places);
      const snapshot = await bench.snapshot("after");
      const answer = await bench.diff(snapshot, base);
      for (const [index, place] of places.entries()) {
        expectReported(answer, place);
        const next = places[index + 1];
        if (next !== undefined) expectNotReported(answer, layout.gap(place, next));
      }
      await bench.sync(snapshot, base);
      await bench.expectCopied(snapshot, ...places);
    },
  },
  {
    name: "sync_integrity",
    phase: "sanity",
    shows: "a whole copy is as its snapshot",
    run: async (bench) => {
      const region = bench.layout.region(500, 80);
      await bench.write(region);
      const snapshot = await bench.snapshot("snap1");
      const { answer } = await bench.sync(snapshot);
      expectAtLeast(answer, [region], bench.layout);
      await bench.expectCopied(snapshot, region);
    },
  },
  {
    name: "incremental_sync_integrity",
    phase: "sanity",
    shows: "an incremental copy is right, and leaves alone what was copied before",
    run: async (bench) => {
      const [first, second] = [bench.layout.region(600, 50), bench.layout.region(650, 50)];
      await bench.write(first);
      const base = await bench.snapshot("snap1");
      await bench.sync(base);
      await bench.expectCopied(base, first);
      await bench.write(second);
      const snapshot = await bench.snapshot("snap2");
      await bench.sync(snapshot, base);
      await bench.expectCopied(snapshot, second);
      await bench.expectCopied(snapshot, first);
    },
  },
];
