/**
 * Bugs on purpose: each is reached at its step, and the step is right if the bug goes on with it as it is.
 *
 * @packageDocumentation
 */
import { cpSync } from "node:fs";
import { describe, expect, onTestFinished, test } from "vitest";
import type { StoreBug } from "../../../src/sut/store/bug.ts";
import { openStore, type StoreOptions } from "../../../src/sut/store/open.ts";
import { flushBlocks } from "../../../src/sut/store/partial-flush.ts";
import type { Namespace, VolumeStore } from "../../../src/sut/store/port.ts";
import { changedBlocks, namespaceOf, readAll, readSnapshot, temporaryDirectory } from "./store-access.ts";

const blockSizeBytes = 512;

function filled(value: number, blockCount = 1): Uint8Array {
  return new Uint8Array(blockCount * blockSizeBytes).fill(value);
}

/** First byte of each block. */
function valuesOf(bytes: Uint8Array): readonly number[] {
  return Array.from({ length: bytes.length / blockSizeBytes }, (_, block) => bytes[block * blockSizeBytes]!);
}

async function opened(options: StoreOptions): Promise<VolumeStore> {
  const store = await openStore(options);
  onTestFinished(() => store[Symbol.asyncDispose]());
  return store;
}

async function volumeIn(
  store: VolumeStore,
  blockCount = 4,
  name = "v",
): Promise<{ readonly namespace: Namespace; readonly uuid: string }> {
  const volume = await store.createVolume({ name, sizeBytes: blockCount * blockSizeBytes, blockSizeBytes });
  return { namespace: namespaceOf(store, volume), uuid: volume.uuid };
}

/** A volume of four blocks in memory, in a store with a bug. */
async function spoiled(bug: StoreBug, blockCount?: number) {
  const store = await opened({ kind: "memory", bug });
  return { store, ...(await volumeIn(store, blockCount)) };
}

async function snapshotOf(store: VolumeStore, volumeUuid: string, name: string): Promise<string> {
  return (await store.createSnapshot({ name, volumeUuid })).uuid;
}

/** The store that a crash of whoever has the directory open would leave now. */
function crashed(path: string): Promise<VolumeStore> {
  const copy = temporaryDirectory();
  cpSync(path, copy, { recursive: true });
  return opened({ kind: "directory", path: copy });
}

async function valuesAfterCrash(path: string): Promise<readonly number[]> {
  const store = await crashed(path);
  return valuesOf(readAll(namespaceOf(store, store.volumeByName("v")!)));
}

/** A bug that goes on as it is everywhere, and notes where it was. */
function spy(): { readonly bug: Required<StoreBug>; readonly reached: Set<string> } {
  const reached = new Set<string>();
  const bug: Required<StoreBug> = {
    read: (_volume, request, proceed) => {
      reached.add("read");
      proceed(request);
    },
    write: (_volume, request, proceed) => {
      reached.add("write");
      proceed(request);
    },
    zero: (_volume, range, proceed) => {
      reached.add("zero");
      proceed(range);
    },
    flush: (_volume, _range, proceed) => {
      reached.add("flush");
      return proceed();
    },
    writeBackEarly: (_volume, _entry, proceed) => {
      reached.add("writeBackEarly");
      proceed();
    },
    snapshot: async (_volume, proceed) => {
      reached.add("snapshot");
      return proceed();
    },
    merge: (_layer, _child, proceed) => {
      reached.add("merge");
      return proceed();
    },
    rollback: (_volume, _abandoned, proceed) => {
      reached.add("rollback");
      proceed();
    },
    resize: (_volume, _blockCount, proceed) => {
      reached.add("resize");
      proceed();
    },
    created: () => {
      reached.add("created");
    },
    diff: (plan, proceed) => {
      reached.add("diff");
      return proceed(plan);
    },
    allocate: (_arena, proceed) => {
      reached.add("allocate");
      return proceed();
    },
    commit: (change) => {
      reached.add("commit");
      return change;
    },
    opened: () => {
      reached.add("opened");
    },
  };
  return { bug, reached };
}

