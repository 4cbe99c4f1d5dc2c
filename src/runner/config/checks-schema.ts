/**
 * Which checks a run makes, and how often.
 *
 * What a check needs of the rest of the configuration is in `schema.ts`, and so is what depends on the target.
 *
 * @packageDocumentation
 */
import { z } from "zod";
import { count, duration } from "./units.ts";

const livenessLimitMsMin = 100;

export const checks = z
  .strictObject({
    recent: z
      .strictObject({
        every: z.int().min(0).default(50).describe("lts between checks; 0 for never."),
        extents: count.default(4).describe("The extents visited last."),
      })
      .prefault({}),
    sample: z
      .strictObject({
        every: z.int().min(0).default(200),
        extents: count.default(4).describe("Extents drawn from all that were reached."),
      })
      .prefault({}),
    all: z
      .strictObject({
        every: z.int().min(0).default(0),
        atEnd: z.boolean().default(true).describe("All extents reached, when the run ends."),
      })
      .prefault({}),
    snapshots: z
      .strictObject({
        extents: z
          .union([z.int().min(0), z.literal("all")])
          .default(32)
          .describe(
            "Extents read from a snapshot when it is taken, and again before it is deleted; 0 for none.",
          ),
        atEnd: z.boolean().default(true).describe("All extents of each snapshot alive when the run ends."),
      })
      .prefault({}),
    diffs: z
      .strictObject({
        enabled: z.boolean().default(true),
        precision: z
          .enum(["exact", "covering"])
          .default("covering")
          .describe("exact: all that was written is reported, changed or not; covering: all that differs."),
      })
      .prefault({}),
    exhaustive: z
      .boolean()
      .default(true)
      .describe(
        "Reads under load are judged by all that could have happened; if off, by visible blocks alone.",
      ),
    visible: z
      .strictObject({
        every: z
          .int()
          .min(0)
          .default(0)
          .describe("lts between looks at extents that nobody holds still; 0 for never."),
        extents: count.default(4),
        stateful: z
          .boolean()
          .default(true)
          .describe("Asks the tracker, and remembers what each block has shown."),
      })
      .prefault({}),
    changed: z
      .boolean()
      .default(true)
      .describe("After a resize or a rollback, what it has changed is read, and a sample of the rest."),
    cut: z.boolean().default(true).describe("A hot snapshot is one instant."),
    compare: z.boolean().default(true).describe("Compare-and-write succeeds and fails as it should."),
    clones: z.boolean().default(true),
    sync: z.boolean().default(true).describe("A copy made by the diff equals the snapshot."),
    durability: z
      .boolean()
      .default(true)
      .describe("After a crash, what was at stake is read: durable operations, acknowledged snapshots."),
    secondVolume: z
      .boolean()
      .default(false)
      .describe("Each volume has a second one, which takes every operation too and must equal it."),
    liveness: z
      .boolean()
      .default(true)
      .describe("Every operation completes in time, unless the target was put to trouble."),
    livenessLimit: duration
      .refine((ms) => ms >= livenessLimitMsMin, "expected at least 100ms")
      .optional()
      .describe(
        "What has not settled for so long ends the run; 2min, or four times target.commandTimeout if that is more.",
      ),
    rereads: z.int().min(1).max(100).default(3).describe("How often a wrong block is read again."),
  })
  .prefault({});
