/**
 * The volatile write cache: what reads see of it, what makes it durable, and what a crash leaves.
 *
 * A copy of a store's directory is what a process that is killed at that moment leaves behind.
 *
 * @packageDocumentation
 */
import fc from "fast-check";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openStore } from "../../../src/sut/store/open.ts";
import { flushBlocks } from "../../../src/sut/store/partial-flush.ts";
import { type Namespace, StoreError, type VolumeStore } from "../../../src/sut/store/port.ts";
import {
  VolatileCache,
  type VolatileCacheOptions,
  VolumeCache,
} from "../../../src/sut/store/volatile-cache.ts";
import { namespaceOf, readAll, readSnapshot, temporaryDirectory } from "./store-access.ts";

const blockSizeBytes = 512;

function filled(value: number, blockCount = 1): Uint8Array {
  return new Uint8Array(blockCount * blockSizeBytes).fill(value);
}

/** First byte of each block. */
function valuesOf(bytes: Uint8Array): number[] {
  return Array.from({ length: bytes.length / blockSizeBytes }, (_, block) => bytes[block * blockSizeBytes]!);
}

async function openVolume(
  path: string,
  volatileCache: VolatileCacheOptions,
  blockCount = 64,
): Promise<
  AsyncDisposable & { readonly store: VolumeStore; readonly namespace: Namespace; readonly uuid: string }
> {
  const store = await openStore({ kind: "directory", path, volatileCache });
  const volume = await store.createVolume({
    name: "v",
    sizeBytes: blockCount * blockSizeBytes,
    blockSizeBytes,
  });
  const namespace = namespaceOf(store, volume);
  return { store, namespace, uuid: volume.uuid, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() };
}

