/**
 * Discards and write zeroes on loop devices, with and without the page cache; what tells disks apart.
 *
 * @packageDocumentation
 */
import {
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { pageAligned } from "../../../src/sut/block/aligned-memory.ts";
import { diskIdentity } from "../../../src/sut/block/disk-identity.ts";
import { diskLimits } from "../../../src/sut/block/disk-limits.ts";
import { type BlockDeviceOptions, openBlockDevice } from "../../../src/sut/block/open.ts";
import { discardCount, loopDevice, must, noLoopDevice, tool } from "./loop-device.ts";

const ok = { kind: "ok" };
const mebibyte = 2 ** 20;
let folder: string;
const at = (name: string) => join(folder, name);

beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "harrow-disk-")));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function opened(options: Partial<BlockDeviceOptions> & { readonly path: string }) {
  const device = await openBlockDevice({ blockSizeBytes: 512, io: "threads", ...options });
  onTestFinished(() => Promise.resolve(device[Symbol.asyncDispose]()));
  return device;
}

describe.each([{ direct: false }, { direct: true }])("a loop device with %o", ({ direct }) => {
  test("is given back by discards, which promise nothing", async ({ skip }) => {
    const path = loopDevice(at("discarded"), 16 * mebibyte) ?? skip(noLoopDevice);
    const device = await opened({ path, direct });
    expect(device.capabilities).toMatchObject({ deallocate: true, deallocatedReads: "unreported" });
    const from = pageAligned(8 * mebibyte).fill(7);
    expect(await device.write({ block: 0, blockCount: from.length / 512, from })).toEqual(ok);
    await device.flush();
    const before = { discards: discardCount(path), blocks: statSync(at("discarded")).blocks };
    const ranges = [
      { block: 0, blockCount: 8 },
      { block: 64, blockCount: 0 },
      { block: 1024, blockCount: 8192 },
    ];
    expect(await device.deallocate({ ranges })).toEqual(ok);
    expect(discardCount(path) - before.discards).toBeGreaterThanOrEqual(2);
    expect(before.blocks - statSync(at("discarded")).blocks).toBeGreaterThanOrEqual(8192);
    // A loop device over a file happens to read as zeros; what lies between stays in any case.
    const into = pageAligned(8 * mebibyte);
    expect(await device.read({ block: 0, blockCount: into.length / 512, into })).toEqual(ok);
    expect([8, 64, 1023, 9216].map((block) => into[block * 512])).toEqual([7, 7, 7, 7]);
    expect([0, 7, 1024, 9215].map((block) => into[block * 512])).toEqual([0, 0, 0, 0]);
  });

  test("is written over with zeros by its own command, whatever was written just before", async ({
    skip,
  }) => {
    const path = loopDevice(at("zeroed"), 4 * mebibyte) ?? skip(noLoopDevice);
    const device = await opened({ path, direct });
    const blockCount = device.blockCount;
    const range = fc.record({ block: fc.nat(blockCount - 1), length: fc.integer({ min: 1, max: 300 }) });
    const step = fc.record({ range, mayUnmap: fc.boolean(), byte: fc.integer({ min: 1, max: 255 }) });
    const expected = pageAligned(4 * mebibyte);
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 6 }), async (steps) => {
        for (const { range, mayUnmap, byte } of steps) {
          const count = Math.min(range.length, blockCount - range.block);
          const from = pageAligned(count * 512).fill(byte);
          const one = { block: range.block, blockCount: count };
          expect(await device.write({ ...one, from })).toEqual(ok);
          expected.fill(byte, range.block * 512, (range.block + count) * 512);
          const part = { block: range.block, blockCount: Math.ceil(count / 2) };
          expect(await device.writeZeroes({ ...part, deallocate: mayUnmap })).toEqual(ok);
          expected.fill(0, part.block * 512, (part.block + part.blockCount) * 512);
        }
        const into = pageAligned(4 * mebibyte);
        expect(await device.read({ block: 0, blockCount, into })).toEqual(ok);
        expect(Buffer.compare(into, expected)).toBe(0);
      }),
      { numRuns: 12 },
    );
  });

  test("takes zeros and discards while neighbours are written, also in the same page", async ({ skip }) => {
    const path = loopDevice(at("crowded"), mebibyte) ?? skip(noLoopDevice);
    const device = await opened({ path, direct });
    const writing = Array.from({ length: 200 }, async (_, index) => {
      const block = 2 * (index % 64);
      const from = pageAligned(512).fill(9);
      return device.write({ block, blockCount: 1, from });
    });
    const zeroing = Array.from({ length: 32 }, (_, index) =>
      index % 2 === 0
        ? device.writeZeroes({ block: 1 + 2 * index, blockCount: 1 })
        : device.deallocate({ ranges: [{ block: 1 + 2 * index, blockCount: 1 }] }),
    );
    for (const outcome of await Promise.all([...writing, ...zeroing])) expect(outcome).toEqual(ok);
    const into = pageAligned(64 * 1024);
    expect(await device.read({ block: 0, blockCount: 128, into })).toEqual(ok);
    for (let block = 0; block < 128; block++)
      expect([block, into[block * 512]]).toEqual([block, block % 2 === 0 ? 9 : 0]);
  });

  test.for(["sync", "threads"] as const)(
    "is read and written from buffers that lie anywhere, with %s",
    async (io, { skip }) => {
      const path = loopDevice(at(`anywhere-${io}`), 4 * mebibyte) ?? skip(noLoopDevice);
      const device = await opened({ path, direct, io });
      // Node's heap allocator puts these 16 bytes past a page.
      const from = new Uint8Array(2 * mebibyte + 512).map((_, index) => index >> 9);
      const range = { block: 3, blockCount: from.length / 512 };
      expect(await device.write({ ...range, from, fua: true })).toEqual(ok);
      for (const into of [new Uint8Array(from.length), pageAligned(from.length)]) {
        expect(await device.read({ ...range, into })).toEqual(ok);
        expect(Buffer.compare(into, from)).toBe(0);
      }
    },
  );
});

