/**
 * Whether a volume may be copied to, and from which block on.
 *
 * A copy without base needs zeros, and one with a base needs that base on the target: else the target would not hold
 * the snapshot afterwards, though each block that was copied is right.
 *
 * @packageDocumentation
 */
import { ConfigError } from "../runner/config/load.ts";
import { claim, findContent } from "../runner/guard.ts";
import type { BlockDevice, Snapshot, VolumeService } from "../sut/port.ts";
import { isComplete, isSameCopy, type SyncState } from "./sync-state.ts";

export interface GuardedCopy {
  readonly service: VolumeService;
  readonly snapshot: Snapshot;
  readonly base: Snapshot | undefined;
  readonly targetUuid: string;
  readonly to: BlockDevice;
  /** What it holds may be destroyed; without base it is cleared first. */
  readonly overwrite: boolean;
  /** What is known of an earlier copy, and where that is written. */
  readonly earlier: { readonly state: SyncState; readonly path: string } | undefined;
  readonly signal: AbortSignal;
  /** Told what is being done that takes long. */
  readonly say: (what: string) => void;
}

/**
 * @returns The first block that is still to be copied.
 * @throws {ConfigError} If the volume may not be written to, and what would allow it.
 */
export async function claimForCopy(copy: GuardedCopy): Promise<number> {
  const { snapshot, base, targetUuid, earlier } = copy;
  if (earlier !== undefined) {
    const { state, path } = earlier;
    const wanted = { snapshot: snapshot.uuid, base: base?.uuid ?? null, target: targetUuid };
    if (isSameCopy(state, wanted)) return state.copiedTo;
    const holdsBase = state.target === targetUuid && state.snapshot === base?.uuid && isComplete(state);
    if (!holdsBase) throw new ConfigError([otherCopyText(path, state)]);
  } else if (base === undefined) await claimEmpty(copy);
  else if (!copy.overwrite) await expectBase(copy, base);
  return 0;
}

async function claimEmpty({ to, overwrite, say }: GuardedCopy): Promise<void> {
  const content = await findContent(to);
  if (content !== undefined && !overwrite)
    throw new ConfigError([
      `${to.identity.name} holds ${content}, which would be destroyed: use an empty volume, or --overwrite if that is wanted`,
    ]);
  if (!overwrite) return;
  say(`clearing ${to.identity.name}`);
  await claim(to, { overwrite });
}

async function expectBase(copy: GuardedCopy, base: Snapshot): Promise<void> {
  const { to } = copy;
  const content = await findContent(to);
  if (content !== undefined)
    throw new ConfigError([
      `${to.identity.name} holds ${content}, and nothing says that this is snapshot ${base.name}: give the --state of the copy that put it there, or --overwrite if you know it`,
    ]);
  if (!(await isEmpty(copy, base)))
    throw new ConfigError([
      `${to.identity.name} is empty, and snapshot ${base.name} is not: leave out --base, or copy that snapshot first`,
    ]);
}

/** Whether a snapshot reports no block. */
async function isEmpty({ service, signal }: GuardedCopy, { uuid }: Snapshot): Promise<boolean> {
  for await (const { ranges } of service.diff({ snapshotUuid: uuid }, { signal }))
    if (ranges.some(({ bitmap }) => bitmap.some((bits) => bits !== 0))) return false;
  return true;
}

function otherCopyText(path: string, state: SyncState): string {
  const { snapshot, base, target, copiedTo, blockCount } = state;
  const percent = Math.floor((copiedTo / blockCount) * 100);
  const against = base === null ? "" : ` against base ${base}`;
  return `${path} is of another copy, of snapshot ${snapshot}${against} to volume ${target}, of which ${percent} % is done: name another file, or remove this one`;
}
