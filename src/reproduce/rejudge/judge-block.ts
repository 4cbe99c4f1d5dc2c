/**
 * Judges a wrong block of a dump again: what is stored now first, and the bytes that were read then.
 *
 * The same checker and the same diagnosis look at it, as of the same lts. What can not be known again, such as which
 * blocks had been right before, is taken from the dump.
 *
 * @packageDocumentation
 */
import { snapshotView } from "../../model/view.ts";
import type { Violation } from "../../model/violation.ts";
import { stateText } from "../../model/origin.ts";
import type { BlockExhibit, JudgedRange } from "../../runner/exhibit.ts";
import type { Run } from "../../runner/run.ts";
import { compared, findingText, isAlike, type Judgement, notKept } from "./judgement.ts";
import { judgeUnderLoad } from "./judge-under-load.ts";
import { type Scene, sceneText, Unseen } from "./scene.ts";
import { blockOf, explain, type Reading, storedRange, type Suspect, suspectOf } from "./suspect.ts";
import { viewsAsOf } from "./views-as-of.ts";

/** @throws {DumpError} If the exhibit is of no block of this run. */
export async function judgeBlock(
  scene: Scene,
  violation: Violation,
  exhibit: BlockExhibit,
  judged: JudgedRange,
): Promise<Judgement> {
  const suspect = suspectOf(scene.run, violation, exhibit, judged);
  if (judged.isLive) return judgeUnderLoad(scene, suspect);
  if (judged.place === "volume" || judged.ltsMax !== undefined)
    return judgeStored(scene, suspect, readingsOfVolume(scene.run, suspect));
  const reading = readingOfSnapshot(scene.run, suspect);
  if (reading === undefined)
    return notKept(
      violation,
      `snapshot ${judged.snapshot} was deleted before the run was over, and the model has forgotten its cut`,
    );
  return judged.place === "snapshot"
    ? judgeStored(scene, suspect, [reading])
    : judgeCopy(scene, suspect, reading);
}

/** What is stored, if it can be read; what was read, if that is all there is, or all that is wrong. */
async function judgeStored(scene: Scene, suspect: Suspect, readings: readonly Reading[]): Promise<Judgement> {
  const { run, kind } = scene;
  const { violation, exhibit, judged } = suspect;
  const asRead = violation.rereads ?? "same";
  const what = sceneText(scene);
  let stored: Uint8Array;
  try {
    stored = await storedRange(scene, suspect);
  } catch (error) {
    if (!(error instanceof Unseen)) throw error;
    if (kind === "target") return notKept(violation, error.message);
    const found = await explain(run, suspect, { bytes: judged.bytes, readings, rereads: asRead });
    return compared(violation, found, `${error.message}; ${recordedText(found)}`);
  }
  const isAsRead = Buffer.compare(blockOf(run, stored, judged), exhibit.found) === 0;
  if (isAsRead) {
    // What is there to be read again is stored, whatever other reads have shown.
    const rereads = asRead === "healed" ? "same" : asRead;
    const found = await explain(run, suspect, { bytes: stored, readings, rereads });
    if (found !== undefined && isAlike(found, violation))
      return compared(violation, found, `${what} holds the bytes that were read: ${findingText(found)}`);
  }
  const now = await explain(run, suspect, {
    bytes: stored,
    readings: readingsNow(run, suspect, readings),
    rereads: "same",
  });
  if (now !== undefined && isAlike(now, violation))
    return compared(
      violation,
      now,
      `${what} holds other bytes than were read, wrong in the same way: ${findingText(now)}`,
    );
  const storedText =
    now === undefined ? rightText(scene, suspect, readings) : `${what} shows ${findingText(now)}`;
  if (kind === "target") return compared(violation, now, storedText);
  const found = await explain(run, suspect, { bytes: judged.bytes, readings, rereads: asRead });
  return compared(violation, found ?? now, `${storedText}; ${recordedText(found)}`);
}

/** Of a clone, or of what a backup wrote, nothing is there but the bytes that were read. */
async function judgeCopy(scene: Scene, suspect: Suspect, reading: Reading): Promise<Judgement> {
  const { violation, judged } = suspect;
  if (scene.kind === "target")
    return notKept(
      violation,
      `it was read from a ${judged.place} that the run had made, and those are not looked for on the target; the bytes that were read are in the dump`,
    );
  const rereads = violation.rereads ?? "same";
  const found = await explain(scene.run, suspect, { bytes: judged.bytes, readings: [reading], rereads });
  return compared(violation, found, `a ${judged.place} has no image; ${recordedText(found)}`);
}

/** Of one lts there may be two views: before a rollback that follows it, and after. */
function readingsOfVolume({ tracker }: Run, { violation, judged, extent }: Suspect): readonly Reading[] {
  // Who looks after a crash looks for what was durable, whatever it finds.
  const rule = violation.rule === "durability" ? "durability" : "quiescent";
  return viewsAsOf(tracker, extent.volume, judged.ltsMax ?? violation.ltsMax).map((view) => ({
    ...{ view, rule },
    ...(judged.snapshot === undefined ? {} : { alsoInSnapshot: judged.snapshot }),
  }));
}

function readingOfSnapshot(
  { tracker }: Run,
  { judged: { place, snapshot }, extent }: Suspect,
): Reading | undefined {
  const record = snapshot === undefined ? undefined : tracker.snapshot(extent.volume, snapshot);
  if (record === undefined) return undefined;
  const rule = place === "clone" ? "clone" : place === "copy" ? "sync" : "snapshot";
  return { view: snapshotView(tracker, record), rule, snapshot: record.snapshot };
}

/** Snapshots do not change; a volume is as the run has left it. */
function readingsNow(run: Run, suspect: Suspect, readings: readonly Reading[]): readonly Reading[] {
  if (suspect.judged.place !== "volume") return readings;
  const [view] = viewsAsOf(run.tracker, suspect.extent.volume, run.tracker.ltsStartedMax);
  return [{ ...readings[0]!, view: view! }];
}

/** What it says that the block is right where it was wrong. */
function rightText(scene: Scene, suspect: Suspect, readings: readonly Reading[]): string {
  const { run } = scene;
  const { violation, judged, extent } = suspect;
  const what = sceneText(scene);
  const newest = ({ view }: Reading): number =>
    run.reconciler.versions(extent, judged.block, view).next().value ?? 0;
  const state = newest(readingsNow(run, suspect, readings)[0]!);
  if (!readings.some((reading) => newest(reading) === state))
    return `the run has gone on, and ${what} holds what it left there since: ${stateText(state, run.workload)}`;
  return violation.rereads === "healed"
    ? `${what} holds what is right: it was read wrong, not stored wrong`
    : `${what} holds what is right now`;
}

function recordedText(found: Violation | undefined): string {
  return found === undefined
    ? "the bytes that were read, in the dump, are right as the model has it"
    : `the bytes that were read, in the dump, show ${findingText(found)}`;
}
