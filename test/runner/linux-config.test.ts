import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/runner/config/load.ts";

const target = (text: string) => parseConfig(`target: { kind: linux, ${text} }\n`, "linux.yml").target;
const lvm = "pool: { kind: lvm-thin, volumeGroup: vg0, name: thin }";
const dm = (more = "") =>
  `pool: { kind: dm-thin, metadataDevice: /dev/sdb1, dataDevice: /dev/disk/by-id/x-1${more} }`;

describe("a Linux target", () => {
  test("in a guest needs nothing else to be said", () => {
    expect(target("transport: vm")).toMatchObject({
      vm: {
        directory: "./harrow-vm",
        diskSize: 2 ** 32,
        memory: 2 ** 29,
        cpus: 2,
        cache: "direct",
        cold: false,
      },
      quiesceTime: 1000,
    });
  });

  test("on this machine is served at the loopback address", () => {
    expect(target(`transport: local, ${dm()}`)).toMatchObject({
      ...{ address: "127.0.0.1", port: 4420 },
      pool: { name: "harrow", chunkSize: 65_536, create: false, catalogue: "./harrow-linux.json" },
    });
  });

  test("by ssh has a destination, an address and a pool", () => {
    const text = `transport: ssh, ssh: { destination: root@storage }, address: 192.0.2.1, ${lvm}`;
    expect(target(text)).toMatchObject({ ssh: { sudo: false }, pool: { exclusive: false } });
  });

  test.for([
    [
      "an option of ssh for a destination",
      "transport: ssh, ssh: { destination: -oProxyCommand=x }",
      /ssh\.destination/,
    ],
    [
      "a path out of /dev",
      `transport: local, ${dm().replace("/dev/sdb1", "/dev/../etc/passwd")}`,
      /no \.\. in it/,
    ],
    [
      "a device that is no path",
      `transport: local, ${dm().replace("/dev/sdb1", '"/dev/a;b"')}`,
      /a path under \/dev/,
    ],
    ["a name that begins with -", `transport: local, ${lvm.replace("vg0", "-vg0")}`, /volumeGroup/],
    ["a chunk of half the least", `transport: local, ${dm(", chunkSize: 32KiB")}`, /a multiple of 64KiB/],
    ["a subsystem that is none", "transport: vm, subsystemNqn: storage", /expected an NQN/],
    ["a pool for a guest", `transport: vm, ${lvm}`, /target\.pool: unknown key/],
    ["a guest without room", "transport: vm, vm: { memory: 12MiB }", /256MiB to 64GiB/],
  ] as const)("refuses %s", ([, text, message]) => {
    expect(() => target(text)).toThrow(message);
  });

  test("is put to trouble in a guest alone", () => {
    const crash = (text: string) => () =>
      parseConfig(`faults: { crash: { every: 100 } }\ntarget: { kind: linux, ${text} }\n`, "linux.yml");
    expect(crash("transport: vm")).not.toThrow();
    expect(crash(`transport: local, ${lvm}`)).toThrow(/only the embedded target and Linux in a guest/);
  });
});
