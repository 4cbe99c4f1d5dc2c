import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { silentLog } from "../../../src/sut/log.ts";
import { Guest, type GuestOptions } from "../../../src/sut/vm/guest.ts";
import { fakeImages, installFakeQemu, removeFakeQemu } from "./fake-qemu.ts";

let directory: string;
let run: string;
let said: string[];
const guests: Guest[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "harrow-guest-"));
  run = join(directory, "run");
  said = [];
  await installFakeQemu(directory);
});

afterEach(async () => {
  for (const guest of guests.splice(0)) await guest.stop();
  removeFakeQemu();
  await rm(directory, { recursive: true });
});

function options(more: Partial<GuestOptions> = {}): GuestOptions {
  return {
    directory: run,
    images: fakeImages(directory),
    role: "target",
    diskMiB: 64,
    log: { ...silentLog, warn: (message) => said.push(message) },
    ...more,
  };
}

async function start(more: Partial<GuestOptions> = {}): Promise<Guest> {
  const guest = await Guest.start(options(more));
  guests.push(guest);
  return guest;
}

const starts = async () =>
  (await readFile(join(run, "starts"), "utf8"))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as string[]);
const scripts = async () => (await readFile(join(run, "scripts"), "utf8")).trimEnd().split("\n");

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe("a guest that does not come up", () => {
  test("is told with what QEMU and the console said last, and leaves nothing but its disks", async () => {
    process.env.FAKE_QEMU = "exit";
    const error = await start({ cold: true }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: "ServiceError", code: "ERR_TARGET" });
    expect((error as Error).message).toContain("fake trouble");
    expect((error as Error).message).toContain("Kernel panic - not syncing: VFS");
    expect((await readdir(run)).sort()).toEqual([
      "console.log",
      "data.raw",
      "meta.raw",
      "qemu.log",
      "starts",
    ]);
  });

  test("is killed after the time-out, with what the console said", async () => {
    process.env.FAKE_QEMU = "hang";
    await expect(start({ cold: true, startTimeoutMs: 700 })).rejects.toMatchObject({
      code: "ERR_TIMEOUT",
      message: expect.stringMatching(/within 0\.7 s; the guest's console ends with:\nharrow: ready/),
    });
    expect(isAlive(Number(await readFile(join(run, "fake.pid"), "utf8")))).toBe(false);
  });

  test("is killed when the start is cancelled", async () => {
    process.env.FAKE_QEMU = "hang";
    const stop = new AbortController();
    const starting = start({ cold: true, signal: stop.signal });
    const waiting = setInterval(() => existsSync(join(run, "fake.pid")) && stop.abort(), 10);
    await expect(starting).rejects.toMatchObject({ code: "ERR_ABORTED" });
    clearInterval(waiting);
    expect(isAlive(Number(await readFile(join(run, "fake.pid"), "utf8")))).toBe(false);
  });

  test("is not taken for somebody else's that answers behind its port", async () => {
    process.env.FAKE_QEMU = "stranger";
    await expect(start({ cold: true })).rejects.toMatchObject({ code: "ERR_UNAUTHENTICATED" });
  });

  test("is tried with other ports while they are taken, a few times", async () => {
    process.env.FAKE_QEMU = "ports 2";
    await start({ cold: true });
    const ports = (await starts()).map((parameters) => parameters[parameters.indexOf("-netdev") + 1]);
    expect(new Set(ports).size).toBe(3);
  });

  test("says that the ports are taken if all of them are", async () => {
    process.env.FAKE_QEMU = "ports 99";
    await expect(start({ cold: true })).rejects.toMatchObject({ code: "ERR_CONFLICT" });
    expect(await starts()).toHaveLength(5);
  });

  test("is refused disks that are there with another size", async () => {
    await (await start()).stop();
    await expect(start({ diskMiB: 65 })).rejects.toMatchObject({
      code: "ERR_INVALID_REQUEST",
      message: expect.stringMatching(/data\.raw has 67108864 bytes, not the 68157440/),
    });
  });

  test.for([
    [{ serial: "data", mib: 8 }, /two disks/],
    [{ serial: "a,b", mib: 8 }, /serial 'a,b'/],
    [{ serial: "x", mib: 0 }, /1 to 1048576 MiB, got 0/],
  ] as const)("is refused the disk %o", async ([disk, words]) => {
    await expect(start({ disks: [disk] })).rejects.toMatchObject({
      code: "ERR_INVALID_REQUEST",
      message: expect.stringMatching(words),
    });
  });
});

