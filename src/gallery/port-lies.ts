/**
 * What mutants at the port are made of: services and devices of which some calls are answered otherwise.
 *
 * @packageDocumentation
 */
import type { Clock } from "../sut/clock.ts";
import { type DeviceFaults, withServiceFaults } from "../sut/faults.ts";
import type { BlockDevice, BlockRange, Outcome, VolumeService } from "../sut/port.ts";
import { replaced } from "../sut/replaced.ts";
import { isZeros } from "./bytes.ts";

/** Every volume that is opened gets its faults from one plan. */
export function onVolumes(service: VolumeService, plan: (uuid: string) => DeviceFaults): VolumeService {
  return withServiceFaults(service, { volume: plan });
}

/** A change of one block. */
export interface Change {
  readonly bytes: Uint8Array;
  readonly submitted: number;
  /** Infinite before, and if its outcome is not known. */
  completed: number;
}

/** A change that left something but zeros. */
export function isData(change: Change | undefined): boolean {
  return change?.bytes.some((byte) => byte !== 0) === true;
}

/** What was done to the blocks of one volume. */
export class BlockLog {
  readonly #changes = new Map<number, Change[]>();

  /** In the order of submission. */
  of(block: number): readonly Change[] {
    return this.#changes.get(block) ?? [];
  }

  get blocks(): readonly number[] {
    return [...this.#changes.keys()];
  }

  /** The block's last change was complete by a time, and nothing else was under way on it then or since. */
  isCalm(block: number, by: number): boolean {
    return this.of(block).every(({ completed }) => completed < by);
  }

  /** Blocks on which nothing is under way, and which hold data, as far as is known. */
  get dataBlocks(): readonly number[] {
    return this.blocks.filter(
      (block) => this.isCalm(block, Number.POSITIVE_INFINITY) && isData(this.of(block).at(-1)),
    );
  }

  add(
    { block, blockCount }: BlockRange,
    from: Uint8Array | undefined,
    size: number,
    now: number,
  ): readonly Change[] {
    return Array.from({ length: blockCount }, (_, index) => {
      const bytes = from?.slice(index * size, (index + 1) * size) ?? new Uint8Array(size);
      const change = { bytes, submitted: now, completed: Number.POSITIVE_INFINITY };
      const all = this.#changes.get(block + index);
      if (all === undefined) this.#changes.set(block + index, [change]);
      else all.push(change);
      return change;
    });
  }
}

/** A service of which the changes of volumes are logged, by their UUIDs. */
export function logged(service: VolumeService, clock: Clock, logs: Map<string, BlockLog>): VolumeService {
  return replaced(service, {
    openVolume: async (uuid) => {
      const device = await service.openVolume(uuid);
      const log = logs.get(uuid) ?? new BlockLog();
      logs.set(uuid, log);
      const { blockSizeBytes: size } = device.capabilities;
      const note = async (
        range: BlockRange,
        from: Uint8Array | undefined,
        act: () => Promise<Outcome>,
      ): Promise<Outcome> => {
        const changes = log.add(range, from, size, clock.now());
        const outcome = await act();
        if (outcome.kind === "ok") for (const change of changes) change.completed = clock.now();
        return outcome;
      };
      return replaced(device, {
        write: (request) => note(request, request.from, () => device.write(request)),
        writeZeroes: (request) => note(request, undefined, () => device.writeZeroes(request)),
        deallocate: (request) => note(request.ranges[0]!, undefined, () => device.deallocate(request)),
      });
    },
  });
}

/** Reads of a device that show other bytes of some blocks. */
export function showing(
  device: BlockDevice,
  bytesOf: (block: number, range: BlockRange) => Uint8Array | undefined,
) {
  const { blockSizeBytes: size } = device.capabilities;
  return replaced(device, {
    read: async (request) => {
      const outcome = await device.read(request);
      for (let index = 0; index < request.blockCount; index++) {
        const bytes = bytesOf(request.block + index, request);
        if (bytes !== undefined) request.into.set(bytes, index * size);
      }
      return outcome;
    },
  });
}

/** A service whose volumes and snapshots are opened as something else. */
export function opening(
  service: VolumeService,
  as: {
    readonly volume?: (uuid: string, device: BlockDevice) => BlockDevice;
    readonly snapshot?: (uuid: string, device: BlockDevice) => BlockDevice;
  },
): VolumeService {
  return replaced(service, {
    openVolume: async (uuid) => {
      const device = await service.openVolume(uuid);
      return as.volume?.(uuid, device) ?? device;
    },
    openSnapshot: async (uuid) => {
      const device = await service.openSnapshot(uuid);
      return as.snapshot?.(uuid, device) ?? device;
    },
  });
}

/** Ranges of the calls that are in flight. */
export class InFlight {
  readonly #ranges = new Set<BlockRange>();

