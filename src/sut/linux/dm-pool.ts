/**
 * A dm-thin pool that is driven by dmsetup.
 *
 * The pool knows devices by number (thin id) only; UUIDs, names and sizes are in a catalogue beside harrow. They are
 * two stores that no transaction spans, so each change is written in an order that can be taken up after either side
 * was killed at any point:
 *
 * - Create, snapshot: (1) an id that was never used is entered as `creating`, (2) the pool makes it, (3) it is `ready`.
 *   Killed after 1 or 2, nobody was told its UUID, so bringing up takes it out again. In a pool that is not
 *   harrow's alone it stays as an orphan: somebody else may have taken the number. Numbers are not used again.
 * - Delete: (1) `deleting`, (2) the pool deletes it, (3) it is taken out. Killed after 1 or 2, bringing up goes on.
 * - Grow: (1) the new size, (2) the device's table. Killed after 1, activating makes the table fit.
 * - Rollback: (1) a new id is noted beside the old one, (2) the pool makes it as a snapshot of the snapshot, and the
 *   volume's device changes over, (3) it takes the old one's place, which is garbage, (4) the pool deletes that,
 *   (5) it is no garbage any more. Killed after 1, the pool does not have the new id, and nothing has happened. Killed
 *   after 2, or amid it, the pool has it, and bringing up goes on: the device may have changed over already.
 *   Killed later, bringing up deletes the garbage.
 * - A kill of the Linux host is the same as one of harrow between (1) and (3), with the pool as of its last commit:
 *   each of its messages commits before it is answered, so what it has answered to stays.
 *
 * @packageDocumentation
 */
import { randomBytes, randomUUID } from "node:crypto";
import { type Clock, delay, systemClock } from "../clock.ts";
import { type Log, silentLog } from "../log.ts";
import { type CallOptions, ServiceError } from "../port.ts";
import { Catalogue, type CatalogueEntry, thinIdMax } from "./catalogue.ts";
import * as dm from "./dm-scripts.ts";
import { inTime } from "./in-time.ts";
import { MetadataSnapshots } from "./metadata-snapshot.ts";
import { isUnclear, runScript } from "./scripts.ts";
import type { Shell } from "./shell.ts";
import type { ChunkRange, ThinDevice, ThinPool } from "./thin-pool.ts";

export interface DmPoolOptions {
  /** Belongs to the caller. */
  readonly shell: Shell;
  /** Name of the pool's device; those of its thin devices begin with it. */
  readonly name: string;
  /** Path of a block device, or `serial:` and the serial number of a disk. */
  readonly metadataDevice: string;
  readonly dataDevice: string;
  /** Of a pool that is made; a multiple of 64 KiB, which it is if absent. */
  readonly chunkBytes?: number;
  /** The pool is harrow's alone, and made if the metadata device is blank. */
  readonly create?: boolean;
  /** Path of a file on this machine; see `catalogue.ts`. */
  readonly catalogue: string;
  /** How long to ask what became of a call whose answer was lost; 2 min if absent. */
  readonly waitTimeoutMs?: number;
  readonly clock?: Clock;
  /** Hears of what could not be tidied up. */
  readonly log?: Log;
}

/** Numbers that others took before us, one after the other, until it is given up. */
const takenIdsMax = 16;
const nameLengthMax = 1000;

export class DmPool implements ThinPool {
  readonly #options: DmPoolOptions;
  readonly #catalogue: Catalogue;
  readonly #metadata: MetadataSnapshots;
  readonly #clock: Clock;
  #facts: dm.PoolFacts | undefined;
  /** Devices that were made active since the pool was brought up. */
  readonly #active = new Set<string>();
  /** UUIDs of entries whose call has not ended, which tidying leaves alone. */
  readonly #underway = new Set<string>();

