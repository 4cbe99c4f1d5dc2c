/**
 * What is done about a block that is wrong: it is read again, explained, and reported.
 *
 * @packageDocumentation
 */
import type { Region } from "../generators/kernel.ts";
import type { WrongBlock } from "../model/content-checker.ts";
import type { BadBlock } from "../model/diagnosis.ts";
import type { SnapshotRecord } from "../model/snapshot-record.ts";
import { liveView, ltsMaxOf, type View, volumeView } from "../model/view.ts";
import type { Rule, Violation } from "../model/violation.ts";
import type { Extent } from "../selectors/geometry.ts";
import { operationAt } from "../selectors/operations.ts";
import type { BlockDevice } from "../sut/port.ts";
import { type JudgedRange, RangeKeeper } from "./exhibit.ts";
import { observe } from "./reading.ts";
import type { Run } from "./run.ts";
import { TargetFailure } from "./target-failure.ts";

/** Wrong blocks that are explained of one extent; the others are counted. */
export const explainedPerExtentMax = 8;

/** A device that shows a snapshot, and what is known of it. */
export interface ShownSnapshot {
  readonly device: BlockDevice;
  readonly record: SnapshotRecord;
  readonly rule: Rule;
  /** Extents that were right before; those found right now are added. */
  readonly proven?: Set<number>;
}

interface WrongExtent {
  readonly extent: Extent;
  readonly view: View;
  readonly device: BlockDevice;
  /** Holds the extent, and has room for one more block. */
  readonly buffer: Region;
  readonly rule?: Rule;
  readonly shown?: ShownSnapshot;
  /** By wrong block: a look at rest had found what it should hold; see {@link provenOf}. */
  readonly wasProven?: readonly boolean[];
}

/** Explains and reports the wrong blocks of an extent. */
export async function explain(run: Run, wrong: readonly WrongBlock[], at: WrongExtent): Promise<void> {
  const { extent, view, buffer, shown } = at;
  const { blockSizeBytes } = run.workload.geometry;
  const { blockCount } = extent;
  const range = new RangeKeeper({ firstBlock: 0, blockCount, bytes: buffer.bytes }, blockSizeBytes);
  for (const [index, fault] of wrong.slice(0, explainedPerExtentMax).entries()) {
    const bytes = buffer.bytes.slice(fault.block * blockSizeBytes, (fault.block + 1) * blockSizeBytes);
    const { rereads, last } = await reread(run, fault, bytes, at);
    const provenBefore = shown?.proven?.has(extent.pd) ?? false;
    const snapshot = shown?.record.snapshot;
    // A version that is wrong only in this cut is no fault of the volume's.
    const isOfCut = fault.shown !== undefined;
    const isVolumes =
      shown !== undefined && !provenBefore && !isOfCut && (await volumeShows(run, fault, bytes, at));
    const rule = ruleOf(run, shown?.rule ?? at.rule ?? "quiescent", fault);
    const found = {
      extent,
      wrong: fault,
      provenBefore,
      bytes,
      rereads,
      wasProven: at.wasProven?.[index] ?? run.ledger.isProven(extent, fault.block, fault.allowed.at(-1)!),
      ...besides(run, fault, {
        extent,
        firstBlock: 0,
        blockCount: extent.blockCount,
        address: buffer.address,
      }),
    };
    const judgedAs = isVolumes ? nowView(run, extent) : view;
    const judged: JudgedRange = {
      ...range.around(fault),
      place: shown === undefined ? "volume" : placeOf(shown),
      pd: extent.pd,
      snapshot,
      ltsMax: isVolumes || shown === undefined ? ltsMaxOf(judgedAs) : undefined,
      isLive: false,
      provenBefore,
      wasProven: found.wasProven,
    };
    run.violation(
      run.diagnosis.explain(
        isVolumes
          ? { ...found, view: judgedAs, rule: "quiescent", alsoInSnapshot: snapshot! }
          : { ...found, view, rule, ...(snapshot === undefined ? {} : { snapshot }) },
      ),
      { kind: "block", found: bytes, reread: last, allowed: fault.allowed, judged },
    );
  }
  run.unexplainedCount += Math.max(0, wrong.length - explainedPerExtentMax);
}

function placeOf({ rule }: ShownSnapshot): JudgedRange["place"] {
  if (rule === "sync") return "copy";
  return rule === "clone" ? "clone" : "snapshot";
}

/** Which wrong blocks a look at rest had found right before; to be asked before the ledger is told of this one. */
export function provenOf({ ledger }: Run, extent: Extent, wrong: readonly WrongBlock[]): readonly boolean[] {
  return wrong.map(({ block, allowed }) => ledger.isProven(extent, block, allowed.at(-1)!));
}

