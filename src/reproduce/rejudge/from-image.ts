/**
 * Judges every violation of a dump again, from what the dump holds alone.
 *
 * @packageDocumentation
 */
import type { RunLog } from "../../runner/run-log.ts";
import { type Dump, type DumpedImage, DumpError } from "../dump.ts";
import { imageOf, memoryOf } from "../read-dump.ts";
import { openDumpTarget, openImage } from "./dump-target.ts";
import { dumpedRun } from "./dumped-run.ts";
import { judgeAll } from "./judge.ts";
import type { OtherScene } from "./judge-other.ts";
import type { Judged } from "./judgement.ts";
import { Unseen } from "./scene.ts";

export interface FromImageOptions {
  readonly log: RunLog;
  readonly signal: AbortSignal;
}

/**
 * Without images, or with damaged ones, the bytes that were read are judged.
 *
 * @throws {DumpError} If the dump does not say what the model knew.
 */
export async function fromImage(dump: Dump, { log, signal }: FromImageOptions): Promise<Judged> {
  const memory = memoryOf(dump);
  const images = await usableImages(dump, log);
  await using target = await openDumpTarget(dump, images);
  const run = dumpedRun({ dump, memory, target, log, signal });
  const imageOfSnapshot = (volume: number, snapshot: number): DumpedImage => {
    const found = images.find((image) => image.volume === volume && image.snapshot === snapshot);
    if (found !== undefined) return found;
    throw new Unseen(`the dump has no image of snapshot ${snapshot} of volume ${volume}`);
  };
  const scene: OtherScene = {
    kind: "image",
    run,
    snapshot: async (volume, snapshot) => openImage(dump, imageOfSnapshot(volume, snapshot)),
    size: async (volume, snapshot) =>
      snapshot === undefined
        ? dump.target.volumes[volume]!.blockCount
        : imageOfSnapshot(volume, snapshot).bytes / run.workload.geometry.blockSizeBytes,
    hasSnapshot: async (_, snapshot) => {
      throw new Unseen(`snapshot ${snapshot} was gone: an image can not show what is not there`);
    },
    second: async (_volume, _block, kept) => {
      if (kept === undefined) throw new Unseen("what the second volume showed is not in the dump");
      return kept.found;
    },
  };
  return await judgeAll(dump, {
    scene,
    diffs: {
      run,
      capabilities: dump.target.diffCapabilities,
      what: "the answer in the dump",
      // An answer that was not asked for twice is its own second.
      answers: ({ pages, again = pages }) => Promise.resolve({ pages, again }),
    },
  });
}

async function usableImages(dump: Dump, log: RunLog): Promise<readonly DumpedImage[]> {
  try {
    return (await imageOf(dump)) ?? [];
  } catch (error) {
    if (!(error instanceof DumpError)) throw error;
    log.warn(`${error.message}; the bytes that were read are judged without images`);
    return [];
  }
}
