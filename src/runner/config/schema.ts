/**
 * What a run is made of. Everything has a default; unknown keys are refused.
 *
 * The schema is the one description of the configuration: files are checked against it, `harrow config schema`
 * prints it for editors, and the rest of the program reads its output, where nothing is unset.
 *
 * @packageDocumentation
 */
import { z } from "zod";
import { operationsPerLtsMax } from "../../selectors/operations.ts";
import { duration, ratio, seed, size } from "./units.ts";

const weight = z.int().min(0).max(1_000_000);
const count = z.int().min(1);

const range = (most: number, defaults: { min: number; max: number }) =>
  z
    .strictObject({ min: count.max(most).default(defaults.min), max: count.max(most).default(defaults.max) })
    .refine(({ min, max }) => min <= max, "min is above max")
    .prefault({});

/** Each extent costs the run a few bytes, whether it is reached or not. */
const extentCountMax = 2 ** 26;
/** All buffers lie in one WebAssembly memory, of at most 4 GiB. */
const bufferBytesMax = 3 * 2 ** 30;
const windowSizeDefault = 16;

const geometry = z
  .strictObject({
    volumes: z.int().min(1).max(64).default(1).describe("How many volumes the history works on."),
    volumeSize: size.default(2 ** 30).describe("Size of each volume."),
    blockSize: z.literal([512, 4096]).default(4096).describe("Bytes per block: the namespace's LBA size."),
    extentSize: size.default(2 ** 20).describe("Consecutive bytes that one lts works on."),
  })
  .refine(({ volumeSize, blockSize }) => volumeSize % blockSize === 0 && volumeSize > 0, {
    path: ["volumeSize"],
    message: "expected a multiple of the block size",
  })
  .refine(({ extentSize, blockSize }) => extentSize % blockSize === 0 && extentSize > 0, {
    path: ["extentSize"],
    message: "expected a multiple of the block size",
  })
  .refine(({ extentSize }) => extentSize <= 64 * 2 ** 20, {
    path: ["extentSize"],
    message: "expected at most 64MiB",
  })
  .prefault({});

const window = z
  .strictObject({
    size: count
      .optional()
      .describe("Extents that are worked on in turns; 16, or all of them if there are fewer."),
    slideAfterRepeats: count.default(8).describe("Visits of each before the window slides by one."),
  })
  .prefault({});

const weights = z
  .strictObject({
    write: weight.default(70),
    writeFua: weight.default(5),
    writeZeroes: weight.default(8),
    deallocate: weight.default(8),
    deallocateTail: weight.default(2),
    deallocateExtent: weight.default(1),
    flush: weight.default(6),
  })
  .refine((all) => Object.values(all).some((one) => one > 0), "at least one kind needs a weight above 0")
  .describe("Relative weights of the operation kinds; 0 leaves a kind out.")
  .prefault({});

const operations = z
  .strictObject({
    batches: range(operationsPerLtsMax, { min: 1, max: 2 }).describe("Batches per lts, one after another."),
    perBatch: range(operationsPerLtsMax, { min: 1, max: 4 }).describe(
      "Operations of a batch, in flight together.",
    ),
    blocks: range(65_536, { min: 1, max: 64 }).describe("Blocks per operation."),
    weights,
  })
  .refine(({ batches, perBatch }) => batches.max * perBatch.max <= operationsPerLtsMax, {
    path: ["perBatch"],
    message: `batches times operations per batch is above ${operationsPerLtsMax}`,
  })
  .prefault({});

const content = z
  .strictObject({
    order: z
      .enum(["ascending", "descending"])
      .default("ascending")
      .describe("How sectors sort: as their descriptors, or reversed."),
    weights: z
      .strictObject({
        incompressible: weight.default(6),
        compressible: weight.default(1),
        text: weight.default(1),
      })
      .refine((all) => Object.values(all).some((one) => one > 0), "at least one kind needs a weight above 0")
      .prefault({}),
    compressionRatio: z
      .number()
      .min(1)
      .max(8)
      .default(2)
      .describe("What compressible content compresses to."),
  })
  .prefault({});

