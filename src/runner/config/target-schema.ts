/**
 * The systems under test that a configuration can name.
 *
 * @packageDocumentation
 */
import { z } from "zod";
import { linuxTarget } from "./linux-schema.ts";
import { devices, hostNqn, initiator, quiesceTime, volumes } from "./target-keys.ts";

const embedded = z.strictObject({
  kind: z.literal("embedded"),
  directory: z.string().min(1).optional().describe("Where volumes are kept; in memory if absent."),
  ...initiator,
  volatileCache: z
    .boolean()
    .default(false)
    .describe("Writes that were not flushed are lost when the target crashes, as from a volatile cache."),
});

const lightbits = z.strictObject({
  kind: z.literal("lightbits"),
  endpoint: z
    .url({ protocol: /^https?$/ })
    .refine(
      (url) => !/^https?:\/\/[^/?#]*@/.test(url),
      "expected no user and password in it: they would be kept with the run",
    )
    .describe("The REST API, such as https://10.0.0.1:443."),
  project: z.string().min(1).default("default"),
  tokenEnvironment: z
    .string()
    .min(1)
    .default("LIGHTBITS_JWT")
    .describe("Environment variable that holds the JWT."),
  tokenFile: z.string().min(1).optional().describe("File that holds the JWT, instead."),
  caFile: z.string().min(1).optional(),
  insecure: z.boolean().default(false).describe("Do not verify the server's certificate."),
  volumes,
  devices,
  hostNqn,
  quiesceTime,
  ...initiator,
});

const memory = z.strictObject({ kind: z.literal("memory") });

const block = z.strictObject({
  kind: z.literal("block"),
  path: z.string().min(1).describe("A file, which is made if it does not exist, or a block device."),
  io: z
    .enum(["sync", "threads"])
    .default("threads")
    .describe("sync: one call at a time, least work; threads: many in flight."),
  direct: z.boolean().default(false).describe("Past the page cache (O_DIRECT)."),
  zeroesBy: z
    .enum(["device", "writes"])
    .optional()
    .describe(
      "device: write zeroes and deallocate are the device's or file system's own; writes: zeros are written, and only 4MiB and more unmapped. Absent: device for a block device, writes for a file.",
    ),
});

export const target = z
  .discriminatedUnion("kind", [embedded, lightbits, linuxTarget, memory, block])
  .prefault({ kind: "embedded" })
  .describe("The system under test.");

/** Whether it can be crashed, cut off and slowed down: those that harrow starts itself. */
export function takesTrouble(one: z.input<typeof target>): boolean {
  const { kind = "embedded" } = one ?? {};
  return kind === "embedded" || (one?.kind === "linux" && one.transport === "vm");
}

/** For people, who asked for trouble of another one. */
export const whoTakesTrouble =
  "only the embedded target and Linux in a guest (transport: vm) can be put to trouble";
