/**
 * Commands of util-linux on a file: what they do, how many there are at once, and how they end.
 *
 * @packageDocumentation
 */
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { assertPrograms, RangeCommands } from "../../../src/sut/block/range-commands.ts";

const mebibyte = 2 ** 20;

/** Commands on a new file of sevens. */
function onFile({ sizeBytes = 4 * mebibyte, flags = "r+" } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "harrow-commands-"));
  const path = join(folder, "file");
  writeFileSync(path, Buffer.alloc(sizeBytes, 7));
  const descriptor = openSync(path, flags);
  const commands = new RangeCommands(descriptor);
  onTestFinished(async () => {
    await commands.dispose();
    closeSync(descriptor);
    rmSync(folder, { recursive: true });
  });
  return { commands, path };
}

/** Shells and programs that have the file open, beside this process. */
function processesWith(path: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      try {
        return statSync(`/proc/${pid}/fd/3`).ino === statSync(path).ino;
      } catch {
        return false;
      }
    })
    .map(Number);
}

test("a hole and zeros are made where they were asked for, the hole unmapped", async () => {
  const { commands, path } = onFile();
  const before = statSync(path).blocks;
  const ranges = {
    hole: { position: 4096, byteCount: mebibyte },
    zeros: { position: 2 * mebibyte, byteCount: 512 },
  };
  expect(await commands.run("hole", ranges.hole, undefined)).toBeUndefined();
  expect(await commands.run("zeros", ranges.zeros, undefined)).toBeUndefined();
  const expected = Buffer.alloc(4 * mebibyte, 7);
  for (const { position, byteCount } of Object.values(ranges))
    expected.fill(0, position, position + byteCount);
  expect(readFileSync(path).equals(expected)).toBe(true);
  expect(before - statSync(path).blocks).toBeGreaterThanOrEqual(2000);
});

test("few shells serve any number of calls, in turns, and none is left after disposing", async () => {
  const { commands, path } = onFile();
  const calls = Array.from({ length: 40 }, (_, index) =>
    commands.run("zeros", { position: index * 4096, byteCount: 4096 }, undefined),
  );
  expect(processesWith(path).length).toBeLessThanOrEqual(8);
  expect(await Promise.all(calls)).toEqual(calls.map(() => undefined));
  expect(readFileSync(path).subarray(0, 40 * 4096 + 1)).toEqual(
    Buffer.concat([Buffer.alloc(40 * 4096), Buffer.of(7)]),
  );
  expect(processesWith(path)).toHaveLength(4);
  await commands.dispose();
  expect(processesWith(path)).toEqual([]);
  expect(await commands.run("hole", { position: 0, byteCount: 512 }, undefined)).toMatchObject({
    code: "ERR_CLOSED",
  });
});

test("what the kernel refuses is told in its words", async () => {
  const { commands } = onFile({ flags: "r+" });
  expect(await commands.run("discard", { position: 0, byteCount: 512 }, undefined)).toMatchObject({
    isRefusal: false,
    text: expect.stringContaining("not a block device"),
  });
  const far = { position: Number.MAX_SAFE_INTEGER - 511, byteCount: 512 };
  expect(await commands.run("zeros", far, undefined)).toMatchObject({
    code: "ERR_OUT_OF_RANGE",
    isRefusal: true,
    text: expect.stringContaining("fallocate failed: File too large"),
  });
});

test("an aborted call is in doubt if it was under way, and had no effect if it waited", async () => {
  const { commands } = onFile();
  const abort = new AbortController();
  const calls = Array.from({ length: 6 }, (_, index) =>
    commands.run(
      "zeros",
      { position: index * 4096, byteCount: 4096 },
      index === 0 || index === 5 ? abort.signal : undefined,
    ),
  );
  setImmediate(() => abort.abort());
  const results = await Promise.all(calls);
  expect(results[0]).toMatchObject({ code: "ERR_ABORTED", isRefusal: false });
  expect(results[5]).toMatchObject({ code: "ERR_ABORTED", isRefusal: true });
  expect(results.slice(1, 5)).toEqual([undefined, undefined, undefined, undefined]);
  expect(await commands.run("zeros", { position: 0, byteCount: 512 }, AbortSignal.abort())).toMatchObject({
    code: "ERR_ABORTED",
    isRefusal: true,
  });
});

test("a shell that was killed leaves its call in doubt, and the next call has another", async () => {
  const { commands, path } = onFile();
  await commands.run("zeros", { position: 0, byteCount: 512 }, undefined);
  const [pid] = processesWith(path);
  process.kill(pid!, "SIGSTOP");
  const call = commands.run("zeros", { position: 512, byteCount: 512 }, undefined);
  process.kill(pid!, "SIGKILL");
  expect(await call).toMatchObject({
    code: "ERR_TARGET",
    isRefusal: false,
    text: expect.stringContaining("SIGKILL"),
  });
  expect(await commands.run("zeros", { position: 512, byteCount: 512 }, undefined)).toBeUndefined();
});

test("a shell that was killed while it was idle is not used again", async () => {
  const { commands, path } = onFile();
  await commands.run("zeros", { position: 0, byteCount: 512 }, undefined);
  const [pid] = processesWith(path);
  process.kill(pid!, "SIGKILL");
  while (existsSync(`/proc/${pid}`)) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(await commands.run("zeros", { position: 0, byteCount: 512 }, undefined)).toBeUndefined();
});

test("a missing or other program is refused before anything is opened, with what to install", () => {
  const path = process.env.PATH;
  const folder = mkdtempSync(join(tmpdir(), "harrow-path-"));
  onTestFinished(() => {
    process.env.PATH = path;
    rmSync(folder, { recursive: true });
  });
  process.env.PATH = folder;
  expect(() => assertPrograms(["fallocate"], "/dev/x")).toThrow(
    /`fallocate` of util-linux 2.36 or newer, which can not be used here \(.*ENOENT\): install it, or set zeroesBy to writes/,
  );
  // What busybox prints.
  writeFileSync(join(folder, "fallocate"), "#!/bin/sh\necho 'Usage: fallocate [-o OFS] -l LEN FILE'\n", {
    mode: 0o755,
  });
  expect(() => assertPrograms(["fallocate"], "/dev/x")).toThrow("the one found has no --punch-hole");
});
