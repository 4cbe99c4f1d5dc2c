/**
 * What can be wrong with a path, and loop devices where the machine lets us make one.
 *
 * @packageDocumentation
 */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { pageAligned } from "../../../src/sut/block/aligned-memory.ts";
import { type BlockDeviceOptions, openBlockDevice } from "../../../src/sut/block/open.ts";
import { type BlockDevice, ServiceError } from "../../../src/sut/port.ts";
import { loopDevice, must, noLoopDevice, tool } from "./loop-device.ts";

let folder: string;
const at = (name: string) => join(folder, name);

beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "harrow-block-")));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function opened(
  options: Partial<BlockDeviceOptions> & { readonly path: string },
): Promise<BlockDevice> {
  const device = await openBlockDevice({ blockSizeBytes: 4096, io: "sync", ...options });
  onTestFinished(() => Promise.resolve(device[Symbol.asyncDispose]()));
  return device;
}

async function refusal(options: Partial<BlockDeviceOptions> & { readonly path: string }) {
  const error: unknown = await openBlockDevice({ blockSizeBytes: 4096, io: "sync", ...options }).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ServiceError);
  return error as ServiceError;
}

describe("a file", () => {
  test("is made sparse, or extended if it is empty, and named by its real path", async () => {
    const sizeBytes = 2 ** 40;
    writeFileSync(at("empty"), "");
    symlinkSync(at("empty"), at("link"));
    for (const [path, real] of [
      ["new", "new"],
      ["link", "empty"],
    ] as const) {
      const device = await opened({ path: at(path), sizeBytes });
      expect(device.identity).toEqual({ name: at(real), uuid: undefined, nsid: undefined });
      expect(device.blockCount).toBe(2 ** 28);
      expect(statSync(at(real))).toMatchObject({ size: sizeBytes, blocks: 0 });
    }
    expect(statSync(at("new")).mode & 0o777).toBe(0o600);
  });

  test("of some length is used as far as it is asked for, and is never extended", async () => {
    writeFileSync(at("some"), Buffer.alloc(5 * 4096));
    expect((await opened({ path: at("some") })).blockCount).toBe(5);
    expect((await opened({ path: at("some"), sizeBytes: 8192 })).blockCount).toBe(2);
    expect(await refusal({ path: at("some"), sizeBytes: 6 * 4096 })).toMatchObject({
      code: "ERR_INVALID_REQUEST",
      message: `${at("some")} has 20480 bytes, sizeBytes asks for 24576`,
    });
    expect(statSync(at("some")).size).toBe(5 * 4096);
  });

  test.each<[string, Partial<BlockDeviceOptions>, string, RegExp]>([
    ["missing", {}, "ERR_NOT_FOUND", /does not exist: give sizeBytes/],
    ["no/such/folder", { sizeBytes: 4096 }, "ERR_NOT_FOUND", /no such folder/],
    ["folder", {}, "ERR_INVALID_REQUEST", /is a directory/],
    ["zero", {}, "ERR_INVALID_REQUEST", /is empty: give sizeBytes/],
    ["odd", {}, "ERR_INVALID_REQUEST", /5000 bytes are no whole number of blocks of 4096/],
    ["new2", { sizeBytes: 5000 }, "ERR_INVALID_REQUEST", /5000 bytes are no whole number/],
    ["new2", { sizeBytes: 0 }, "ERR_INVALID_REQUEST", /0 bytes are no whole number/],
    [
      "new2",
      { sizeBytes: 4096, blockSizeBytes: 1000 },
      "ERR_INVALID_REQUEST",
      /blockSizeBytes is 512 or 4096/,
    ],
    ["pipe", {}, "ERR_INVALID_REQUEST", /neither a regular file nor a block device/],
    ["dangling", { sizeBytes: 4096 }, "ERR_CONFLICT", /a link that leads nowhere/],
    ["vast", { sizeBytes: 2 ** 52 }, "ERR_INVALID_REQUEST", /cannot be made 4503599627370496 bytes long/],
  ])("%s with %o is refused", async (name, options, code, message) => {
    mkdirSync(at("folder"), { recursive: true });
    writeFileSync(at("zero"), "");
    writeFileSync(at("odd"), Buffer.alloc(5000));
    rmSync(at("pipe"), { force: true });
    must("mkfifo", at("pipe"));
    rmSync(at("dangling"), { force: true });
    symlinkSync(at("nowhere"), at("dangling"));
    expect(await refusal({ path: at(name), ...options })).toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  test("in /proc or a character device is refused as well", async () => {
    expect(await refusal({ path: "/dev/null" })).toMatchObject({ code: "ERR_INVALID_REQUEST" });
    expect(await refusal({ path: "/proc/self/mountinfo" })).toBeInstanceOf(ServiceError);
  });
});

describe("a loop device", () => {
  test.for(["sync", "threads"] as const)("is written, zeroed and read, with %s", async (io, { skip }) => {
    const path = loopDevice(at(`loop-${io}`), 16 * 2 ** 20) ?? skip(noLoopDevice);
    for (const direct of [false, true]) {
      const device = await openBlockDevice({ path, blockSizeBytes: 4096, io, direct });
      expect(device.blockCount).toBe(4096);
      expect(device.capabilities.volatileWriteCache).toBe(true);
      const bytes = pageAligned(16 * 2 ** 20).fill(7);
      expect(await device.write({ block: 0, blockCount: 4096, from: bytes })).toEqual({ kind: "ok" });
      const tail = { block: 4095, blockCount: 1, from: bytes.subarray(0, 4096).fill(9), fua: true };
      expect(await device.write(tail)).toEqual({ kind: "ok" });
      expect(await device.deallocate({ ranges: [{ block: 1, blockCount: 2000 }] })).toEqual({ kind: "ok" });
      expect(await device.writeZeroes({ block: 2001, blockCount: 3 })).toEqual({ kind: "ok" });
      expect(await device.flush()).toEqual({ kind: "ok" });
      expect(await device.read({ block: 0, blockCount: 4096, into: bytes })).toEqual({ kind: "ok" });
      expect([0, 1, 2000, 2003, 2004, 4094, 4095].map((block) => bytes[block * 4096 + 77])).toEqual([
        7, 0, 0, 0, 7, 7, 9,
      ]);
      await device[Symbol.asyncDispose]();
    }
  });

  test("is claimed while it is open, and its file is refused", async ({ skip }) => {
    const path = loopDevice(at("claimed"), 2 ** 20) ?? skip(noLoopDevice);
    const first = await openBlockDevice({ path, blockSizeBytes: 512, io: "sync" });
    expect(await refusal({ path })).toMatchObject({
      code: "ERR_BUSY",
      message: expect.stringContaining("in use by another program"),
    });
    await first[Symbol.asyncDispose]();
    await (await openBlockDevice({ path, blockSizeBytes: 512, io: "sync" }))[Symbol.asyncDispose]();
    expect(await refusal({ path: at("claimed") })).toMatchObject({
      code: "ERR_BUSY",
      message: `${at("claimed")} is what the loop device ${path} lies on: free it first, or name another device`,
    });
  });

  test("that is mounted is refused with its mount point", async ({ skip }) => {
    const path = loopDevice(at("mounted"), 2 ** 20) ?? skip(noLoopDevice);
    const mountPoint = at("mount point");
    mkdirSync(mountPoint);
    must("mke2fs", "-q", path);
    if (tool("mount", path, mountPoint).status !== 0) skip("needs the right to mount");
    try {
      expect(await refusal({ path })).toMatchObject({
        code: "ERR_BUSY",
        message: `${path} is mounted at ${mountPoint}: free it first, or name another device`,
      });
    } finally {
      must("umount", "--lazy", mountPoint);
    }
  });
});

test.for(["sync", "threads"] as const)(
  "a full file system leaves a write unknown, with %s",
  async (io, { skip }) => {
    const mountPoint = at(`full-${io}`);
    mkdirSync(mountPoint);
    if (tool("mount", "-t", "tmpfs", "-o", "size=64k", "none", mountPoint).status !== 0)
      skip("needs the right to mount");
    try {
      const device = await openBlockDevice({
        path: join(mountPoint, "image"),
        sizeBytes: 2 ** 20,
        blockSizeBytes: 4096,
        io,
      });
      const outcome = await device.write({ block: 0, blockCount: 256, from: new Uint8Array(2 ** 20) });
      expect(outcome).toMatchObject({ kind: "unknown", code: "ERR_CAPACITY" });
      expect(outcome).toHaveProperty(
        "message",
        expect.stringMatching(/ENOSPC.*; 65536 bytes were done before/),
      );
      expect(await device.writeZeroes({ block: 100, blockCount: 1 })).toMatchObject({ kind: "unknown" });
      await device[Symbol.asyncDispose]();
    } finally {
      must("umount", "--lazy", mountPoint);
    }
  },
);
