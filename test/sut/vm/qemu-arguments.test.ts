import { describe, expect, test } from "vitest";
import { type Machine, qemuArguments } from "../../../src/sut/vm/qemu-arguments.ts";

const machine: Machine = {
  role: "target",
  accelerator: "tcg",
  memoryMiB: 512,
  cpuCount: 2,
  disks: [
    { serial: "meta", mib: 64 },
    { serial: "data", mib: 4096 },
  ],
  blockSizeBytes: 4096,
  cache: "writeback",
  kernel: "/images/vmlinuz",
  initrd: "initrd.cpio",
  agentPort: 18_080,
  nvmePort: 14_420,
  isIncoming: false,
};

/** What follows each use of an option. */
function valuesOf(name: string, parameters: readonly string[]): string[] {
  return parameters.flatMap((value, index) => (parameters[index - 1] === name ? [value] : []));
}

describe("the command line of QEMU", () => {
  test("has both disks by serial, and forwards both ports of this machine's loopback", () => {
    const parameters = qemuArguments(machine);
    expect(valuesOf("-drive", parameters)).toEqual([
      "if=none,id=meta,file=meta.raw,format=raw,cache=writeback,discard=unmap,detect-zeroes=off",
      "if=none,id=data,file=data.raw,format=raw,cache=writeback,discard=unmap,detect-zeroes=off",
    ]);
    expect(valuesOf("-device", parameters)).toEqual([
      "virtio-net-pci,netdev=net,romfile=",
      "virtio-blk-pci,drive=meta,serial=meta,logical_block_size=4096,physical_block_size=4096",
      "virtio-blk-pci,drive=data,serial=data,logical_block_size=4096,physical_block_size=4096",
    ]);
    expect(valuesOf("-netdev", parameters)).toEqual([
      "user,id=net,ipv6=off,restrict=on,hostfwd=tcp:127.0.0.1:18080-10.0.2.15:80,hostfwd=tcp:127.0.0.1:14420-10.0.2.15:4420",
    ]);
  });

  test("lets a host reach this machine, and no target", () => {
    const netdev = (role: Machine["role"]) => valuesOf("-netdev", qemuArguments({ ...machine, role }))[0];
    expect(netdev("target")).toContain("restrict=on");
    expect(netdev("host")).not.toContain("restrict");
  });

  test("tells the guest its role", () => {
    const [append] = valuesOf("-append", qemuArguments({ ...machine, role: "host" }));
    expect(append?.split(" ")).toContain("harrow.role=host");
    expect(append?.split(" ")).toContain("console=ttyS0");
  });

  test("takes the processor of this machine where KVM is, and a translated one elsewhere", () => {
    const cpu = (accelerator: Machine["accelerator"]) => {
      const parameters = qemuArguments({ ...machine, accelerator });
      return [...valuesOf("-accel", parameters), ...valuesOf("-cpu", parameters)];
    };
    expect(cpu("kvm")).toEqual(["kvm", "host"]);
    expect(cpu("tcg")).toEqual(["tcg,thread=multi", "Nehalem"]);
  });

  test("differs by the last option alone when a state is taken over", () => {
    const booting = qemuArguments(machine);
    expect(qemuArguments({ ...machine, isIncoming: true })).toEqual([...booting, "-incoming", "fd:3"]);
  });

  test("listens nowhere else", () => {
    const parameters = qemuArguments(machine);
    for (const option of ["-nodefaults", "-no-user-config", "-no-reboot"])
      expect(parameters).toContain(option);
    expect(valuesOf("-display", parameters)).toEqual(["none"]);
    expect(valuesOf("-qmp", parameters)).toEqual(["unix:qmp.sock,server=on,wait=off"]);
    expect(valuesOf("-serial", parameters)).toEqual(["chardev:console"]);
  });
});
