/**
 * Judges a wrong block of a dump again: what is stored now first, and the bytes that were read then.
 *
 * The same checker and the same diagnosis look at it, as of the same lts. What can not be known again, such as which
 * blocks had been right before, is taken from the dump.
 *
 * @packageDocumentation
 */
import { snapshotView, type View } from "../../model/view.ts";
import type { Rule, Violation } from "../../model/violation.ts";
import { stateText } from "../../model/origin.ts";
import type { BlockExhibit, JudgedRange } from "../../runner/exhibit.ts";
import type { Run } from "../../runner/run.ts";
import { besides, ruleOf } from "../../runner/wrong-blocks.ts";
import type { Extent } from "../../selectors/geometry.ts";
import { effectOf, positionOf } from "../../selectors/operations.ts";
import { DumpError } from "../dump.ts";
import { compared, findingText, isAlike, type Judgement, notKept } from "./judgement.ts";
import { look, type Scene, sceneText, Unseen } from "./scene.ts";
import { viewsAsOf } from "./views-as-of.ts";

/** A wrong block, and all that was read with it. */
interface Suspect {
  readonly violation: Violation;
  readonly exhibit: BlockExhibit;
  readonly judged: JudgedRange;
  readonly extent: Extent;
}

/** As what bytes are judged. */
interface Reading {
  readonly view: View;
  readonly rule: Rule;
  readonly snapshot?: number;
  readonly alsoInSnapshot?: number;
}

type Rereads = NonNullable<Violation["rereads"]>;

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

/** What was read while operations went on: as it is now, at rest, or as no time at all could have shown it. */
async function judgeUnderLoad(scene: Scene, suspect: Suspect): Promise<Judgement> {
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

function suspectOf(run: Run, violation: Violation, exhibit: BlockExhibit, judged: JudgedRange): Suspect {
  const { geometry } = run.workload;
  const { pd, firstBlock, bytes, block } = judged;
  const blockCount = bytes.length / geometry.blockSizeBytes;
  const isOfRun =
    Number.isSafeInteger(pd) &&
    pd >= 0 &&
    pd < geometry.extentCount &&
    [firstBlock, blockCount, block].every(Number.isSafeInteger) &&
    firstBlock >= 0 &&
    firstBlock <= block &&
    block < firstBlock + blockCount &&
    firstBlock + blockCount <= geometry.extent(pd).blockCount &&
    exhibit.found.length === geometry.blockSizeBytes;
  if (!isOfRun)
    throw new DumpError(
      `what was read of block ${violation.block} of volume ${violation.volume} is no part of an extent of this run: the files of the dump do not go together`,
    );
  return { violation, exhibit, judged, extent: geometry.extent(pd) };
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

/** @throws {Unseen} */
async function storedRange(scene: Scene, { judged, extent }: Suspect): Promise<Uint8Array> {
  const { run } = scene;
  const { blockSizeBytes } = run.workload.geometry;
  const into = new Uint8Array(judged.bytes.length);
  const request = {
    block: extent.firstBlock + judged.firstBlock,
    blockCount: into.length / blockSizeBytes,
    into,
  };
  if (judged.place === "volume") await look(run, run.target.volumes[extent.volume]!.device, request);
  else {
    const device = await scene.snapshot(extent.volume, judged.snapshot!);
    try {
      await look(run, device, request);
    } finally {
      await device[Symbol.asyncDispose]();
    }
  }
  return into;
}

/** What is wrong with the block among all that is read with it: the first finding that is alike, or just the first. */
async function explain(
  run: Run,
  suspect: Suspect,
  {
    bytes,
    readings,
    rereads,
  }: { readonly bytes: Uint8Array; readonly readings: readonly Reading[]; readonly rereads: Rereads },
): Promise<Violation | undefined> {
  const { judged, extent, violation } = suspect;
  const { firstBlock, provenBefore, wasProven } = judged;
  const blockCount = bytes.length / run.workload.geometry.blockSizeBytes;
  const buffer = await run.extentBuffers.take();
  try {
    buffer.bytes.set(bytes);
    const { address } = buffer;
    const range = { extent, firstBlock, blockCount, address };
    let first: Violation | undefined;
    for (const { view, rule, ...of } of readings) {
      const wrong = run.content.check({ ...range, view }).wrong.find(({ block }) => block === judged.block);
      if (wrong === undefined) continue;
      const found = run.diagnosis.explain({
        ...{ extent, wrong, view, provenBefore, wasProven, rereads },
        ...of,
        ...besides(run, wrong, range),
        rule: ruleOf(run, rule, wrong),
        bytes: blockOf(run, bytes, judged),
      });
      if (isAlike(found, violation)) return found;
      first ??= found;
    }
    return first;
  } finally {
    run.extentBuffers.giveBack(buffer);
  }
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

function blockOf({ workload }: Run, bytes: Uint8Array, { block, firstBlock }: JudgedRange): Uint8Array {
  const { blockSizeBytes } = workload.geometry;
  const at = (block - firstBlock) * blockSizeBytes;
  return bytes.subarray(at, at + blockSizeBytes);
}
