/**
 * Failure folders on disks that are full or fail, of targets that fail as well, and of processes that are killed.
 *
 * @packageDocumentation
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FailureFolder } from "../../src/reproduce/failure-folder.ts";
import { diskFiles, type FileSystem } from "../../src/reproduce/file-system.ts";
import { imageOf, memoryOf, readDump } from "../../src/reproduce/read-dump.ts";
import type { RunLog } from "../../src/runner/run-log.ts";
import type { Run } from "../../src/runner/run.ts";
import type { Outcome } from "../../src/sut/port.ts";
import { type DumpedRun, dumpedRun, version } from "./dumped.ts";

const root = mkdtempSync(join(tmpdir(), "harrow-full-disk-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let ended: DumpedRun;
beforeAll(async () => {
  ended = await dumpedRun({ failures: join(root, "first") });
});

interface Again {
  readonly path: string | undefined;
  readonly warnings: readonly string[];
  readonly error: unknown;
}

/** Writes the folder of a run that has ended once more. */
async function writeAgain(failures: string, fileSystem?: FileSystem): Promise<Again> {
  const warnings: string[] = [];
  const log: RunLog = { info: () => {}, warn: (message) => warnings.push(message) };
  const config = { ...ended.run.config, failures };
  const run = Object.create(ended.run, { config: { value: config }, log: { value: log } }) as Run;
  const folder = new FailureFolder({ version, ...(fileSystem === undefined ? {} : { fileSystem }) });
  for (const { violation, exhibit } of ended.seen) folder.add(violation, exhibit, run);
  let error: unknown;
  await folder.finish(run).catch((thrown: unknown) => {
    error = thrown;
  });
  return { path: folder.path, warnings, error };
}

/** A file system that asks before each call whether it may be made. */
function asking(mayCall: (bytes: number) => void): FileSystem {
  const before =
    <Arguments extends unknown[], Value>(call: (...all: Arguments) => Promise<Value>) =>
    async (...all: Arguments): Promise<Value> => {
      mayCall(0);
      return call(...all);
    };
  return {
    makeDirectories: before(diskFiles.makeDirectories),
    makeDirectory: before(diskFiles.makeDirectory),
    rename: before(diskFiles.rename),
    remove: before(diskFiles.remove),
    syncDirectory: before(diskFiles.syncDirectory),
    create: async (path) => {
      mayCall(0);
      const file = await diskFiles.create(path);
      return {
        write: async (bytes, position) => {
          mayCall(bytes.length);
          await file.write(bytes, position);
        },
        setLength: before(file.setLength),
        sync: before(file.sync),
        close: file.close,
      };
    },
  };
}

/** Whatever is in a folder can be read, exhibits and all. */
async function expectReadable(path: string): Promise<readonly string[]> {
  const dump = await readDump(path, { version });
  expect(dump.warnings).toEqual([]);
  for (const { exhibit } of dump.violations) await exhibit?.();
  return dump.missing;
}

