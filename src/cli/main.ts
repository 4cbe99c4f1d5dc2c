#!/usr/bin/env node
/**
 * The command line.
 *
 * @packageDocumentation
 */
import { readFileSync } from "node:fs";
import { Command, CommanderError, Option } from "commander";
import { checkConfigs, printSchema, showConfig } from "./config-commands.ts";
import { exitCodes } from "./exit-codes.ts";
import { type DemoFlags, demo } from "./demo.ts";
import { type GalleryFlags, gallery } from "./gallery.ts";
import { addFailureCommands } from "./failure-commands.ts";
import { bugText, type FuzzFlags, fuzz } from "./fuzz.ts";
import { anySeed, cacheSeed, count, logJson, logLevel, port } from "./options.ts";
import { type RunFlags, runHistory } from "./run.ts";
import { type ServeFlags, serve } from "./serve.ts";
import { addSuiteCommands } from "./suite-commands.ts";
import { addVmCommands } from "./vm-commands.ts";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

/** Aborted by the first SIGINT or SIGTERM; the second ends the process at once. */
const stop = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const)
  process.on(name, () => {
    if (stop.signal.aborted) process.exit(exitCodes.interrupted);
    stop.abort();
  });

const serveCommand = [process.execPath, ...process.execArgv, process.argv[1]!, "serve"];

// A reader that closed its end has seen enough; any other error here has nobody left to tell. A target whose parent
// is gone ends in order all the same: what it has in its cache was promised to survive that.
const isTarget = process.argv[2] === "serve";
for (const stream of [process.stdout, process.stderr])
  stream.on("error", () => (isTarget ? stop.abort() : process.exit()));
for (const event of ["uncaughtException", "unhandledRejection"] as const)
  process.on(event, (error: unknown) => {
    process.stderr.write(bugText(error));
    process.exit(exitCodes.usage);
  });

const program = new Command("harrow")
  .description(
    "Writes a seeded workload to block volumes and proves what volumes, snapshots and their diffs must hold.",
  )
  .version(version)
  .exitOverride()
  .configureHelp({ showGlobalOptions: true })
  .showHelpAfterError("(harrow --help tells more)");

program
  .command("fuzz")
  .description("run a workload and check it; the embedded target if nothing else is said")
  .argument("[conf.yml]", "configuration; every key has a default")
  .option("--seed <seed>", "64 bits that decide everything, decimal or 0x…; drawn and printed if absent")
  .option("--duration <time>", "end after so long, such as 90s, 5min or 8h")
  .option("--lts <count>", "end after so many logical timestamps")
  .option("--target <kind>", "embedded or memory, in place of the configuration's target; others need a file")
  .option("--directory <dir>", "where the embedded target keeps its volumes; in memory if absent")
  .option("--overwrite", "use volumes even if they hold data, which is destroyed")
  .option("--resume <run>", "go on with a run that was interrupted or killed, from its directory")
  .option("--record <when>", "keep the run on disk, to be resumed: auto, always or never")
  .option("--runs <dir>", "where runs are kept (runs)")
  .option("--failures <dir>", "where failure folders are made (failures)")
  .option("--json", "print one JSON object, and no progress")
  .option("--quiet", "show no progress")
  .addOption(logLevel())
  .addOption(logJson())
  .addHelpText(
    "after",
    "\nExit codes: 0 consistent, 1 violation, 2 bad usage or configuration, 3 the target failed, 4 coverage below its floor, 130 interrupted.",
  )
  .action(async (file: string | undefined, flags: FuzzFlags) => {
    process.exitCode = await fuzz({ file, flags, version, serveCommand, signal: stop.signal });
  });

program
  .command("run")
  .description(
    "perform a history that was written by hand, and check it; on the embedded target if nothing else is said",
  )
  .argument("<file.history>", "the history, as text")
  .addOption(
    new Option("--target <kind>", "in place of the configuration's target; others need a file").choices([
      "embedded",
      "memory",
    ]),
  )
  .option("--config <conf.yml>", "take target, overwrite, failures, dump and checks of this configuration")
  .option("--bug <class>", "have the embedded target make the mistake of a class of the gallery, such as M42")
  .addOption(new Option("--bug-seed <seed>", "decides where and when it is made (0)").argParser(anySeed))
  .option("--bug-eager", "make it whenever it can be made, not only now and then")
  .option("--overwrite", "use volumes even if they hold data, which is destroyed")
  .option("--failures <dir>", "where failure folders are made (failures)")
  .option("--json", "print one JSON object")
  .addOption(logLevel())
  .addOption(logJson())
  .addHelpText(
    "after",
    "\nExit codes: 0 consistent, 1 violation, 2 bad usage, history or configuration, 3 the target failed, 130 interrupted.",
  )
  .action(async (file: string, flags: RunFlags) => {
    process.exitCode = await runHistory({ file, flags, version, serveCommand, signal: stop.signal });
  });

