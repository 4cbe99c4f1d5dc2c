import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type ControlPlaneOptions, serveControlPlane } from "../../../src/sut/control-plane/server.ts";
import { connectLightbits, type LightbitsOptions } from "../../../src/sut/lightbits/service.ts";
import type { DiffPage, ServiceError, VolumeService } from "../../../src/sut/port.ts";
import { SimulatedClock } from "../../../src/sut/simulated-clock.ts";
import { openStore } from "../../../src/sut/store/open.ts";
import type { VolumeStore } from "../../../src/sut/store/port.ts";
import { StoreConnection } from "./store-device.ts";

const token = "a-token-of-a-test";
const mib = 2 ** 20;

/** Time of both sides; what a call waits for comes at once. */
let clock: SimulatedClock;
let running: Disposable;
let store: VolumeStore;
let disposals: AsyncDisposable[];
let connectCount: number;

beforeEach(async () => {
  clock = new SimulatedClock();
  running = clock.runAutomatically();
  store = await openStore({ kind: "memory" });
  disposals = [store];
  connectCount = 0;
});
afterEach(async () => {
  for (const disposable of disposals.reverse()) await disposable[Symbol.asyncDispose]();
  running[Symbol.dispose]();
});

async function start(
  server: Partial<ControlPlaneOptions> = {},
  client: Partial<LightbitsOptions> = {},
): Promise<VolumeService> {
  const plane = await serveControlPlane({
    store,
    token,
    subsystemNqn: "nqn.2016-01.com.example:cluster",
    nvmeEndpoints: ["127.0.0.1:4420"],
    now: () => clock.now(),
    ...server,
  });
  const service = await connectLightbits({
    endpoint: plane.url,
    token,
    clock,
    connectNamespaces: async (where) => {
      connectCount += 1;
      expect(where).toEqual({
        endpoints: [{ host: "127.0.0.1", port: 4420 }],
        subsystemNqn: "nqn.2016-01.com.example:cluster",
      });
      return new StoreConnection(store);
    },
    ...client,
  });
  disposals.push(plane, service);
  return service;
}

async function pagesOf(diff: AsyncIterable<DiffPage>): Promise<DiffPage[]> {
  const pages: DiffPage[] = [];
  for await (const page of diff) pages.push(page);
  return pages;
}

/** LBAs of all set bits, as a checker would read them. */
async function blocksOf(diff: AsyncIterable<DiffPage>): Promise<number[]> {
  const blocks: number[] = [];
  for (const { ranges } of await pagesOf(diff)) {
    for (const { lbaStart, bitmap } of ranges) {
      for (let bit = 0; bit < bitmap.length * 8; bit++) {
        if (((bitmap[bit >> 3] ?? 0) >> (bit & 7)) & 1) blocks.push(lbaStart + bit);
      }
    }
  }
  return blocks;
}

function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "none",
    (error: ServiceError) => error.code,
  );
}

const newVolume = { name: "v", sizeBytes: 4 * mib, sectorSizeBytes: 4096 };

describe("a volume", () => {
  test("is created, listed, resized both ways and deleted", async () => {
    const service = await start({ creatingMs: 30_000 });
    const volume = await service.createVolume(newVolume);
    expect(volume).toEqual({
      uuid: store.volumes[0]?.uuid,
      name: "v",
      sizeBytes: 4 * mib,
      sectorSizeBytes: 4096,
      state: "available",
      nsid: 1,
      sourceSnapshotUuid: undefined,
    });
    expect(await service.listVolumes()).toEqual([volume]);
    const { uuid } = volume;
    expect((await service.resizeVolume({ uuid, sizeBytes: 8 * mib })).sizeBytes).toBe(8 * mib);
    expect((await service.resizeVolume({ uuid, sizeBytes: 2 * mib })).sizeBytes).toBe(2 * mib);
    await service.deleteVolume(uuid);
    expect(await service.listVolumes()).toEqual([]);
    expect(await codeOf(service.getVolume(uuid))).toBe("ERR_NOT_FOUND");
    expect(await codeOf(service.deleteVolume(uuid))).toBe("ERR_NOT_FOUND");
  });

  test("of 512-byte blocks keeps them, in clones too", async () => {
    const service = await start();
    const volume = await service.createVolume({ ...newVolume, sectorSizeBytes: 512 });
    const snapshot = await service.createSnapshot({ name: "s", volumeUuid: volume.uuid });
    const clone = await service.cloneSnapshot({ name: "c", snapshotUuid: snapshot.uuid });
    expect(clone).toMatchObject({
      sectorSizeBytes: 512,
      sizeBytes: 4 * mib,
      sourceSnapshotUuid: snapshot.uuid,
    });
  });

  test("whose name is taken is refused", async () => {
    const service = await start();
    await service.createVolume(newVolume);
    await expect(service.createVolume(newVolume)).rejects.toMatchObject({
      code: "ERR_CONFLICT",
      message: expect.stringContaining("a volume named v exists"),
    });
    expect(store.volumes).toHaveLength(1);
  });

  test("is not created if the request makes no sense, and the message says why", async () => {
    const service = await start();
    await expect(service.createVolume({ ...newVolume, name: "a b" })).rejects.toMatchObject({
      code: "ERR_INVALID_REQUEST",
      message: expect.stringContaining("name: expected 1 to 253 characters"),
    });
  });
});

