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
import { checks } from "./checks-schema.ts";
import { takesTrouble, target, whoTakesTrouble } from "./target-schema.ts";
import { count, duration, ratio, seed, size } from "./units.ts";

const weight = z.int().min(0).max(1_000_000);

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
/** Reads beside the operations that can be in flight together, at least. */
const readBuffersMin = 4;
const targetErrorsDefault = 10;
const livenessLimitMsDefault = 120_000;

const geometry = z
  .strictObject({
    volumes: z.int().min(1).max(64).default(1).describe("How many volumes the history works on."),
    volumeSize: size.default(2 ** 30).describe("Size of each volume; at last, if volumes grow."),
    blockSize: z.literal([512, 4096]).default(4096).describe("Bytes per block: the namespace's LBA size."),
    extentSize: size.default(2 ** 20).describe("Consecutive bytes that one lts works on."),
    growth: z
      .strictObject({
        start: ratio.prefault("1/2").describe("Part of its size that a volume has at first."),
        every: count.default(1000).describe("lts between two steps."),
        steps: count.max(1000).default(4).describe("Steps until volumes have their full size."),
      })
      .optional()
      .describe("Volumes are made smaller and are resized while the run goes on; not at all if absent."),
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
    compareAndWrite: weight.default(3).describe("Fused; the compare is to hold."),
    compareAndWriteMiss: weight
      .default(1)
      .describe("Fused; the compare is to fail, and nothing to be written."),
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
    compareAndWriteBlocksMax: count
      .max(256)
      .default(1)
      .describe("Blocks of the longest compare-and-write; the target must take so many (ACWU)."),
    weights,
  })
  .refine(({ batches, perBatch }) => batches.max * perBatch.max <= operationsPerLtsMax, {
    path: ["perBatch"],
    message: `batches times operations per batch is above ${operationsPerLtsMax}`,
  })
  .prefault({});

const reads = z
  .strictObject({
    perLts: z
      .strictObject({
        min: z.int().min(0).max(operationsPerLtsMax).default(0),
        max: z.int().min(0).max(operationsPerLtsMax).default(1),
      })
      .refine(({ min, max }) => min <= max, "min is above max")
      .prefault({})
      .describe("Reads beside the operations of an lts, each of them checked."),
    preRead: ratio
      .prefault("1/16")
      .describe("Chance that blocks are read and checked just before an operation replaces them."),
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
    hot: ratio.prefault("1/2").describe("Chance that a snapshot is taken under load, not at rest."),
    clones: ratio
      .prefault("1/8")
      .describe("Chance of a clone after a snapshot; it is written to and checked."),
    rollback: ratio
      .prefault("0/1")
      .describe("Chance that the volumes go back to a snapshot after one is taken."),
    syncEvery: z
      .int()
      .min(0)
      .default(0)
      .describe("Every so many snapshots a copy is brought up to date by the diff alone; 0 for none."),
  })
  .prefault({});

const faultEvery = count.describe("lts between two, on average.");

const faults = z
  .strictObject({
    crash: z
      .strictObject({ every: faultEvery })
      .optional()
      .describe("The target is killed and started again."),
    resetConnections: z.strictObject({ every: faultEvery }).optional(),
    cutConnections: z
      .strictObject({
        every: faultEvery,
        durationMs: range(60_000, { min: 50, max: 500 }),
      })
      .optional()
      .describe("Connections are reset, and none can be made for a while."),
    slow: z
      .strictObject({
        every: faultEvery,
        delayMs: range(10_000, { min: 1, max: 20 }),
        ltsCount: range(1_000_000, { min: 10, max: 100 }),
      })
      .refine(({ every, ltsCount }) => ltsCount.max <= every / 2, {
        path: ["ltsCount", "max"],
        message: "expected at most half of every",
      })
      .optional()
      .describe("Whatever arrives at the target is late, for some lts."),
  })
  .prefault({})
  .describe("Trouble that the embedded target, or Linux in a guest, is put to; none if absent.");

const bounds = {
  lts: z.int().min(1).optional().describe("Ends after so many lts."),
  duration: duration.optional().describe("Ends after so long."),
  bytes: size.optional().describe("Ends after so many bytes were written."),
};

const load = {
  depth: count.max(4096).default(32).describe("lts in flight together; a sequential runner has one."),
  overlap: z
    .enum(["wait", "allow"])
    .default("wait")
    .describe("Whether operations on the same blocks wait for each other, or may be in flight together."),
};

const stage = z.strictObject({ kind: z.enum(["sequential", "concurrent"]), ...load, ...bounds });

const runner = z
  .strictObject({
    kind: z
      .enum(["sequential", "concurrent", "chain", "staged"])
      .default("concurrent")
      .describe(
        "chain: one stage after another; staged: again and again, until a bound of the whole is met.",
      ),
    ...load,
    stages: z
      .array(stage)
      .min(1)
      .max(100)
      .optional()
      .describe("Of a chain or staged runner; each with a bound."),
    ...bounds,
    stopAfterViolations: count.max(10_000).default(1),
    stopAfterTargetErrors: count
      .max(1_000_000)
      .optional()
      .describe("Operations that the target may fail; 10, or any number if faults are brought about."),
  })
  .superRefine(({ kind, stages, lts, duration: time, bytes }, context) => {
    const problem = (path: (string | number)[], message: string) =>
      context.addIssue({ code: "custom", path, message });
    const hasStages = kind === "chain" || kind === "staged";
    if (hasStages && stages === undefined) problem(["stages"], `expected, as kind is ${kind}`);
    if (!hasStages && stages !== undefined) problem(["stages"], "expected only if kind is chain or staged");
    if (!hasStages || stages === undefined) return;
    const isEndless = (one: { lts?: unknown; duration?: unknown; bytes?: unknown }) =>
      one.lts === undefined && one.duration === undefined && one.bytes === undefined;
    for (const [index, one] of stages.entries())
      if (isEndless(one) && (kind === "staged" || index < stages.length - 1))
        problem(["stages", index], "expected a bound: lts, duration or bytes");
    if (kind === "staged" && isEndless({ lts, duration: time, bytes }))
      problem([], "a staged runner needs a bound of the whole: lts, duration or bytes");
  })
  .prefault({});

