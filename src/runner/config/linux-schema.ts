/**
 * The configuration of a Linux host that serves thin volumes with its own kernel.
 *
 * @packageDocumentation
 */
import { z } from "zod";
import { devices, hostNqn, initiator, quiesceTime, volumes } from "./target-keys.ts";
import { size } from "./units.ts";

/** Names that dmsetup, LVM and configfs take without quoting. */
const linuxName = z
  .string()
  .max(100)
  .regex(/^[A-Za-z0-9_][A-Za-z0-9_.+-]*$/, "expected letters, digits and _ . + -, not - first");
const devicePath = z
  .string()
  .regex(/^\/dev\/[A-Za-z0-9_.+/-]+$/, "expected a path under /dev")
  .refine((path) => !path.split("/").includes(".."), "expected no .. in it");
const port = z.int().min(1).max(65535);
const subsystemNqn = z
  .string()
  .max(223)
  .regex(
    /^nqn\.\d{4}-\d{2}\.[a-z0-9.-]+[:\w.-]*$/i,
    "expected an NQN, such as nqn.2026-01.org.example:volumes",
  )
  .default("nqn.2026-01.io.harrow:linux")
  .describe("Of the subsystem that harrow makes.");

const dmThin = z.strictObject({
  kind: z.literal("dm-thin"),
  name: linuxName.default("harrow").describe("Of the pool, for dmsetup."),
  metadataDevice: devicePath,
  dataDevice: devicePath,
  chunkSize: size
    .refine((bytes) => bytes >= 65_536 && bytes <= 2 ** 30 && bytes % 65_536 === 0, {
      message: "expected a multiple of 64KiB, at most 1GiB",
    })
    .prefault("64KiB"),
  create: z.boolean().default(false).describe("Makes the pool if the metadata device is blank."),
  catalogue: z
    .string()
    .min(1)
    .default("./harrow-linux.json")
    .describe("File on this machine in which the names and sizes of the volumes are kept."),
});

const lvmThin = z.strictObject({
  kind: z.literal("lvm-thin"),
  volumeGroup: linuxName,
  name: linuxName.describe("Of the thin pool in it."),
  exclusive: z
    .boolean()
    .default(false)
    .describe(
      "Nobody else takes metadata snapshots of it: one that a loss of power left behind is released.",
    ),
});

const pool = z
  .discriminatedUnion("kind", [dmThin, lvmThin])
  .describe("Where volumes and snapshots are made; nothing else in it is touched.");

const vm = z
  .strictObject({
    directory: z.string().min(1).default("./harrow-vm").describe("Images and guests; see harrow vm."),
    diskSize: size.prefault("4GiB").describe("Of the pool's data; sparse."),
    memory: size
      .refine((bytes) => bytes >= 256 * 2 ** 20 && bytes <= 64 * 2 ** 30, "expected 256MiB to 64GiB")
      .prefault("512MiB"),
    cpus: z.int().min(1).max(64).default(2),
    cache: z
      .enum(["direct", "none", "writeback", "unsafe"])
      .default("direct")
      .describe(
        "direct: past this machine's page cache, and without waiting for its disk; the others as in QEMU. Through the page cache (writeback, unsafe) a read beside a write may show a part of each.",
      ),
    cold: z
      .boolean()
      .default(false)
      .describe("Boots each time, in place of a saved state of a booted guest."),
  })
  .prefault({});

const reachable = {
  pool,
  address: z.string().min(1).max(253).describe("Where hosts reach it; the kernel listens there."),
  port: port.default(4420),
  volumes,
  devices,
};

const common = { subsystemNqn, hostNqn, quiesceTime, ...initiator };

export const linuxTarget = z.discriminatedUnion("transport", [
  z.strictObject({
    kind: z.literal("linux"),
    transport: z.literal("vm").describe("A guest of its own, in QEMU."),
    vm,
    ...common,
  }),
  z.strictObject({
    kind: z.literal("linux"),
    transport: z.literal("local").describe("This machine; needs root."),
    ...reachable,
    address: reachable.address.default("127.0.0.1"),
    ...common,
  }),
  z.strictObject({
    kind: z.literal("linux"),
    transport: z.literal("ssh").describe("Another machine, by the ssh program."),
    ssh: z.strictObject({
      destination: z
        .string()
        .regex(/^[^-\s][^\s]*$/, "expected user@host")
        .describe("As for ssh."),
      port: port.optional(),
      identityFile: z.string().min(1).optional(),
      sudo: z.boolean().default(false).describe("Commands are run by sudo -n."),
    }),
    ...reachable,
    ...common,
  }),
]);