describe("a failure folder", () => {
  test("can be read wherever the process was killed, once it says that it is one", async () => {
    let total = 0;
    await writeAgain(
      join(root, "whole"),
      asking(() => total++),
    );
    let readable = 0;
    for (let last = 0; last < total; last += 11) {
      const failures = join(root, `killed-${last}`);
      let calls = 0;
      const killed = asking(() => {
        if (++calls > last) throw new Error("killed");
      });
      await writeAgain(failures, killed);
      const [name] = existsSync(failures) ? readdirSync(failures) : [];
      if (name === undefined || !existsSync(join(failures, name, "failure.json"))) continue;
      readable++;
      await expectReadable(join(failures, name));
    }
    expect(readable).toBeGreaterThan(5);
  });

  test("loses nothing that was written when the disk is full, and says what is missing", async () => {
    let needed = 0;
    await writeAgain(
      join(root, "needed"),
      asking((bytes) => {
        needed += bytes;
      }),
    );
    const reserve = 256 * 1024;
    let lackingCount = 0;
    for (let room = reserve + 20_000; room < needed; room += 45_000) {
      let left = room;
      const full = asking((bytes) => {
        if (bytes > left)
          throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
        left -= bytes;
      });
      // What is removed makes room again.
      const { path, warnings, error } = await writeAgain(join(root, `room-${room}`), {
        ...full,
        remove: async (removed) => {
          const size = existsSync(removed) && statSync(removed).isFile() ? statSync(removed).size : 0;
          await full.remove(removed);
          left += size;
        },
      });
      const missing = await expectReadable(path!);
      expect(error).toBeUndefined();
      expect(warnings).toEqual(missing.map((what) => `failure folder ${path} lacks ${what}`));
      if (missing.length > 0) lackingCount++;
    }
    expect(lackingCount).toBeGreaterThan(2);
  });

  test("says that it could not be made, and where", async () => {
    const full = asking(() => {
      throw new Error("read-only file system");
    });
    const { path, error } = await writeAgain(join(root, "never"), full);
    expect(path).toBeUndefined();
    expect(error).toEqual(
      new Error(`the failure folder ${join(root, "never")} is not complete: read-only file system`),
    );
  });

  const mountPoint = join(root, "small");
  mkdirSync(mountPoint);
  const isMounted =
    process.platform === "linux" &&
    spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "none", mountPoint]).status === 0;
  afterAll(() => {
    if (isMounted) spawnSync("umount", [mountPoint]);
  });

  test.skipIf(!isMounted)("on a disk that is really full has what fits, and says what does not", async () => {
    const { path, seen, error, warnings, trial } = await dumpedRun({
      failures: mountPoint,
      config: { dump: "image" },
    });
    expect(trial.result.verdict).toBe("violation");
    expect(error).toBeUndefined();
    const dump = await readDump(path!, { version });
    expect(dump.violations).toHaveLength(seen.length);
    expect(await dump.violations[0]!.exhibit!()).toMatchObject({ kind: "block" });
    expect(dump.missing).toEqual([expect.stringMatching(/^image\/volume-0\.img: ENOSPC/)]);
    expect(warnings.at(-1)).toContain("lacks image/volume-0.img: ENOSPC");
    expect(
      readdirSync(path!, { recursive: true }).filter((file) => String(file).includes("unfinished")),
    ).toEqual([]);
  });

  test("of a target that fails when it is imaged lacks what could not be read", async () => {
    const { path, error } = await dumpedRun({
      failures: join(root, "failing"),
      config: { dump: "image" },
      onOver: ({ target }) => {
        const { device } = target.volumes[0]!;
        const read = device.read.bind(device);
        const failed: Outcome = { kind: "failed", code: "ERR_MEDIA", message: "unrecovered read error" };
        device.read = async (request) => (request.block === 256 ? failed : read(request));
      },
    });
    expect(error).toBeUndefined();
    const dump = await readDump(path!, { version });
    expect(dump.missing).toEqual([
      "image/volume-0.img: 256 blocks from block 256 on could not be read, and are zeros in it",
    ]);
    const [image] = (await imageOf(dump))!;
    expect(image!.unread).toEqual([{ block: 256, blockCount: 256 }]);
    expect(memoryOf(dump).ltsReserved).toBeGreaterThan(0);
  });

  test("of a snapshot that is gone says so, and has the rest", async () => {
    const { path, error } = await dumpedRun({
      failures: join(root, "gone"),
      entry: "M52",
      config: { dump: "image" },
      onOver: ({ target }) => {
        target.service.openSnapshot = () => Promise.reject(new Error("the service does not answer"));
      },
    });
    expect(error).toBeUndefined();
    const dump = await readDump(path!, { version });
    expect(dump.images.map(({ file }) => file)).toEqual(["image/volume-0.img"]);
    expect(dump.missing).toContain("image/snapshot-1-0.img: the service does not answer");
  });

  test("is left so that it can be read by a process that is killed", async () => {
    const failures = join(root, "by-worker");
    const worker = fileURLToPath(new URL("dump-worker.ts", import.meta.url));
    const child = spawn(process.execPath, ["--import", "tsx", worker, failures], { stdio: "ignore" });
    const folders = (): readonly string[] => (existsSync(failures) ? readdirSync(failures) : []);
    while (folders().length < 3 && child.exitCode === null) await setTimeout(5);
    child.kill("SIGKILL");
    expect(folders().length).toBeGreaterThan(2);
    for (const name of folders())
      if (existsSync(join(failures, name, "failure.json"))) await expectReadable(join(failures, name));
  });
});
