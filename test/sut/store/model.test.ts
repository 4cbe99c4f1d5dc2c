/**
 * The store against a naive reference, under random histories, on both media, with a volatile cache and without.
 *
 * @packageDocumentation
 */
import fc from "fast-check";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openStore, type StoreOptions } from "../../../src/sut/store/open.ts";
import type { VolumeStore } from "../../../src/sut/store/port.ts";
import { bytesOf, type ReferenceSnapshot, ReferenceVolume, touchedBetween } from "./reference.ts";
import { changedBlocks, namespaceOf, readAll, readSnapshot } from "./store-access.ts";

const kinds = [
  ...["write", "write", "write", "write", "zero", "zero", "snapshot", "snapshot", "deleteSnapshot"],
  ...[
    "zeroMost",
    "deleteSnapshot",
    "clone",
    "rollback",
    "rollback",
    "resize",
    "deleteVolume",
    "createVolume",
    "flush",
    "reopen",
  ],
] as const;

/** Numbers are taken modulo what there is when the step runs. */
interface Step {
  readonly kind: (typeof kinds)[number];
  readonly subject: number;
  readonly block: number;
  readonly blockCount: number;
}

const block = fc.oneof(
  fc.nat(5000),
  fc.nat(40).map((chunk) => chunk * 64),
  fc.nat(40).map((chunk) => chunk * 64 + 31),
);
const blockCount = fc.oneof(
  fc.integer({ min: 1, max: 5 }),
  fc.integer({ min: 1, max: 200 }),
  fc.integer({ min: 1, max: 5000 }),
  fc.constant(64),
);
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({ kind: fc.constantFrom(...kinds), subject: fc.nat(1000), block, blockCount }),
  { minLength: 5, maxLength: 40, size: "max" },
);

class Pair {
  readonly #options: StoreOptions;
  #store: VolumeStore;
  readonly #volumes = new Map<string, ReferenceVolume>();
  readonly #snapshots = new Map<string, ReferenceSnapshot>();
  #nameCount = 0;
  #value = 0;

  constructor(options: StoreOptions, store: VolumeStore) {
    this.#options = options;
    this.#store = store;
  }

