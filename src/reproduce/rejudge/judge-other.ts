/**
 * Judges again what is no matter of one volume's blocks or of a diff: as far as anything of it is left.
 *
 * @packageDocumentation
 */
import { snapshotView } from "../../model/view.ts";
import type { Violation } from "../../model/violation.ts";
import type { BlockExhibit, Exhibit } from "../../runner/exhibit.ts";
import { compared, findingText, type Judgement, notKept } from "./judgement.ts";
import { look, type Scene, sceneText } from "./scene.ts";

/** What a scene can tell of things beside blocks; each rejects with {@link Unseen} if it can not. */
export interface OtherScene extends Scene {
  /** Blocks of a volume, or of a snapshot, now. */
  size(volume: number, snapshot: number | undefined): Promise<number>;
  hasSnapshot(volume: number, snapshot: number): Promise<boolean>;
  /** What the second volume holds, or held if only the dump can tell. */
  second(volume: number, block: number, kept: BlockExhibit | undefined): Promise<Uint8Array>;
}

export async function judgeOther(
  scene: OtherScene,
  violation: Violation,
  exhibit: Exhibit | undefined,
): Promise<Judgement> {
  const block = exhibit?.kind === "block" ? exhibit : undefined;
  switch (violation.class) {
    case "volumes-differ":
      return judgeSecond(scene, violation, block);
    case "wrong-size":
      return judgeSize(scene, violation);
    case "lost-snapshot":
      return judgeLost(scene, violation);
    case "no-completion":
      return notKept(
        violation,
        "a command did not complete in time: no state of the target shows that; only the run afresh can",
      );
    case "wrong-compare":
      return notKept(
        violation,
        "a compare-and-write answered wrong: no state of the target shows what it answered; only the run afresh can",
      );
    default:
      if (block?.contentVolume !== undefined) return judgeOwnBlock(scene, violation, block);
      return notKept(violation, "what was seen of it is not in the dump");
  }
}

/** The two volumes of one history. */
async function judgeSecond(
  scene: OtherScene,
  violation: Violation,
  exhibit: BlockExhibit | undefined,
): Promise<Judgement> {
  const { run } = scene;
  const { volume, block } = violation;
  const first = new Uint8Array(run.workload.geometry.blockSizeBytes);
  const second = await scene.second(volume, block, exhibit);
  await look(run, run.target.volumes[volume]!.device, { block, blockCount: 1, into: first });
  const isSame = Buffer.compare(first, second) === 0;
  const verb = scene.kind === "image" ? "held" : "holds";
  return compared(
    violation,
    isSame ? undefined : violation,
    `${sceneText(scene)}: block ${block} of the first volume ${isSame ? "holds" : "does not hold"} what the second one ${verb}`,
  );
}

async function judgeSize(scene: OtherScene, violation: Violation): Promise<Judgement> {
  const { workload, tracker } = scene.run;
  const { volume, snapshot } = violation;
  const record = snapshot === undefined ? undefined : tracker.snapshot(volume, snapshot);
  if (snapshot !== undefined && record === undefined)
    return notKept(violation, `snapshot ${snapshot} was deleted before the run was over`);
  const found = await scene.size(volume, snapshot);
  // The resize that the violation is of is through; others may have followed.
  const expected = workload.sizes.blockCountAt(volume, record?.lts ?? violation.ltsMax + 1);
  const most =
    record === undefined ? workload.sizes.blockCountAt(volume, tracker.ltsStartedMax + 1) : expected;
  const name = snapshot === undefined ? `volume ${volume}` : `snapshot ${snapshot} of volume ${volume}`;
  const text = `${name} has ${found} blocks, of ${expected} that it should have`;
  return compared(violation, found >= expected && found <= most ? undefined : violation, text);
}

async function judgeLost(scene: OtherScene, violation: Violation): Promise<Judgement> {
  const { volume, snapshot = 0 } = violation;
  return (await scene.hasSnapshot(volume, snapshot))
    ? compared(violation, undefined, `snapshot ${snapshot} of volume ${volume} is there now`)
    : compared(violation, violation, `snapshot ${snapshot} of volume ${volume} is not there`);
}

/** A block that a clone had written itself: from the bytes that were read of it. */
async function judgeOwnBlock(
  scene: OtherScene,
  violation: Violation,
  { found: bytes, allowed, contentVolume }: BlockExhibit,
): Promise<Judgement> {
  const { run } = scene;
  const { content, tracker, workload } = run;
  const { volume, block, snapshot = 0 } = violation;
  if (scene.kind === "target")
    return notKept(
      violation,
      "it was read from a clone that the run had made, and those are not looked for on the target; the bytes that were read are in the dump",
    );
  const record = tracker.snapshot(volume, snapshot);
  const [state] = allowed;
  if (record === undefined || state === undefined)
    return notKept(
      violation,
      `of snapshot ${snapshot}, which it was a clone of, the model has forgotten the cut`,
    );
  const buffer = await run.extentBuffers.take();
  try {
    buffer.bytes.set(bytes);
    const { address } = buffer;
    const what = `a clone has no image; the bytes that were read, in the dump,`;
    if (content.shows({ volume: contentVolume!, block, address, state }))
      return compared(violation, undefined, `${what} are those that the clone had written`);
    const extent = workload.geometry.extent(workload.geometry.pdOf(volume, block));
    const view = snapshotView(tracker, record);
    const showsOrigin = content.isRight({ extent, block: block - extent.firstBlock, view, address });
    const name = showsOrigin ? "lost-write" : bytes.every((byte) => byte === 0) ? "zeroed" : "garbage";
    const found: Violation = { ...violation, rule: "clone", class: name };
    return compared(violation, found, `${what} show ${findingText(found)}`);
  } finally {
    run.extentBuffers.giveBack(buffer);
  }
}
