/**
 * A log of all writes below a pool, from which the states that a power cut may leave can be made.
 *
 * One disk is logged and then split, so that the log has one order for metadata and data:
 *
 *   NAME-metadata   NAME-data      linear; the pool is put on these
 *          NAME-logged             log-writes, to the log device; after the cut linear, to NAME-cut
 *             disk                 NAME-cut: suspended for good
 *
 * @see Linux 6.1, Documentation/admin-guide/device-mapper/log-writes.rst
 *
 * @packageDocumentation
 */
import { type CallOptions, ServiceError } from "../port.ts";
import { devicePath, layerPath } from "./layers.ts";
import { runScript, statuses } from "./scripts.ts";
import type { Shell } from "./shell.ts";

/** The mark that {@link LoggedDisk.cutPower} begins with. */
export const cutMark = "power-cut";

export interface WriteLogOptions {
  readonly shell: Shell;
  /** Begins the names in the device mapper. */
  readonly name: string;
  /** Path of the disk; what it holds is what a replay of the log starts from. */
  readonly disk: string;
  /** Path of the log device: zeros, and larger than all that will be written until the power cut. */
  readonly log: string;
  /** The beginning of the disk, for the pool's metadata; a multiple of 4096. */
  readonly metadataBytes: number;
}

/** Every method rejects with a {@link ServiceError}, `ERR_TARGET` if the host refuses. */
export class LoggedDisk {
  /** Path of the beginning of the disk, for a pool's metadata. */
  readonly metadataDevice: string;
  /** Path of the rest, for its data. */
  readonly dataDevice: string;
  readonly #shell: Shell;
  readonly #name: string;

  private constructor({ shell, name }: WriteLogOptions) {
    this.#shell = shell;
    this.#name = name;
    this.metadataDevice = layerPath(`${name}-metadata`);
    this.dataDevice = layerPath(`${name}-data`);
  }

  /** Begins to log. */
  static async lay(options: WriteLogOptions, call: CallOptions = {}): Promise<LoggedDisk> {
    const { shell, name, metadataBytes } = options;
    const logged = new LoggedDisk(options);
    if (!Number.isSafeInteger(metadataBytes) || metadataBytes <= 0 || metadataBytes % 4096 !== 0)
      throw new ServiceError(
        "ERR_INVALID_REQUEST",
        `metadataBytes is ${metadataBytes}, expected a multiple of 4096`,
      );
    const disk = devicePath(options.disk);
    const split = metadataBytes / 512;
    const whole = layerPath(`${name}-logged`);
    const text = `modprobe dm-log-writes
n=$(blockdev --getsz ${disk})
[ "$n" -gt ${split} ] || tell ${statuses.refused} "${disk} has $n sectors, and ${split} of them are to be metadata"
dmsetup create ${name}-logged --table "0 $n log-writes ${disk} ${devicePath(options.log)}"
dmsetup create ${name}-metadata --table "0 ${split} linear ${whole} 0"
dmsetup create ${name}-data --table "0 $((n - ${split})) linear ${whole} ${split}"
dmsetup create ${name}-cut --table "0 $n error"
dmsetup suspend ${name}-cut`;
    const codes = { [statuses.refused]: "ERR_INVALID_REQUEST" } as const;
    await runScript(shell, { doing: `logging the writes of ${disk}`, text, codes }, call);
    return logged;
  }

  /**
   * Cuts the power: no request is done from one instant on, and the log is whole when this resolves.
   *
   * The log is marked first. Of what is answered after the call began nobody may rely on anything, so the power may
   * as well have failed at any instant since: a pool that is left alone flushes within a second.
   *
   * Requests that come then wait for ever, so the host is to be killed next. Its disk is as if nothing was lost;
   * what else it may hold is made from the log.
   *
   * A host that is only killed leaves no such log: the kernel logs a flush after it was done, and plain writes
   * that no flush covered not at all.
   */
  async cutPower(call: CallOptions = {}): Promise<void> {
    const name = this.#name;
    // What is sent to a suspended device waits for ever: what is above never learns how requests end that came after
    // the cut. Taking the old table off writes to the log what is left, and waits for that.
    const text = `dmsetup message ${name}-logged 0 mark ${cutMark}
dmsetup suspend --nolockfs ${name}-logged
n=$(blockdev --getsz ${layerPath(`${name}-cut`)})
state=$(dmsetup status ${name}-logged)
dmsetup load ${name}-logged --table "0 $n linear ${layerPath(`${name}-cut`)} 0"
dmsetup resume ${name}-logged
case $state in *logging_disabled*) tell 1 "the log is full, or could not be written: $state" ;; esac`;
    await runScript(this.#shell, { doing: `cutting the power of ${name}`, text }, call);
  }
}
