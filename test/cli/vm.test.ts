import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { Command } from "commander";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { addVmCommands } from "../../src/cli/vm-commands.ts";
import { silentLog } from "../../src/sut/log.ts";
import { Guest } from "../../src/sut/vm/guest.ts";
import { fakeImages, installFakeQemu, removeFakeQemu } from "../sut/vm/fake-qemu.ts";

let directory: string;
let guest: Guest | undefined;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "harrow-vm-"));
  await installFakeQemu(directory);
});

afterEach(async () => {
  await guest?.stop();
  guest = undefined;
  removeFakeQemu();
  await rm(directory, { recursive: true });
});

async function startGuest(): Promise<Guest> {
  guest = await Guest.start({
    directory: join(directory, "guest"),
    images: fakeImages(directory),
    ...{ role: "target", diskMiB: 64, cold: true, detached: true, log: silentLog },
  });
  return guest;
}

async function vm(...parameters: string[]) {
  const said = { stdout: "", stderr: "" };
  const spies = (["stdout", "stderr"] as const).map((name) =>
    vi.spyOn(process[name], "write").mockImplementation((text) => {
      said[name] += text;
      return true;
    }),
  );
  const before = process.exitCode;
  try {
    const program = new Command("harrow").exitOverride();
    addVmCommands(program, { version: "0", serveCommand: [], signal: new AbortController().signal });
    const [command = "", ...rest] = parameters;
    await program.parseAsync(["vm", command, "--directory", directory, ...rest], { from: "user" });
    return { code: process.exitCode, ...said };
  } finally {
    process.exitCode = before;
    for (const spy of spies) spy.mockRestore();
  }
}

describe("harrow vm", () => {
  test("tells where the guest is, and stops it", async () => {
    const { pid, nvmeEndpoint } = await startGuest();
    const status = await vm("status");
    expect(status).toMatchObject({ code: 0, stderr: "" });
    expect(status.stdout).toContain(`the guest is running, as process ${pid}\n`);
    expect(status.stdout).toContain("kernel    6.1.0-56-cloud-amd64 (6.1.192-2)\n");
    expect(status.stdout).toContain(`NVMe/TCP  127.0.0.1:${nvmeEndpoint.port} leads`);
    expect(status.stdout).toContain("disks     meta 64 MiB, data 64 MiB, in");
    expect(await vm("stop")).toMatchObject({
      code: 0,
      stdout: `process ${pid} has ended; the disks stay in ${join(directory, "guest")}\n`,
    });
    const none = `no guest runs in ${join(directory, "guest")}\n`;
    expect(await vm("stop")).toMatchObject({ code: 0, stdout: none });
    expect(await vm("status")).toMatchObject({ code: 3, stdout: none });
  });

  test("does not wait for an answer of a guest that is paused", async () => {
    await (await startGuest()).setPaused(true);
    expect(await vm("status")).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("the guest is paused"),
    });
  });

  test("runs a script, and ends as the script did", async () => {
    await startGuest();
    // What stands in for a guest answers `exit N` with that status, and says on standard error that it did.
    expect(await vm("sh", "exit 7")).toEqual({ code: 7, stdout: "exit 7", stderr: "status 7" });
  });

  test("takes the script from standard input if none is named", async () => {
    await startGuest();
    const input = vi.spyOn(process, "stdin", "get");
    input.mockReturnValue(
      Readable.from([Buffer.from("echo "), Buffer.from("hello")]) as NodeJS.ReadStream & { fd: 0 },
    );
    try {
      expect(await vm("sh")).toMatchObject({ code: 0, stdout: "echo hello" });
    } finally {
      input.mockRestore();
    }
  });

  test("tells trouble of its own from a script's by the exit code", async () => {
    expect(await vm("sh", "true")).toEqual({
      code: 255,
      stdout: "",
      stderr: `harrow vm sh: no guest runs in ${join(directory, "guest")}\n`,
    });
  });

  test("shows the console without what would steer the terminal, also after the guest has ended", async () => {
    expect(await vm("console")).toMatchObject({
      code: 3,
      stderr: expect.stringContaining("no guest was started"),
    });
    await startGuest();
    await appendFile(join(directory, "guest", "console.log"), "\u001b[2J\tpanic\u0007\r\n");
    await vm("stop");
    expect(await vm("console")).toMatchObject({ code: 0, stdout: "harrow: ready\n[2J\tpanic\n" });
  });

  test.for([
    ["start", "--disk", "huge"],
    ["start", "--cpus", "0"],
    ["start", "--role", "both"],
    ["sh", "--timeout", "x", "true"],
  ])("refuses %j", async (parameters) => {
    await expect(vm(...parameters)).rejects.toMatchObject({ name: "CommanderError", exitCode: 1 });
  });
});
