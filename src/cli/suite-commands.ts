/**
 * The suites of named tests, and the copy that one of them is about, as the command line has them.
 *
 * @packageDocumentation
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { size } from "../runner/config/units.ts";
import { anySeed, type CommandContext, integer, logJson, logLevel } from "./options.ts";
import { type SuiteFlags, suiteChangedBlocks } from "./suite.ts";
import { type SuiteCsiFlags, suiteCsi } from "./suite-csi.ts";
import { type SyncFlags, sync } from "./sync.ts";

const positiveCount = integer({ min: 1, max: 1_000_000 });

export function addSuiteCommands(program: Command, context: CommandContext): void {
  const suite = program.command("suite").description("hold a service to a suite of named tests");
  addChangedBlocks(suite, context);
  addCsi(suite, context);
  addSync(program, context);
}

function addChangedBlocks(suite: Command, context: CommandContext): void {
  suite
    .command("changed-blocks")
    .description(
      "20 tests of snapshot diffs and of the copies made by them; on the embedded target without --endpoint",
    )
    .option("--endpoint <url>", "REST API of a Lightbits cluster, such as https://10.0.0.1:443")
    .option("--source-uuid <uuid>", "volume that is written to and snapshotted; its content is destroyed")
    .option("--target-uuid <uuid>", "volume that is copied to, at least as large; its content is destroyed")
    .option("--source-device <path>", "where this host finds the source; else it is reached over NVMe/TCP")
    .option("--target-device <path>", "where this host finds the target")
    .option("--jwt <token>", "bearer token; LIGHTBITS_JWT, which other users cannot see, if absent")
    .option("--jwt-file <file>", "file with the bearer token")
    .option("--project <name>", "project of the volumes (default)")
    .option("--ca-file <file>", "certificates to trust, as PEM")
    .option("--insecure", "do not verify the certificate of the endpoint")
    .option("--overwrite", "use volumes even if they hold somebody else's data")
    .option("--test <name>", "run this test only; may be repeated", collected)
    .option("--list", "only say which tests there are")
    .option("--keep-snapshots", "leave the snapshots of the tests")
    .option("--sweep", "remove snapshots that earlier runs have left on the source")
    .option("--verbose", "show the notes of tests that passed, too")
    .addOption(reporter())
    .addOption(
      new Option("--seed <seed>", "decides content and cases; drawn and printed if absent").argParser(
        anySeed,
      ),
    )
    .option("--repeat <count>", "run all of it so often", positiveCount, 1)
    .option("--offset <size>", "move every place so far, such as 1GiB", sizeOf, 0)
    .option(
      "--scale <factor>",
      "make places and lengths smaller, for volumes below 2 GiB; at least 0.025",
      factor,
      1,
    )
    .option("--fuzz <count>", "draw so many cases from the seed, in place of the tests", positiveCount)
    .option(
      "--bug <class>",
      "have the embedded target make the mistake of a class of the gallery, such as M53",
    )
    .addOption(new Option("--bug-seed <seed>", "decides where and when it is made (0)").argParser(anySeed))
    .addOption(logLevel())
    .addOption(logJson())
    .addHelpText(
      "after",
      "\nExit codes: 0 all passed, 1 a test failed, 2 bad usage, 3 the target failed, 130 interrupted.",
    )
    .action(async (flags: SuiteFlags) => {
      process.exitCode = await suiteChangedBlocks({ flags, ...context });
    });
}

function addCsi(suite: Command, { serveCommand, signal }: CommandContext): void {
  suite
    .command("csi-snapshot-metadata")
    .description(
      "hold a CSI driver to the contract of its SnapshotMetadata service; the embedded target if no address is given",
    )
    .option("--address <address>", "unix:/path, tcp://host:port (not encrypted), or host:port for TLS")
    .option("--ca-file <file>", "certificates to trust in place of the system's, as PEM")
    .option("--insecure", "verify no certificate, and allow secrets over plain TCP to another host")
    .option("--server-name <name>", "name in the service's certificate, if it is not that of the address")
    .option(
      "--namespace <name>",
      "of the VolumeSnapshots: asks the service of Kubernetes, not that of a driver",
    )
    .option("--token <token>", "for Kubernetes; better in HARROW_CSI_TOKEN, where other users cannot read it")
    .option("--secrets-file <file>", "secrets that a driver needs, one JSON object of texts")
    .option("--snapshot <id...>", "snapshots of one volume, the oldest first; name=handle in Kubernetes")
    .option(
      "--granularity <bytes>",
      "bytes reported together by a driver with tuples of any length",
      positiveCount,
    )
    .addOption(
      new Option("--style <style>", "of the embedded target").choices(["fixed", "variable"]).default("fixed"),
    )
    .option("--timeout <seconds>", "longest wait for one message", positiveCount, 30)
    .option("--test <name...>", "only these")
    .option("--list", "only say which tests there are")
    .addOption(reporter())
    .option("--verbose", "show the notes of tests that passed, too")
    .addHelpText(
      "after",
      "\nExit codes: 0 none failed, 1 a test failed, 2 bad usage, 3 the driver could not be reached, 130 interrupted.",
    )
    .action(async (flags: SuiteCsiFlags) => {
      process.exitCode = await suiteCsi(flags, { serveCommand, signal });
    });
}

function addSync(program: Command, context: CommandContext): void {
  program
    .command("sync")
    .description("copy a snapshot to a volume, by what the service's diff reports, and verify the copy")
    .requiredOption("--snapshot <name|uuid>", "what to copy")
    .option("--base <name|uuid>", "what the target holds already: only what differs is copied")
    .requiredOption("--target-uuid <uuid>", "the volume to copy to")
    .option("--target-device <path>", "block device or file by which it is reached, in place of NVMe/TCP")
    .option("--config <conf.yml>", "take the target of this configuration")
    .option("--endpoint <url>", "REST API of the cluster")
    .option("--project <name>", "project (default)")
    .option(
      "--jwt <token>",
      "others on this host can see it: better LIGHTBITS_JWT in the environment, or a file",
    )
    .option("--jwt-file <file>", "file that holds the JWT")
    .option("--ca-file <file>", "who signed the cluster's certificate")
    .option("--insecure", "do not verify it")
    .option("--no-verify", "do not read back what was copied")
    .addOption(
      new Option("--in-flight <count>", "transfers in flight, 1 to 64")
        .argParser(integer({ min: 1, max: 64 }))
        .default(8),
    )
    .option("--state <file>", "keep there how far it is; the same command goes on from it")
    .option("--overwrite", "destroy what the target holds")
    .option("--json", "print one JSON object, and no progress")
    .option("--quiet", "show no progress")
    .addOption(logLevel())
    .addOption(logJson())
    .addHelpText(
      "after",
      "\nExit codes: 0 copied, 1 the target does not hold what was copied to it, 2 bad usage, 3 the target failed, 130 interrupted.",
    )
    .action(async (flags: SyncFlags) => {
      process.exitCode = await sync({ flags, ...context });
    });
}

function reporter(): Option {
  return new Option("--reporter <name>", "how to tell results")
    .choices(["text", "junit", "tap", "json", "github"])
    .default("text");
}

function collected(name: string, all: readonly string[] = []): readonly string[] {
  return [...all, name];
}

function sizeOf(text: string): number {
  const bytes = size.safeParse(/^\d+$/.test(text) ? Number(text) : text);
  if (!bytes.success) throw new InvalidArgumentError("expected a size such as 4096, 64KiB or 1.5GiB");
  return bytes.data;
}

function factor(text: string): number {
  const value = Number(text);
  if (!/^[\d.]+$/.test(text) || !(value > 0 && value <= 1))
    throw new InvalidArgumentError("expected a number above 0, up to 1");
  return value;
}
