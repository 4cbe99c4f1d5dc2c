/**
 * Tests 14 to 20: what goes wrong in production.
 *
 * @packageDocumentation
 */
import { ServiceError } from "../../sut/port.ts";
import type { SuiteSnapshot } from "./bench-options.ts";
import { expectAtLeast } from "./bounds.ts";
import { walkChain } from "./chain-walk.ts";
import { type Answer, expectNotReported, expectReported, questionText } from "./diff-judge.ts";
import { mebibyte } from "./layout.ts";
import { SuiteFailure } from "./suite-failure.ts";
import type { SuiteTest } from "./test-case.ts";
import type { Workbench } from "./workbench.ts";

/** Slowest copy that passes, in MiB a second. */
const throughputMin = 10;
/** About how many rests of a long answer are asked for. */
const restsMax = 12;

export const resilienceTests: readonly SuiteTest[] = [
  {
    name: "deleted_base_snapshot",
    phase: "resilience",
    shows: "a diff against a base that was deleted is refused",
    run: async (bench) => {
      const region = bench.layout.region(1015, 1);
      const base = await bench.snapshot("snap1");
      await bench.write(region);
      const snapshot = await bench.snapshot("snap2");
      await bench.deleteSnapshot(base);
      await expectRefused(bench, snapshot, base);
      // The snapshot itself has lost nothing by it.
      expectReported(await bench.diff(snapshot), region);
    },
  },
  {
    name: "pagination_stress",
    phase: "resilience",
    shows: "no range is lost between the pages of a long answer",
    run: async (bench) => {
      const places = bench.layout.places({ at: 1020, length: 1, stride: 3, count: 100 });
      const base = await bench.snapshot("before");
      await bench.write(...places);
      const snapshot = await bench.snapshot("after");
      const answer = await bench.diff(snapshot, base);
      for (const place of places) expectReported(answer, place);
      expectAtLeast(answer, places, bench.layout);
      const { length: pageCount } = answer.pages;
      bench.note(
        pageCount > 1
          ? `pagination exercised: ${pageCount} pages ✓`
          : "all in one page: pagination was not triggered",
      );
      await bench.expectRestFrom(answer, [snapshot, base], offsetsIn(answer));
      await bench.sync(snapshot, base);
      await bench.expectCopied(snapshot, ...places);
    },
  },
  {
    name: "partial_overwrite",
    phase: "resilience",
    shows: "only the part that was overwritten is reported, and all is right around it",
    run: async (bench) => {
      const whole = bench.layout.region(1330, 35);
      const middle = bench.layout.region(1340, 15);
      await bench.write(whole);
      const base = await bench.snapshot("snap1");
      await bench.sync(base);
      await bench.write(middle);
      const snapshot = await bench.snapshot("snap2");
      const answer = await bench.diff(snapshot, base);
      expectReported(answer, middle);
      expectNotReported(answer, bench.layout.region(1330, 10));
      expectNotReported(answer, bench.layout.region(1355, 10));
      await bench.sync(snapshot, base);
      await bench.expectCopied(snapshot, whole);
    },
  },
  {
    name: "non_adjacent_diff",
    phase: "resilience",
    shows: "a diff over several snapshots reports what each step between them does",
    run: async (bench) => {
      const regions = [1370, 1390, 1410].map((at) => bench.layout.region(at, 20));
      const base = await bench.snapshot("snap0");
      let last = base;
      for (const [index, region] of regions.entries()) {
        await bench.write(region);
        last = await bench.snapshot(`snap${index + 1}`);
      }
      const answer = await bench.diff(last, base);
      for (const region of regions) expectReported(answer, region);
      await bench.sync(last, base);
      await bench.expectCopied(last, ...regions);
    },
  },
  {
    name: "long_chain_walk",
    phase: "resilience",
    shows: "along a long chain no step is lost, and no small excesses add up",
    run: (bench) => walkChain(bench, { at: 1435, rounds: 10, length: 10, tolerance: 0.05 }),
  },
  {
    name: "write_after_snapshot_isolation",
    phase: "resilience",
    shows: "what is written after a snapshot is not in its diff",
    run: async (bench) => {
      const [a, b] = [bench.layout.region(1540, 15), bench.layout.region(1556, 15)];
      const first = await bench.snapshot("snap0");
      await bench.write(a);
      const second = await bench.snapshot("snap1");
      await bench.write(b);
      // Asked for only now, when both writes are on the volume.
      const before = await bench.diff(second, first);
      await bench.sync(second, first);
      await bench.expectCopied(second, a);
      const third = await bench.snapshot("snap2");
      const after = await bench.diff(third, second);
      expectReported(before, a);
      expectNotReported(before, b);
      expectReported(after, b);
      expectNotReported(after, a);
    },
  },
  {
    name: "sync_throughput_baseline",
    phase: "resilience",
    shows: "diff and copy together are fast enough",
    run: async (bench) => {
      const region = bench.layout.region(1575, 200);
      await bench.write(region);
      const snapshot = await bench.snapshot("snap1");
      const { bytesCopied, elapsedMs } = await bench.sync(snapshot);
      const rate = bytesCopied / mebibyte / (elapsedMs / 1000);
      bench.note(`in ${(elapsedMs / 1000).toFixed(1)}s → ${rate.toFixed(1)} MB/s`);
      await bench.expectCopied(snapshot, region);
      if (rate < throughputMin)
        throw new SuiteFailure(`${rate.toFixed(1)} MB/s: expected at least ${throughputMin}`);
    },
  },
];

/** @throws {SuiteFailure} If the diff is answered, or refused in words that do not say what is wrong. */
export async function expectRefused(
  bench: Workbench,
  snapshot: SuiteSnapshot,
  base: SuiteSnapshot,
): Promise<void> {
  const what = questionText(snapshot, base);
  let pages: Answer["pages"];
  try {
    pages = await bench.ask(snapshot.uuid, base.uuid);
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    const { code, message } = error;
    const saysSo =
      code === "ERR_NOT_FOUND" ||
      (code === "ERR_INVALID_REQUEST" && /not.found|no snapshot|not exist|unknown|deleted/i.test(message));
    if (!saysSo)
      throw new SuiteFailure(
        `${what}, which was deleted: expected to hear that it is not there, got ${code}: ${message}`,
      );
    bench.note(`${what}, which was deleted, is refused: ${message}`);
    return;
  }
  const rangeCount = pages.reduce((sum, { ranges }) => sum + ranges.length, 0);
  throw new SuiteFailure(
    `${what}, which was deleted: answered with ${rangeCount} ranges, expected an error`,
    {
      faultClass: "deleted-base-answered",
    },
  );
}

/** Offsets at which a client could have to go on: starts and ends of ranges, and some in the middle of a chunk. */
function offsetsIn({ pages }: Answer): readonly number[] {
  const ranges = pages.flatMap((page) => page.ranges);
  const stride = Math.max(1, Math.floor(ranges.length / restsMax));
  return ranges
    .filter((_, index) => index % stride === 0)
    .flatMap(({ lbaStart, bitmap }, index) =>
      [lbaStart, lbaStart + bitmap.length * 8, lbaStart + 5].slice(index % 3, (index % 3) + 1),
    );
}