const snapshots = z
  .strictObject({
    every: z.int().min(0).default(1000).describe("lts between snapshots, on average; 0 takes none."),
    keep: count.max(1000).default(5).describe("Snapshots alive at a time, on average."),
    far: ratio.prefault("1/2").describe("Chance of a further diff with a snapshot farther back."),
    withoutBase: ratio.prefault("1/4").describe("Chance of a further diff without base."),
    deletedBase: ratio.prefault("1/4").describe("Chance of asking with a deleted base: it must be refused."),
  })
  .prefault({});

const checks = z
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
    rereads: z.int().min(1).max(100).default(3).describe("How often a wrong block is read again."),
  })
  .prefault({});

const embedded = z.strictObject({
  kind: z.literal("embedded"),
  directory: z.string().min(1).optional().describe("Where volumes are kept; in memory if absent."),
  headerDigest: z.boolean().default(false),
  dataDigest: z.boolean().default(false),
  ioQueues: z.int().min(1).max(64).default(1).describe("I/O queues, one connection each."),
  queueDepth: z.int().min(2).max(1024).default(128),
});

const lightbits = z.strictObject({
  kind: z.literal("lightbits"),
  endpoint: z.url({ protocol: /^https?$/ }).describe("The REST API, such as https://10.0.0.1:443."),
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
  ioQueues: z.int().min(1).max(64).default(1),
  queueDepth: z.int().min(2).max(1024).default(128),
});

const memory = z.strictObject({ kind: z.literal("memory") });

const target = z
  .discriminatedUnion("kind", [embedded, lightbits, memory])
  .prefault({ kind: "embedded" })
  .describe("The system under test.");

const runner = z
  .strictObject({
    kind: z.literal("sequential").default("sequential"),
    lts: z.int().min(1).optional().describe("Ends after so many lts."),
    duration: duration.optional().describe("Ends after so long; 60s if lts is absent too."),
    stopAfterViolations: count.max(10_000).default(1),
    stopAfterTargetErrors: count.max(10_000).default(10),
  })
  .prefault({});

export const configSchema = z
  .strictObject({
    seed: seed.optional().describe("64 bits that decide everything; drawn and printed if absent."),
    geometry,
    window,
    operations,
    content,
    snapshots,
    checks,
    runner,
    target,
    overwrite: z
      .boolean()
      .default(false)
      .describe("Use volumes even if they hold a file system, a partition table or another run's data."),
    failures: z.string().min(1).default("failures").describe("Directory in which failure folders are made."),
  })
  .superRefine((config, context) => {
    const { geometry: space, window: turns, operations: work } = config;
    const extents = space.volumes * Math.ceil(space.volumeSize / space.extentSize);
    const problem = (path: (string | number)[], message: string) =>
      context.addIssue({ code: "custom", path, message });
    if (extents > extentCountMax)
      problem(
        ["geometry", "extentSize"],
        `${extents} extents are too many: expected at most ${extentCountMax}; use larger extents`,
      );
    const bufferBytes = 5 * space.extentSize + work.perBatch.max * work.blocks.max * space.blockSize;
    if (bufferBytes > bufferBytesMax)
      problem(
        ["operations", "blocks", "max"],
        `${work.perBatch.max} operations of ${work.blocks.max} blocks and 5 extents need ${bufferBytes} bytes of buffers: expected at most ${bufferBytesMax}`,
      );
    if (turns.size !== undefined && turns.size > extents)
      problem(["window", "size"], `expected at most ${extents}, the number of extents`);
    const extentBlocks = space.extentSize / space.blockSize;
    if (work.blocks.max > extentBlocks)
      problem(["operations", "blocks", "max"], `expected at most ${extentBlocks}, the blocks of an extent`);
    if (config.snapshots.every === 1) problem(["snapshots", "every"], "expected 0 (none), or 2 and more");
  })
  .transform((config) => {
    const { volumes, volumeSize, extentSize } = config.geometry;
    const {
      size = Math.min(windowSizeDefault, volumes * Math.ceil(volumeSize / extentSize)),
      slideAfterRepeats,
    } = config.window;
    return { ...config, window: { size, slideAfterRepeats } };
  });

/** What people write. */
export type ConfigInput = z.input<typeof configSchema>;
/** What the program reads: everything is set, but for what is truly optional. */
export type Config = z.output<typeof configSchema>;
