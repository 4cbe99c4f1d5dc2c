/**
 * Judges a block again that was read while operations went on.
 *
 * When each operation began and ended is not known any more. What is left to ask is whether it is wrong at rest as
 * well, and whether the history ever gave the block such bytes.
 *
 * @packageDocumentation
 */
import { stateText } from "../../model/origin.ts";
import type { Violation } from "../../model/violation.ts";
import type { Run } from "../../runner/run.ts";
import { effectOf, positionOf } from "../../selectors/operations.ts";
import { compared, findingText, isAlike, type Judgement, notKept } from "./judgement.ts";
import { type Scene, sceneText, Unseen } from "./scene.ts";
import { explain, storedRange, type Suspect } from "./suspect.ts";
import { viewsAsOf } from "./views-as-of.ts";

/** What was read while operations went on: as it is now, at rest, or as no time at all could have shown it. */
export async function judgeUnderLoad(scene: Scene, suspect: Suspect): Promise<Judgement> {
  const { run, kind } = scene;
  const { violation } = suspect;
  const what = sceneText(scene);
  const { rule } = violation;
  let atRest: string;
  let now: Violation | undefined;
  try {
    const bytes = await storedRange(scene, suspect);
    const readings = viewsAsOf(run.tracker, suspect.extent.volume, run.tracker.ltsStartedMax).slice(0, 1);
    now = await explain(run, suspect, {
      bytes,
      readings: readings.map((view) => ({ view, rule })),
      rereads: "same",
    });
    if (now !== undefined && isAlike(now, violation))
      return compared(violation, now, `it is still there, at rest: ${what} shows ${findingText(now)}`);
    atRest =
      now === undefined
        ? `at rest, ${what} holds what is right`
        : `at rest, ${what} shows ${findingText(now)}`;
  } catch (error) {
    if (!(error instanceof Unseen)) throw error;
    atRest = error.message;
    if (kind === "target") return notKept(violation, atRest);
  }
  if (kind === "target")
    return compared(violation, now, `${atRest}; a read beside other operations can not be asked for again`);
  const version = await versionShown(run, suspect);
  if (version !== undefined)
    return notKept(
      violation,
      `${atRest}; the bytes that were read are ${stateText(version, run.workload)}. They were right at some time; that they were wrong when they were read follows from when each operation began and ended, which the model does not remember (harrow explain tells what the operation log has of it). What could show then: ${violation.expected}`,
    );
  const found = await neverWritten(run, suspect);
  return compared(
    violation,
    found,
    `${atRest}; the bytes that were read are none that the history up to lts ${violation.ltsMax} ever left on the block, whenever it was read: ${findingText(found)}`,
  );
}

/** The newest state of the block, of all that the history ever gave it, that has the bytes which were read. */
async function versionShown(run: Run, suspect: Suspect): Promise<number | undefined> {
  const { exhibit, extent } = suspect;
  const block = extent.firstBlock + suspect.judged.block;
  const buffer = await run.extentBuffers.take();
  try {
    buffer.bytes.set(exhibit.found);
    const { address } = buffer;
    for (const state of statesEver(run, suspect))
      if (run.content.shows({ volume: extent.volume, block, address, state })) return state;
    return undefined;
  } finally {
    run.extentBuffers.giveBack(buffer);
  }
}

function* statesEver({ workload }: Run, { violation, judged, extent }: Suspect): Generator<number> {
  const { window } = workload;
  for (let lts = window.lastLts(extent.pd, violation.ltsMax); lts !== undefined; lts = window.prevLts(lts)) {
    const operation = workload.operationOn(lts, judged.block);
    const effect = operation === undefined ? "none" : effectOf(operation.kind);
    if (effect === "none") continue;
    const position = positionOf(lts, operation!.operationId);
    yield effect === "data" ? position : -position;
  }
  yield 0;
}

/** Names bytes that the block never had. */
async function neverWritten(run: Run, { violation, exhibit, judged, extent }: Suspect): Promise<Violation> {
  const [view] = viewsAsOf(run.tracker, extent.volume, violation.ltsMax);
  const newest = run.reconciler.versions(extent, judged.block, view!).next().value ?? 0;
  const allowed = exhibit.allowed.length > 0 ? exhibit.allowed : [newest];
  return run.diagnosis.explain({
    ...{ extent, wrong: { block: judged.block, allowed }, view: view!, rule: violation.rule },
    ...{ provenBefore: false, wasProven: judged.wasProven },
    ...{ bytes: exhibit.found, rereads: violation.rereads ?? "same" },
  });
}