  async during(ranges: readonly BlockRange[], act: () => Promise<Outcome>): Promise<Outcome> {
    for (const range of ranges) this.#ranges.add(range);
    try {
      return await act();
    } finally {
      for (const range of ranges) this.#ranges.delete(range);
    }
  }

  /** Whether one of them shares a unit of so many blocks with a range. */
  hasNear(range: BlockRange, unitBlocks: number): boolean {
    for (const other of this.#ranges) if (shareUnit(range, other, unitBlocks)) return true;
    return false;
  }
}

/** Whether two ranges touch the same unit of so many blocks. */
export function shareUnit(a: BlockRange, b: BlockRange, unitBlocks: number): boolean {
  const first = ({ block }: BlockRange) => Math.floor(block / unitBlocks);
  const last = ({ block, blockCount }: BlockRange) => Math.floor((block + blockCount - 1) / unitBlocks);
  return first(a) <= last(b) && first(b) <= last(a);
}

/** Whether some block of a range holds anything but zeros. */
export async function holdsData(device: BlockDevice, range: BlockRange): Promise<boolean> {
  const into = new Uint8Array(range.blockCount * device.capabilities.blockSizeBytes);
  await device.read({ ...range, into });
  return !isZeros(into);
}

/** A volume that can be changed behind everyone's back. */
interface StoredVolume {
  readonly uuid: string;
  readonly log: BlockLog;
  /** Changes what is stored; whoever else wants to change something waits meanwhile. */
  readonly alter: (act: (beneath: BlockDevice) => Promise<Outcome>) => Promise<void>;
}

/** A write that has just been stored. */
interface StoredWrite {
  readonly volume: StoredVolume;
  readonly range: BlockRange;
  /** The others that were opened. */
  readonly others: readonly StoredVolume[];
}

/** Does something to what is stored after each write that went well, before the writer hears of it. */
export function afterWrites(
  service: VolumeService,
  clock: Clock,
  act: (write: StoredWrite) => Promise<void>,
): VolumeService {
  const logs = new Map<string, BlockLog>();
  const all = new Map<string, StoredVolume>();
  const beneath = opening(service, {
    volume: (uuid, device) => {
      let altering: Promise<unknown> | undefined;
      const volume: StoredVolume = {
        uuid,
        get log() {
          return logs.get(uuid)!;
        },
        alter: async (change) => {
          altering = Promise.all([altering, change(device)]);
          await altering;
        },
      };
      all.set(uuid, volume);
      return replaced(device, {
        write: async (request) => {
          await altering;
          const outcome = await device.write(request);
          const others = [...all.values()].filter((other) => other.uuid !== uuid);
          if (outcome.kind === "ok") await act({ volume, range: request, others });
          return outcome;
        },
        writeZeroes: async (request) => {
          await altering;
          return device.writeZeroes(request);
        },
        deallocate: async (request) => {
          await altering;
          return device.deallocate(request);
        },
        compareAndWrite: async (request) => {
          await altering;
          return device.compareAndWrite(request);
        },
      });
    },
  });
  return logged(beneath, clock, logs);
}
