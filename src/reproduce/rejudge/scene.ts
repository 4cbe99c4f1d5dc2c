/**
 * Where what a dump says is wrong is looked at again: its image, or the target that it was found on.
 *
 * @packageDocumentation
 */
import type { Run } from "../../runner/run.ts";
import type { BlockDevice, BlockRange } from "../../sut/port.ts";

export interface Scene {
  readonly kind: "image" | "target";
  /** The run of the dump, over the volumes that are looked at. */
  readonly run: Run;
  /**
   * Opens a snapshot of a volume; the caller closes it.
   *
   * @throws {Unseen}
   */
  snapshot(volume: number, snapshot: number): Promise<BlockDevice>;
}

/** Something can not be looked at any more; the message says why. */
export class Unseen extends Error {
  override readonly name = "Unseen";
}

/** So often is a read asked again of which nobody knows what became of it. */
const readTriesMax = 5;

/** @throws {Unseen} If the blocks can not be read. */
export async function look(
  { signal }: Run,
  device: BlockDevice,
  request: BlockRange & { readonly into: Uint8Array },
): Promise<void> {
  const { name } = device.identity;
  if (request.block + request.blockCount > device.blockCount)
    throw new Unseen(`${name} ends before the block: it has ${device.blockCount}`);
  for (let tries = 1; ; tries++) {
    const outcome = await device.read(request, { signal });
    if (outcome.kind === "ok") return;
    if (outcome.kind === "failed" || tries === readTriesMax || signal.aborted)
      throw new Unseen(`${name} can not be read: ${outcome.message}`);
  }
}

/** What is looked at, for people. */
export function sceneText({ kind }: Scene): string {
  return kind === "image" ? "the image" : "the target";
}
