/**
 * Histories for tests of shrinking, and violations that are made up.
 */
import fc from "fast-check";
import type { FaultClass, Rule, Violation } from "../../../src/model/violation.ts";
import { HistoryBuilder, type HistoryPlan } from "../../../src/selectors/history-builder.ts";
import { historyText, parseHistory } from "../../../src/selectors/history-text.ts";
import { Geometry } from "../../../src/selectors/geometry.ts";

export const geometry = new Geometry({ blockSizeBytes: 4096, extentBlocks: 16, volumeBlocks: [64, 64] });

export function violationOf(name: FaultClass = "zeroed", rule: Rule = "quiescent"): Violation {
  return {
    ...{ rule, class: name, summary: "made up", volume: 0, block: 0, blockCount: 1, ltsMax: 0 },
    ...{ expected: "", observed: "", operations: [] },
  };
}

/** A history with some of everything, as builder and text both take it. */
export function drawnPlan(seed: bigint, steps: readonly number[]): HistoryPlan {
  const history = new HistoryBuilder({ seed, geometry, startExtents: 3, compareAndWriteBlocksMax: 2 });
  const taken: string[] = [];
  let cloneCount = 0;
  let extents = 3;
  for (const [index, step] of steps.entries()) {
    const newest = taken.at(-1);
    const extent = step % 6;
    switch (Math.floor(step / 6) % 12) {
      case 0:
      case 1:
        history.extent(extent).simultaneously().writes(3).deallocate().reads(2).finish();
        break;
      case 2:
        history.extent(extent).writeFua().compareAndWrite({ block: 5, blocks: 2 }).flush().finish();
        break;
      case 3:
        history.extent(extent).deallocateTail().deallocateExtent().finish();
        break;
      case 4:
      case 5:
        history.snapshot(`s${index}`);
        taken.push(`s${index}`);
        break;
      case 6:
        if (newest !== undefined) history.diff(undefined, newest).sync(newest);
        break;
      case 7:
        if (newest !== undefined) history.clone(`c${cloneCount++}`, newest);
        break;
      case 8:
        if (taken.length > 1) history.deleteSnapshot(taken.shift()!);
        break;
      case 9:
        if (extents < 4) history.resize(++extents);
        break;
      case 10:
        if (cloneCount > 0 && extents < 4) history.checkClone(`c${cloneCount - 1}`);
        break;
      default:
        history.extent(extent).readExtent().write().finish();
    }
  }
  history.extent(0).write().finish();
  return history.finish();
}

export const plans: fc.Arbitrary<HistoryPlan> = fc
  .tuple(
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.array(fc.nat({ max: 71 }), { minLength: 4, maxLength: 30 }),
  )
  .map(([seed, steps]) => drawnPlan(seed, steps));

/** @throws {HistoryTextError} If it is no history that can be written and read as the same. */
export function expectValid(plan: HistoryPlan): void {
  const text = historyText(plan);
  const again = parseHistory(text, "a candidate");
  if (historyText(again) !== text) throw new Error(`reads as another one:\n${text}`);
  const kept = ({ visits, clones, startExtents }: HistoryPlan) =>
    JSON.stringify([
      visits.map(({ pd, operations, reads, steps }) => ({ pd, operations, reads, steps })),
      [...clones],
      startExtents,
    ]);
  if (kept(again) !== kept(plan)) throw new Error(`is performed otherwise when it is read:\n${text}`);
}

/** Lines of a history below its head, with single spaces. */
export function bodyOf(text: string): readonly string[] {
  return text
    .trimEnd()
    .split("\n\n")[1]!
    .split("\n")
    .map((line) => line.replaceAll(/ +/g, " "));
}