test("zeros are written where that was asked for, and then deallocating promises them", async ({ skip }) => {
  const path = loopDevice(at("written"), mebibyte) ?? skip(noLoopDevice);
  const device = await opened({ path, zeroesBy: "writes" });
  expect(device.capabilities).toMatchObject({ deallocate: true, deallocatedReads: "zeros" });
  const before = discardCount(path);
  const from = pageAligned(4096).fill(7);
  await device.write({ block: 0, blockCount: 8, from });
  expect(await device.deallocate({ ranges: [{ block: 1, blockCount: 1 }] })).toEqual(ok);
  await device.read({ block: 0, blockCount: 8, into: from });
  expect([from[511], from[512], from[1023], from[1024]]).toEqual([7, 0, 0, 7]);
  expect(discardCount(path)).toBe(before);
});

test("a compare-and-write is no part of zeroing that another process does meanwhile", async () => {
  const device = await opened({ path: at("compared"), sizeBytes: mebibyte, io: "sync", zeroesBy: "device" });
  const [expected, from] = [new Uint8Array(512).fill(1), new Uint8Array(512).fill(2)];
  const range = { block: 7, blockCount: 1 };
  expect(await device.write({ ...range, from: expected })).toEqual(ok);
  const zeroing = device.writeZeroes(range);
  const comparing = device.compareAndWrite({ ...range, expected, from });
  expect(await zeroing).toEqual(ok);
  expect(await comparing).toMatchObject({ kind: "failed", code: "ERR_COMPARE_FAILED" });
});

describe("the size of a loop device", () => {
  test("is followed when all of it is used, up and down", async ({ skip }) => {
    const path = loopDevice(at("resized"), mebibyte) ?? skip(noLoopDevice);
    const device = await opened({ path, direct: true });
    const into = pageAligned(512);
    const last = { block: 4095, blockCount: 1 };
    expect(await device.read({ ...last, into })).toMatchObject({ kind: "failed", code: "ERR_OUT_OF_RANGE" });
    truncateSync(at("resized"), 2 * mebibyte);
    must("losetup", "--set-capacity", path);
    expect(await device.read({ ...last, into })).toEqual(ok);
    expect(device.blockCount).toBe(4096);
    truncateSync(at("resized"), mebibyte);
    must("losetup", "--set-capacity", path);
    // Nobody has looked at the size since: the kernel says it.
    expect(await device.read({ ...last, into })).toMatchObject({ kind: "failed", code: "ERR_OUT_OF_RANGE" });
    expect(device.blockCount).toBe(2048);
  });

  test("is that which was asked for when only a part is used", async ({ skip }) => {
    const path = loopDevice(at("part"), 2 * mebibyte) ?? skip(noLoopDevice);
    const device = await opened({ path, sizeBytes: mebibyte });
    truncateSync(at("part"), 4 * mebibyte);
    must("losetup", "--set-capacity", path);
    expect(device.blockCount).toBe(2048);
  });
});

