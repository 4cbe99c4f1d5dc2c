/**
 * The commands for what a failure leaves behind, as the command line has them.
 *
 * @packageDocumentation
 */
import { type Command, Option } from "commander";
import { type ExplainFlags, explain } from "./explain.ts";
import { type NarrowFlags, narrowDump } from "./narrow.ts";
import { type CommandContext, count, logJson, logLevel } from "./options.ts";
import { type ReproduceFlags, reproduce } from "./reproduce.ts";
import { type ScanFlags, scanVolume } from "./scan.ts";
import { type ShrinkFlags, shrinkDump } from "./shrink.ts";

export function addFailureCommands(program: Command, context: CommandContext): void {
  addReproduce(program, context);
  addShrink(program, context);
  addExplain(program, context);
  addNarrow(program, context);
  addScan(program, context);
}

function addReproduce(program: Command, context: CommandContext): void {
  program
    .command("reproduce")
    .description("bring a failure about again: afresh, from its image, or on the target that it was found on")
    .argument("<folder>", "the failure folder")
    .option("--tries <count>", "how often it is run afresh", count, 10)
    .option("--image", "judge again what the folder holds: image, bytes and answers; nothing is run")
    .option("--live", "judge again what the target holds now; only read, nothing is run")
    .option("--afresh", "run it again from its start, which is done if nothing else is said")
    .addOption(targetOption())
    .addOption(allowEdited())
    .option("--json", "print one JSON object")
    .addOption(logLevel())
    .addOption(logJson())
    .addHelpText(
      "after",
      "\nExit codes: 0 nothing is wrong any more, 1 a violation again, 2 bad usage or a damaged folder, 3 the target failed or nobody can tell, 130 interrupted.",
    )
    .action(async (folder: string, flags: ReproduceFlags) => {
      process.exitCode = await reproduce({ folder, flags, ...context });
    });
}

function addShrink(program: Command, context: CommandContext): void {
  program
    .command("shrink")
    .description("cut the history of a failure down to what it takes, and write it as a test")
    .argument("<folder>", "the failure folder; what is found goes into its folder shrunk/")
    .addOption(targetOption())
    .option("--duration <time>", "stop after so long, with the smallest so far", "10min")
    .option(
      "--tries <count>",
      "how often one history is performed at most, if it fails only sometimes",
      count,
      100,
    )
    .option("--afresh", "start over, not where an earlier shrink was stopped")
    .addOption(allowEdited())
    .option("--json", "print one JSON object")
    .addOption(logLevel())
    .addOption(logJson())
    .addHelpText(
      "after",
      "\nExit codes: 0 done, 1 the failure did not come back, 2 bad usage or a damaged folder, 130 interrupted: the same command goes on.",
    )
    .action(async (folder: string, flags: ShrinkFlags) => {
      process.exitCode = await shrinkDump({ folder, flags, ...context });
    });
}

function addExplain(program: Command, { version }: CommandContext): void {
  program
    .command("explain")
    .description("tell the life of a block: what touched it, what it may hold, and why nothing else")
    .argument("[folder]", "a failure folder, or the directory of a run; none with --config and --seed")
    .option(
      "--block <block>",
      "counted from the start of the volume; the one that was found wrong if left out",
    )
    .option("--volume <volume>", "its number")
    .option("--snapshot <snapshot>", "as this snapshot shows it, by number")
    .option("--last <count>", "so many events, the newest")
    .option("--drawing", "draw operations against time, whatever is wrong")
    .option("--config <conf.yml>", "explain from a configuration, without any run")
    .option("--seed <seed>", "with --config: decimal or 0x…")
    .option("--lts <count>", "with --config: as of so many lts")
    .addOption(allowEdited())
    .option("--json", "print one JSON object")
    .addHelpText("after", "\nExit codes: 0 told, 2 bad usage, or a folder that can not be used.")
    .action(async (path: string | undefined, flags: ExplainFlags) => {
      process.exitCode = await explain({ path, flags, version });
    });
}

function addNarrow(program: Command, context: CommandContext): void {
  program
    .command("narrow")
    .description(
      "run the history of a failure again with one thing switched off at a time, and table what it needs",
    )
    .argument("<folder>", "the failure folder")
    .addOption(targetOption())
    .option("--tries <count>", "runs of each, where a run may end otherwise the next time", count, 3)
    .option("--duration <time>", "stop after so long", "10min")
    .addOption(allowEdited())
    .option("--json", "print one JSON object")
    .addOption(logLevel())
    .addOption(logJson())
    .addHelpText(
      "after",
      "\nExit codes: 0 the table is made, 1 the failure did not come back, 2 bad usage or a damaged folder, 130 interrupted.",
    )
    .action(async (folder: string, flags: NarrowFlags) => {
      process.exitCode = await narrowDump({ folder, flags, ...context });
    });
}

function addScan(program: Command, { version, signal }: CommandContext): void {
  program
    .command("scan")
    .description("say of every block of a volume what it holds, from the seed and no other state")
    .argument(
      "<target>",
      "a file, image or block device, or nvme-tcp://host:port/<subsystem NQN>[?nsid=N]; only read",
    )
    .option("--seed <seed>", "of the run that wrote it, decimal or 0x…")
    .option("--config <conf.yml>", "the configuration of that run; the defaults if left out")
    .option(
      "--run <dir>",
      "a run directory or failure folder: seed, configuration, and what was in doubt or undone",
    )
    .option("--volume <volume>", "which volume of the run it is; found from the content if left out")
    .option("--snapshot <snapshot>", "with --run: it shows this snapshot, by number")
    .option("--lts <lts>", "as of which lts; that of the newest write found if left out")
    .option("--blocks <range>", "only these, such as 0..4095")
    .option("--limit <count>", "findings that are listed", "20")
    .option("--map", "draw the volume, a character for each stretch")
    .option("--json", "print one JSON object")
    .addOption(logLevel())
    .addOption(logJson())
    .addHelpText(
      "after",
      "\nExit codes: 0 nothing is wrong, 1 something is, 2 bad usage, 3 the device failed, 130 interrupted.",
    )
    .action(async (target: string, flags: ScanFlags) => {
      process.exitCode = await scanVolume({ target, flags, version, signal });
    });
}

function targetOption(): Option {
  return new Option(
    "--target <kind>",
    "what to run it on, each time afresh: memory, embedded, or the target of its configuration; as it was found if left out",
  ).choices(["memory", "embedded", "configured"]);
}

function allowEdited(): Option {
  return new Option("--allow-edited", "take run.yml as it is, though it was edited since");
}
