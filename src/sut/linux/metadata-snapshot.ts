/**
 * Questions to a thin pool's metadata, asked of a metadata snapshot while the pool goes on.
 *
 * The kernel keeps one metadata snapshot of a pool. So questions take turns, each makes its own and lets it go, and
 * an answer counts only if it was there to be let go at the end: a script that was given up by its caller may still
 * run, and let go of the next one's. In a pool that others use too, it has to be in the same place as well.
 *
 * @packageDocumentation
 */
import { type CallOptions, ServiceError } from "../port.ts";
import { quoted, runScript, statuses } from "./scripts.ts";
import type { Shell } from "./shell.ts";
import { changedChunks, mappedChunks } from "./thin-xml.ts";
import type { ChunkRange } from "./thin-pool.ts";

export interface PoolMetadata {
  /** Name of the pool's device for dmsetup; LVM's ends in `-tpool`. */
  readonly deviceName: string;
  /** Path of the device that holds the metadata. */
  readonly metadataPath: string;
  readonly chunkBytes: number;
  /** Nobody else asks this pool, so that a snapshot that is held is a leftover of ours. */
  readonly isOurs: boolean;
}

/** Deadline of one question; a diff of a large pool takes its time. */
const questionTimeoutMs = 300_000;
/** Thin ids that are read at most: all that a pool can have. */
const idsBytesMax = 2 ** 24 * 9;

export class MetadataSnapshots {
  readonly #shell: Shell;
  readonly #pool: () => PoolMetadata;
  #last: Promise<unknown> = Promise.resolve();

  /** @param pool - Asked at each question. */
  constructor(shell: Shell, pool: () => PoolMetadata) {
    this.#shell = shell;
    this.#pool = pool;
  }

  /** Thin ids of all devices in the pool. */
  async ids(options?: CallOptions): Promise<ReadonlySet<number>> {
    const { deviceName } = this.#pool();
    const doing = `listing the devices of pool ${deviceName}`;
    const listed = await this.#ask(doing, "thin_ls --metadata-snap --no-headers -o DEV", options);
    const ids = new Set<number>();
    for (const line of listed.split("\n")) {
      const word = line.trim();
      if (word === "") continue;
      if (!/^[0-9]{1,8}$/.test(word))
        throw new ServiceError("ERR_BAD_ANSWER", `${doing}: thin_ls printed a line that is no thin id`);
      ids.add(Number(word));
    }
    return ids;
  }

  /**
   * Chunks that differ between two devices, or that are mapped if there is no base.
   *
   * @param request.sizeBytes - Size of the device, or of the longer of two.
   */
  async changes(
    request: { readonly baseId: number | undefined; readonly id: number; readonly sizeBytes: number },
    options?: CallOptions,
  ): Promise<readonly ChunkRange[]> {
    const { deviceName, chunkBytes } = this.#pool();
    const { baseId, id, sizeBytes } = request;
    const command =
      baseId === undefined
        ? `thin_dump --metadata-snap --dev-id ${id}`
        : `thin_delta --metadata-snap --thin1 ${baseId} --thin2 ${id}`;
    const doing =
      baseId === undefined
        ? `reading what device ${id} of pool ${deviceName} maps`
        : `comparing devices ${baseId} and ${id} of pool ${deviceName}`;
    const answer = {
      text: await this.#ask(doing, command, options),
      chunkCount: Math.ceil(sizeBytes / chunkBytes),
      chunkSectors: chunkBytes / 512,
    };
    try {
      return baseId === undefined
        ? mappedChunks(answer, id)
        : changedChunks(answer, { left: baseId, right: id });
    } catch (error) {
      if (error instanceof ServiceError) error.message = `${doing}: ${error.message}`;
      throw error;
    }
  }

  #ask(doing: string, command: string, options: CallOptions = {}): Promise<string> {
    return this.#inTurn(() => {
      const { deviceName, metadataPath, isOurs } = this.#pool();
      const codes = { [statuses.busy]: "ERR_BUSY" } as const;
      const text = `pool=${quoted(deviceName)}
metadata=${quoted(metadataPath)}
ours=${isOurs ? 1 : 0}
${heldRoot}
if ! said=$(dmsetup message "$pool" 0 reserve_metadata_snap 2>&1); then
  [ "$(held_root)" != - ] || tell 1 "$said"
  [ "$ours" = 1 ] || tell ${statuses.busy} "its metadata snapshot is held by another program that reads the pool (a backup, thin_delta), or was left by one that died; if nobody uses it: dmsetup message $pool 0 release_metadata_snap"
  dmsetup message "$pool" 0 release_metadata_snap
  dmsetup message "$pool" 0 reserve_metadata_snap
fi
let_go() { dmsetup message "$pool" 0 release_metadata_snap; }
trap let_go EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 141' PIPE; trap 'exit 143' TERM
root=
[ "$ours" = 1 ] || root=$(held_root)
${command} "$metadata"
trap - EXIT
[ "$ours" = 1 ] || [ "$(held_root)" = "$root" ] || tell ${statuses.busy} "its metadata snapshot was replaced by another program's meanwhile"
let_go || tell ${statuses.busy} "its metadata snapshot was released by somebody else meanwhile"`;
      return runScript(
        this.#shell,
        { doing, text, codes },
        { ...options, timeoutMs: questionTimeoutMs, stdoutBytesMax: idsBytesMax },
      );
    });
  }

  async #inTurn<Result>(run: () => Promise<Result>): Promise<Result> {
    const before = this.#last;
    const done = before.then(run, run);
    this.#last = done.then(undefined, () => {});
    return done;
  }
}

/** Block of the metadata snapshot that is held, or - if there is none; a pool that failed shows none either. */
const heldRoot = `held_root() { set -- $(dmsetup status "$pool"); echo "\${7:--}"; }`;
