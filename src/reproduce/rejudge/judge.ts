/**
 * Judges the violations of a dump again, one after another.
 *
 * @packageDocumentation
 */
import type { Violation } from "../../model/violation.ts";
import type { BlockExhibit, Exhibit, JudgedRange } from "../../runner/exhibit.ts";
import type { Run } from "../../runner/run.ts";
import { type Dump, DumpError, type DumpedViolation } from "../dump.ts";
import { judgeBlock } from "./judge-block.ts";
import { type DiffJudging, judgeDiff } from "./judge-diff.ts";
import { judgeOther, type OtherScene } from "./judge-other.ts";
import { type Judged, type Judgement, notKept } from "./judgement.ts";
import { Unseen } from "./scene.ts";

export interface Judging {
  readonly scene: OtherScene;
  readonly diffs: DiffJudging;
}

/** @returns Fewer judgements than there are violations if it was interrupted. */
export async function judgeAll(dump: Dump, judging: Judging): Promise<Judged> {
  const { run } = judging.scene;
  const judgements: Judgement[] = [];
  try {
    for (const dumped of dump.violations) {
      if (run.signal.aborted) break;
      judgements.push(await judgeOne(dumped, judging));
    }
  } finally {
    run.liveness.stop();
  }
  return { description: run.target.description, judgements };
}

async function judgeOne({ violation, exhibit }: DumpedViolation, judging: Judging): Promise<Judgement> {
  let seen: Exhibit | undefined;
  try {
    seen = await exhibit?.();
    return await judge(violation, seen, judging);
  } catch (error) {
    // The others may be whole.
    if (error instanceof DumpError || error instanceof Unseen) return notKept(violation, error.message);
    throw error;
  }
}

function judge(
  violation: Violation,
  exhibit: Exhibit | undefined,
  { scene, diffs }: Judging,
): Promise<Judgement> {
  if (exhibit?.kind === "diff") return judgeDiff(diffs, violation, exhibit);
  const judged = exhibit === undefined ? undefined : rangeOf(scene.run, violation, exhibit);
  return exhibit === undefined || judged === undefined
    ? judgeOther(scene, violation, exhibit)
    : judgeBlock(scene, violation, exhibit, judged);
}

/** All that was read together; of a dump that has lost it, the block alone, and as what the violation says it was read. */
function rangeOf(
  { workload: { geometry } }: Run,
  violation: Violation,
  { judged, found, contentVolume }: BlockExhibit,
): JudgedRange | undefined {
  const { rule, volume, block: onVolume, snapshot } = violation;
  if (judged !== undefined || rule === "second-volume" || contentVolume !== undefined) return judged;
  if (onVolume >= (geometry.volumeBlocks[volume] ?? 0)) return undefined;
  const pd = geometry.pdOf(volume, onVolume);
  const block = onVolume - geometry.extent(pd).firstBlock;
  return {
    ...{ place: placeOf(violation), pd, firstBlock: block, bytes: found, block, snapshot },
    ltsMax: snapshot === undefined ? violation.ltsMax : undefined,
    isLive: rule === "exhaustive" || rule === "visible",
    provenBefore: violation.class === "mutated",
    wasProven: false,
  };
}

function placeOf({ rule, snapshot }: Violation): JudgedRange["place"] {
  if (rule === "clone") return "clone";
  if (rule === "sync") return "copy";
  return snapshot === undefined ? "volume" : "snapshot";
}