  async createVolume(blockSizeBytes: number, blockCountOfVolume: number): Promise<void> {
    const { uuid } = await this.#store.createVolume({
      name: this.#name(),
      sizeBytes: blockSizeBytes * blockCountOfVolume,
      blockSizeBytes,
    });
    this.#volumes.set(uuid, new ReferenceVolume(blockSizeBytes, blockCountOfVolume));
  }

  async run(step: Step): Promise<void> {
    const volumeUuid = pick([...this.#volumes.keys()], step.subject);
    const snapshotUuid = pick([...this.#snapshots.keys()], step.subject);
    if (step.kind === "createVolume") {
      if (this.#volumes.size < 4)
        await this.createVolume(step.subject % 4 === 0 ? 4096 : 512, step.blockCount);
    } else if (step.kind === "reopen") {
      await this.reopen();
    } else if (volumeUuid === undefined) {
      return;
    } else if (step.kind === "snapshot") {
      const created = this.#store.createSnapshot({ name: this.#name(), volumeUuid });
      const reference = this.#volumes.get(volumeUuid)!.snapshot();
      // A write right after the call is not in the snapshot, durable or not.
      this.#write(volumeUuid, step);
      this.#snapshots.set((await created).uuid, reference);
    } else if (step.kind === "deleteVolume") {
      if (step.subject % 3 !== 0) return;
      await this.#store.deleteVolume(volumeUuid);
      this.#volumes.delete(volumeUuid);
    } else if (step.kind === "resize") {
      const volume = this.#volumes.get(volumeUuid)!;
      await this.#store.resizeVolume(volumeUuid, step.blockCount * volume.blockSizeBytes);
      volume.resize(step.blockCount);
    } else if (step.kind === "write") {
      this.#write(volumeUuid, step);
    } else if (step.kind === "zero" || step.kind === "zeroMost") {
      const volume = this.#volumes.get(volumeUuid)!;
      // Enough whole chunks are kept as a range.
      const most = { ...step, block: step.block % 200, blockCount: 2000 + step.blockCount };
      const range = clip(step.kind === "zeroMost" ? most : step, volume.blockCount);
      this.#namespace(volumeUuid).zero(range.block, range.blockCount);
      volume.zero(range.block, range.blockCount);
    } else if (step.kind === "flush") {
      await this.#namespace(volumeUuid).flush();
    } else if (snapshotUuid === undefined) {
      return;
    } else if (step.kind === "deleteSnapshot") {
      await this.#store.deleteSnapshot(snapshotUuid);
      this.#snapshots.delete(snapshotUuid);
    } else if (step.kind === "clone") {
      if (this.#volumes.size >= 5) return;
      const source = this.#snapshots.get(snapshotUuid)!;
      const { uuid } = await this.#store.createVolume({
        ...{ name: this.#name(), sizeBytes: 1, blockSizeBytes: 1 },
        sourceSnapshotUuid: snapshotUuid,
      });
      this.#volumes.set(uuid, new ReferenceVolume(source.volume.blockSizeBytes, source.blockCount, source));
    } else if (step.kind === "rollback") {
      const reference = this.#snapshots.get(snapshotUuid)!;
      for (const [uuid, volume] of this.#volumes) {
        if (volume !== reference.volume) continue;
        await this.#store.rollbackVolume(uuid, snapshotUuid);
        volume.rollback(reference);
      }
    }
  }

  async check(): Promise<void> {
    expect(this.#store.volumes.map(({ uuid }) => uuid).sort()).toEqual([...this.#volumes.keys()].sort());
    for (const [uuid, volume] of this.#volumes) {
      const namespace = this.#namespace(uuid);
      expect(namespace.blockCount).toBe(volume.blockCount);
      expectEqualBytes(readAll(namespace), bytesOf(volume.content, volume), `volume ${uuid}`);
      // Blocks that are still in the cache are not counted.
      if (this.#options.volatileCache !== undefined) await namespace.flush();
      expect(namespace.allocatedBlockCount).toBe(volume.content.size);
    }
    const usable = this.#store.snapshots.filter(({ state }) => state !== "deleted");
    expect(usable.map(({ uuid }) => uuid).sort()).toEqual([...this.#snapshots.keys()].sort());
    for (const [uuid, snapshot] of this.#snapshots) {
      const shape = { blockSizeBytes: snapshot.volume.blockSizeBytes, blockCount: snapshot.blockCount };
      expectEqualBytes(
        await readSnapshot(this.#store, uuid),
        bytesOf(snapshot.content, shape),
        `snapshot ${uuid}`,
      );
    }
    this.#checkDiffs();
  }

  /** Nothing may linger when all is deleted. */
  async deleteAll(): Promise<void> {
    for (const uuid of this.#snapshots.keys()) await this.#store.deleteSnapshot(uuid);
    for (const uuid of this.#volumes.keys()) await this.#store.deleteVolume(uuid);
    expect(this.#store.snapshots).toEqual([]);
    expect(this.#store.volumes).toEqual([]);
  }

  async close(): Promise<void> {
    await this.#store[Symbol.asyncDispose]();
  }

  #checkDiffs(): void {
    // In order of creation, as the map keeps them.
    const entries = [...this.#snapshots];
    for (const [index, [snapshotUuid, snapshot]] of entries.entries()) {
      const whole = changedBlocks(this.#store, { snapshotUuid, chunkCountMax: 3 });
      expect(whole).toEqual(touchedBetween(undefined, snapshot));
      for (const [baseSnapshotUuid, base] of entries.slice(0, index)) {
        if (base.volume !== snapshot.volume) {
          expect(() => changedBlocks(this.#store, { snapshotUuid, baseSnapshotUuid })).toThrow(
            expect.objectContaining({ code: "ERR_NOT_ON_CHAIN" }),
          );
          continue;
        }
        const expected = touchedBetween(base, snapshot);
        expect(changedBlocks(this.#store, { snapshotUuid, baseSnapshotUuid })).toEqual(expected);
        // From any offset on, with any page size.
        const offsetLba = Math.floor(snapshot.blockCount / 2);
        const first = offsetLba - (offsetLba % 64);
        expect(
          changedBlocks(this.#store, { snapshotUuid, baseSnapshotUuid, offsetLba, chunkCountMax: 1 }),
        ).toEqual(expected.filter((at) => at >= first));
      }
    }
  }

  #write(volumeUuid: string, step: Step): void {
    const volume = this.#volumes.get(volumeUuid)!;
    const range = clip(step, volume.blockCount);
    const value = ++this.#value;
    const from = new Uint32Array((range.blockCount * volume.blockSizeBytes) / 4).fill(value);
    this.#namespace(volumeUuid).write(range.block, range.blockCount, new Uint8Array(from.buffer));
    volume.write(range.block, range.blockCount, value);
  }

  #namespace(volumeUuid: string) {
    return namespaceOf(this.#store, this.#store.volume(volumeUuid)!);
  }

  async reopen(): Promise<void> {
    if (this.#options.kind === "memory") return;
    const before = { volumes: this.#store.volumes, snapshots: this.#store.snapshots };
    await this.#store[Symbol.asyncDispose]();
    this.#store = await openStore(this.#options);
    const byUuid = (a: { uuid: string }, b: { uuid: string }): number => (a.uuid < b.uuid ? -1 : 1);
    expect([...this.#store.volumes].sort(byUuid)).toEqual([...before.volumes].sort(byUuid));
    expect([...this.#store.snapshots].sort(byUuid)).toEqual([...before.snapshots].sort(byUuid));
  }

  #name(): string {
    return `name-${this.#nameCount++}`;
  }
}

function pick<Item>(items: readonly Item[], index: number): Item | undefined {
  return items[index % items.length];
}

function clip(
  step: Pick<Step, "block" | "blockCount">,
  limit: number,
): { readonly block: number; readonly blockCount: number } {
  const first = step.block % limit;
  return { block: first, blockCount: Math.min(step.blockCount, limit - first) };
}

function expectEqualBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  if (Buffer.compare(actual, expected) === 0) return;
  const at = actual.findIndex((byte, index) => byte !== expected[index]);
  expect.fail(`${what}: byte ${at} of ${actual.length} is ${actual[at]}, not ${expected[at]}`);
}

describe.each([
  { medium: "memory", kind: "memory", cache: {}, numRuns: 300 },
  { medium: "a directory", kind: "directory", cache: {}, numRuns: 60 },
  {
    medium: "memory with a volatile cache",
    kind: "memory",
    cache: { volatileCache: { sizeBytesMax: 2 ** 16 } },
    numRuns: 100,
  },
  {
    medium: "a directory with a volatile cache",
    kind: "directory",
    cache: { volatileCache: {} },
    numRuns: 20,
  },
] as const)("a store in $medium", ({ kind, cache, numRuns }) => {
  test("holds and reports what a naive store does, whatever happens to its volumes", async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (history) => {
        const path = mkdtempSync(join(tmpdir(), "harrow-store-"));
        const options: StoreOptions = { ...(kind === "memory" ? { kind } : { kind, path }), ...cache };
        const pair = new Pair(options, await openStore(options));
        try {
          await pair.createVolume(512, 3000);
          for (const step of history) await pair.run(step);
          await pair.check();
          await pair.reopen();
          await pair.check();
          await pair.deleteAll();
        } finally {
          await pair.close();
          rmSync(path, { recursive: true, force: true });
        }
      }),
      { numRuns },
    );
  });
});