/** What the blocks that were read with a wrong one say of it: nothing, if a crash may have undone a part of a write. */
export function besides(
  run: Run,
  fault: WrongBlock,
  {
    extent,
    firstBlock,
    blockCount,
    address,
  }: {
    readonly extent: Extent;
    readonly firstBlock: number;
    readonly blockCount: number;
    readonly address: number;
  },
): Pick<BadBlock, "shows"> {
  if (isOlderThanCrash(run, fault)) return {};
  const { blockSizeBytes } = run.workload.geometry;
  return {
    shows: (block, state) =>
      block >= firstBlock &&
      block < firstBlock + blockCount &&
      run.content.shows({
        volume: extent.volume,
        block: extent.firstBlock + block,
        address: address + (block - firstBlock) * blockSizeBytes,
        state,
      }),
  };
}

/** What was durable before a crash, and is missing after it, is a matter of durability. */
export function ruleOf(run: Run, rule: Rule, fault: WrongBlock): Rule {
  return rule === "quiescent" && isOlderThanCrash(run, fault) ? "durability" : rule;
}

function isOlderThanCrash({ crashLts }: Run, { allowed }: WrongBlock): boolean {
  const floor = Math.abs(allowed.at(-1)!);
  return floor > 0 && operationAt(floor).lts <= crashLts;
}

function nowView(run: Run, { volume }: Extent): View {
  return volumeView(run.tracker, volume, run.tracker.ltsCompleteMax);
}

/** Whether the volume shows the same wrong bytes, and should show the same right ones: then the fault is its own. */
async function volumeShows(
  run: Run,
  { block }: WrongBlock,
  bytes: Uint8Array,
  { extent, view, buffer }: WrongExtent,
): Promise<boolean> {
  const stateIn = (as: View): number => run.reconciler.versions(extent, block, as).next().value ?? 0;
  if (stateIn(view) !== stateIn(nowView(run, extent))) return false;
  const { device } = run.target.volumes[extent.volume]!;
  const into = buffer.bytes.subarray(buffer.bytes.length - bytes.length);
  const request = { block: extent.firstBlock + block, blockCount: 1, into };
  const outcome = await run.liveness.read(device, extent.volume, request);
  return outcome.kind === "ok" && Buffer.compare(into, bytes) === 0;
}

/** What reading a wrong block again has told. */
export interface Reread {
  readonly rereads: NonNullable<Violation["rereads"]>;
  /** The block as it was read the last time; absent if it could not be. */
  readonly last?: Uint8Array;
}

/** Tells a block that is stored wrong from one that was read wrong. */
export async function reread(
  run: Run,
  { block, shown }: WrongBlock,
  seen: Uint8Array,
  { extent, view, device, buffer }: WrongExtent,
): Promise<Reread> {
  const spare = buffer.bytes.length - seen.length;
  const into = buffer.bytes.subarray(spare);
  let isSame = true;
  let isRight = true;
  for (let tries = 0; tries < run.config.checks.rereads; tries++) {
    const request = { block: extent.firstBlock + block, blockCount: 1, into };
    const outcome = await run.liveness.read(device, extent.volume, request);
    if (outcome.kind !== "ok") return { rereads: "failed" };
    isSame &&= Buffer.compare(into, seen) === 0;
    isRight &&= run.content.isRight({ extent, block, view, address: buffer.address + spare });
  }
  const isHealed = isRight && shown === undefined;
  return { rereads: isSame ? "same" : isHealed ? "healed" : "changing", last: into.slice() };
}

/** The same for a block of a volume on which operations go on: what it may hold is worked out anew each time. */
export async function rereadNow(
  run: Run,
  extent: Extent,
  { block, shown }: WrongBlock,
  seen: Uint8Array,
): Promise<Reread> {
  const { device } = run.target.volumes[extent.volume]!;
  const buffer = await run.rereadBuffers.take();
  try {
    const into = buffer.bytes.subarray(0, seen.length);
    let isSame = true;
    let isRight = true;
    for (let tries = 0; tries < run.config.checks.rereads; tries++) {
      const at = { volume: extent.volume, firstBlock: extent.firstBlock + block, blockCount: 1 };
      const observation = await observe(run, device, at, into);
      const view = liveView(run.tracker, extent.volume, observation);
      isSame &&= Buffer.compare(into, seen) === 0;
      isRight &&= run.content.isRight({ extent, block, view, address: buffer.address });
      run.tracker.release(observation);
    }
    const isHealed = isRight && shown === undefined;
    return { rereads: isSame ? "same" : isHealed ? "healed" : "changing", last: into.slice() };
  } catch (error) {
    if (error instanceof TargetFailure) return { rereads: "failed" };
    throw error;
  } finally {
    run.rereadBuffers.giveBack(buffer);
  }
}
