/**
 * A guest that serves thin volumes over NVMe/TCP, with layers of the kernel below its pool, and runs on it.
 *
 * @packageDocumentation
 */
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseConfig } from "../../src/runner/config/load.ts";
import { Run } from "../../src/runner/run.ts";
import { performRun, type RunResult } from "../../src/runner/runner.ts";
import { serviceTarget } from "../../src/runner/service-target.ts";
import { systemClock } from "../../src/sut/clock.ts";
import { connectController } from "../../src/sut/initiator/controller.ts";
import { reconnectPolicyDefault } from "../../src/sut/initiator/reconnect.ts";
import { DmPool } from "../../src/sut/linux/dm-pool.ts";
import { connectLinux, type LinuxVolumeService } from "../../src/sut/linux/service.ts";
import { silentLog } from "../../src/sut/log.ts";
import { Guest, type GuestOptions } from "../../src/sut/vm/guest.ts";
import { GuestFaults } from "../../src/sut/vm/guest-faults.ts";
import { prepareGuest } from "../../src/sut/vm/prepare.ts";

export interface ThinTargetOptions extends Partial<Pick<GuestOptions, "diskMiB" | "disks">> {
  /** The pool's devices, as paths or `serial:` and a serial number; `serial:meta` and `serial:data` if absent. */
  readonly metadataDevice?: string;
  readonly dataDevice?: string;
  /** Puts below the pool what belongs there, before each time it is brought up. */
  readonly lay?: (guest: Guest) => Promise<void>;
  /** What a crash does in place of killing the guest; it ends with the guest started again. */
  readonly crash?: (guest: Guest) => Promise<void>;
}

export interface FuzzOptions {
  /** All but the target, as YAML. */
  readonly config: string;
  readonly seed: bigint;
  /** What is done once so many lts have begun, one after the other, while the run goes on. */
  readonly at?: Readonly<Record<number, () => Promise<void>>>;
}

/** With what the run had to warn of. */
export type FuzzResult = RunResult & { readonly warnings: readonly string[] };

export class ThinTarget implements AsyncDisposable {
  readonly guest: Guest;
  readonly service: LinuxVolumeService;
  readonly #directory: string;
  readonly #options: ThinTargetOptions;

  private constructor(
    guest: Guest,
    service: LinuxVolumeService,
    directory: string,
    options: ThinTargetOptions,
  ) {
    this.guest = guest;
    this.service = service;
    this.#directory = directory;
    this.#options = options;
  }

  static async start(options: ThinTargetOptions = {}): Promise<ThinTarget> {
    const { disks = [], diskMiB = 256, lay } = options;
    const { metadataDevice = "serial:meta", dataDevice = "serial:data" } = options;
    const images = await prepareGuest({ directory: "harrow-vm", log: silentLog });
    const directory = await mkdtemp(join(tmpdir(), "harrow-thin-"));
    let guest: Guest | undefined;
    try {
      guest = await Guest.start({
        ...{ directory, images, disks, diskMiB, role: "target", log: silentLog },
        ...{ metadataMiB: 16, blockSizeBytes: 4096, cache: "unsafe" },
      });
      await lay?.(guest);
      const pool = await DmPool.open({
        ...{ shell: guest.shell, name: "harrow", metadataDevice, dataDevice, create: true },
        catalogue: join(directory, "catalogue.json"),
      });
      const service = await connectLinux({
        ...{ shell: guest.shell, pool, endpoint: guest.nvmeEndpoint, connectNamespaces },
        ...{ subsystemNqn: "nqn.2014-08.org.harrow:test", listen: { address: "0.0.0.0", port: 4420 } },
      });
      return new ThinTarget(guest, service, directory, options);
    } catch (error) {
      await guest?.[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** Performs a run on volumes of its own, which are left with their snapshots. */
  async fuzz({ config: text, seed, at = {} }: FuzzOptions): Promise<FuzzResult> {
    const config = parseConfig(`${text}\nrecord: never\ntarget: { kind: linux, transport: vm }\n`, "test");
    const { guest, service } = this;
    const { lay, crash } = this.#options;
    const faults = new GuestFaults(guest, service);
    const target = await serviceTarget({
      ...{ config, service, name: "thin" },
      faults: Object.assign(faults, {
        crash: async () => {
          await (crash?.(guest) ?? guest.crash());
          await lay?.(guest);
          await service.bringUp();
        },
      }),
    });
    const warnings: string[] = [];
    const run = new Run({
      ...{ config, seed, target, name: "harrow-thin" },
      log: { info: () => {}, warn: (message) => warnings.push(message) },
      signal: new AbortController().signal,
      onViolation: () => {},
    });
    const due = Object.entries(at).map(([lts, work]) => ({ lts: Number(lts), work }));
    let done = Promise.resolve();
    const result = await performRun(run, {
      onProgress: ({ lts }) => {
        while (due.length > 0 && due[0]!.lts <= lts) {
          const { work } = due.shift()!;
          done = done.then(work).catch((error: unknown) => run.fail(error));
        }
      },
    });
    await done;
    for (const { device } of target.volumes) await device[Symbol.asyncDispose]();
    return { ...result, warnings };
  }

  /** Deletes all volumes and snapshots. */
  async clear(): Promise<void> {
    const { service } = this;
    for (const { uuid } of await service.listSnapshots()) await service.deleteSnapshot(uuid);
    for (const { uuid } of await service.listVolumes()) await service.deleteVolume(uuid);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.service[Symbol.asyncDispose]();
    await this.guest[Symbol.asyncDispose]();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

type Connecting = Parameters<typeof connectLinux>[0]["connectNamespaces"];

const connectNamespaces: Connecting = ({ endpoints, subsystemNqn }) => {
  const hostId = randomUUID();
  return connectController({
    ...endpoints[0]!,
    ...{ subsystemNqn, hostId, hostNqn: `nqn.2014-08.org.nvmexpress:uuid:${hostId}` },
    ...{ ioQueueCount: 1, queueDepth: 64, commandTimeoutMs: 20_000, clock: systemClock },
    reconnect: { ...reconnectPolicyDefault, delayMsMax: 500, attemptsMax: 200 },
  });
};

/** Path in the guest of the disk with a serial number. */
export async function diskOf({ shell }: Guest, serial: string): Promise<string> {
  const { stdout } = await shell.run(`for file in /sys/block/*/serial; do
  if [ "$(cat "$file")" = ${serial} ]; then file=\${file%/serial}; echo "/dev/\${file##*/}"; fi
done`);
  const path = stdout.trim();
  if (path === "") throw new Error(`the guest has no disk ${serial}`);
  return path;
}
