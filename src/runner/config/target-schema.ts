/**
 * The systems under test that a configuration can name.
 *
 * @packageDocumentation
 */
import { z } from "zod";
import { duration } from "./units.ts";

/** The initiator's deadlines are as accurate as that. */
const commandTimeoutMsMin = 100;
const commandTimeout = duration
  .refine((ms) => ms >= commandTimeoutMsMin, "expected at least 100ms")
  .default(30_000)
  .describe("How long a command may take; then its connections are given up, and its outcome is unknown.");

const embedded = z.strictObject({
  kind: z.literal("embedded"),
  directory: z.string().min(1).optional().describe("Where volumes are kept; in memory if absent."),
  headerDigest: z.boolean().default(false),
  dataDigest: z.boolean().default(false),
  ioQueues: z.int().min(1).max(64).default(2).describe("I/O queues, one connection each."),
  queueDepth: z.int().min(2).max(1024).default(128),
  commandTimeout,
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
  volumes: z
    .array(z.uuid())
    .min(1)
    .optional()
    .describe("Volumes to use, as many as geometry.volumes; created and deleted if absent."),
  hostNqn: z.string().min(1).max(223).optional(),
  headerDigest: z.boolean().default(false),
  dataDigest: z.boolean().default(false),
  ioQueues: z.int().min(1).max(64).default(2),
  queueDepth: z.int().min(2).max(1024).default(128),
  commandTimeout,
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
});

export const target = z
  .discriminatedUnion("kind", [embedded, lightbits, memory, block])
  .prefault({ kind: "embedded" })
  .describe("The system under test.");