test("blocks of 512 bytes are refused on a disk whose logical blocks are longer, and longer ones taken", async ({
  skip,
}) => {
  const path = loopDevice(at("4k"), mebibyte, "--sector-size", "4096") ?? skip(noLoopDevice);
  await expect(openBlockDevice({ path, blockSizeBytes: 512, io: "sync" })).rejects.toMatchObject({
    code: "ERR_INVALID_REQUEST",
    message: `${path} has logical blocks of 4096 bytes: use blockSizeBytes 4096, not 512`,
  });
  const device = await opened({ path, blockSizeBytes: 4096, direct: true });
  expect(await device.deallocate({ ranges: [{ block: 3, blockCount: 1 }] })).toEqual(ok);
  expect(await device.writeZeroes({ block: 255, blockCount: 1 })).toEqual(ok);
});

test("a loop device that is read-only is refused, and may be looked at", async ({ skip }) => {
  const path = loopDevice(at("read-only"), mebibyte, "--read-only") ?? skip(noLoopDevice);
  await expect(openBlockDevice({ path, blockSizeBytes: 512, io: "sync" })).rejects.toMatchObject({
    code: "ERR_FORBIDDEN",
    message: `${path} is read-only: harrow writes to what it checks`,
  });
  const device = await opened({ path, access: "read" });
  expect(await device.read({ block: 2047, blockCount: 1, into: pageAligned(512) })).toEqual(ok);
});

test("a loop device that nothing is attached to is refused", async ({ skip }) => {
  const path = loopDevice(at("detached"), mebibyte) ?? skip(noLoopDevice);
  must("losetup", "--detach", path);
  await expect(openBlockDevice({ path, blockSizeBytes: 512, io: "sync" })).rejects.toMatchObject({
    code: "ERR_NOT_FOUND",
    message: `${path} has no medium, or nothing attached to it`,
  });
});

test("a swap area in use is refused", async ({ skip }) => {
  const path = loopDevice(at("swap"), 2 * mebibyte) ?? skip(noLoopDevice);
  if (tool("mkswap", path).status !== 0 || tool("swapon", path).status !== 0) skip("needs the right to swap");
  onTestFinished(() => must("swapoff", path));
  await expect(openBlockDevice({ path, blockSizeBytes: 4096, io: "sync" })).rejects.toMatchObject({
    code: "ERR_BUSY",
    message: `${path} is swap space: free it first, or name another device`,
  });
});