describe("a running guest", () => {
  test("has its disks, its script shell, and a record for its owner alone", async () => {
    const guest = await start({ cold: true, disks: [{ serial: "log", mib: 8 }] });
    expect(guest.startedFrom).toBe("boot");
    expect((await stat(run)).mode & 0o777).toBe(0o700);
    expect((await stat(join(run, "guest.json"))).mode & 0o777).toBe(0o600);
    expect((await stat(join(run, "data.raw"))).size).toBe(64 * 2 ** 20);
    expect((await stat(join(run, "log.raw"))).size).toBe(8 * 2 ** 20);
    expect(await guest.shell.run("echo x")).toMatchObject({ status: 0 });
    expect(await guest.kernelLog()).toEqual(["[    0.000000] Linux version 6.1.0", "[    1.5] x"]);
    expect(guest.console).toContain("harrow: ready");
    // What was unpacked holds the token.
    expect(existsSync(join(run, "initrd.cpio"))).toBe(false);
  });

  test("has no disk for a role that needs none", async () => {
    const { diskMiB: _, ...rest } = options({ role: "host", cold: true });
    guests.push(await Guest.start(rest));
    expect((await starts())[0]).not.toContain("-drive");
  });

  test("is the only one in its directory", async () => {
    const guest = await start();
    await expect(start()).rejects.toMatchObject({
      code: "ERR_BUSY",
      message: expect.stringContaining(`process ${guest.pid}`),
    });
  });

  test("comes back after a crash, on the same ports, with the same shell", async () => {
    const guest = await start({ cold: true });
    const { pid, nvmeEndpoint } = guest;
    await guest.crash();
    expect(isAlive(pid!)).toBe(false);
    expect(guest.pid).not.toBe(pid);
    expect(guest.nvmeEndpoint).toEqual(nvmeEndpoint);
    const [first, second] = (await starts()).map(
      (parameters) => parameters[parameters.indexOf("-netdev") + 1],
    );
    expect(second).toBe(first);
    expect(await guest.shell.run("true")).toMatchObject({ status: 0 });
    expect(await scripts()).not.toContain("sync");
  });

  test("comes back on its ports after they were somebody else's for a moment", async () => {
    const guest = await start({ cold: true });
    process.env.FAKE_QEMU = "ports 3";
    await guest.crash();
    expect(await starts()).toHaveLength(4);
  });

  test("writes out what it has in memory before it is stopped, paused or not; a second stop does nothing", async () => {
    const guest = await start({ cold: true });
    await guest.setPaused(true);
    expect(await guest.runState()).toBe("paused");
    await Promise.all([guest.stop(), guest.stop()]);
    expect((await scripts()).filter((script) => script === "sync")).toHaveLength(1);
    expect(guest.pid).toBeUndefined();
    expect(existsSync(join(run, "guest.json"))).toBe(false);
    expect(existsSync(join(run, "data.raw"))).toBe(true);
  });

  test("leaves nothing of its own when it is removed, and what is not its own", async () => {
    const guest = await start({ cold: true });
    await guest.remove();
    expect((await readdir(run)).sort()).toEqual(["fake.pid", "scripts", "starts"]);
  });

  test("is told of when QEMU ends by itself", async () => {
    const told: string[] = [];
    const guest = await start({ cold: true, onUnexpectedExit: (message) => told.push(message) });
    process.kill(guest.pid!, "SIGKILL");
    await expect.poll(() => told).toEqual([expect.stringMatching(/^QEMU ended/)]);
    expect(guest.pid).toBeUndefined();
    await guest.stop();
  });

  test("ends with the process that started it, however that ends", async () => {
    const code = `
      import { Guest } from ${JSON.stringify(new URL("../../../src/sut/vm/guest.ts", import.meta.url).href)};
      const say = () => undefined;
      const guest = await Guest.start({ ...${JSON.stringify({ ...options({ cold: true }), log: {} })}, log: { debug: say, info: say, warn: say, error: say } });
      process.stdout.write(String(guest.pid));
      setInterval(say, 1000);`;
    const parent = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", code], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const pid = await new Promise<number>((resolve) =>
      parent.stdout.once("data", (text) => resolve(Number(text))),
    );
    expect(isAlive(pid)).toBe(true);
    parent.kill("SIGKILL");
    for (let tries = 0; isAlive(pid) && tries < 100; tries++) await sleep(20);
    expect(isAlive(pid)).toBe(false);
  });
});

