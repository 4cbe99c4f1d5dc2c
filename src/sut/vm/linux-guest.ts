/**
 * A system under test of its own: a Linux guest that serves thin volumes over NVMe/TCP, and the trouble for it.
 *
 * Pool, names and all else that is worth keeping lie in the guest's run directory on this machine.
 *
 * @packageDocumentation
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { AsyncStack } from "../async-stack.ts";
import type { Clock } from "../clock.ts";
import type { ConnectNamespaces } from "../data-path/data-path.ts";
import { DmPool } from "../linux/dm-pool.ts";
import { connectLinux, type LinuxVolumeService } from "../linux/service.ts";
import type { Log } from "../log.ts";
import type { TargetFaults } from "../target-faults.ts";
import { Guest, type GuestOptions } from "./guest.ts";
import { GuestFaults } from "./guest-faults.ts";
import { prepareGuest } from "./prepare.ts";

/** What becomes of the guest's options as it is. */
type Machine = Pick<GuestOptions, "blockSizeBytes" | "diskMiB" | "memoryMiB" | "cpuCount" | "cache" | "cold">;

export interface LinuxGuestOptions {
  /** Of images and guests; see `harrow vm`. */
  readonly directory: string;
  readonly machine: Machine;
  readonly subsystemNqn: string;
  readonly connectNamespaces: ConnectNamespaces;
  /** Told how the guest ended, if it was not ended from here. */
  readonly onUnexpectedExit: (message: string) => void;
  /** Cancels the preparation and the start. */
  readonly signal?: AbortSignal | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

/** Disposing it stops the guest, and removes its disks unless they are to be kept. */
export interface LinuxGuest extends AsyncDisposable {
  readonly service: LinuxVolumeService;
  readonly faults: TargetFaults;
  readonly guest: Guest;
  /** Leaves the disks where they are: they hold the evidence. */
  keep(): void;
}

/** @throws {ServiceError} If this machine can have no guest, or the guest does not serve: why, and what to do. */
export async function startLinuxGuest(options: LinuxGuestOptions): Promise<LinuxGuest> {
  const { machine, subsystemNqn, connectNamespaces, onUnexpectedExit, clock, log } = options;
  const cancelling = options.signal === undefined ? {} : { signal: options.signal };
  const images = await prepareGuest({ directory: options.directory, log, ...cancelling });
  const guests = resolve(options.directory, "guests");
  await mkdir(guests, { recursive: true, mode: 0o700 });
  const directory = await mkdtemp(join(guests, "run-"));
  let isKept = false;
  await using undo = new AsyncStack();
  undo.defer(async () => {
    if (!isKept) await rm(directory, { recursive: true, force: true });
  });
  const guest = undo.use(
    await Guest.start({
      ...{ ...machine, ...cancelling, directory, images },
      ...{ role: "target", onUnexpectedExit, log },
    }),
  );
  const pool = await DmPool.open({
    ...{ shell: guest.shell, name: "harrow", create: true, clock, log },
    ...{ metadataDevice: "serial:meta", dataDevice: "serial:data" },
    catalogue: join(directory, "catalogue.json"),
  });
  const service = undo.use(
    await connectLinux({
      ...{ shell: guest.shell, pool, subsystemNqn, connectNamespaces, clock },
      endpoint: guest.nvmeEndpoint,
      listen: { address: "0.0.0.0", port: 4420 },
    }),
  );
  const ending = undo.move();
  return {
    ...{ service, guest, faults: new GuestFaults(guest, service) },
    keep: () => {
      isKept = true;
    },
    [Symbol.asyncDispose]: () => ending[Symbol.asyncDispose](),
  };
}
