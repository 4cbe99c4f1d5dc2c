/**
 * The command line of QEMU for a guest.
 *
 * QEMU runs in the guest's run directory: names of files there are relative, so no path needs to be quoted in its
 * options, and the socket's name is as short as it must be.
 *
 * @packageDocumentation
 */

import type { Accelerator } from "./accelerator.ts";

export type GuestRole = "target" | "host";

/**
 * How QEMU keeps what the guest writes; a killed QEMU loses nothing by any of them, a machine without power does.
 *
 * `direct` is `none` without waiting for this machine's disk at each flush. The others go through the page cache, where a
 * read beside a write may show a part of each.
 */
export type DiskCache = "direct" | "none" | "writeback" | "unsafe";

const cacheOptions: Readonly<Record<DiskCache, string>> = {
  direct: "cache.direct=on,cache.no-flush=on",
  none: "cache=none",
  writeback: "cache=writeback",
  unsafe: "cache=unsafe",
};

export interface GuestDisk {
  /** By this the guest finds it; 1 to 20 of a-z, 0-9 and "-". */
  readonly serial: string;
  readonly mib: number;
}

export interface Machine {
  readonly role: GuestRole;
  readonly accelerator: Accelerator;
  readonly memoryMiB: number;
  readonly cpuCount: number;
  readonly disks: readonly GuestDisk[];
  readonly blockSizeBytes: 512 | 4096;
  readonly cache: DiskCache;
  /** Paths as QEMU sees them. */
  readonly kernel: string;
  readonly initrd: string;
  /** Ports of this machine's 127.0.0.1. */
  readonly agentPort: number;
  readonly nvmePort: number;
  /** Wait for a machine state on file descriptor 3 in place of booting. */
  readonly isIncoming: boolean;
}

/** Names in the run directory. */
export const socketName = "qmp.sock";
export const consoleName = "console.log";
export const diskName = ({ serial }: GuestDisk) => `${serial}.raw`;

/** The address that QEMU's own network gives to its guest. */
const guestAddress = "10.0.2.15";

export function qemuArguments(machine: Machine): string[] {
  const { accelerator, agentPort, nvmePort } = machine;
  const forward = (port: number, guestPort: number) =>
    `hostfwd=tcp:127.0.0.1:${port}-${guestAddress}:${guestPort}`;
  return [
    ...["-name", "harrow-guest", "-machine", "q35"],
    ...(accelerator === "kvm"
      ? ["-accel", "kvm", "-cpu", "host"]
      : ["-accel", "tcg,thread=multi", "-cpu", "Nehalem"]),
    ...["-smp", String(machine.cpuCount), "-m", String(machine.memoryMiB)],
    ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
    ...["-chardev", `file,id=console,path=${consoleName},append=on`, "-serial", "chardev:console"],
    ...["-qmp", `unix:${socketName},server=on,wait=off`],
    ...["-kernel", machine.kernel, "-initrd", machine.initrd],
    ...["-append", kernelParameters(machine)],
    "-netdev",
    [
      "user,id=net,ipv6=off",
      // A guest that connects nowhere is not to reach what listens on this machine's loopback.
      ...(machine.role === "target" ? ["restrict=on"] : []),
      forward(agentPort, 80),
      forward(nvmePort, 4420),
    ].join(","),
    ...["-device", "virtio-net-pci,netdev=net,romfile="],
    ...machine.disks.flatMap((disk) => [
      "-drive",
      `if=none,id=${disk.serial},file=${diskName(disk)},format=raw,${cacheOptions[machine.cache]},discard=unmap,detect-zeroes=off`,
      "-device",
      `virtio-blk-pci,drive=${disk.serial},serial=${disk.serial},logical_block_size=${machine.blockSizeBytes},physical_block_size=${machine.blockSizeBytes}`,
    ]),
    ...(machine.isIncoming ? ["-incoming", "fd:3"] : []),
  ];
}

function kernelParameters({ role, accelerator }: Machine): string {
  return [
    "console=ttyS0 quiet panic=-1 random.trust_cpu=on",
    // The translated processor has no flaw to be mitigated.
    ...(accelerator === "tcg" ? ["mitigations=off no_timer_check"] : []),
    `harrow.role=${role}`,
  ].join(" ");
}
