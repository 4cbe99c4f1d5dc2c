import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { silentLog } from "../../src/sut/log.ts";
import { Guest } from "../../src/sut/vm/guest.ts";
import type { GuestImages } from "../../src/sut/vm/image-cache.ts";
import { prepareGuest } from "../../src/sut/vm/prepare.ts";
import { vmDirectory } from "./vm-directory.ts";
import { unavailable } from "./unavailable.ts";

/** Begins a script: `$device` is the disk `data`, `put` and `get` a word in a block of it, through the page cache. */
const onData = `set -eu
device=
for disk in /sys/block/vd*; do
  if [ "$(cat "$disk/serial")" = data ]; then device=/dev/\${disk##*/}; fi
done
put() { printf '%-512s' "$1" | dd of="$device" bs=512 seek="$2" conv=notrunc 2>/dev/null; }
get() { dd if="$device" bs=512 skip="$1" count=1 2>/dev/null | tr -d '\\000 '; echo; }
`;

describe.skipIf(unavailable !== undefined)("a guest in QEMU", () => {
  let images: GuestImages;
  let directory: string;
  let guest: Guest;

  beforeAll(async () => {
    images = await prepareGuest({ directory: vmDirectory, log: { ...silentLog, info: console.info } });
    directory = await mkdtemp(join(tmpdir(), "harrow-guest-"));
    guest = await Guest.start({
      directory: join(directory, "run"),
      images,
      role: "target",
      diskMiB: 256,
      log: silentLog,
    });
  });

  afterAll(async () => {
    await guest?.remove();
    await guest?.[Symbol.asyncDispose]();
    if (directory !== undefined) await rm(directory, { recursive: true, force: true });
  });

  test("runs scripts as root, several at a time, and gives status and outputs", async () => {
    expect(await guest.shell.run("id -u; echo 'to stderr' >&2; exit 3")).toEqual({
      status: 3,
      stdout: "0\n",
      stderr: "to stderr\n",
    });
    const all = await Promise.all([1, 2, 3, 4].map((number) => guest.shell.run(`echo ${number}`)));
    expect(all.map(({ stdout }) => stdout)).toEqual(["1\n", "2\n", "3\n", "4\n"]);
    const bytes = "0123456789abcde\n".repeat(65_536);
    const { stdout } = await guest.shell.run("yes 0123456789abcde | head -c 1048576");
    expect(stdout === bytes).toBe(true);
    expect(await guest.shell.run("kill -9 $$")).toMatchObject({ status: 137 });
  });

  test("has a kernel log, both disks, and this machine's time", async () => {
    expect((await guest.kernelLog()).some((line) => line.includes("Linux version"))).toBe(true);
    const { stdout } = await guest.shell.run(
      "cat /sys/block/vd*/serial; echo; cat /sys/block/vd*/size; date +%s",
    );
    const [serials, meta, data, seconds] = stdout.trim().split("\n");
    expect(serials).toBe("metadata");
    expect(Number(meta) * 512).toBe(64 * 2 ** 20);
    expect(Number(data) * 512).toBe(256 * 2 ** 20);
    expect(Math.abs(Number(seconds) - Date.now() / 1000)).toBeLessThan(30);
  });

  test("keeps over a crash what it had written to its disks, and loses what it had in memory, time after time", async () => {
    const { nvmeEndpoint } = guest;
    for (const round of [1, 2, 3]) {
      const { pid } = guest;
      const written = await guest.shell.run(`${onData}
        put kept-${round} 8
        sync
        # An open device keeps its page cache when a writer closes it, and nothing is to write it out by itself.
        exec 3<"$device"
        sleep 600 <&3 >/dev/null 2>&1 &
        echo 0 >/proc/sys/vm/dirty_writeback_centisecs
        put lost-${round} 4096
        get 8
        get 4096`);
      expect(written).toMatchObject({ status: 0, stdout: `kept-${round}\nlost-${round}\n` });
      await guest.crash();
      expect(guest.pid).not.toBe(pid);
      expect(guest.nvmeEndpoint).toEqual(nvmeEndpoint);
      const found = await guest.shell.run(`${onData} get 8; get 4096`);
      expect(found).toMatchObject({ status: 0, stdout: `kept-${round}\n\n` });
    }
  });

  test("keeps over an orderly restart what it had in memory", async () => {
    await guest.shell.run(`${onData}
      exec 3<"$device"
      sleep 600 <&3 >/dev/null 2>&1 &
      put restarted 16`);
    await guest.restart();
    const found = await guest.shell.run(`${onData} get 16`);
    expect(found).toMatchObject({ stdout: "restarted\n" });
  });

  test("comes up by booting where no saved state is wanted, on the same disks", async () => {
    expect(guest.startedFrom).toBe("saved state");
    await guest.stop();
    const cold = await Guest.start({
      ...{
        directory: join(directory, "run"),
        images,
        role: "target",
        diskMiB: 256,
        cold: true,
        log: silentLog,
      },
    });
    expect(cold.startedFrom).toBe("boot");
    await cold.stop();
    await cold[Symbol.asyncDispose]();
    await guest.restart();
  });

  test("answers nothing while it is paused, and goes on afterwards", async () => {
    await guest.setPaused(true);
    await expect(guest.shell.run("true", { timeoutMs: 500 })).rejects.toMatchObject({ code: "ERR_TIMEOUT" });
    await guest.setPaused(false);
    expect(await guest.shell.run("true")).toMatchObject({ status: 0 });
  });

  test("cannot reach what listens on this machine", async () => {
    let connectionCount = 0;
    const server = createServer((socket) => {
      connectionCount += 1;
      socket.on("error", () => undefined).end("reached\n");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const { port } = server.address() as AddressInfo;
      const { stdout } = await guest.shell.run(`nc -w 3 10.0.2.2 ${port} </dev/null`);
      expect(stdout).toBe("");
      expect(connectionCount).toBe(0);
    } finally {
      server.close();
    }
  });

  test("ends with the process that started it, however that ends", async () => {
    await guest.stop();
    const parameters = { directory: join(directory, "run"), images, role: "target", diskMiB: 256 };
    const code = `
      import { Guest } from ${JSON.stringify(new URL("../../src/sut/vm/guest.ts", import.meta.url).href)};
      const say = () => undefined;
      const guest = await Guest.start({ ...${JSON.stringify(parameters)}, log: { debug: say, info: say, warn: say, error: say } });
      process.stdout.write(String(guest.pid));
      setInterval(say, 1000);`;
    const parent = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", code], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const pid = await new Promise<number>((resolve) =>
      parent.stdout.once("data", (text) => resolve(Number(text))),
    );
    const commandLine = () => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    expect(await commandLine()).toContain("harrow-guest");
    parent.kill("SIGKILL");
    for (let tries = 0; (await commandLine()) !== "" && tries < 200; tries++) await sleep(20);
    expect(await commandLine()).toBe("");
    await guest.restart();
    expect(await guest.shell.run("true")).toMatchObject({ status: 0 });
  });
});
