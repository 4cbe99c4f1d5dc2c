/**
 * `failure.json`: the one file of a failure folder that says what all the others are.
 *
 * The schema here is the only description of it; `docs/failure.schema.json` is made from it. The file ends with a hash
 * of itself, so that whoever reads it knows whether it is as it was written; of every other file that is read again it
 * has size and hash.
 *
 * @packageDocumentation
 */
import { createHash } from "node:crypto";
import { parse } from "yaml";
import { z } from "zod";
import { faultClasses, type Rule, type Violation } from "../model/violation.ts";
import { operationKinds } from "../selectors/operations.ts";

/** The format that is written and read. */
export const dumpFormat = 1;

/** Names of files, as people know them. */
export const fileNames = {
  failure: "failure.json",
  config: "run.yml",
  history: "history.txt",
  text: "failure.txt",
  model: "model",
  memory: "model/run.sqlite",
  operations: "operations.sqlite",
  images: "image",
} as const;

const rules = [
  "visible",
  "quiescent",
  "exhaustive",
  "snapshot",
  "cut",
  "diff",
  "sync",
  "clone",
  "durability",
  "compare",
  "size",
  "second-volume",
  "liveness",
] as const satisfies readonly Rule[];

const count = z.int().min(0);
/** A target that answers nonsense may have parts of blocks. */
const number = z.number().min(0);
/** −1 before the first. */
const lts = z.int().min(-1);
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const time = z.iso.datetime();
const uuid = z.string().min(1).max(4096);

const reference = z.object({
  lts: count,
  operationId: count.max(254),
  kind: z.enum(operationKinds),
  block: count,
  blockCount: count,
});

const judged = z.object({
  place: z.enum(["volume", "snapshot", "clone", "copy"]).describe("Where the bytes are from."),
  pd: count,
  firstBlock: count.describe("First block of the range, counted from the start of the extent."),
  bytes: z
    .string()
    .regex(/^range-\d+\.bin$/)
    .describe("File with all that was read together."),
  block: count.describe("The wrong block, counted from the start of the extent."),
  snapshot: count.exactOptional(),
  ltsMax: lts.exactOptional(),
  isLive: z.boolean(),
  provenBefore: z.boolean(),
  wasProven: z.boolean(),
});

const exhibit = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("block"),
    found: z
      .string()
      .regex(/^observed-\d+\.bin$/)
      .describe("File with the block as it was found."),
    reread: z
      .string()
      .regex(/^reread-\d+\.bin$/)
      .exactOptional()
      .describe("File with the block as it was read again, the last time."),
    allowed: z
      .array(z.number())
      .describe(
        "States that it may be in: p for data of position p, -p for zeros made at p, 0 if untouched.",
      ),
    contentVolume: count.exactOptional().describe("Whose content the states have, if not the volume's."),
    expected: z
      .array(z.string().regex(/^expected-\d+-\d+\.bin$/))
      .max(4)
      .describe("Files with the bytes of the first of these states."),
    judged: judged.exactOptional(),
  }),
  z.object({
    kind: z.literal("diff"),
    answers: z
      .string()
      .regex(/^diff-\d+\.json$/)
      .describe("File with the question and its answers."),
  }),
]);

const violation = z.object({
  rule: z.enum(rules),
  class: z.enum(faultClasses),
  summary: z.string(),
  volume: count,
  block: number,
  blockCount: number,
  snapshot: count.exactOptional(),
  base: count.exactOptional(),
  ltsMax: lts,
  expected: z.string(),
  observed: z.string(),
  operations: z.array(
    z.object({ ...reference.shape, role: z.enum(["expected", "observed", "touched", "missing"]) }),
  ),
  rereads: z.enum(["same", "healed", "changing", "failed"]).exactOptional(),
}) satisfies z.ZodType<Violation>;

const operation = z.object({ ...reference.shape, volume: count });

const target = z.object({
  description: z.string(),
  kind: z.enum(["embedded", "lightbits", "linux", "memory", "block"]),
  isLasting: z.boolean(),
  diffCapabilities: z
    .object({ granularityBlocks: count.min(1), chunkBlocks: count.min(1) })
    .exactOptional()
    .describe("What its diffs promise; absent if it has none."),
  volumes: z.array(
    z.object({
      uuid,
      isCreated: z.boolean().describe("By the run."),
      secondUuid: uuid.exactOptional(),
      identity: z.object({ name: z.string(), uuid: z.string().exactOptional(), nsid: count.exactOptional() }),
      capabilities: z.object({
        blockSizeBytes: count.min(1),
        transferBlocksMax: count,
        atomicWriteBlocks: count,
        atomicWriteBlocksPowerFail: count,
        volatileWriteCache: z.boolean(),
        deallocatedReads: z.enum(["zeros", "ones", "unreported"]),
        writeZeroes: z.boolean(),
        deallocate: z.boolean(),
        compare: z.boolean(),
        compareAndWriteBlocksMax: count,
      }),
      blockCount: count.describe("When the run was over."),
    }),
  ),
});