const percent = z.number().min(0).max(100);

const floors = z
  .strictObject({
    lastVersions: percent.optional().describe("Percent of blocks whose newest version is proven."),
    versions: percent
      .optional()
      .describe("Percent of all versions that were proven before they were replaced."),
    snapshots: z.int().min(0).optional().describe("Snapshots taken."),
    diffs: z.int().min(0).optional().describe("Diffs proven."),
    reads: z.int().min(0).optional().describe("Reads checked beside the operations."),
  })
  .prefault({})
  .describe("Coverage below any of these ends the run with exit code 4.");

export const configSchema = z
  .strictObject({
    seed: seed.optional().describe("64 bits that decide everything; drawn and printed if absent."),
    geometry,
    window,
    operations,
    reads,
    content,
    snapshots,
    faults,
    checks,
    floors,
    runner,
    target,
    overwrite: z
      .boolean()
      .default(false)
      .describe("Use volumes even if they hold a file system, a partition table or another run's data."),
    record: z
      .enum(["auto", "always", "never"])
      .default("auto")
      .describe("Whether the run is kept on disk, to be resumed; auto: if its target outlives it."),
    runs: z.string().min(1).default("runs").describe("Directory in which runs are kept."),
    failures: z.string().min(1).default("failures").describe("Directory in which failure folders are made."),
    dump: z
      .enum(["blocks", "image"])
      .default("blocks")
      .describe(
        "What a failure folder keeps: the blocks concerned, or beside them sparse images of the volumes and snapshots.",
      ),
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
    const bufferBytes =
      5 * space.extentSize + (work.perBatch.max + readBuffersMin) * work.blocks.max * space.blockSize;
    if (bufferBytes > bufferBytesMax)
      problem(
        ["operations", "blocks", "max"],
        `${work.perBatch.max + readBuffersMin} operations of ${work.blocks.max} blocks and 5 extents need ${bufferBytes} bytes of buffers: expected at most ${bufferBytesMax}`,
      );
    if (work.compareAndWriteBlocksMax > work.blocks.max)
      problem(
        ["operations", "compareAndWriteBlocksMax"],
        `expected at most ${work.blocks.max}, the most blocks of an operation`,
      );
    const { faults, target, snapshots, checks } = config;
    if (Object.values(faults).some((one) => one !== undefined) && !takesTrouble(target))
      problem(["faults"], `${whoTakesTrouble}, not kind ${target.kind}`);
    else if (faults.crash !== undefined && target.kind === "embedded" && target.directory === undefined)
      problem(
        ["faults", "crash"],
        "a target that keeps its volumes in memory does not come back: set target.directory",
      );
    if (target.kind === "embedded" && target.volatileCache && target.directory === undefined)
      problem(["target", "volatileCache"], "a cache before memory has nothing to lose: set target.directory");
    if (checks.secondVolume && snapshots.rollback.numerator > 0)
      problem(
        ["checks", "secondVolume"],
        "a second volume is not rolled back: set snapshots.rollback to 0/1",
      );
    if (target.kind === "block" && space.volumes > 1)
      problem(["geometry", "volumes"], "a block target has one volume");
    if (target.kind === "block" && (space.growth !== undefined || checks.secondVolume))
      problem(["target", "kind"], "a block target neither grows nor has a second volume");
    if (
      checks.livenessLimit !== undefined &&
      "commandTimeout" in target &&
      checks.livenessLimit <= target.commandTimeout
    )
      problem(
        ["checks", "livenessLimit"],
        `expected more than target.commandTimeout, ${target.commandTimeout} ms: who has time-outs is to settle first`,
      );
    if (config.runner.overlap === "allow" && config.runner.kind === "sequential")
      problem(["runner", "overlap"], "a sequential runner has nothing that could overlap");
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
    const isTroubled = Object.values(config.faults).some((one) => one !== undefined);
    const stopAfterTargetErrors =
      config.runner.stopAfterTargetErrors ?? (isTroubled ? 1_000_000 : targetErrorsDefault);
    const commandTimeoutMs = "commandTimeout" in config.target ? config.target.commandTimeout : 0;
    const { livenessLimit = Math.max(livenessLimitMsDefault, 4 * commandTimeoutMs) } = config.checks;
    return {
      ...config,
      window: { size, slideAfterRepeats },
      checks: { ...config.checks, livenessLimit },
      runner: { ...config.runner, stopAfterTargetErrors },
      // A file or a device alone has no snapshots to take.
      snapshots: config.target.kind === "block" ? { ...config.snapshots, every: 0 } : config.snapshots,
    };
  });

/** What people write. */
export type ConfigInput = z.input<typeof configSchema>;
/** What the program reads: everything is set, but for what is truly optional. */
export type Config = z.output<typeof configSchema>;