describe("snapshots", () => {
  test("made at once of one volume wait for each other", async () => {
    const service = await start({ creatingMs: 20_000 });
    const { uuid } = await service.createVolume(newVolume);
    const names = ["a", "b", "c"];
    const snapshots = await Promise.all(
      names.map((name) => service.createSnapshot({ name, volumeUuid: uuid })),
    );
    expect(snapshots.map(({ name, state }) => [name, state])).toEqual(
      names.map((name) => [name, "available"]),
    );
    expect(await service.listSnapshots()).toHaveLength(3);
  });

  test("give up waiting for another with ERR_BUSY and the service's words", async () => {
    const service = await start({ creatingMs: 0 });
    const { uuid } = await service.createVolume(newVolume);
    const slow = await start({ creatingMs: 3_600_000 });
    expect(await codeOf(slow.createSnapshot({ name: "a", volumeUuid: uuid }))).toBe("ERR_TIMEOUT");
    await expect(slow.createSnapshot({ name: "b", volumeUuid: uuid })).rejects.toMatchObject({
      code: "ERR_BUSY",
      message: expect.stringMatching(
        /another snapshot is creating.*still so after 120\.0 s and \d+ tries: snapshot a \(.*\) of the same volume is Creating$/,
      ),
    });
  });

  test("with a name that another has are refused", async () => {
    const service = await start();
    const { uuid } = await service.createVolume(newVolume);
    const first = await service.createSnapshot({ name: "a", volumeUuid: uuid });
    await expect(service.createSnapshot({ name: "a", volumeUuid: uuid })).rejects.toMatchObject({
      code: "ERR_CONFLICT",
      message: expect.stringContaining(`the name belongs to ${first.uuid}`),
    });
  });

  test("are gone when deleting them resolves", async () => {
    const service = await start({ creatingMs: 20_000 });
    const { uuid } = await service.createVolume(newVolume);
    const snapshot = await service.createSnapshot({ name: "a", volumeUuid: uuid });
    await service.deleteSnapshot(snapshot.uuid);
    expect(await codeOf(service.getSnapshot(snapshot.uuid))).toBe("ERR_NOT_FOUND");
    expect(store.snapshots).toEqual([]);
  });

  test("that a clone stands on count as gone when they are Deleted", async () => {
    const service = await start();
    const { uuid } = await service.createVolume(newVolume);
    const snapshot = await service.createSnapshot({ name: "a", volumeUuid: uuid });
    await service.cloneSnapshot({ name: "c", snapshotUuid: snapshot.uuid });
    await service.deleteSnapshot(snapshot.uuid);
    expect(await service.listSnapshots()).toEqual([]);
  });
});

