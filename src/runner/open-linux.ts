/**
 * Opens a Linux host that serves thin volumes with its own kernel: a guest, this machine, or one reached by ssh.
 *
 * @packageDocumentation
 */
import { AsyncStack } from "../sut/async-stack.ts";
import type { Clock } from "../sut/clock.ts";
import type { ConnectNamespaces } from "../sut/data-path/data-path.ts";
import { DmPool } from "../sut/linux/dm-pool.ts";
import { localShell } from "../sut/linux/local-shell.ts";
import { LvmPool } from "../sut/linux/lvm-pool.ts";
import { connectLinux, type LinuxVolumeService } from "../sut/linux/service.ts";
import type { Shell } from "../sut/linux/shell.ts";
import { sshShell } from "../sut/linux/ssh-shell.ts";
import type { ThinPool } from "../sut/linux/thin-pool.ts";
import type { Log } from "../sut/log.ts";
import { startLinuxGuest } from "../sut/vm/linux-guest.ts";
import type { Config } from "./config/schema.ts";
import type { OpenedService } from "./opened-service.ts";
import { asLog, type RunLog } from "./run-log.ts";

export type LinuxTarget = Extract<Config["target"], { kind: "linux" }>;
type GuestTarget = Extract<LinuxTarget, { transport: "vm" }>;
type HostTarget = Exclude<LinuxTarget, GuestTarget>;

export interface OpenLinuxOptions {
  readonly connectNamespaces: ConnectNamespaces;
  /** Bytes per block of the volumes that are to be made. */
  readonly blockSizeBytes: 512 | 4096;
  /** Cancels the preparation and start of a guest. */
  readonly signal?: AbortSignal | undefined;
  readonly clock: Clock;
  readonly log: RunLog;
}

const mib = 2 ** 20;

/** @throws {ServiceError} If it can not be reached or used: why, and what to do. */
export function openLinux(target: LinuxTarget, options: OpenLinuxOptions): Promise<OpenedService> {
  return target.transport === "vm" ? openGuest(target, options) : openHost(target, options);
}

async function openGuest(
  { vm, subsystemNqn }: GuestTarget,
  { connectNamespaces, blockSizeBytes, signal, clock, log }: OpenLinuxOptions,
): Promise<OpenedService> {
  let failure: string | undefined;
  let service: LinuxVolumeService | undefined;
  const opened = await startLinuxGuest({
    ...{ directory: vm.directory, subsystemNqn, connectNamespaces, signal, clock, log: asLog(log) },
    machine: {
      ...{ blockSizeBytes, cpuCount: vm.cpus, cache: vm.cache, cold: vm.cold },
      ...{ diskMiB: Math.ceil(vm.diskSize / mib), memoryMiB: Math.ceil(vm.memory / mib) },
    },
    onUnexpectedExit: (message) => {
      failure = `the guest was not stopped, and ${message}`;
      // Nobody will come back: what waits for it ends now.
      service?.[Symbol.asyncDispose]().then(undefined, () => {});
    },
  });
  service = opened.service;
  const { host, port } = opened.guest.nvmeEndpoint;
  return {
    service,
    description: `Linux in a guest, dm-thin and nvmet at ${host}:${port}`,
    faults: opened.faults,
    get failure() {
      return failure;
    },
    keep: () => {
      opened.keep();
      log.info(`the guest's disks are kept in ${opened.guest.directory}`);
    },
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}

async function openHost(
  target: HostTarget,
  { connectNamespaces, clock, log }: OpenLinuxOptions,
): Promise<OpenedService> {
  await using undo = new AsyncStack();
  const shell = undo.use(await openShell(target));
  const { subsystemNqn, address: host, port } = target;
  const pool = await openPool(target.pool, { shell, clock, log: asLog(log) });
  const service = undo.use(
    await connectLinux({ shell, pool, subsystemNqn, endpoint: { host, port }, connectNamespaces, clock }),
  );
  const ending = undo.move();
  return {
    ...{ service, faults: undefined, failure: undefined },
    description: `${pool.description}, served by nvmet at ${host}:${port}`,
    [Symbol.asyncDispose]: () => ending[Symbol.asyncDispose](),
  };
}

async function openShell(target: HostTarget): Promise<Shell> {
  if (target.transport === "local") return localShell();
  const { destination, port, identityFile, sudo } = target.ssh;
  return sshShell({
    ...{ destination, sudo },
    ...(port === undefined ? {} : { port }),
    ...(identityFile === undefined ? {} : { identityFile }),
  });
}

async function openPool(
  pool: HostTarget["pool"],
  { shell, clock, log }: { readonly shell: Shell; readonly clock: Clock; readonly log: Log },
): Promise<ThinPool> {
  if (pool.kind === "lvm-thin")
    return new LvmPool({
      ...{ shell, clock, isExclusive: pool.exclusive },
      ...{ volumeGroup: pool.volumeGroup, pool: pool.name },
    });
  const { name, metadataDevice, dataDevice, chunkSize: chunkBytes, create, catalogue } = pool;
  return DmPool.open({
    ...{ shell, clock, log, name, metadataDevice, dataDevice, chunkBytes, create, catalogue },
  });
}
