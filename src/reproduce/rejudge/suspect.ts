/**
 * A wrong block of a dump, where it stands among all that was read with it, and what the checker says of such bytes.
 *
 * @packageDocumentation
 */
import type { View } from "../../model/view.ts";
import type { Rule, Violation } from "../../model/violation.ts";
import type { BlockExhibit, JudgedRange } from "../../runner/exhibit.ts";
import type { Run } from "../../runner/run.ts";
import { besides, ruleOf } from "../../runner/wrong-blocks.ts";
import type { Extent } from "../../selectors/geometry.ts";
import { DumpError } from "../dump.ts";
import { isAlike } from "./judgement.ts";
import { look, type Scene } from "./scene.ts";

/** A wrong block, and all that was read with it. */
export interface Suspect {
  readonly violation: Violation;
  readonly exhibit: BlockExhibit;
  readonly judged: JudgedRange;
  readonly extent: Extent;
}

/** As what bytes are judged. */
export interface Reading {
  readonly view: View;
  readonly rule: Rule;
  readonly snapshot?: number;
  readonly alsoInSnapshot?: number;
}

type Rereads = NonNullable<Violation["rereads"]>;

/** @throws {DumpError} If the exhibit is of no block of this run. */
export function suspectOf(
  run: Run,
  violation: Violation,
  exhibit: BlockExhibit,
  judged: JudgedRange,
): Suspect {
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

/**
 * What is there now of all that was read with the block.
 *
 * @throws {Unseen}
 */
export async function storedRange(scene: Scene, { judged, extent }: Suspect): Promise<Uint8Array> {
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
export async function explain(
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

/** The block itself, among all that was read with it. */
export function blockOf(
  { workload }: Run,
  bytes: Uint8Array,
  { block, firstBlock }: JudgedRange,
): Uint8Array {
  const { blockSizeBytes } = workload.geometry;
  const at = (block - firstBlock) * blockSizeBytes;
  return bytes.subarray(at, at + blockSizeBytes);
}