  private constructor(options: DmPoolOptions, catalogue: Catalogue) {
    this.#options = options;
    this.#catalogue = catalogue;
    this.#clock = options.clock ?? systemClock;
    this.#metadata = new MetadataSnapshots(options.shell, () => {
      const { metadataPath, chunkBytes, isActivated } = this.#known();
      return { deviceName: options.name, metadataPath, chunkBytes, isOurs: isActivated || this.#isOurs };
    });
  }

  /** Reads the catalogue; nothing is asked of the host. @throws {ServiceError} If an option can not be used. */
  static async open(options: DmPoolOptions): Promise<DmPool> {
    const { name, chunkBytes = 65_536, metadataDevice, dataDevice } = options;
    // With a UUID after it, it has to fit into the kernel's 127 characters.
    if (!/^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,79}$/.test(name))
      throw invalid(`"${name}" is no name for a pool: expected at most 80 letters, digits and _ . + -`);
    if (chunkBytes < 65_536 || chunkBytes > 2 ** 30 || chunkBytes % 65_536 !== 0)
      throw invalid(`chunkBytes: expected a multiple of 65536, at most ${2 ** 30}, got ${chunkBytes}`);
    for (const device of [metadataDevice, dataDevice])
      if (!/^(serial:|\/)[^\s\p{Cc}]{1,200}$/u.test(device))
        throw invalid(`"${device}" is neither the path of a device nor serial: and a serial number`);
    return new DmPool(options, await Catalogue.open(options.catalogue));
  }

  get description(): string {
    return `dm-thin pool ${this.#options.name} at ${this.#options.shell.description}`;
  }

  get chunkBytes(): number {
    return this.#known().chunkBytes;
  }

  get blockSizeBytes(): number {
    return this.#known().blockSizeBytes;
  }

  async bringUp(options?: CallOptions): Promise<void> {
    const { name: poolName, metadataDevice, dataDevice, chunkBytes = 65_536 } = this.#options;
    this.#active.clear();
    const mark = (randomBytes(6).readUIntBE(0, 6) + 1).toString();
    const text = dm.bringUpScript({
      ...{ poolName, metadataDevice, dataDevice, mark },
      chunkSectors: chunkBytes / 512,
      create: this.#isOurs,
    });
    this.#facts = dm.readPoolFacts(poolName, await this.#run("bringing up the pool", text, options));
    await this.#bind(this.#facts);
    await this.#tidy(await this.#metadata.ids(options), options);
  }

  /** A catalogue of another pool would give its numbers to strangers. */
  async #bind({ isMade, transactionId }: dm.PoolFacts): Promise<void> {
    const { poolMark, devices, garbage } = this.#catalogue.content;
    const isOther = poolMark !== null && poolMark !== transactionId;
    if (isOther && !isMade && devices.length > 0)
      throw new ServiceError(
        "ERR_CONFLICT",
        `${this.#catalogue.path} is the catalogue of another pool than ${this.#options.name}, with ${devices.length} devices: name the one that belongs to it, or move it away`,
      );
    const next = this.#isOurs ? transactionId : null;
    // What the catalogue tells of was in a pool that is no more.
    if (isMade)
      await this.#catalogue.change((content) => ({ ...content, poolMark: next, devices: [], garbage: [] }));
    else if (devices.length === 0 && garbage.length === 0 && poolMark !== next)
      await this.#catalogue.change((content) => ({ ...content, poolMark: next }));
  }

  /** Takes up what was broken off; see the top of the file. */
  async #tidy(ids: ReadonlySet<number>, options?: CallOptions): Promise<void> {
    let highest = 0;
    for (const id of ids) highest = Math.max(highest, id);
    await this.#catalogue.change((content) => ({
      ...content,
      nextId: Math.max(content.nextId, highest + 1),
      devices: content.devices.map((entry) => (this.#underway.has(entry.uuid) ? entry : decided(entry, ids))),
      garbage: [
        ...content.garbage,
        ...content.devices.flatMap((entry) =>
          entry.rollback !== undefined && !this.#underway.has(entry.uuid) && ids.has(entry.rollback.id)
            ? [entry.id]
            : [],
        ),
      ],
    }));
    for (const entry of this.#catalogue.content.devices) {
      if (this.#underway.has(entry.uuid) || entry.state === "ready") continue;
      const isThere = ids.has(entry.id);
      if (isThere && (entry.state === "deleting" || this.#isOurs))
        await this.#tidied(`deleting ${entry.uuid}`, () => this.#delete(entry, options));
      else if (isThere)
        this.#options.log?.warn(
          `${this.description}: thin device ${entry.id} may be left of a call that was broken off; delete it if nobody else made it`,
        );
      if (!isThere || entry.state === "creating") await this.#catalogue.put(entry.uuid, undefined);
    }
    await this.#deleteGarbage(options, ids);
  }

  async list(options?: CallOptions): Promise<readonly ThinDevice[]> {
    const ids = await this.#metadata.ids(options);
    return this.#catalogue.content.devices
      .filter(
        ({ state, id, rollback }) => state !== "creating" && (ids.has(id) || ids.has(rollback?.id ?? -1)),
      )
      .map(asDevice);
  }

  create(
    { name, sizeBytes }: { readonly name: string; readonly sizeBytes: number },
    options?: CallOptions,
  ): Promise<ThinDevice> {
    const what = { name, sizeBytes, role: "volume", sourceUuid: null } as const;
    const poolName = this.#options.name;
    return this.#add(`creating volume ${name}`, what, (id) => dm.createScript(poolName, id), options);
  }

  async snapshot(
    request: { readonly name: string; readonly sourceUuid: string; readonly role: ThinDevice["role"] },
    options?: CallOptions,
  ): Promise<ThinDevice> {
    const { name, sourceUuid, role } = request;
    const source = this.#settled(sourceUuid);
    const what = { name, sizeBytes: source.sizeBytes, role, sourceUuid };
    const script = (id: number) => dm.snapshotScript(this.#options.name, this.#deviceOf(source), id);
    return this.#add(`making ${role} ${name} of ${sourceUuid}`, what, script, options);
  }

  async #add(
    doing: string,
    what: Pick<CatalogueEntry, "name" | "sizeBytes" | "role" | "sourceUuid">,
    script: (id: number) => string,
    options?: CallOptions,
  ): Promise<ThinDevice> {
    this.#checkName(what.name);
    this.#checkSize(what.sizeBytes);
    for (let taken = 0; ; taken++) {
      const entry = await this.#enter(what);
      this.#underway.add(entry.uuid);
      try {
        await this.#run(doing, script(entry.id), options);
      } catch (error) {
        if (!(await this.#isMadeAfterAll(error, entry.id, options?.signal))) {
          // One that is not there may still be made by a script that nobody stopped: bringing up looks again.
          if (!isUnclear(error) && !isAborted(error)) await this.#catalogue.put(entry.uuid, undefined);
          if (isTaken(error) && taken < takenIdsMax) continue;
          throw error;
        }
      } finally {
        this.#underway.delete(entry.uuid);
      }
      const ready: CatalogueEntry = { ...entry, state: "ready" };
      await this.#catalogue.put(entry.uuid, ready);
      return asDevice(ready);
    }
  }

  async #enter(
    what: Pick<CatalogueEntry, "name" | "sizeBytes" | "role" | "sourceUuid">,
  ): Promise<CatalogueEntry> {
    const uuid = randomUUID();
    const id = await this.#takeId((content, id) => ({
      ...content,
      devices: [...content.devices, { uuid, ...what, id, state: "creating" }],
    }));
    return { uuid, ...what, id, state: "creating" };
  }

  async #takeId(
    change: (content: Catalogue["content"], id: number) => Catalogue["content"],
  ): Promise<number> {
    let id = 0;
    await this.#catalogue.change((content) => {
      id = content.nextId;
      if (id > thinIdMax)
        throw new ServiceError(
          "ERR_UNSUPPORTED",
          `${this.description}: every thin id up to ${thinIdMax} was used; make a new pool`,
        );
      return change({ ...content, nextId: id + 1 }, id);
    });
    return id;
  }

  /** After a call whose answer was lost: asks the pool, twice, since the script may not have come so far yet. */
  async #isMadeAfterAll(error: unknown, id: number, signal: AbortSignal | undefined): Promise<boolean> {
    if (!isUnclear(error)) return false;
    const ids = await this.#idsInTime(signal);
    if (ids === undefined || ids.has(id)) return ids !== undefined;
    await delay(this.#clock, 1000, signal).catch(() => {});
    return (await this.#idsInTime(signal))?.has(id) ?? false;
  }

  /** What the pool holds, as soon as it can be asked; `undefined` if that takes too long. */
  #idsInTime(signal: AbortSignal | undefined): Promise<ReadonlySet<number> | undefined> {
    return inTime(() => this.#metadata.ids(signal === undefined ? {} : { signal }), {
      ...{ clock: this.#clock, waitTimeoutMs: this.#options.waitTimeoutMs ?? 120_000, signal },
      // A host that has just started has no pool yet.
      isPassing: () => true,
    });
  }

  async remove(uuid: string, options?: CallOptions): Promise<void> {
    const entry = this.#entry(uuid);
    await this.#catalogue.put(uuid, { ...entry, state: "deleting" });
    try {
      await this.#again(() => this.#delete(entry, options), options?.signal);
    } catch (error) {
      if (!isUnclear(error) && !isAborted(error)) await this.#catalogue.put(uuid, entry);
      throw error;
    }
  }

  async #delete(entry: CatalogueEntry, options?: CallOptions): Promise<void> {
    const { uuid, id } = entry;
    const script = dm.deleteScript(this.#options.name, id, this.#deviceOf(entry).deviceName);
    await this.#run(`deleting ${entry.role} ${uuid}`, script, options);
    this.#active.delete(uuid);
    await this.#catalogue.put(uuid, undefined);
  }

  async grow(uuid: string, sizeBytes: number, options?: CallOptions): Promise<void> {
    const entry = this.#settled(uuid);
    this.#checkSize(sizeBytes);
    if (sizeBytes < entry.sizeBytes)
      throw new ServiceError(
        "ERR_UNSUPPORTED",
        `shrinking ${uuid} from ${entry.sizeBytes} to ${sizeBytes} bytes: thin devices can not be shrunk, since what lies beyond would come back when they grow`,
      );
    const grown = { ...entry, sizeBytes };
    await this.#catalogue.put(uuid, grown);
    try {
      await this.#reshape(`growing ${uuid} to ${sizeBytes} bytes`, grown, options);
    } catch (error) {
      if (!isUnclear(error) && !isAborted(error)) await this.#catalogue.put(uuid, entry);
      throw error;
    }
  }

  #reshape(doing: string, entry: CatalogueEntry, options?: CallOptions): Promise<string> {
    const script = dm.reshapeScript(this.#options.name, this.#deviceOf(entry));
    return this.#again(() => this.#run(doing, script, options), options?.signal);
  }

  /** The device changes over while it is in use, so there is no need to detach anybody. */
  async rollback(
    request: { readonly volumeUuid: string; readonly snapshotUuid: string },
    _detached: (work: () => Promise<void>) => Promise<void>,
    options?: CallOptions,
  ): Promise<void> {
    const { volumeUuid, snapshotUuid } = request;
    const volume = this.#settled(volumeUuid);
    const snapshot = this.#settled(snapshotUuid);
    const doing = `rolling ${volumeUuid} back to ${snapshotUuid}`;
    if (snapshot.role !== "snapshot" || snapshot.sourceUuid !== volumeUuid)
      throw invalid(`${doing}: it is no snapshot of that volume`);
    const { sizeBytes } = snapshot;
    this.#underway.add(volumeUuid);
    try {
      for (let taken = 0; ; taken++) {
        const id = await this.#takeId((content, id) => ({
          ...content,
          devices: content.devices.map((entry) =>
            entry.uuid === volumeUuid ? { ...volume, rollback: { id, sizeBytes } } : entry,
          ),
        }));
        const next: CatalogueEntry = { ...volume, id, sizeBytes };
        try {
          const script = dm.snapshotScript(this.#options.name, this.#deviceOf(snapshot), id);
          await this.#run(doing, script, options);
        } catch (error) {
          if (!(await this.#isMadeAfterAll(error, id, options?.signal))) {
            if (!isUnclear(error) && !isAborted(error)) await this.#catalogue.put(volumeUuid, volume);
            if (isTaken(error) && taken < takenIdsMax) continue;
            throw error;
          }
        }
        await this.#changeOver(doing, volume, next, options);
        break;
      }
    } finally {
      this.#underway.delete(volumeUuid);
    }
    await this.#deleteGarbage(options);
  }

  async #changeOver(
    doing: string,
    volume: CatalogueEntry,
    next: CatalogueEntry,
    options?: CallOptions,
  ): Promise<void> {
    try {
      await this.#reshape(doing, next, options);
    } catch (error) {
      // What it is, bringing up finds out.
      if (isUnclear(error) || isAborted(error)) throw error;
      await this.#reshape(`${doing}: undoing it`, volume);
      await this.#run(`${doing}: undoing it`, dm.deleteScript(this.#options.name, next.id));
      await this.#catalogue.put(volume.uuid, volume);
      throw error;
    }
    await this.#catalogue.change((content) => ({
      ...content,
      devices: content.devices.map((entry) => (entry.uuid === next.uuid ? next : entry)),
      garbage: [...content.garbage, volume.id],
    }));
  }

  /** What can not be deleted now is tried again the next time that the pool is brought up. */
  async #deleteGarbage(options?: CallOptions, ids?: ReadonlySet<number>): Promise<void> {
    const { name } = this.#options;
    for (const id of this.#catalogue.content.garbage) {
      await this.#tidied(`deleting thin device ${id}, which a rollback replaced`, async () => {
        // A device may show it still, if the change-over was broken off.
        for (const entry of this.#catalogue.content.devices)
          if (entry.state === "ready" && entry.role === "volume" && !this.#active.has(entry.uuid))
            await this.#run("changing over", dm.reshapeScript(name, this.#deviceOf(entry)), options);
        if (ids?.has(id) ?? true) await this.#run("deleting garbage", dm.deleteScript(name, id), options);
        await this.#catalogue.change((content) => ({
          ...content,
          garbage: content.garbage.filter((other) => other !== id),
        }));
      });
    }
  }

  async activate(uuid: string, options?: CallOptions): Promise<string> {
    const entry = this.#settled(uuid);
    const device = this.#deviceOf(entry);
    if (!this.#active.has(uuid)) {
      await this.#run(`activating ${uuid}`, dm.activateScript(this.#options.name, device), options);
      this.#active.add(uuid);
    }
    return `/dev/mapper/${device.deviceName}`;
  }

  async deactivate(uuid: string, options?: CallOptions): Promise<void> {
    const { deviceName } = this.#deviceOf(this.#entry(uuid));
    this.#active.delete(uuid);
    await this.#run(`deactivating ${uuid}`, dm.deactivateScript(deviceName), options);
  }

  async changes(
    request: { readonly baseUuid: string | undefined; readonly uuid: string },
    options?: CallOptions,
  ): Promise<readonly ChunkRange[]> {
    const { id, sizeBytes } = this.#settled(request.uuid);
    const base = request.baseUuid === undefined ? undefined : this.#settled(request.baseUuid);
    return this.#metadata.changes(
      { baseId: base?.id, id, sizeBytes: Math.max(sizeBytes, base?.sizeBytes ?? 0) },
      options,
    );
  }

  get #isOurs(): boolean {
    return this.#options.create ?? false;
  }

  #known(): dm.PoolFacts {
    if (this.#facts === undefined)
      throw new ServiceError("ERR_UNREACHABLE", `${this.description} was not brought up yet`);
    return this.#facts;
  }

  #run(doing: string, text: string, options: CallOptions = {}): Promise<string> {
    const where = `pool ${this.#options.name}: ${doing}`;
    return runScript(this.#options.shell, { doing: where, text, codes: dm.dmCodes }, options);
  }

  /** Repeats what may be repeated, when it is not known whether it was done, until it is. */
  async #again<Result>(run: () => Promise<Result>, signal: AbortSignal | undefined): Promise<Result> {
    try {
      return await run();
    } catch (error) {
      if (!isUnclear(error) || (await this.#idsInTime(signal)) === undefined) throw error;
      return await run();
    }
  }

  async #tidied(what: string, run: () => Promise<void>): Promise<void> {
    try {
      await run();
    } catch (error) {
      if (!(error instanceof ServiceError) || isUnclear(error) || isAborted(error)) throw error;
      (this.#options.log ?? silentLog).warn(`${what}, later: ${(error as Error).message}`);
    }
  }

  #deviceOf({ uuid, sizeBytes, id }: CatalogueEntry): dm.DmDevice {
    return { deviceName: `${this.#options.name}-${uuid}`, sectors: sizeBytes / 512, id };
  }

  #entry(uuid: string): CatalogueEntry {
    const entry = this.#catalogue.find(uuid);
    if (entry === undefined || entry.state === "creating")
      throw new ServiceError("ERR_NOT_FOUND", `${this.description} has no ${uuid}`);
    return entry;
  }

  /** One of which it is known what it is. */
  #settled(uuid: string): CatalogueEntry {
    const entry = this.#entry(uuid);
    if (entry.state === "deleting")
      throw new ServiceError("ERR_NOT_FOUND", `${this.description}: ${uuid} is being deleted`);
    if (entry.rollback !== undefined)
      throw new ServiceError(
        "ERR_BUSY",
        `${this.description}: whether ${uuid} was rolled back is not known before the pool is brought up again`,
      );
    return entry;
  }

  #checkName(name: string): void {
    if (name.length === 0 || name.length > nameLengthMax || /[\p{Cc}\p{Cs}]/u.test(name))
      throw invalid(`a name has 1 to ${nameLengthMax} characters, none of them a control character`);
  }

  #checkSize(sizeBytes: number): void {
    const { blockSizeBytes } = this.#known();
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < blockSizeBytes || sizeBytes % blockSizeBytes !== 0)
      throw invalid(
        `a size of ${sizeBytes} bytes: expected a multiple of ${blockSizeBytes}, the block size of ${this.description}`,
      );
  }
}

/** An entry of before, in the light of what the pool holds. */
function decided(entry: CatalogueEntry, ids: ReadonlySet<number>): CatalogueEntry {
  const { rollback, ...rest } = entry;
  if (rollback === undefined) return entry;
  return ids.has(rollback.id) ? { ...rest, ...rollback } : rest;
}

function asDevice({ uuid, name, sizeBytes, role, sourceUuid }: CatalogueEntry): ThinDevice {
  return { uuid, name, sizeBytes, role, sourceUuid: sourceUuid ?? undefined };
}

/** Somebody else has the number: only a create_thin or create_snap can say so. */
function isTaken(error: unknown): boolean {
  return error instanceof ServiceError && error.code === "ERR_CONFLICT";
}

function isAborted(error: unknown): boolean {
  return error instanceof ServiceError && error.code === "ERR_ABORTED";
}

function invalid(message: string): ServiceError {
  return new ServiceError("ERR_INVALID_REQUEST", message);
}
