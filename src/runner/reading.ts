/**
 * Reads that matter: asked again if their outcome is unknown or a crash came between, for they change nothing.
 *
 * @packageDocumentation
 */
import type { BlockDevice, Outcome } from "../sut/port.ts";
import type { Run } from "./run.ts";
import { TargetFailure } from "./target-failure.ts";

const readTriesMax = 10;

/** Blocks of a volume, or of what shows it, from its start. */
interface VolumeBlocks {
  readonly volume: number;
  readonly firstBlock: number;
  readonly blockCount: number;
}

/**
 * Reads; a read whose outcome is unknown is asked again, for it changes nothing. So is one that fell into an upheaval:
 * what it shows may be of before or after.
 */
export async function read(
  run: Run,
  device: BlockDevice,
  { volume, firstBlock: block, blockCount }: VolumeBlocks,
  into: Uint8Array,
): Promise<void> {
  const { activity } = run;
  for (let tries = 1; ; tries++) {
    const count = activity.upheavalCount;
    const isCalm = activity.upheaval === undefined;
    const outcome = await run.liveness.read(device, volume, { block, blockCount, into });
    if (outcome.kind === "ok") {
      if (isCalm && count === activity.upheavalCount) return;
      await activity.upheaval;
      tries--;
      continue;
    }
    expectAnotherTry(
      run,
      `reading ${blockCount} blocks at ${block} of ${device.identity.name}`,
      outcome,
      tries,
    );
  }
}

/** Reads while operations go on; each try is an observation of its own. */
export async function observe(
  run: Run,
  device: BlockDevice,
  { volume, firstBlock: block, blockCount }: VolumeBlocks,
  into: Uint8Array,
) {
  const { activity } = run;
  for (let tries = 1; ; tries++) {
    const count = activity.upheavalCount;
    const isCalm = activity.upheaval === undefined;
    const observation = run.tracker.observe();
    const outcome = await run.liveness.read(device, volume, { block, blockCount, into });
    if (outcome.kind === "ok" && isCalm && count === activity.upheavalCount) {
      run.tracker.observed(observation);
      return observation;
    }
    run.tracker.release(observation);
    if (outcome.kind === "ok") {
      await activity.upheaval;
      tries--;
      continue;
    }
    expectAnotherTry(
      run,
      `reading ${blockCount} blocks at ${block} of ${device.identity.name}`,
      outcome,
      tries,
    );
  }
}

/** @throws {TargetFailure} If asking again is of no use. */
function expectAnotherTry(
  run: Run,
  what: string,
  { kind, code, message }: Exclude<Outcome, { readonly kind: "ok" }>,
  tries: number,
): void {
  const text = `${what}: ${code}: ${message}`;
  if (tries === readTriesMax || kind === "failed") throw new TargetFailure(text);
  run.log.warn(`${text}; asking again`);
}