describe("a saved state", () => {
  const state = async (name: string) => {
    const states = join(directory, "images", "states");
    const [key] = await readdir(states);
    return join(states, key!, name);
  };

  test("takes the place of the next boots and is the owner's alone", async () => {
    const guest = await start();
    expect(guest.startedFrom).toBe("boot");
    expect((await stat(await state("memory"))).mode & 0o777).toBe(0o600);
    expect((await stat(await state("token"))).mode & 0o777).toBe(0o600);
    await guest.crash();
    expect(guest.startedFrom).toBe("saved state");
    expect(await guest.shell.run("true")).toMatchObject({ status: 0 });
    expect((await starts())[1]).toContain("-incoming");
    await guest.stop();
    expect((await start()).startedFrom).toBe("saved state");
    expect(said).toEqual([]);
  });

  test("sets the clock of the guest", async () => {
    await start();
    const [, seconds] = /^date -s @(\d+)$/.exec((await scripts()).at(-1)!)!;
    expect(Math.abs(Number(seconds) - Date.now() / 1000)).toBeLessThan(20);
  });

  test.for([
    ["another size of memory", { memoryMiB: 640 }],
    ["another disk", { disks: [{ serial: "log", mib: 8 }] }],
    ["extras", { withExtras: true }],
  ] as const)("is of no use to a guest with %s", async ([, more]) => {
    await (await start()).stop();
    expect((await start(more)).startedFrom).toBe("boot");
  });

  test("is of no use after the images were built again", async () => {
    await (await start()).stop();
    await utimes(join(directory, "images", "initrd"), new Date(), new Date(Date.now() + 5_000));
    expect((await start()).startedFrom).toBe("boot");
  });

  test("that cannot be taken over is forgotten, and the guest boots", async () => {
    await (await start()).stop();
    await writeFile(await state("memory"), "half a mach");
    expect((await start()).startedFrom).toBe("boot");
    expect(said.join()).toMatch(/of no use, so it boots: QEMU ended .*load of migration failed/s);
    expect(await readFile(await state("memory"), "utf8")).toMatch(/^a machine/);
  });

  test("that cannot be saved costs the guest nothing", async () => {
    process.env.FAKE_QEMU = "no-save";
    const guest = await start();
    expect(await guest.shell.run("true")).toMatchObject({ status: 0 });
    expect(said).toEqual(["the state of the guest was not saved: QEMU did not save its state: No space"]);
    expect(await readdir(join(directory, "images", "states"))).toEqual([]);
  });

  test("is kept in a directory whose name a shell would take apart", async () => {
    const odd = join(directory, 'it\'s a $(false) "name"');
    await mkdir(odd);
    const { images } = options();
    for (const name of ["kernel", "initrd", "extras"] as const)
      await writeFile(join(odd, name), "x".repeat(512));
    await start({ images: { ...images, kernel: join(odd, "kernel"), initrd: join(odd, "initrd") } });
    expect(await readdir(join(odd, "states"))).toHaveLength(1);
    expect(said).toEqual([]);
  });
});

describe("a guest that another process has started", () => {
  test("is found by its directory, crashed and stopped", async () => {
    const first = await start({ detached: true });
    await first[Symbol.asyncDispose]();
    expect(isAlive(first.pid!)).toBe(true);
    await using found = await Guest.attach({ directory: run, log: silentLog });
    expect(found).toMatchObject({ pid: first.pid, nvmeEndpoint: first.nvmeEndpoint });
    expect(await found.shell.run("true")).toMatchObject({ status: 0 });
    await found.crash();
    expect(await found.shell.run("true")).toMatchObject({ status: 0 });
    const again = await Guest.attach({ directory: run, log: silentLog });
    expect(again.pid).toBe(found.pid);
    await again.stop();
    await expect.poll(() => isAlive(found.pid!)).toBe(false);
  });

  test("and has ended is told once, and cleaned up", async () => {
    const guest = await start({ detached: true });
    process.kill(guest.pid!, "SIGKILL");
    while (isAlive(guest.pid!)) await sleep(5);
    const attach = () => Guest.attach({ directory: run, log: silentLog });
    await expect(attach()).rejects.toMatchObject({
      code: "ERR_NOT_FOUND",
      message: expect.stringMatching(/has ended without being stopped; its disks are kept$/),
    });
    await expect(attach()).rejects.toMatchObject({
      code: "ERR_NOT_FOUND",
      message: `no guest runs in ${run}`,
    });
    expect(existsSync(join(run, "qmp.sock"))).toBe(false);
  });

  test("is not mistaken for a process that has its number now", async () => {
    const guest = await start({ detached: true });
    const record = await readFile(join(run, "guest.json"), "utf8");
    await guest.stop();
    await writeFile(join(run, "guest.json"), record.replace(/"pid": \d+/, `"pid": ${process.pid}`));
    await expect(Guest.attach({ directory: run, log: silentLog })).rejects.toMatchObject({
      code: "ERR_NOT_FOUND",
    });
  });

  test.for(["", "{", "[]", '{"pid":1}', '{"pid":4711}'])(
    "is not looked for by the record %j",
    async (text) => {
      await mkdir(run);
      await writeFile(join(run, "guest.json"), text);
      await expect(Guest.attach({ directory: run, log: silentLog })).rejects.toMatchObject({
        code: "ERR_BAD_ANSWER",
        message: expect.stringContaining(join(run, "guest.json")),
      });
    },
  );
});
