/**
 * A thin pool of LVM: volumes and snapshots are thin logical volumes that carry our tags.
 *
 * LVM keeps their names, sizes and tags itself, so there is no catalogue. Logical volumes without our tags are not
 * touched, whatever they are; nor are groups, pools or disks made or changed.
 *
 * @packageDocumentation
 */
import { randomUUID } from "node:crypto";
import { type Clock, delay, systemClock } from "../clock.ts";
import { type CallOptions, ServiceError } from "../port.ts";
import { printable } from "../wording.ts";
import {
  activeIn,
  assertRemovable,
  assertUsable,
  blockSize,
  checkedSize,
  invalid,
  lvmName,
  tagName,
} from "./lvm-checks.ts";
import { type LvmPoolState, type LvmReport, type LvmVolume, readLvmReport } from "./lvm-report.ts";
import {
  activatePoolScript,
  activateScript,
  blockSizeScript,
  createScript,
  deactivateScript,
  growScript,
  lvmCodes,
  removeScript,
  reportScript,
  rollbackScript,
  snapshotScript,
} from "./lvm-scripts.ts";
import { lvmTags } from "./lvm-tags.ts";
import { inTime } from "./in-time.ts";
import { MetadataSnapshots, type PoolMetadata } from "./metadata-snapshot.ts";
import { isUnclear, runScript } from "./scripts.ts";
import type { Shell, ShellOptions } from "./shell.ts";
import type { ChunkRange, ThinDevice, ThinPool } from "./thin-pool.ts";

export interface LvmPoolOptions {
  /** Where the pool is; scripts have to run as root. Not disposed of. */
  readonly shell: Shell;
  /** Name of a volume group that exists. */
  readonly volumeGroup: string;
  /** Name of a thin pool in it that exists. */
  readonly pool: string;
  /** Tells our logical volumes from those of others, and of other users of harrow; `harrow` if absent. */
  readonly tag?: string;
  /**
   * Nobody else takes metadata snapshots of this pool: one that is held when it is brought up was left behind, as by a
   * loss of power during a diff, and is let go of. Otherwise that is left to the administrator, and diffs are refused.
   */
  readonly isExclusive?: boolean;
  /** How long to ask what became of a call whose answer was lost; 2 min if absent. */
  readonly waitTimeoutMs?: number;
  readonly clock?: Clock;
}

/** Room for what `lvs` says about some 20,000 logical volumes. */
const reportBytesMax = 16 * 2 ** 20;
/** LVM's commands wait for each other; a removal may have much to free. */
const commandTimeoutMs = 300_000;

/** What is to be done in view of what is there: a script, or nothing. */
interface Step<Result> {
  readonly script: { readonly doing: string; readonly text: string } | undefined;
  readonly result: Result;
}

export class LvmPool implements ThinPool {
  readonly description: string;
  readonly #shell: Shell;
  readonly #where: { readonly volumeGroup: string; readonly pool: string; readonly tag: string };
  readonly #clock: Clock;
  readonly #waitTimeoutMs: number;
  readonly #isExclusive: boolean;
  readonly #metadata: MetadataSnapshots;
  #state: LvmPoolState | undefined;
  /** The latest report, until something was changed that it tells of. */
  #latest: LvmReport | undefined;
  #changeCount = 0;
  #blockSizeBytes: number | undefined;

