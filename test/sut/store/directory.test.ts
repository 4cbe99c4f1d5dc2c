/**
 * A store's directory: who may open it, what is found damaged, and what a copy taken at any moment holds.
 *
 * @packageDocumentation
 */
import Database from "better-sqlite3";
import { execFileSync } from "node:child_process";
import { cpSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import { openStore } from "../../../src/sut/store/open.ts";
import type { VolumeStore } from "../../../src/sut/store/port.ts";
import { changedBlocks, namespaceOf, readAll, readSnapshot, temporaryDirectory } from "./store-access.ts";

/** Makes a store with one volume "v" of 4096 blocks, of which block 9 is written, and closes it. */
async function madeStore(): Promise<string> {
  const path = temporaryDirectory();
  const store = await openStore({ kind: "directory", path });
  const volume = await store.createVolume({ name: "v", sizeBytes: 2 ** 21, blockSizeBytes: 512 });
  namespaceOf(store, volume).write(9, 1, new Uint8Array(512).fill(9));
  await store[Symbol.asyncDispose]();
  return path;
}

const inMetadata = (path: string, statement: string): void => {
  const database = new Database(join(path, "metadata.sqlite"));
  database.exec(statement);
  database.close();
};

test("keeps a second store out while it is open, in this process and in another", async () => {
  const path = await madeStore();
  const store = await openStore({ kind: "directory", path });
  await expect(openStore({ kind: "directory", path })).rejects.toMatchObject({ code: "ERR_NOT_NOW" });
  const other = `
    const { openStore } = await import(${JSON.stringify(new URL("../../../src/sut/store/open.ts", import.meta.url))});
    await openStore({ kind: "directory", path: ${JSON.stringify(path)} }).catch((e) => console.log(e.code));
  `;
  const answer = execFileSync(process.execPath, ["--import", "tsx", "--input-type=module", "-e", other]);
  expect(answer.toString().trim()).toBe("ERR_NOT_NOW");
  expect(store.volumeByName("v")?.state).toBe("available");
  await store[Symbol.asyncDispose]();
});

const damages: Record<string, { readonly code: string; readonly damage: (path: string) => void }> = {
  "metadata that is no database": {
    code: "ERR_CORRUPT",
    damage: (path) => writeFileSync(join(path, "metadata.sqlite"), "x".repeat(8192)),
  },
  "metadata of another program": {
    code: "ERR_INVALID",
    damage: (path) => inMetadata(path, "PRAGMA application_id = 1"),
  },
  "metadata of another format version": {
    code: "ERR_INVALID",
    damage: (path) => inMetadata(path, "PRAGMA user_version = 99"),
  },
  "a missing table": { code: "ERR_CORRUPT", damage: (path) => inMetadata(path, "DROP TABLE zeroed") },
  "a missing layer": { code: "ERR_CORRUPT", damage: (path) => inMetadata(path, "DELETE FROM layers") },
  "layers in a ring": {
    code: "ERR_CORRUPT",
    damage: (path) => inMetadata(path, "UPDATE layers SET parentId = id"),
  },
  "a chunk without its slot": {
    code: "ERR_CORRUPT",
    damage: (path) => inMetadata(path, "UPDATE chunks SET slot = NULL"),
  },
  "blocks cut short": { code: "ERR_CORRUPT", damage: (path) => truncateSync(join(path, "blocks-512"), 512) },
};

test.for(Object.entries(damages))("refuses a directory with %s", async ([, { code, damage }]) => {
  const path = await madeStore();
  damage(path);
  const opening = openStore({ kind: "directory", path });
  await expect(opening).rejects.toMatchObject({ name: "StoreError", code });
  await expect(opening).rejects.toThrow(path);
});

test("refuses a directory that holds something else", async () => {
  const path = temporaryDirectory();
  writeFileSync(join(path, "letter.txt"), "Dear reader");
  await expect(openStore({ kind: "directory", path })).rejects.toMatchObject({ code: "ERR_INVALID" });
  await expect(openStore({ kind: "directory", path: join(path, "letter.txt") })).rejects.toMatchObject({
    code: "ERR_IO",
  });
});

test("commits in the background what nobody flushed", async () => {
  const path = temporaryDirectory();
  await using store = await openStore({ kind: "directory", path });
  const volume = await store.createVolume({ name: "v", sizeBytes: 2 ** 20, blockSizeBytes: 4096 });
  namespaceOf(store, volume).write(5, 1, new Uint8Array(4096).fill(5));
  await setTimeout(1500);
  // A copy is what a process that is killed now leaves behind.
  const copy = temporaryDirectory();
  cpSync(path, copy, { recursive: true });
  await using copied = await openStore({ kind: "directory", path: copy });
  expect(readAll(namespaceOf(copied, copied.volumeByName("v")!))[5 * 4096]).toBe(5);
});

test("ends a deletion that had begun when the process was killed", async () => {
  const path = temporaryDirectory();
  await using store = await openStore({ kind: "directory", path });
  const { uuid: volumeUuid } = await store.createVolume({
    name: "v",
    sizeBytes: 2 ** 20,
    blockSizeBytes: 4096,
  });
  const snapshot = await store.createSnapshot({ name: "s", volumeUuid });
  const clone = await store.createVolume({
    ...{ name: "c", sizeBytes: 1, blockSizeBytes: 1 },
    sourceSnapshotUuid: snapshot.uuid,
  });
  const copies: Promise<void>[] = [];
  const states: string[] = [];
  // At every change that a deletion tells of, a copy of the directory must open to a whole store.
  const stop = store.onChange(() => {
    const copy = temporaryDirectory();
    cpSync(path, copy, { recursive: true });
    copies.push(
      (async () => {
        await using copied = await openStore({ kind: "directory", path: copy });
        states.push(
          ...copied.snapshots.map(({ state }) => state),
          ...copied.volumes.map(({ state }) => state),
        );
        for (const volume of copied.volumes) readAll(namespaceOf(copied, volume));
      })(),
    );
  });
  await store.deleteSnapshot(snapshot.uuid);
  await store.deleteVolume(clone.uuid);
  stop();
  await Promise.all(copies);
  expect(copies.length).toBeGreaterThan(3);
  expect(states).toContain("deleted");
  expect(states).not.toContain("deleting");
});

test("remembers zeroed ranges that a merge handed to another layer", async () => {
  const path = temporaryDirectory();
  let store = await openStore({ kind: "directory", path });
  const volume = await store.createVolume({ name: "v", sizeBytes: 2 ** 21, blockSizeBytes: 512 });
  const namespace = namespaceOf(store, volume);
  for (let block = 0; block < 4096; block += 64) namespace.write(block, 1, new Uint8Array(512).fill(1));
  const base = await store.createSnapshot({ name: "base", volumeUuid: volume.uuid });
  namespace.zero(0, 3968);
  const zeroed = await store.createSnapshot({ name: "zeroed", volumeUuid: volume.uuid });
  await namespace.flush();
  await store.deleteSnapshot(base.uuid);
  await store[Symbol.asyncDispose]();
  store = await openStore({ kind: "directory", path });
  expect(changedBlocks(store, { snapshotUuid: zeroed.uuid })).toHaveLength(3970);
  expect(namespaceOf(store, store.volume(volume.uuid)!).allocatedBlockCount).toBe(2);
  await store[Symbol.asyncDispose]();
});

/** Keeps a copy of the directory at every change, just after writes that take or reuse whatever slots they can. */
function copyAtEveryChange(
  store: VolumeStore,
  request: { readonly path: string; readonly overwrite: () => void },
): { readonly copies: string[]; readonly stop: () => void } {
  const copies: string[] = [];
  const stop = store.onChange(() => {
    request.overwrite();
    const copy = temporaryDirectory();
    cpSync(request.path, copy, { recursive: true });
    copies.push(copy);
  });
  return { copies, stop };
}

test("overwrites nothing that a crash would bring back while snapshots and clones are removed", async () => {
  const path = temporaryDirectory();
  await using store = await openStore({ kind: "directory", path });
  const volume = await store.createVolume({ name: "v", sizeBytes: 16384 * 512, blockSizeBytes: 512 });
  const volumeUuid = volume.uuid;
  const namespace = namespaceOf(store, volume);
  const expected = new Map<string, Uint8Array>();
  const snapshot = async (name: string, byte: number, step: number) => {
    for (let block = 0; block < 512; block += step) namespace.write(block, 1, new Uint8Array(512).fill(byte));
    expected.set(name, readAll(namespace));
    return (await store.createSnapshot({ name, volumeUuid })).uuid;
  };
  const uuids = [await snapshot("a", 1, 1), await snapshot("b", 2, 3), await snapshot("c", 3, 5)];
  const clone = await store.createVolume({
    ...{ name: "clone", sizeBytes: 1, blockSizeBytes: 1 },
    sourceSnapshotUuid: uuids[1]!,
  });
  expected.set("clone", expected.get("b")!);
  await namespace.flush();

  let round = 0;
  const { copies, stop } = copyAtEveryChange(store, {
    path,
    overwrite: () => {
      // New chunks take free slots; old ones are written in place, wherever they lie now.
      round++;
      for (let chunk = 0; chunk < 8; chunk++) {
        namespace.write(512 + round * 512 + chunk * 64, 64, new Uint8Array(64 * 512).fill(0xf0));
        namespace.write(chunk * 64, 64, new Uint8Array(64 * 512).fill(0xf1));
      }
    },
  });
  await store.rollbackVolume(volumeUuid, uuids[2]!);
  await store.deleteSnapshot(uuids[1]!);
  await store.deleteVolume(clone.uuid);
  await store.deleteSnapshot(uuids[0]!);
  await store.deleteSnapshot(uuids[2]!);
  stop();

  expect(copies.length).toBeGreaterThan(9);
  for (const copy of copies) {
    await using copied = await openStore({ kind: "directory", path: copy });
    for (const { uuid, name, state } of copied.snapshots) {
      if (state !== "available") continue;
      expect(
        Buffer.compare(await readSnapshot(copied, uuid), expected.get(name)!),
        `${name} in ${copy}`,
      ).toBe(0);
    }
    const cloned = copied.volumeByName("clone");
    if (cloned === undefined) continue;
    expect(Buffer.compare(readAll(namespaceOf(copied, cloned)), expected.get("clone")!)).toBe(0);
  }
});

test("lets no clone write into what a rollback abandons before the rollback is durable", async () => {
  const path = temporaryDirectory();
  await using store = await openStore({ kind: "directory", path });
  const volume = await store.createVolume({ name: "v", sizeBytes: 64 * 512, blockSizeBytes: 512 });
  const volumeUuid = volume.uuid;
  const namespace = namespaceOf(store, volume);
  const base = await store.createSnapshot({ name: "base", volumeUuid });
  namespace.write(0, 64, new Uint8Array(64 * 512).fill(1));
  const shared = await store.createSnapshot({ name: "shared", volumeUuid });
  const clone = await store.createVolume({
    ...{ name: "clone", sizeBytes: 1, blockSizeBytes: 1 },
    sourceSnapshotUuid: shared.uuid,
  });
  // From here on the volume's head and the clone stand on a layer that goes with either of them.
  await store.deleteSnapshot(shared.uuid);
  namespace.write(0, 1, new Uint8Array(512).fill(2));
  await namespace.flush();
  const { copies, stop } = copyAtEveryChange(store, {
    path,
    overwrite: () => {
      // Only when the shared layer has become the clone's own.
      if (store.snapshot(shared.uuid) !== undefined) return;
      namespaceOf(store, clone).write(0, 64, new Uint8Array(64 * 512).fill(0xf0));
    },
  });
  await store.rollbackVolume(volumeUuid, base.uuid);
  stop();
  expect(store.snapshots.map(({ name }) => name)).toEqual(["base"]);
  const contents = new Set<string>();
  for (const copy of copies) {
    await using copied = await openStore({ kind: "directory", path: copy });
    const bytes = readAll(namespaceOf(copied, copied.volume(volumeUuid)!));
    contents.add([...new Set(bytes)].join());
  }
  expect([...contents].sort()).toEqual(["0", "2,1"]);
});