program
  .command("serve")
  .description("serve thin volumes with snapshots over NVMe/TCP, controlled over REST")
  .option("--host <address>", "address of both servers; any but loopback needs a token", "127.0.0.1")
  .option("--nvme-port <port>", "port of the NVMe/TCP target; 0 lets the system choose", port, 0)
  .option("--api-port <port>", "port of the REST control plane; 0 lets the system choose", port, 0)
  .option(
    "--advertise <address[:port]>",
    "what NVMe discovery names; for hosts that reach the target by another address than its own",
  )
  .option("--directory <dir>", "where volumes are kept; in memory if absent")
  .option("--volatile-cache", "keep unflushed writes in this process's memory, where kill -9 loses them")
  .addOption(
    new Option("--volatile-cache-seed <seed>", "decides which of them it loses, 0 to 4294967295 (0)")
      .argParser(cacheSeed)
      .implies({ volatileCache: true }),
  )
  .option("--token-env <name>", "environment variable with the bearer token that the control plane asks for")
  .option(
    "--bug <class>",
    "make the mistake of a class of the gallery, such as M42; see harrow gallery --list",
  )
  .addOption(new Option("--bug-seed <seed>", "decides where and when it is made (0)").argParser(anySeed))
  .option("--bug-eager", "make it whenever it can be made, not only now and then")
  .option("--diff-page-ranges <count>", "most ranges in one page of a diff (10000)", count)
  .option(
    "--csi-port <port>",
    "also serve diffs over gRPC as a CSI driver does, on this port; 0 lets the system choose",
    port,
  )
  .addOption(
    new Option("--csi-style <style>", "tuples of one block each, or of any length")
      .choices(["fixed", "variable"])
      .default("fixed"),
  )
  .option("--exit-with-parent", "end when standard input closes; its lines bring about faults")
  .addOption(logLevel())
  .addOption(logJson())
  .action(async (flags: ServeFlags) => {
    process.exitCode = await serve(flags, { version, signal: stop.signal });
  });

program
  .command("gallery")
  .description("show fault classes to the checkers, and print who noticed them")
  .argument("[class...]", "such as M16; all of them if none is named")
  .option(
    "--seeds <count>",
    "runs of each class, each with the fault, without it, and with nobody looking",
    count,
    3,
  )
  .option("--seed <seed>", "the first seed", anySeed, 1n)
  .option("--list", "only say what there is")
  .option("--failures <dir>", "leave a failure folder of each class, with an image, in this directory")
  .option("--json", "print one JSON object")
  .option("--markdown", "print the table of the README")
  .addHelpText(
    "after",
    "\nExit codes: 0 all as promised, 1 a class survived, had another name, or was found where nothing should be, 2 bad usage, 130 interrupted.",
  )
  .action(async (classes: string[], flags: GalleryFlags) => {
    process.exitCode = await gallery(classes, flags, { version, serveCommand, signal: stop.signal });
  });

program
  .command("demo")
  .description("show what harrow does")
  .command("corruption")
  .description("bring about one fault class on a real target, and show how it is found")
  .argument("[class]", "such as M09; M16, a lost write, if none is named")
  .option("--seed <seed>", "decides history and fault", anySeed, 1n)
  .option("--config <conf.yml>", "take the target of this configuration; for classes that lie at the port")
  .option("--failures <dir>", "where the failure folder is made", "failures")
  .addOption(logLevel().default("error"))
  .addOption(logJson())
  .addHelpText(
    "after",
    "\nExit codes: 0 found, and nothing without the fault, 1 not so, 2 bad usage, 130 interrupted.",
  )
  .action(async (id: string | undefined, flags: DemoFlags) => {
    process.exitCode = await demo({ id, flags, version, serveCommand, signal: stop.signal });
  });

addSuiteCommands(program, { version, serveCommand, signal: stop.signal });
addVmCommands(program, { version, serveCommand, signal: stop.signal });
addFailureCommands(program, { version, serveCommand, signal: stop.signal });

const config = program.command("config").description("check, show or describe configurations");
config
  .command("check")
  .description("say whether files can be used, every problem with line and column")
  .argument("<conf.yml...>")
  .action(async (files: string[]) => {
    process.exitCode = await checkConfigs(files);
  });
config
  .command("show")
  .description("print a configuration with every default filled in")
  .argument("[conf.yml]")
  .action(async (file: string | undefined) => {
    process.exitCode = await showConfig(file);
  });
config
  .command("schema")
  .description("print the JSON schema of configurations, for editors")
  .action(() => {
    process.exitCode = printSchema();
  });

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : exitCodes.usage;
  else {
    process.stderr.write(bugText(error));
    process.exitCode = exitCodes.usage;
  }
}
