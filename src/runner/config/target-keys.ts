/**
 * Keys that several kinds of targets have.
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

/** Keys of the NVMe/TCP initiator. */
export const initiator = {
  headerDigest: z.boolean().default(false),
  dataDigest: z.boolean().default(false),
  ioQueues: z.int().min(1).max(64).default(2).describe("I/O queues, one connection each."),
  queueDepth: z.int().min(2).max(1024).default(128),
  commandTimeout,
};
export const quiesceTime = duration
  .default(1_000)
  .describe(
    "How long after a lost connection the target may still apply what was sent over it; only then what is read is final.",
  );
export const hostNqn = z.string().min(1).max(223).optional();

export const volumes = z
  .array(z.uuid())
  .min(1)
  .optional()
  .describe("Volumes to use, as many as geometry.volumes; created and deleted if absent.");
export const devices = z
  .array(z.string().min(1))
  .min(1)
  .optional()
  .describe(
    "Block devices by which this host's kernel has attached the volumes, in the order of target.volumes: data then goes through them, with O_DIRECT.",
  );