  /** @throws {ServiceError} `ERR_INVALID_REQUEST` if a name cannot be one. */
  constructor(options: LvmPoolOptions) {
    const { shell, volumeGroup, pool, tag = "harrow", isExclusive = false } = options;
    this.#where = {
      volumeGroup: lvmName("the volume group", volumeGroup),
      pool: lvmName("the pool", pool),
      tag: tagName(tag),
    };
    this.#shell = shell;
    this.#isExclusive = isExclusive;
    this.#clock = options.clock ?? systemClock;
    this.#waitTimeoutMs = options.waitTimeoutMs ?? 120_000;
    this.#metadata = new MetadataSnapshots(shell, () => this.#poolMetadata());
    this.description = `LVM thin pool ${volumeGroup}/${pool} at ${shell.description}`;
  }

  get chunkBytes(): number {
    return this.#known(this.#state?.chunkBytes);
  }

  get blockSizeBytes(): number {
    return this.#known(this.#blockSizeBytes);
  }

  /**
   * @throws {ServiceError} `ERR_NOT_FOUND`, `ERR_INVALID_REQUEST` or `ERR_UNSUPPORTED` if there is no such pool, it is
   * none, or it or its host cannot be used: with what to do.
   */
  async bringUp(options?: CallOptions): Promise<void> {
    const path = this.#path(this.#where.pool);
    assertUsable((await this.#report(options)).pool, this.description, path);
    await this.#run({ doing: "making the pool active", text: activatePoolScript(path) }, options);
    // The numbers of its devices are known only now, if it was not active before.
    const { pool, superseded } = await this.#report(options);
    const { minor } = activeIn(pool);
    const size = await this.#run(
      { doing: "asking for the size of a block", text: blockSizeScript(minor) },
      options,
    );
    for (const volume of superseded) await this.#removeSuperseded(volume, options);
    this.#blockSizeBytes = blockSize(size);
  }

  async list(options?: CallOptions): Promise<readonly ThinDevice[]> {
    const { volumes } = await this.#report(options);
    return volumes.map(asDevice);
  }

  /** LVM rounds the size up to whole extents of the group, 4 MiB if it was made without saying otherwise. */
  async create(
    { name, sizeBytes }: { readonly name: string; readonly sizeBytes: number },
    options?: CallOptions,
  ): Promise<ThinDevice> {
    const uuid = randomUUID();
    const label = { uuid, name, role: "volume", sourceUuid: undefined, turn: 0 } as const;
    const made = { lvName: `harrow-${label.uuid}`, tags: lvmTags(this.#where.tag, label) };
    const text = createScript({ ...this.#where, ...made, sizeBytes: checkedSize(sizeBytes) });
    const script = { doing: `creating volume ${printable(name, 80)}`, text };
    await this.#carryOut(
      ({ volumes }) => ({ script: isAmong(volumes, uuid) ? undefined : script, result: undefined }),
      options,
    );
    return asDevice(this.#among((await this.#report(options)).volumes, uuid));
  }

  async snapshot(
    request: { readonly name: string; readonly sourceUuid: string; readonly role: ThinDevice["role"] },
    options?: CallOptions,
  ): Promise<ThinDevice> {
    const { name, sourceUuid, role } = request;
    const label = { uuid: randomUUID(), name, role, sourceUuid, turn: 0 } as const;
    const made = { lvName: `harrow-${label.uuid}`, tags: lvmTags(this.#where.tag, label) };
    return await this.#carryOut(
      ({ volumes }) => {
        const { lvName, sizeBytes } = this.#among(volumes, sourceUuid);
        const text = snapshotScript({ ...made, source: this.#path(lvName) });
        const script = { doing: `making ${role} ${printable(name, 80)} of ${sourceUuid}`, text };
        return {
          script: isAmong(volumes, label.uuid) ? undefined : script,
          // A thin snapshot is as long as its source.
          result: { uuid: label.uuid, name, role, sourceUuid, sizeBytes },
        };
      },
      options,
      sourceUuid,
    );
  }

  async remove(uuid: string, options?: CallOptions): Promise<void> {
    await this.#carryOut(({ volumes, superseded }, isRepeated) => {
      if (isRepeated && !isAmong(volumes, uuid)) return done;
      // What it superseded goes first: it would be taken for the volume otherwise.
      const all = [...superseded.filter((other) => other.uuid === uuid), this.#among(volumes, uuid)];
      all.forEach(assertRemovable);
      const text = removeScript(all.map(({ lvName }) => this.#path(lvName)));
      return { script: { doing: `removing ${uuid}`, text }, result: undefined };
    }, options);
  }

  /** LVM rounds the size up to whole extents of the group. */
  async grow(uuid: string, sizeBytes: number, options?: CallOptions): Promise<void> {
    checkedSize(sizeBytes);
    await this.#carryOut(({ volumes }, isRepeated) => {
      const volume = this.#among(volumes, uuid);
      const before = volume.sizeBytes;
      if (before === sizeBytes || (isRepeated && before > sizeBytes)) return done;
      if (before > sizeBytes)
        throw invalid(`${uuid} has ${before} bytes, and thin volumes cannot shrink, as to ${sizeBytes}`);
      const text = growScript(this.#path(volume.lvName), sizeBytes);
      return { script: { doing: `growing ${uuid} to ${sizeBytes} bytes`, text }, result: undefined };
    }, options);
  }

  /**
   * Makes a new logical volume of the snapshot, which by its tags is the volume from the moment that it is there; then
   * removes the old one, and gives its name to the new one. Cut short at any moment, the volume is as it was or back.
   */
  async rollback(
    { volumeUuid, snapshotUuid }: { readonly volumeUuid: string; readonly snapshotUuid: string },
    detached: (work: () => Promise<void>) => Promise<void>,
    options?: CallOptions,
  ): Promise<void> {
    const before = this.#volumeAndSnapshot(await this.#report(options), volumeUuid, snapshotUuid);
    const { lvName } = before.volume;
    const next = { ...before.volume, turn: before.volume.turn + 1 };
    const doing = `putting ${volumeUuid} back to ${snapshotUuid}`;
    const work = () =>
      this.#carryOut((report) => {
        const { volume, snapshot } = this.#volumeAndSnapshot(report, volumeUuid, snapshotUuid);
        const isBack = volume.turn >= next.turn;
        const made = isBack ? volume.lvName : `${lvName}.${next.turn}`;
        const old = report.superseded.filter(({ uuid }) => uuid === volumeUuid);
        const text = rollbackScript({
          volumeGroup: this.#where.volumeGroup,
          ...{ lvName, made, turn: next.turn, tags: lvmTags(this.#where.tag, next) },
          snapshot: isBack ? undefined : snapshot.lvName,
          superseded: isBack ? old.map((other) => other.lvName) : [lvName],
        });
        return { script: { doing, text }, result: undefined };
      }, options);
    await detached(work);
  }

  #volumeAndSnapshot(
    { volumes }: LvmReport,
    volumeUuid: string,
    snapshotUuid: string,
  ): { readonly volume: LvmVolume; readonly snapshot: LvmVolume } {
    const volume = this.#among(volumes, volumeUuid);
    const snapshot = this.#among(volumes, snapshotUuid);
    if (snapshot.role !== "snapshot" || snapshot.sourceUuid !== volumeUuid)
      throw invalid(`${snapshotUuid} is no snapshot of ${volumeUuid}`);
    assertRemovable(volume);
    return { volume, snapshot };
  }

  async activate(uuid: string, options?: CallOptions): Promise<string> {
    return await this.#carryOut(
      ({ volumes }) => {
        const { lvName, path } = this.#among(volumes, uuid);
        const text = activateScript(this.#path(lvName), path);
        return { script: { doing: `making ${uuid} active`, text }, result: path };
      },
      options,
      uuid,
    );
  }

  async deactivate(uuid: string, options?: CallOptions): Promise<void> {
    await this.#carryOut(
      ({ volumes }) => {
        const { lvName } = this.#among(volumes, uuid);
        const text = deactivateScript(this.#path(lvName));
        return { script: { doing: `making ${uuid} inactive`, text }, result: undefined };
      },
      options,
      uuid,
    );
  }

  async changes(
    { baseUuid, uuid }: { readonly baseUuid: string | undefined; readonly uuid: string },
    options?: CallOptions,
  ): Promise<readonly ChunkRange[]> {
    const { volumes } = await this.#report(options);
    const volume = this.#among(volumes, uuid);
    const base = baseUuid === undefined ? undefined : this.#among(volumes, baseUuid);
    const sizeBytes = Math.max(volume.sizeBytes, base?.sizeBytes ?? 0);
    return await this.#metadata.changes({ baseId: base?.thinId, id: volume.thinId, sizeBytes }, options);
  }

  #poolMetadata(): PoolMetadata {
    const { chunkBytes } = this;
    const { minor, metadataPath } = activeIn(this.#state!);
    return {
      deviceName: `/dev/dm-${minor}`,
      metadataPath,
      chunkBytes,
      isOurs: this.#isExclusive,
    };
  }

  /** One that cannot be removed now, as it is still open, is left for the next time. */
  async #removeSuperseded(volume: LvmVolume, options: CallOptions | undefined): Promise<void> {
    if (volume.hasForeignDependents) return;
    const script = {
      doing: `removing ${volume.lvName}, which was put back`,
      text: removeScript([this.#path(volume.lvName)]),
    };
    await this.#run(script, options).catch((error: unknown) => {
      if (!(error instanceof ServiceError) || error.code !== "ERR_BUSY") throw error;
    });
  }

  /**
   * Does what a report calls for. If the answer is lost, asks again what there is, and does what is still to be done
   * once more: LVM carries a command out as a whole or not at all.
   *
   * @param knownUuid - What has it, the latest report will do for, until LVM does not know the name any more.
   */
  async #carryOut<Result>(
    decide: (report: LvmReport, isRepeated: boolean) => Step<Result>,
    options: CallOptions = {},
    knownUuid?: string,
  ): Promise<Result> {
    const known =
      knownUuid !== undefined && isAmong(this.#latest?.volumes ?? [], knownUuid) ? this.#latest : undefined;
    const first = decide(known ?? (await this.#report(options)), false);
    if (first.script === undefined) return first.result;
    try {
      await this.#run(first.script, options);
      return first.result;
    } catch (error) {
      const isGone = error instanceof ServiceError && error.code === "ERR_NOT_FOUND";
      if (known !== undefined && isGone) return await this.#carryOut(decide, options);
      if (!isUnclear(error)) throw error;
      const again = decide(await this.#reportInTime(error, options), true);
      if (again.script === undefined) return again.result;
      try {
        await this.#run(again.script, options);
        return again.result;
      } catch (repeated) {
        // The first one may have gone on, and have been in its way.
        const last = decide(await this.#report(options), true);
        if (last.script === undefined) return last.result;
        throw repeated;
      }
    } finally {
      // Where the latest report may be used, nothing is changed that it tells of.
      if (knownUuid === undefined) {
        this.#latest = undefined;
        this.#changeCount += 1;
      }
    }
  }

  /** @throws What was lost, if the host does not answer in time. */
  async #reportInTime(lost: unknown, options: CallOptions): Promise<LvmReport> {
    // What was lost may be under way still.
    await delay(this.#clock, 250, options.signal).catch(() => {});
    const report = await inTime(() => this.#report(options), {
      ...{ clock: this.#clock, waitTimeoutMs: this.#waitTimeoutMs, signal: options.signal },
      isPassing: isUnclear,
    });
    if (report === undefined) throw lost;
    return report;
  }

  async #report(options: CallOptions | undefined): Promise<LvmReport> {
    const script = {
      doing: `listing volume group ${this.#where.volumeGroup}`,
      text: reportScript(this.#where.volumeGroup),
    };
    const bound = { ...options, stdoutBytesMax: reportBytesMax };
    const changeCount = this.#changeCount;
    const report = readLvmReport(await this.#run(script, bound), this.#where);
    this.#state = report.pool;
    if (changeCount === this.#changeCount) this.#latest = report;
    return report;
  }

  #run(
    script: { readonly doing: string; readonly text: string },
    options: ShellOptions | undefined,
  ): Promise<string> {
    return runScript(
      this.#shell,
      { ...script, codes: lvmCodes },
      { timeoutMs: commandTimeoutMs, ...options },
    );
  }

  #among(volumes: readonly LvmVolume[], uuid: string): LvmVolume {
    const found = volumes.find((volume) => volume.uuid === uuid);
    if (found !== undefined) return found;
    throw new ServiceError("ERR_NOT_FOUND", `${printable(uuid, 40)} is not in ${this.description}`);
  }

  #known(value: number | undefined): number {
    if (value !== undefined) return value;
    throw new ServiceError("ERR_UNREACHABLE", `${this.description} was not brought up yet`);
  }

  /** For LVM's commands. */
  #path(lvName: string): string {
    return `${this.#where.volumeGroup}/${lvName}`;
  }
}

const done = { script: undefined, result: undefined } as const;

function isAmong(volumes: readonly LvmVolume[], uuid: string): boolean {
  return volumes.some((volume) => volume.uuid === uuid);
}

function asDevice({ uuid, name, sizeBytes, role, sourceUuid }: LvmVolume): ThinDevice {
  return { uuid, name, sizeBytes, role, sourceUuid };
}