describe("data", () => {
  test("comes back through clones, rollbacks and opened snapshots, over one connection", async () => {
    const service = await start();
    const volume = await service.createVolume(newVolume);
    await using device = await service.openVolume(volume.uuid);
    const old = new Uint8Array(4096).fill(1);
    const young = new Uint8Array(4096).fill(2);
    await device.write({ block: 7, blockCount: 1, from: old });
    const snapshot = await service.createSnapshot({ name: "s", volumeUuid: volume.uuid });
    await device.write({ block: 7, blockCount: 1, from: young });
    const into = new Uint8Array(4096);

    {
      await using opened = await service.openSnapshot(snapshot.uuid);
      expect(store.volumes).toHaveLength(2);
      await opened.read({ block: 7, blockCount: 1, into });
      expect(into).toEqual(old);
      expect(await opened.write({ block: 7, blockCount: 1, from: young })).toMatchObject({ kind: "failed" });
    }
    expect(store.volumes).toHaveLength(1);

    const clone = await service.cloneSnapshot({ name: "c", snapshotUuid: snapshot.uuid });
    await using cloned = await service.openVolume(clone.uuid);
    await cloned.read({ block: 7, blockCount: 1, into });
    expect(into).toEqual(old);

    await device.read({ block: 7, blockCount: 1, into });
    expect(into).toEqual(young);
    await service.rollbackVolume({ volumeUuid: volume.uuid, snapshotUuid: snapshot.uuid });
    await using again = await service.openVolume(volume.uuid);
    await again.read({ block: 7, blockCount: 1, into });
    expect(into).toEqual(old);
    expect(connectCount).toBe(1);
  });

  test("leaves no clone behind if an opened snapshot cannot be reached", async () => {
    const refusing = new StoreConnection(store);
    refusing.openNamespace = () => Promise.reject(new Error("no path to the namespace"));
    const service = await start({}, { connectNamespaces: async () => refusing });
    const { uuid } = await service.createVolume(newVolume);
    const snapshot = await service.createSnapshot({ name: "s", volumeUuid: uuid });
    await expect(service.openSnapshot(snapshot.uuid)).rejects.toThrow("no path to the namespace");
    expect(store.volumes).toHaveLength(1);
    const abort = new AbortController();
    const cancelled = service.openSnapshot(snapshot.uuid, { signal: abort.signal });
    clock.setTimeout(() => abort.abort(), 1);
    await expect(cancelled).rejects.toThrow();
    expect(store.volumes).toHaveLength(1);
  });

  test("is reached over a new connection when the old is lost", async () => {
    const made: StoreConnection[] = [];
    const connectNamespaces = async () => {
      const connection = new StoreConnection(store);
      made.push(connection);
      return connection;
    };
    const service = await start({}, { connectNamespaces });
    const { uuid } = await service.createVolume(newVolume);
    await Promise.all([service.openVolume(uuid), service.openVolume(uuid)]);
    expect(made).toHaveLength(1);
    made[0]!.isClosed = true;
    await service.openVolume(uuid);
    expect(made).toHaveLength(2);
    await service[Symbol.asyncDispose]();
    expect(made[1]?.isClosed).toBe(true);
    expect(await codeOf(service.openVolume(uuid))).toBe("ERR_ABORTED");
  });

  test("of a volume that is not there, or behind a connection that is never made, is an error in time", async () => {
    const service = await start();
    expect(await codeOf(service.openVolume(token))).toBe("ERR_NOT_FOUND");
    const never = () => new Promise<never>(() => undefined);
    const stuck = await start({}, { connectNamespaces: never });
    expect(await codeOf(stuck.openVolume(token))).toBe("ERR_TIMEOUT");
    expect(clock.now()).toBe(120_000);
    const abort = new AbortController();
    clock.setTimeout(() => abort.abort(), 10);
    expect(await codeOf(stuck.openVolume(token, { signal: abort.signal }))).toBe("ERR_ABORTED");
  });

  test("is asked for again after a connection that could not be made", async () => {
    let attemptCount = 0;
    const connectNamespaces = async () => {
      attemptCount += 1;
      if (attemptCount === 1) throw new Error("refused");
      return new StoreConnection(store);
    };
    const service = await start({}, { connectNamespaces });
    const { uuid } = await service.createVolume(newVolume);
    await expect(service.openVolume(uuid)).rejects.toThrow("refused");
    await service.openVolume(uuid);
  });
});