/** Everything that a store does, in a directory with a volatile cache, and what it all shows. */
async function lifeOf(bug: StoreBug | undefined) {
  const path = temporaryDirectory();
  const options = { kind: "directory", path, volatileCache: { seed: 5 } } as const;
  const store = await opened(bug === undefined ? options : { ...options, bug });
  const { namespace, uuid } = await volumeIn(store, 128);
  for (let block = 0; block < 128; block++) namespace.write(block, 1, filled(1 + (block % 200)));
  await namespace.flush();
  const first = await snapshotOf(store, uuid, "first");
  namespace.write(60, 8, filled(201, 8));
  const second = await snapshotOf(store, uuid, "second");
  namespace.zero(62, 4);
  await flushBlocks(namespace, 62, 4);
  const third = await snapshotOf(store, uuid, "third");
  await store.deleteSnapshot(second);
  const diff = changedBlocks(store, { snapshotUuid: third, baseSnapshotUuid: first });
  const before = valuesOf(readAll(namespace));
  await store.resizeVolume(uuid, 192 * blockSizeBytes);
  namespace.write(150, 2, filled(202, 2));
  const grown = valuesOf(readAll(namespace));
  await store.rollbackVolume(uuid, first);
  const snapshots = [valuesOf(await readSnapshot(store, first)), valuesOf(await readSnapshot(store, third))];
  return { diff, before, grown, snapshots, back: valuesOf(readAll(namespace)) };
}

describe("a store with a bug that does nothing wrong", () => {
  test("is right, and asks it at every step", async () => {
    const { bug, reached } = spy();
    expect(await lifeOf(bug)).toEqual(await lifeOf(undefined));
    expect([...reached].sort()).toEqual(Object.keys(bug).sort());
  });

  test("is right if the bug stands at no step", async () => {
    expect(await lifeOf({})).toEqual(await lifeOf(undefined));
  });
});

describe("a store without a bug", () => {
  test("never calls that of another store", async () => {
    const { bug, reached } = spy();
    await opened({ kind: "memory", bug });
    reached.clear();
    await lifeOf(undefined);
    expect([...reached]).toEqual([]);
  });
});