/** Values of the volume's blocks after a crash now. */
async function afterCrash(path: string): Promise<number[]> {
  const copy = mkdtempSync(join(tmpdir(), "harrow-store-"));
  try {
    cpSync(path, copy, { recursive: true });
    await using store = await openStore({ kind: "directory", path: copy });
    return valuesOf(readAll(namespaceOf(store, store.volumeByName("v")!)));
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

/** A volume of flushed ones over which twos are written, block by block, and nothing is flushed. */
async function lostAndKept(volatileCache: VolatileCacheOptions): Promise<number[]> {
  const path = temporaryDirectory();
  await using volume = await openVolume(path, volatileCache);
  const { namespace } = volume;
  namespace.write(0, 64, filled(1, 64));
  await namespace.flush();
  for (let block = 0; block < 64; block++) namespace.write(block, 1, filled(2));
  expect(valuesOf(readAll(namespace))).toEqual(Array(64).fill(2));
  return afterCrash(path);
}

describe("a crash with a volatile cache", () => {
  test("loses some of the unflushed blocks and keeps others, which ones the seed says", async () => {
    const found = await lostAndKept({ seed: 1 });
    expect(new Set(found)).toEqual(new Set([1, 2]));
    // Not in the order of the writes.
    expect(found.lastIndexOf(2)).toBeGreaterThan(found.indexOf(1));
    expect(await lostAndKept({ seed: 1 })).toEqual(found);
    expect(await lostAndKept({ seed: 2 })).not.toEqual(found);
  });

  test("keeps what was written, though the writer uses its buffer again", async () => {
    await using volume = await openVolume(temporaryDirectory(), {});
    const buffer = Buffer.alloc(blockSizeBytes, 7);
    volume.namespace.write(3, 1, buffer);
    buffer.fill(8);
    expect(valuesOf(readAll(volume.namespace))[3]).toBe(7);
  });

  test("loses no more than the cache has room for", async () => {
    const found = await lostAndKept({ sizeBytesMax: 8 * blockSizeBytes, seed: 3 });
    const lost = found.flatMap((value, block) => (value === 1 ? [block] : []));
    expect(lost.length).toBeGreaterThan(0);
    expect(lost.length).toBeLessThanOrEqual(8);
  });

  test("loses zeroed blocks too, but not a zeroing that is larger than the cache", async () => {
    const path = temporaryDirectory();
    await using volume = await openVolume(path, { sizeBytesMax: 4096 });
    const { namespace } = volume;
    namespace.write(0, 64, filled(1, 64));
    await namespace.flush();
    namespace.zero(0, 4);
    expect(valuesOf(readAll(namespace)).slice(0, 5)).toEqual([0, 0, 0, 0, 1]);
    await flushBlocks(namespace, 60, 1);
    expect((await afterCrash(path)).slice(0, 4)).toContain(1);
    namespace.write(20, 1, filled(2));
    namespace.zero(10, 40);
    await flushBlocks(namespace, 60, 1);
    expect((await afterCrash(path)).slice(10, 50)).toEqual(Array(40).fill(0));
  });

  test("leaves what was flushed, of one block or of all", async () => {
    const path = temporaryDirectory();
    await using volume = await openVolume(path, {});
    const { namespace } = volume;
    namespace.write(0, 8, filled(1, 8));
    await flushBlocks(namespace, 2, 3);
    const found = await afterCrash(path);
    expect(found.slice(2, 5)).toEqual([1, 1, 1]);
    // The rest of the same write waits on, but for a block that left early.
    expect([...found.slice(0, 2), ...found.slice(5, 8)]).toContain(0);
    await namespace.flush();
    expect((await afterCrash(path)).slice(0, 8)).toEqual(Array(8).fill(1));
  });

  test("leaves a snapshot, a resize and a rollback as they were acknowledged", async () => {
    const path = temporaryDirectory();
    await using volume = await openVolume(path, {});
    const { store, namespace, uuid } = volume;
    namespace.write(0, 64, filled(1, 64));
    const making = store.createSnapshot({ name: "s", volumeUuid: uuid });
    namespace.write(0, 64, filled(2, 64));
    const { uuid: snapshotUuid } = await making;
    expect(valuesOf(await readSnapshot(store, snapshotUuid))).toEqual(Array(64).fill(1));
    await store.resizeVolume(uuid, 32 * blockSizeBytes);
    await store.resizeVolume(uuid, 64 * blockSizeBytes);
    expect(await afterCrash(path)).toEqual([...Array(32).fill(2), ...Array(32).fill(0)]);
    namespace.write(0, 64, filled(3, 64));
    await store.rollbackVolume(uuid, snapshotUuid);
    expect(valuesOf(readAll(namespace))).toEqual(Array(64).fill(1));
    expect(await afterCrash(path)).toEqual(Array(64).fill(1));
  });
});

test("a store that is closed in order loses nothing", async () => {
  const path = temporaryDirectory();
  {
    await using volume = await openVolume(path, {});
    volume.namespace.write(0, 64, filled(1, 64));
  }
  expect(await afterCrash(path)).toEqual(Array(64).fill(1));
});

describe("a block that cannot be written back", () => {
  test("stays in the cache, and whoever needed the room is told", () => {
    const written: number[] = [];
    let isBroken = true;
    const cache: VolumeCache = new VolumeCache(new VolatileCache({ sizeBytesMax: 4096 }), {
      blockSizeBytes: 4096,
      writeThrough: (block) => {
        if (isBroken) throw new StoreError("ERR_IO", "disk on fire");
        written.push(block);
      },
      zeroThrough: () => expect.fail("nothing was zeroed"),
      writeBackEarly: (block) => cache.writeBack(block, 1),
    });
    cache.write(1, 1, new Uint8Array(4096).fill(7));
    expect(() => cache.write(2, 1, new Uint8Array(4096))).toThrow("disk on fire");
    expect(() => cache.writeBack(0, 10)).toThrow("disk on fire");
    const into = new Uint8Array(2 * 4096).fill(9);
    cache.overlay(1, 2, into);
    expect([into[0], into[4096]]).toEqual([7, 9]);
    isBroken = false;
    cache.writeBack(0, 10);
    cache.writeBack(0, 10);
    expect(written).toEqual([1]);
  });
});

test.for([
  { sizeBytesMax: 4095 },
  { sizeBytesMax: Number.NaN },
  { seed: -1 },
  { seed: 2 ** 32 },
  { seed: 0.5 },
])("%o is refused", async (volatileCache) => {
  await expect(openStore({ kind: "memory", volatileCache })).rejects.toMatchObject({ code: "ERR_INVALID" });
});

const step = fc.record({
  kind: fc.constantFrom("write", "write", "write", "zero", "durableWrite", "flush", "crash"),
  block: fc.nat(63),
  blockCount: fc.integer({ min: 1, max: 20 }),
});

test("after a crash each block holds its last durable value or a later one", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 40 }), fc.nat(1000), async (steps, seed) => {
      const path = mkdtempSync(join(tmpdir(), "harrow-store-"));
      try {
        await using volume = await openVolume(path, { sizeBytesMax: 16 * blockSizeBytes, seed });
        const { namespace } = volume;
        /** By block: values from the last durable one on. */
        const allowed: number[][] = Array.from({ length: 64 }, () => [0]);
        let value = 0;
        for (const { kind, block, blockCount } of [...steps, { kind: "crash", block: 0, blockCount: 1 }]) {
          const past = Math.min(64, block + blockCount);
          if (kind === "crash") {
            const found = await afterCrash(path);
            for (const [at, values] of allowed.entries()) expect(values, `block ${at}`).toContain(found[at]);
          } else if (kind === "flush") {
            await namespace.flush();
            for (const values of allowed) values.splice(0, values.length - 1);
          } else {
            const isZero = kind === "zero";
            value++;
            for (let at = block; at < past; at++) allowed[at]!.push(isZero ? 0 : value);
            if (isZero) namespace.zero(block, past - block);
            else namespace.write(block, past - block, filled(value, past - block));
            if (kind === "durableWrite") {
              await flushBlocks(namespace, block, past - block);
              for (let at = block; at < past; at++) allowed[at] = [value];
            }
          }
          expect(valuesOf(readAll(namespace))).toEqual(allowed.map((values) => values.at(-1)));
        }
      } finally {
        rmSync(path, { recursive: true, force: true });
      }
    }),
    { numRuns: 25 },
  );
});