const image = z.object({
  file: z.string().regex(/^image\/(volume-\d+|snapshot-\d+-\d+)\.img$/),
  volume: count,
  snapshot: count.exactOptional().describe("Absent if it shows the volume when the run was over."),
  unread: z
    .array(z.object({ block: count, blockCount: count }))
    .describe("Blocks that could not be read, and are zeros in the image."),
});

const clock = z.object({
  pointsMax: count,
  keepEvery: count,
  recordsSinceKept: count,
  points: z.array(z.tuple([count, z.number()])).describe("[lts, milliseconds since 1970], ascending."),
});

export const failureSchema = z.object({
  format: z.literal(dumpFormat),
  version: z.string().describe("Of harrow."),
  seed: z.string().regex(/^0x[0-9a-f]{1,16}$/),
  name: z.string().describe("What the run's objects on the target are called."),
  isComplete: z.boolean().describe("Written when the run was over; otherwise the process ended before."),
  startedAt: time,
  failedAt: time.describe("The first violation."),
  ltsCount: count.describe("lts that were begun."),
  ltsStartedMax: lts.describe("Highest lts with operations begun; -1 before."),
  ltsCompleteMax: lts.describe("Highest lts at and below which everything is complete; -1 before."),
  lastEvent: count.describe("Number of the latest event of the tracker."),
  history: z.enum(["drawn", "written"]).describe("From the seed, or in history.txt."),
  historyDigest: sha256.describe("Equal for equal histories."),
  configDigest: sha256.describe("Of what run.yml says, but for where it is bounded."),
  bug: z
    .object({
      class: z.string(),
      seed: z.string().regex(/^\d{1,20}$/),
      isEager: z.boolean(),
      setting: z.enum(["memory", "jittery", "embedded"]),
    })
    .exactOptional()
    .describe("The mistake that the target made on purpose."),
  target,
  inFlight: z.array(operation).describe("Operations under way when the first violation was found."),
  inDoubt: z.array(operation).describe("Operations whose outcome was unknown then."),
  unexplainedCount: count.describe("Wrong blocks that were found beyond those explained."),
  violations: z.array(z.object({ ...violation.shape, exhibit: exhibit.exactOptional() })).min(1),
  images: z.array(image),
  missing: z.array(z.string()).describe("What could not be dumped, in words."),
  clock: clock.describe("When lts began."),
  files: z
    .record(z.string(), z.object({ bytes: count, sha256 }))
    .describe("Files that are read again, as they were written."),
  sha256: sha256.describe("Of this file, with this value empty."),
});

export type FailureJson = z.output<typeof failureSchema>;
export type ExhibitJson = z.output<typeof exhibit>;
export type UnsignedFailure = Omit<FailureJson, "format" | "sha256">;

/** JSON Schema of `failure.json`. */
export function failureJsonSchema(): object {
  return z.toJSONSchema(failureSchema, { io: "input" });
}

/** The text of `failure.json`. */
export function failureText(failure: UnsignedFailure): string {
  const textWith = (hash: string): string =>
    `${prettyJson({ format: dumpFormat, ...failure, sha256: hash })}\n`;
  return textWith(hashOf(textWith("")));
}

/** Whether the text of `failure.json` is as {@link failureText} gave it. */
export function isAsWritten(text: string): boolean {
  const found = /"sha256": "([0-9a-f]{64})"\n\}\n$/.exec(text);
  if (found === null) return false;
  return hashOf(`${text.slice(0, found.index)}"sha256": ""\n}\n`) === found[1];
}

/**
 * A hash of what a `run.yml` says, whatever its comments, and wherever it is bounded.
 *
 * @throws {Error} If it is no YAML.
 */
export function configDigestOf(yaml: string): string {
  const { runner, ...rest } = parse(yaml) as { readonly runner?: Record<string, unknown> };
  const { lts: _lts, duration: _duration, ...unbounded } = runner ?? {};
  return hashOf(JSON.stringify([rest, unbounded]));
}

export function hashOf(content: string | Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

/** Pairs of numbers are kept on one line. */
function prettyJson(value: unknown): string {
  return JSON.stringify(value, null, 2).replaceAll(
    /\[\n\s+(-?[\d.e+-]+),\n\s+(-?[\d.e+-]+)\n\s+\]/g,
    "[$1, $2]",
  );
}