describe("diff", () => {
  /** Two snapshots of a volume of 64 chunks, with the given blocks written between them. */
  async function snapshotsAround(service: VolumeService, written: readonly number[]) {
    const volume = await service.createVolume({ ...newVolume, sizeBytes: 64 * 64 * 4096 });
    const base = await service.createSnapshot({ name: "base", volumeUuid: volume.uuid });
    await using device = await service.openVolume(volume.uuid);
    for (const block of written)
      await device.write({ block, blockCount: 1, from: new Uint8Array(4096).fill(3) });
    const target = await service.createSnapshot({ name: "target", volumeUuid: volume.uuid });
    return { volume, base, target, last: device.blockCount - 1 };
  }
  const edges = [0, 1, 31, 32, 62, 63, 64, 127, 128, 200, 1000, 4095];

  test("has exactly the written blocks, at the edges of chunks and of the volume too", async () => {
    const service = await start();
    const { base, target, last } = await snapshotsAround(service, edges);
    expect(last).toBe(4095);
    expect(await blocksOf(service.diff({ snapshotUuid: target.uuid, baseSnapshotUuid: base.uuid }))).toEqual(
      edges,
    );
    expect(await blocksOf(service.diff({ snapshotUuid: target.uuid }))).toEqual(edges);
    expect(await blocksOf(service.diff({ snapshotUuid: base.uuid }))).toEqual([]);
  });

  test("is the same in pages of any length, and resumed at any of their borders", async () => {
    const service = await start();
    const { base, target } = await snapshotsAround(service, edges);
    const request = { snapshotUuid: target.uuid, baseSnapshotUuid: base.uuid };
    const [whole, ...others] = await pagesOf(service.diff(request));
    expect(others).toEqual([]);
    for (const diffPageRangesMax of [1, 2, 3, 6, 7]) {
      const paged = await start({ diffPageRangesMax });
      const pages = await pagesOf(paged.diff(request));
      expect(pages.flatMap(({ ranges }) => ranges)).toEqual(whole?.ranges);
      expect(pages.every(({ ranges }) => ranges.length <= diffPageRangesMax)).toBe(true);
      for (const [index, { nextOffsetLba }] of pages.entries()) {
        if (nextOffsetLba === 0) continue;
        const rest = await pagesOf(paged.diff({ ...request, offsetLba: nextOffsetLba }));
        expect(rest).toEqual(pages.slice(index + 1));
      }
    }
  });

  test("does not ask for pages that nobody takes", async () => {
    const service = await start({ diffPageRangesMax: 1 });
    const { target } = await snapshotsAround(service, edges);
    let pageCount = 0;
    for await (const page of service.diff({ snapshotUuid: target.uuid })) {
      expect(page.ranges).toHaveLength(1);
      pageCount += 1;
      break;
    }
    expect(pageCount).toBe(1);
  });

  test("is refused for identical, reversed, foreign, deleted and unknown snapshots, and beyond the end", async () => {
    const service = await start();
    const { base, target, volume, last } = await snapshotsAround(service, [5]);
    const other = await service.createVolume({ ...newVolume, name: "other" });
    const foreign = await service.createSnapshot({ name: "foreign", volumeUuid: other.uuid });
    const code = (snapshotUuid: string, baseSnapshotUuid?: string, offsetLba = 0) =>
      codeOf(
        pagesOf(service.diff({ snapshotUuid, offsetLba, ...(baseSnapshotUuid && { baseSnapshotUuid }) })),
      );
    expect(await code(target.uuid, target.uuid)).toBe("ERR_INVALID_REQUEST");
    expect(await code(base.uuid, target.uuid)).toBe("ERR_INVALID_REQUEST");
    expect(await code(target.uuid, foreign.uuid)).toBe("ERR_INVALID_REQUEST");
    expect(await code(target.uuid, undefined, last + 2)).toBe("ERR_INVALID_REQUEST");
    expect(await code(volume.uuid)).toBe("ERR_NOT_FOUND");
    await service.deleteSnapshot(base.uuid);
    expect(await code(target.uuid, base.uuid)).toBe("ERR_NOT_FOUND");
    expect(await code(target.uuid)).toBe("none");
  });
});

describe("the service", () => {
  test("refuses a wrong token", async () => {
    const service = await start({}, { token: "another-token" });
    expect(await codeOf(service.listVolumes())).toBe("ERR_UNAUTHENTICATED");
  });

  test("reads lists that are longer than one page", async () => {
    const service = await start();
    for (let index = 0; index < 1001; index++) {
      await store.createVolume({ name: `v${index}`, sizeBytes: 4096, blockSizeBytes: 4096 });
    }
    expect(new Set((await service.listVolumes()).map(({ name }) => name)).size).toBe(1001);
  });

  test("stops waiting when it is told to", async () => {
    const service = await start({ creatingMs: 60_000 });
    const abort = new AbortController();
    const { signal } = abort;
    clock.setTimeout(() => abort.abort(), 50_000);
    expect(await codeOf(service.createVolume(newVolume, { signal }))).toBe("ERR_ABORTED");
    expect(await codeOf(service.listVolumes({ signal }))).toBe("ERR_ABORTED");
  });
});
