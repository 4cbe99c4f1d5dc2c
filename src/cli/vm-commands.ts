/**
 * The guest of one's own, as the command line has it.
 *
 * @packageDocumentation
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { size } from "../runner/config/units.ts";
import { type CommandContext, integer, logJson, logLevel } from "./options.ts";
import {
  defaultDirectory,
  type VmConsoleFlags,
  type VmFlags,
  type VmPrepareFlags,
  type VmShFlags,
  type VmStartFlags,
  vmConsole,
  vmPrepare,
  vmSh,
  vmStart,
  vmStatus,
  vmStop,
} from "./vm.ts";

export function addVmCommands(program: Command, { signal }: CommandContext): void {
  const vm = program.command("vm").description("a Linux guest in QEMU, of Debian's kernel and programs");
  const command = (name: string, description: string) =>
    vm
      .command(name)
      .description(description)
      .option("--directory <dir>", "where images and guest are kept", defaultDirectory)
      .addOption(logJson());

  command("prepare", "fetch kernel and programs by apt, and build the images; installs nothing")
    .option("--refresh", "look for newer packages, too")
    .addOption(logLevel().default("info"))
    .addHelpText("after", failureCodes)
    .action(async (flags: VmPrepareFlags) => {
      process.exitCode = await vmPrepare(flags, signal);
    });

  command("start", "start the guest, which stays until it is stopped; its disks stay longer")
    .addOption(
      new Option("--role <role>", "a target serves and cannot reach this machine; a host connects, and can")
        .choices(["target", "host"])
        .default("target"),
    )
    .option("--disk <size>", "of the disk with the serial data (4GiB for a target, none for a host)", sizeOf)
    .option("--memory <size>", "(512MiB, 1GiB with --extras)", sizeOf)
    .option("--cpus <count>", "processors (2)", integer({ min: 1, max: 64 }))
    .addOption(new Option("--block-size <bytes>", "of its disks (512)").choices(["512", "4096"]))
    .addOption(
      new Option("--cache <mode>", "how QEMU writes to the disks' files (direct)").choices([
        "direct",
        "none",
        "writeback",
        "unsafe",
      ]),
    )
    .option("--extras", "have fio in the guest")
    .option("--cold", "boot, though a state is saved from an earlier boot; and save none")
    .addOption(logLevel())
    .addHelpText("after", failureCodes)
    .action(async (flags: VmStartFlags) => {
      process.exitCode = await vmStart(flags, signal);
    });

  command("stop", "have the guest write out what it has in memory, and end it")
    .addOption(logLevel())
    .addHelpText("after", failureCodes)
    .action(async (flags: VmFlags) => {
      process.exitCode = await vmStop(flags);
    });

  command("status", "say whether the guest runs, and where")
    .addOption(logLevel())
    .addHelpText("after", "\nExit codes: 0 it runs, 2 bad usage, 3 it does not run or does not answer.")
    .action(async (flags: VmFlags) => {
      process.exitCode = await vmStatus(flags, signal);
    });

  command("sh", "run a shell script in the guest, as root; prints its output when it has ended")
    .argument("[script]", "standard input if absent")
    .option("--timeout <seconds>", "how long it may take", integer({ min: 1, max: 86_400 }), 3600)
    .addOption(logLevel())
    .addHelpText(
      "after",
      "\nExit codes: that of the script; 2 bad usage, 255 it could not be run, 130 interrupted.",
    )
    .action(async (script: string | undefined, flags: VmShFlags) => {
      process.exitCode = await vmSh(script, flags, signal);
    });

  command("console", "print what the guest's console has shown since it was started")
    .option("--follow", "go on until interrupted")
    .addOption(logLevel())
    .action(async (flags: VmConsoleFlags) => {
      process.exitCode = await vmConsole(flags, signal);
    });
}

const failureCodes =
  "\nExit codes: 0 done, 2 bad usage, 3 it cannot be done here or the guest failed, 130 interrupted.";

function sizeOf(text: string): number {
  const bytes = size.safeParse(/^\d+$/.test(text) ? Number(text) : text);
  if (!bytes.success) throw new InvalidArgumentError("expected a size such as 512MiB or 4GiB");
  return bytes.data;
}