describe("a bug", () => {
  test("stands between a read and its bytes", async () => {
    const asked: (readonly [number, number])[] = [];
    let offset = 0;
    const { namespace } = await spoiled({
      read: (_volume, request, proceed) => {
        asked.push([request.block, request.blockCount]);
        proceed({ ...request, block: request.block + offset });
      },
    });
    namespace.write(1, 2, filled(7, 2));
    const into = filled(0xee, 2);
    namespace.read(0, 2, into);
    expect(valuesOf(into)).toEqual([0, 7]);
    offset = 2;
    namespace.read(0, 2, into);
    expect(valuesOf(into)).toEqual([7, 0]);
    expect(asked).toEqual([
      [0, 2],
      [0, 2],
    ]);
  });

  test("stands between a write and its effect", async () => {
    const asked: (readonly [number, number, number])[] = [];
    const { namespace } = await spoiled({
      write: (_volume, request, proceed) => {
        asked.push([request.block, request.blockCount, request.from[0]!]);
        if (request.block === 0) proceed(request);
      },
    });
    namespace.write(0, 2, filled(7, 2));
    namespace.write(1, 2, filled(8, 2));
    expect(valuesOf(readAll(namespace))).toEqual([7, 7, 0, 0]);
    expect(asked).toEqual([
      [0, 2, 7],
      [1, 2, 8],
    ]);
  });

  test("stands between a zeroing and its effect", async () => {
    const asked: (readonly [number, number])[] = [];
    const { namespace } = await spoiled({
      zero: (_volume, range, proceed) => {
        asked.push([range.block, range.blockCount]);
        proceed(asked.length === 1 ? range : { ...range, block: 3 });
      },
    });
    namespace.write(0, 4, filled(7, 4));
    namespace.zero(0, 1);
    expect(valuesOf(readAll(namespace))).toEqual([0, 7, 7, 7]);
    namespace.zero(1, 1);
    expect(valuesOf(readAll(namespace))).toEqual([0, 7, 7, 0]);
    expect(asked).toEqual([
      [0, 1],
      [1, 1],
    ]);
  });

  test("stands between a flush, of all or of a range, and stable media", async () => {
    const path = temporaryDirectory();
    const asked: unknown[] = [];
    let isLie = false;
    const store = await opened({
      kind: "directory",
      path,
      volatileCache: {},
      bug: {
        flush: async (_volume, range, proceed) => {
          asked.push(range);
          if (!isLie) await proceed();
        },
        // So that nothing goes to the medium unless it is flushed.
        writeBackEarly: () => {},
      },
    });
    const { namespace } = await volumeIn(store);
    namespace.write(0, 4, filled(1, 4));
    await namespace.flush();
    namespace.write(0, 4, filled(2, 4));
    await flushBlocks(namespace, 1, 2);
    expect(await valuesAfterCrash(path)).toEqual([1, 2, 2, 1]);
    isLie = true;
    await namespace.flush();
    expect(await valuesAfterCrash(path)).toEqual([1, 2, 2, 1]);
    expect(valuesOf(readAll(namespace))).toEqual([2, 2, 2, 2]);
    expect(asked).toEqual([undefined, { block: 1, blockCount: 2 }, undefined]);
  });

  test("keeps in the volatile cache what would leave it early, or lets it go", async () => {
    const path = temporaryDirectory();
    const left = new Set<number>();
    const kept = new Set<number>();
    let isFlushed = false;
    const store = await opened({
      kind: "directory",
      path,
      volatileCache: { seed: 1 },
      bug: {
        writeBackEarly: (_volume, { block, bytes }, proceed) => {
          if (!isFlushed) return;
          expect(bytes).toEqual(filled(2));
          if (block % 2 === 0) {
            left.add(block);
            proceed();
          } else kept.add(block);
        },
      },
    });
    const { namespace } = await volumeIn(store, 64);
    namespace.write(0, 64, filled(1, 64));
    await namespace.flush();
    isFlushed = true;
    for (let block = 0; block < 64; block++) namespace.write(block, 1, filled(2));
    const expected: number[] = Array(64).fill(1);
    for (const block of left) expected[block] = 2;
    expect(left.size).toBeGreaterThan(0);
    expect(kept.size).toBeGreaterThan(0);
    expect(await valuesAfterCrash(path)).toEqual(expected);
    expect(valuesOf(readAll(namespace))).toEqual(Array(64).fill(2));
  });

  test("decides about the instant of a snapshot", async () => {
    const { store, namespace, uuid } = await spoiled({
      snapshot: async (volume, proceed) => {
        await Promise.resolve();
        volume.write(1, 1, filled(8));
        const snapshot = proceed();
        volume.write(2, 1, filled(9));
        return snapshot;
      },
    });
    namespace.write(0, 1, filled(7));
    const snapshot = await snapshotOf(store, uuid, "s");
    expect(valuesOf(await readSnapshot(store, snapshot))).toEqual([7, 8, 0, 0]);
    expect(valuesOf(readAll(namespace))).toEqual([7, 8, 9, 0]);
  });

  test("stands at the merge of a layer into the one above", async () => {
    const merged: (readonly [number, number, number])[] = [];
    const { store, namespace, uuid } = await spoiled({
      merge: (layer, child, proceed) => {
        const { id } = layer;
        const ids = [id, child.id];
        const goneId = proceed();
        expect(ids).toContain(goneId);
        merged.push([layer.records.size, child.records.size, child.children.size]);
        child.write(3, 1, filled(6));
        return goneId;
      },
    });
    namespace.write(0, 2, filled(1, 2));
    const first = await snapshotOf(store, uuid, "first");
    namespace.write(1, 2, filled(2, 2));
    const second = await snapshotOf(store, uuid, "second");
    namespace.write(2, 1, filled(3));
    await store.deleteSnapshot(first);
    expect(merged).toEqual([[1, 1, 1]]);
    expect(valuesOf(await readSnapshot(store, second))).toEqual([1, 2, 2, 6]);
    expect(valuesOf(readAll(namespace))).toEqual([1, 2, 3, 6]);
  });

  test("stands at a rollback, and knows what is left behind", async () => {
    const { store, namespace, uuid } = await spoiled({
      rollback: (volume, abandoned, proceed) => {
        expect(volume.head).toBe(abandoned);
        proceed();
        expect(volume.head).not.toBe(abandoned);
        expect(volume.head.parent).toBe(abandoned.parent);
        volume.head.write(2, 1, filled(9));
      },
    });
    namespace.write(0, 1, filled(1));
    const snapshot = await snapshotOf(store, uuid, "s");
    namespace.write(0, 2, filled(2, 2));
    await store.rollbackVolume(uuid, snapshot);
    expect(valuesOf(readAll(namespace))).toEqual([1, 0, 9, 0]);
  });

  test("stands at a resize, with the size to come", async () => {
    const sizes: (readonly [number, number, number])[] = [];
    const { store, namespace, uuid } = await spoiled({
      resize: (volume, blockCount, proceed) => {
        const before = volume.blockCount;
        proceed();
        sizes.push([before, blockCount, volume.blockCount]);
      },
    });
    namespace.write(0, 4, filled(7, 4));
    await store.resizeVolume(uuid, 2 * blockSizeBytes);
    await store.resizeVolume(uuid, 3 * blockSizeBytes);
    expect(valuesOf(readAll(namespace))).toEqual([7, 7, 0]);
    expect(sizes).toEqual([
      [4, 2, 2],
      [2, 3, 3],
    ]);
  });

  test("sees new volumes and clones before anyone else does", async () => {
    const order: string[] = [];
    const store = await opened({
      kind: "memory",
      bug: {
        created: (volume) => {
          order.push(`${volume.name}, ${volume.sourceSnapshotUuid === undefined ? "empty" : "a clone"}`);
          volume.head.write(1, 1, filled(5));
        },
      },
    });
    store.onChange((change) => {
      if (change.kind === "namespace-added") order.push("told");
    });
    const { namespace, uuid } = await volumeIn(store);
    namespace.write(0, 2, filled(1, 2));
    const sourceSnapshotUuid = await snapshotOf(store, uuid, "s");
    const clone = await store.createVolume({ name: "c", sizeBytes: 0, blockSizeBytes, sourceSnapshotUuid });
    expect(valuesOf(readAll(namespaceOf(store, clone)))).toEqual([1, 5, 0, 0]);
    expect(order).toEqual(["v, empty", "told", "c, a clone", "told"]);
  });

  test("changes what a diff is made from, or what it tells", async () => {
    let isLie = false;
    const { store, namespace, uuid } = await spoiled({
      diff: (plan, proceed) => {
        expect(plan.base).toBeDefined();
        return proceed(isLie ? { ...plan, layers: plan.layers.slice(1) } : plan);
      },
    });
    const baseSnapshotUuid = await snapshotOf(store, uuid, "base");
    namespace.write(1, 1, filled(1));
    await snapshotOf(store, uuid, "between");
    namespace.write(3, 1, filled(1));
    const snapshotUuid = await snapshotOf(store, uuid, "s");
    expect(changedBlocks(store, { snapshotUuid, baseSnapshotUuid })).toEqual([1, 3]);
    isLie = true;
    expect(changedBlocks(store, { snapshotUuid, baseSnapshotUuid })).toHaveLength(1);
  });

  test("hands out slots, the right ones or others", async () => {
    const right: number[] = [];
    const { namespace } = await spoiled(
      {
        allocate: (arena, proceed) => {
          expect(arena.blockSizeBytes).toBe(blockSizeBytes);
          if (right.length === 2) return right[0]!;
          right.push(proceed());
          return right.at(-1)!;
        },
      },
      192,
    );
    for (const chunk of [0, 1, 2]) namespace.write(64 * chunk, 1, filled(1 + chunk));
    expect(new Set(right).size).toBe(2);
    const values = valuesOf(readAll(namespace));
    expect([0, 64, 128].map((block) => values[block])).toEqual([3, 2, 3]);
  });

  test("keeps a part of a commit from the journal", async () => {
    const path = temporaryDirectory();
    let isLie = false;
    const store = await opened({
      kind: "directory",
      path,
      volatileCache: {},
      bug: { commit: (change) => (isLie ? { ...change, chunks: [] } : change) },
    });
    const { namespace } = await volumeIn(store, 128);
    namespace.write(0, 1, filled(1));
    await namespace.flush();
    isLie = true;
    namespace.write(64, 1, filled(2));
    await namespace.flush();
    const valueAt = async (block: number) => (await valuesAfterCrash(path))[block];
    expect([await valueAt(0), await valueAt(64)]).toEqual([1, 0]);
    expect(valuesOf(readAll(namespace))[64]).toBe(2);
  });

  test("is told of what an earlier process left, when the store is opened", async () => {
    const path = temporaryDirectory();
    const told: unknown[] = [];
    const bug: StoreBug = {
      opened: ({ volumes, layers }, directory) => {
        told.push([[...volumes.values()].map(({ name }) => name), layers.size, directory]);
      },
    };
    {
      await using store = await openStore({ kind: "directory", path, volatileCache: {}, bug });
      await volumeIn(store);
    }
    await opened({ kind: "directory", path, volatileCache: {}, bug });
    await opened({ kind: "memory", bug });
    expect(told).toEqual([
      [[], 0, path],
      [["v"], 1, path],
      [[], 0, undefined],
    ]);
  });
});
