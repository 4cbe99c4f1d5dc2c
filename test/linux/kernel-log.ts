/**
 * What the kernel of a guest says of its NVMe host, its block layer and its file systems: what it says in every good
 * run is known here line by line, and anything else is a finding.
 *
 * @packageDocumentation
 */
import type { Guest } from "../../src/sut/vm/guest.ts";

/** Lines that can be about us. What else a kernel says, such as of its clock, is left out. */
const isOurs =
  /nvme|\bblock |blk_|I\/O error|Buffer I\/O|EXT4|JBD2|FAT-fs|WARNING|BUG:|Oops|Call Trace|blocked for more than|refcount/i;

const nvme = String.raw`^nvme nvme\d+: `;

/** Said in every good run. */
const usual: readonly RegExp[] = [
  new RegExp(`${nvme}new ctrl: NQN "[^"]+", addr 10\\.0\\.2\\.2:\\d+$`),
  new RegExp(`${nvme}Removing ctrl: NQN "[^"]+"$`),
  new RegExp(`${nvme}creating \\d+ I/O queues\\.$`),
  new RegExp(`${nvme}mapped \\d+/0/0 default/read/poll queues\\.$`),
  new RegExp(`${nvme}rescanning namespaces\\.$`),
  /^nvme\d+n\d+: detected capacity change from \d+ to \d+$/,
  /^EXT4-fs \(nvme\d+n\d+\): mounted filesystem with ordered data mode\. Quota mode: none\.$/,
  /^EXT4-fs \(nvme\d+n\d+\): unmounting filesystem\.$/,
];

/** Said when the target goes and comes back, and of nothing else. */
export const whileReconnecting: readonly RegExp[] = [
  new RegExp(`${nvme}starting error recovery$`),
  new RegExp(`${nvme}Reconnecting in 1 seconds\\.\\.\\.$`),
  // Connection refused, timed out, or reset by the address translation between.
  new RegExp(`${nvme}failed to connect socket: -(111|110|104)$`),
  // The connection broke while something was on its way.
  new RegExp(`${nvme}failed to send request -(32|104)$`),
  new RegExp(`${nvme}receive failed: {2}-104$`),
  new RegExp(`${nvme}failed to connect queue: \\d+ ret=\\d+$`),
  new RegExp(`${nvme}Failed reconnect attempt \\d+$`),
  new RegExp(`${nvme}Successfully reconnected \\(\\d+ attempt\\)$`),
  /^block nvme\d+n\d+: no usable path - requeuing I\/O$/,
];

/** Said of a target that stands still for longer than the keep alive time-out. */
export const whileSilent: readonly RegExp[] = [
  new RegExp(`${nvme}queue \\d+: timeout request 0x[0-9a-f]+ type \\d+$`),
  new RegExp(`${nvme}long keepalive RTT \\(\\d+ ms\\)$`),
  new RegExp(`${nvme}failed nvme_keep_alive_end_io error=\\d+$`),
];

export class KernelLog {
  readonly #guest: Guest;
  #mark = 0;

  constructor(guest: Guest) {
    this.#guest = guest;
  }

  /** What is said from now on is asked about next. */
  async mark(): Promise<void> {
    await this.#guest.shell.run(`echo "harrow mark ${++this.#mark}." >/dev/kmsg`);
  }

  /** The lines about us since the mark, without their times. */
  async lines(): Promise<readonly string[]> {
    const all = (await this.#guest.kernelLog()).map((line) => line.replace(/^\[ *\d+\.\d+\] /, ""));
    const start = all.lastIndexOf(`harrow mark ${this.#mark}.`);
    if (start < 0) throw new Error(`mark ${this.#mark} is not in the kernel's log any more`);
    return all.slice(start + 1).filter((line) => isOurs.test(line));
  }

  /** Those of {@link lines} that are neither usual nor among `expected`. */
  async findings(expected: readonly RegExp[] = []): Promise<readonly string[]> {
    const known = [...usual, ...expected];
    return (await this.lines()).filter((line) => !known.some((pattern) => pattern.test(line)));
  }
}