describe("which disk it is", () => {
  test("is told by what a loop device lies on, under any name", async ({ skip }) => {
    const path = loopDevice(at("told"), 3 * mebibyte) ?? skip(noLoopDevice);
    const first = await openBlockDevice({ path, blockSizeBytes: 512, io: "sync" });
    expect(first.identity).toEqual({
      name: `${path} (loop device over ${at("told")}, 3 MiB)`,
      ...{ uuid: undefined, nsid: undefined },
    });
    await first[Symbol.asyncDispose]();
    const { lastingId } = first;
    expect(lastingId).toMatch(/^loop device over file of inode \d+, made at \d+ ns from byte 0$/);
    must("losetup", "--detach", path);
    const other = loopDevice(at("other"), 3 * mebibyte)!;
    await expect(
      openBlockDevice({ path: other, blockSizeBytes: 512, io: "sync", again: { lastingId } }),
    ).rejects.toMatchObject({ code: "ERR_CONFLICT", message: expect.stringContaining(`then ${lastingId}`) });
    const moved = tool("losetup", "--find", "--show", at("told")).stdout.trim();
    onTestFinished(() => must("losetup", "--detach", moved));
    await opened({ path: moved, again: { lastingId } });
  });

  test("is told by the file, which another of its name is not", async () => {
    const path = at("file");
    const { lastingId } = await opened({ path, sizeBytes: mebibyte });
    await opened({ path, again: { lastingId } });
    renameSync(path, at("old"));
    const again = (more = {}) =>
      openBlockDevice({ path, blockSizeBytes: 512, io: "sync", again: { lastingId }, ...more });
    await expect(again({ sizeBytes: mebibyte })).rejects.toMatchObject({
      code: "ERR_NOT_FOUND",
      message: `${path} does not exist, and did when the run began: bring it back`,
    });
    writeFileSync(path, Buffer.alloc(mebibyte));
    await expect(again()).rejects.toMatchObject({
      code: "ERR_CONFLICT",
      message: expect.stringMatching(
        /is not what it was when the run began \(now .*, then .*\): name the path/,
      ),
    });
    // Of a run that began with an older version, nothing is known.
    await opened({ path, again: { lastingId: undefined } });
  });

  /** A folder as the kernel makes it in `/sys`. */
  function sysfs(name: string, files: Record<string, string>): string {
    for (const [file, content] of Object.entries(files)) {
      mkdirSync(join(at(name), file, ".."), { recursive: true });
      writeFileSync(join(at(name), file), `${content}\n`);
    }
    return at(name);
  }
  const uuid = "6b3c1f0a-57e2-4d5e-9f1c-0a2b3c4d5e6f";

  // Formats: drivers/nvme/host/sysfs.c, drivers/scsi/scsi_sysfs.c, drivers/md/dm-sysfs.c of the kernel.
  test.each([
    {
      what: "an NVMe namespace with a UUID",
      files: {
        size: "2097152",
        nsid: "3",
        wwid: `uuid.${uuid}`,
        uuid,
        "device/model": "Linux           ",
        "device/serial": "a1b2c3",
      },
      expected: { lastingId: `wwid uuid.${uuid}`, words: "Linux, serial a1b2c3, 1 GiB", uuid, nsid: 3 },
    },
    {
      what: "an NVMe namespace with an NGUID, which `uuid` shows as if it were one",
      files: { size: "2048", nsid: "1", wwid: "eui.00112233445566778899aabbccddeeff", uuid },
      expected: {
        lastingId: "wwid eui.00112233445566778899aabbccddeeff",
        words: "1 MiB",
        uuid: undefined,
        nsid: 1,
      },
    },
    {
      what: "a SCSI disk",
      files: {
        size: "2048",
        "device/vendor": "ATA     ",
        "device/model": "Samsung SSD 870 ",
        "device/wwid": "naa.5002538f70123456",
      },
      expected: { lastingId: "wwid naa.5002538f70123456", words: "ATA Samsung SSD 870, 1 MiB" },
    },
    {
      what: "a virtio disk with a serial number",
      files: { size: "2048", serial: "data", "device/vendor": "0x1af4" },
      expected: { lastingId: "serial data", words: "serial data, 1 MiB" },
    },
    {
      what: "a logical volume",
      files: { size: "2048", "dm/name": "vg-data", "dm/uuid": "LVM-abc" },
      expected: { lastingId: "device mapper uuid LVM-abc", words: "vg-data, 1 MiB" },
    },
    {
      what: "a disk that has nothing of its own",
      files: { size: "2048", serial: "" },
      expected: { lastingId: expect.stringMatching(/ of 1048576 bytes$/), words: "1 MiB" },
    },
    {
      what: "a model that would move the cursor",
      files: { size: "2048", "device/model": "\u001b[2Jevil\u0007", serial: "s".repeat(500) },
      expected: { words: `[2Jevil, ${`serial ${"s".repeat(500)}`.slice(0, 64)}, 1 MiB` },
    },
  ])("is told of $what", ({ what, files, expected }) => {
    expect(diskIdentity(sysfs(what, files as unknown as Record<string, string>))).toMatchObject(expected);
  });

  test("is told of a partition by its disk, number and place", () => {
    sysfs("sdx", { size: "4096", "device/wwid": "naa.1" });
    const folder = sysfs("sdx/sdx2", { partition: "2", start: "2048", size: "2048" });
    expect(diskIdentity(folder)).toEqual({
      lastingId: "wwid naa.1, partition 2 from sector 2048",
      words: "1 MiB, partition 2 of 2 MiB",
      ...{ uuid: undefined, nsid: undefined },
    });
  });

  test("goes with the limits of its queue, which a partition shares", () => {
    sysfs("sdy", {
      "queue/logical_block_size": "512",
      "queue/zoned": "host-managed",
      "queue/write_cache": "write through",
      "queue/discard_max_bytes": "0",
      "queue/write_zeroes_max_bytes": "33553920",
      ro: "0",
    });
    const expected = {
      ...{ sectorBytes: 512, isReadOnly: false, zoned: "host-managed", hasVolatileCache: false },
      ...{ discards: false, writesZeroes: true },
    };
    expect(diskLimits(at("sdy"))).toEqual(expected);
    expect(diskLimits(sysfs("sdy/sdy1", { ro: "1" }))).toEqual({ ...expected, isReadOnly: true });
  });
});
