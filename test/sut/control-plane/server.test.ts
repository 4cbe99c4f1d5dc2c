import type { InjectOptions } from "fastify";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type ControlPlaneOptions,
  controlPlaneApp,
  serveControlPlane,
} from "../../../src/sut/control-plane/server.ts";
import { silentLog } from "../../../src/sut/log.ts";
import { StoreError } from "../../../src/sut/store/port.ts";
import { FakeStore } from "./fake-store.ts";

const project = "/api/v2/projects/default";
const clusterUuid = "c0000000-0000-4000-8000-000000000001";
const nodeUuid = "d0000000-0000-4000-8000-000000000001";
const unknownUuid = "ffffffff-0000-4000-8000-000000000000";

let store: FakeStore;
let nowMs: number;
let disposals: (() => Promise<void>)[];

beforeEach(() => {
  store = new FakeStore();
  nowMs = 0;
  disposals = [];
});
afterEach(async () => {
  for (const dispose of disposals) await dispose();
});

function start(options: Partial<ControlPlaneOptions> = {}) {
  const { app, dispose } = controlPlaneApp({
    store,
    subsystemNqn: "nqn.2016-01.com.example:cluster",
    nvmeEndpoints: ["127.0.0.1:4420"],
    clusterUuid,
    nodeUuid,
    now: () => nowMs,
    ...options,
  });
  disposals.push(dispose);
  return async (
    method: NonNullable<InjectOptions["method"]>,
    url: string,
    payload?: object,
    headers = {},
  ) => {
    const reply = await app.inject({ method, url, headers, ...(payload !== undefined && { payload }) });
    return { status: reply.statusCode, json: reply.json() };
  };
}

type Call = ReturnType<typeof start>;

const volumeBody = { name: "v", size: "1 GiB", acl: { values: ["ALLOW_ANY"] }, replicaCount: 1 };

async function makeVolume(call: Call, body: object = {}): Promise<string> {
  const { status, json } = await call("POST", `${project}/volumes`, { ...volumeBody, ...body });
  expect(status, json.message).toBe(200);
  return json.UUID;
}

async function makeSnapshot(call: Call, volumeUuid: string, name: string): Promise<string> {
  const { status, json } = await call("POST", `${project}/snapshots`, { name, sourceVolumeUUID: volumeUuid });
  expect(status, json.message).toBe(200);
  return json.UUID;
}

describe("volumes", () => {
  test("are shown in protobuf's JSON: int64 as text, enums by name, zeroes left out", async () => {
    const call = start();
    const uuid = await makeVolume(call, { labels: [{ key: "a", value: "b" }] });
    expect(await call("GET", `${project}/volumes/${uuid}`)).toEqual({
      status: 200,
      json: {
        state: "Available",
        protectionState: "FullyProtected",
        replicaCount: 1,
        nodeList: [nodeUuid],
        UUID: "00000000-0000-4000-8000-000000000001",
        nsid: 1,
        acl: { values: ["ALLOW_ANY"] },
        compression: "false",
        size: "1073741824", // int64: text
        name: "v",
        rebuildProgress: "None",
        IPAcl: { values: ["ALLOW_ANY"] },
        ETag: "1",
        sectorSize: 4096, // uint32: number
        projectName: "default",
        // sourceSnapshotUUID is empty, so it is absent
        primaryNodeUUID: nodeUuid,
        creationTime: "2026-01-02T03:04:05.000Z", // RFC 3339
        labels: [{ key: "a", value: "b" }],
        clusterId: clusterUuid,
      },
    });
  });

  test("are answered while they are being created, and shown as Creating for as long as was asked", async () => {
    const call = start({ creatingMs: 100 });
    const { json } = await call("POST", `${project}/volumes`, volumeBody);
    expect(json).toMatchObject({ state: "Creating", protectionState: "Unknown" });
    nowMs = 99;
    expect((await call("GET", `${project}/volumes/${json.UUID}`)).json.state).toBe("Creating");
    nowMs = 100;
    expect((await call("GET", `${project}/volumes/${json.UUID}`)).json.state).toBe("Available");
  });

  test("are reached without the project in the path too", async () => {
    const call = start();
    const uuid = await makeVolume(call);
    expect((await call("GET", `/api/v2/volumes/${uuid}?projectName=default`)).json.UUID).toBe(uuid);
    expect((await call("GET", `/api/v2/volumes/${uuid}?projectName=other`)).status).toBe(404);
    expect((await call("GET", "/api/v2/volumes")).json.volumes).toHaveLength(1);
  });

  test("are listed in pages that each start after a UUID", async () => {
    const call = start();
    const uuids: string[] = [];
    for (let index = 0; index < 5; index++) uuids.push(await makeVolume(call, { name: `v${index}` }));
    const listed: string[] = [];
    let offset = "";
    for (let pages = 0; pages < 3; pages++) {
      const { json } = await call("GET", `${project}/volumes?limit=2${offset}`);
      for (const { UUID } of json.volumes) listed.push(UUID);
      offset = `&offsetUUID=${listed.at(-1)}`;
    }
    expect(listed).toEqual(uuids);
    expect((await call("GET", `${project}/volumes?name=v3`)).json.volumes).toMatchObject([
      { UUID: uuids[3] },
    ]);
    expect((await call("GET", `${project}/volumes?UUID=${uuids[2]}`)).json.volumes).toMatchObject([
      { name: "v2" },
    ]);
    expect((await call("GET", `${project}/volumes/?name=v3`)).json).toMatchObject({ UUID: uuids[3] });
  });

  test("grow on request, and shrink only by Force", async () => {
    const call = start();
    const uuid = await makeVolume(call);
    const put = (body: object) => call("PUT", `${project}/volumes/${uuid}`, body);
    expect((await put({ size: "2 gib" })).status).toBe(200);
    expect((await put({ size: "1 gib" })).json.message).toContain("set Force");
    expect(store.volume(uuid)?.sizeBytes).toBe(2 ** 31);
    expect((await put({ size: "4097b", Force: true })).status).toBe(200);
    expect(store.volume(uuid)?.sizeBytes).toBe(8192); // rounded up to whole blocks
  });

  test("change name, labels and access list, and their ETag with it", async () => {
    const call = start();
    const uuid = await makeVolume(call);
    await makeVolume(call, { name: "taken" });
    const url = `${project}/volumes/${uuid}`;
    const before = (await call("GET", url)).json.ETag;
    expect((await call("PUT", url, { newName: "taken" })).status).toBe(409);
    expect(await call("PUT", url, { newName: "w", acl: { values: ["ALLOW_NONE"] } })).toMatchObject({
      status: 200,
    });
    const { json } = await call("GET", url);
    expect(json).toMatchObject({ name: "w", acl: { values: ["ALLOW_NONE"] } });
    expect(json.ETag).not.toBe(before);
    const stale = await call("PUT", url, { newName: "x" }, { "if-match": `"${before}"` });
    expect(stale).toMatchObject({ status: 412, json: { message: "Etag mismatch" } });
    expect((await call("DELETE", url, undefined, { "if-match": before })).status).toBe(412);
    expect((await call("PUT", url, { newName: "x" }, { "if-match": json.ETag })).status).toBe(200);
  });

  test("go through Deleting, hidden from lists unless showAll, to 404", async () => {
    const call = start();
    const uuid = await makeVolume(call);
    let open = () => {};
    store.gate = new Promise((resolve) => (open = resolve));
    expect(await call("DELETE", `${project}/volumes/${uuid}`)).toEqual({ status: 200, json: {} });
    expect((await call("GET", `${project}/volumes/${uuid}`)).json.state).toBe("Deleting");
    expect((await call("GET", `${project}/volumes`)).json).toEqual({ volumes: [] });
    expect((await call("GET", `${project}/volumes?showAll=true`)).json.volumes).toHaveLength(1);
    expect(await call("DELETE", `${project}/volumes/${uuid}`)).toMatchObject({
      status: 400,
      json: { code: 9 },
    });
    expect((await call("PUT", `${project}/volumes/${uuid}`, { size: "2gib" })).status).toBe(400);
    open();
    await expect.poll(async () => (await call("GET", `${project}/volumes/${uuid}`)).status).toBe(404);
  });

  test("refuse changes with 503 while Updating, and with 409 while rolled back", async () => {
    const call = start();
    const uuid = await makeVolume(call);
    const snapshot = await makeSnapshot(call, uuid, "s");
    let open = () => {};
    store.gate = new Promise((resolve) => (open = resolve));
    const resizing = call("PUT", `${project}/volumes/${uuid}`, { size: "2gib" });
    await expect
      .poll(async () => (await call("GET", `${project}/volumes/${uuid}`)).json.state)
      .toBe("Updating");
    expect((await call("DELETE", `${project}/volumes/${uuid}`)).status).toBe(503);
    expect((await call("DELETE", `${project}/snapshots/${snapshot}`)).status).toBe(503);
    open();
    await resizing;
    store.gate = new Promise((resolve) => (open = resolve));
    const body = { srcSnapshotUUID: snapshot };
    const rolling = call("PUT", `${project}/volumes/${uuid}/rollback`, body);
    await expect
      .poll(async () => (await call("GET", `${project}/volumes/${uuid}`)).json.state)
      .toBe("Rollback");
    expect(await call("DELETE", `${project}/volumes/${uuid}`)).toMatchObject({
      status: 409,
      json: { code: 10 },
    });
    open();
    expect((await rolling).status).toBe(200);
  });

  test("are clones if a snapshot is named, of its size and with its labels", async () => {
    const call = start();
    const uuid = await makeVolume(call, { labels: [{ key: "k", value: "l" }] });
    const snapshot = await makeSnapshot(call, uuid, "s");
    const clone = await makeVolume(call, { name: "c", size: "4 kib", sourceSnapshotName: "s" });
    expect((await call("GET", `${project}/volumes?snapshotUUID=${snapshot}`)).json.volumes).toMatchObject([
      {
        UUID: clone,
        size: "1073741824",
        sourceSnapshotUUID: snapshot,
        sourceSnapshotName: "s",
        labels: [{ key: "k" }],
      },
    ]);
  });
});

describe("snapshots", () => {
  test("are shown in protobuf's JSON, compression as a boolean and so left out", async () => {
    const call = start();
    const uuid = await makeVolume(call);
    const body = { name: "s", sourceVolumeName: "v", description: "why" };
    const snapshot = (await call("POST", `${project}/snapshots`, body)).json.UUID;
    expect((await call("GET", `${project}/snapshots/${snapshot}`)).json).toEqual({
      state: "Available",
      UUID: snapshot,
      name: "s",
      description: "why",
      creationTime: "2026-01-02T03:04:06.000Z",
      sourceVolumeUUID: uuid,
      sourceVolumeName: "v",
      replicaCount: 1,
      nodeList: [nodeUuid],
      acl: { values: ["ALLOW_ANY"] },
      size: "1073741824",
      IPAcl: { values: ["ALLOW_ANY"] },
      sectorSize: 4096,
      ETag: "1",
      projectName: "default",
      primaryNodeUUID: nodeUuid,
      clusterId: clusterUuid,
    });
  });

  test("are created one at a time per volume, and refused with the known texts", async () => {
    const call = start({ creatingMs: 100 });
    const one = await makeVolume(call, { name: "one" });
    const two = await makeVolume(call, { name: "two" });
    nowMs = 100;
    const first = await makeSnapshot(call, one, "s");
    expect((await call("GET", `${project}/snapshots/${first}`)).json).not.toHaveProperty("creationTime");
    expect(await call("POST", `${project}/snapshots`, { name: "t", sourceVolumeUUID: one })).toEqual({
      status: 400,
      json: {
        error: "Creating a snapshot when another snapshot is creating is not allowed",
        code: 9,
        message: "Creating a snapshot when another snapshot is creating is not allowed",
        details: [],
      },
    });
    expect(await call("POST", `${project}/snapshots`, { name: "s", sourceVolumeUUID: two })).toMatchObject({
      status: 400,
      json: { code: 6, message: "Another snapshot with same name exists" },
    });
    await makeSnapshot(call, two, "u");
    expect((await call("DELETE", `${project}/snapshots/${first}`)).status).toBe(503);
    nowMs = 200;
    await makeSnapshot(call, one, "t");
  });

  test("linger as Deleted when the store keeps them for a clone, and are hidden from lists", async () => {
    const call = start();
    const snapshot = await makeSnapshot(call, await makeVolume(call), "s");
    store.snapshotMap.get(snapshot)!.state = "deleted";
    expect((await call("GET", `${project}/snapshots/${snapshot}`)).json.state).toBe("Deleted");
    expect((await call("GET", `${project}/snapshots`)).json).toEqual({ snapshots: [] });
    expect((await call("GET", `${project}/snapshots?showAll=true&Name=s`)).json.snapshots).toHaveLength(1);
    expect((await call("DELETE", `${project}/snapshots/${snapshot}`)).status).toBe(400);
  });
});

describe("diff", () => {
  const diff = (target: string, query = "") => `${project}/snapshots/diff/${target}${query}`;

  test("writes the bit map low byte first, and leaves zeroes out", async () => {
    const call = start();
    const volume = await makeVolume(call);
    const base = await makeSnapshot(call, volume, "base");
    const target = await makeSnapshot(call, volume, "target");
    store.changed = [
      { lbaStart: 0, low: 0x0000_0002, high: 0 }, // LBA 1 only
      { lbaStart: 250_880, low: 0, high: 0xffff_ffff }, // upper half
      { lbaStart: 251_136, low: 0xffff_ffff, high: 0 }, // lower half
    ];
    expect((await call("GET", diff(target, `?baseSnapshotUUID=${base}`))).json).toEqual({
      lbaRanges: [
        { lbaEnd: "64", dataBitMap: "AgAAAAAAAAA=" }, // 02 00 00 00 00 00 00 00
        { lbaStart: "250880", lbaEnd: "250944", dataBitMap: "AAAAAP////8=" }, // 00 00 00 00 ff ff ff ff
        { lbaStart: "251136", lbaEnd: "251200", dataBitMap: "/////wAAAAA=" }, // ff ff ff ff 00 00 00 00
      ],
    });
    store.changed = [];
    expect((await call("GET", diff(target, "?baseSnapshotName=base"))).json).toEqual({});
    expect((await call("GET", diff("", "?snapshotName=target&baseSnapshotName=base"))).json).toEqual({});
  });

  test("comes in pages that together are the whole, whatever their length", async () => {
    const chunks = Array.from({ length: 23 }, (_, index) => ({
      lbaStart: index * 192,
      low: index + 1,
      high: 0,
    }));
    store.changed = chunks;
    const whole = start();
    const target = await makeSnapshot(whole, await makeVolume(whole), "s");
    const expected = (await whole("GET", diff(target))).json.lbaRanges;
    expect(expected).toHaveLength(23);
    for (const diffPageRangesMax of [1, 2, 7, 22, 23]) {
      const call = start({ diffPageRangesMax });
      const ranges: unknown[] = [];
      let offset = "0";
      let pageCount = 0;
      do {
        const { json } = await call("GET", diff(target, `?offsetLBA=${offset}`));
        ranges.push(...json.lbaRanges);
        offset = json.nextOffsetLBA ?? "0";
        pageCount += 1;
      } while (offset !== "0");
      expect(ranges).toEqual(expected);
      expect(pageCount).toBe(Math.ceil(23 / diffPageRangesMax));
    }
  });

  test("rounds the offset down to a chunk", async () => {
    const call = start();
    const target = await makeSnapshot(call, await makeVolume(call), "s");
    store.changed = [{ lbaStart: 128, low: 1, high: 0 }];
    expect((await call("GET", diff(target, "?offsetLBA=191"))).json.lbaRanges).toHaveLength(1);
    expect((await call("GET", diff(target, "?offsetLBA=192"))).json).toEqual({});
  });

  test("is refused for snapshots that cannot be compared", async () => {
    const call = start({ creatingMs: 100 });
    const volume = await makeVolume(call);
    nowMs = 100;
    const first = await makeSnapshot(call, volume, "a");
    expect(await call("GET", diff(first))).toMatchObject({ status: 400, json: { code: 9 } }); // Creating
    nowMs = 200;
    const second = await makeSnapshot(call, volume, "b");
    nowMs = 300;
    const statusOf = async (url: string) => {
      const { status, json } = await call("GET", url);
      return [status, json.code];
    };
    expect(await statusOf(diff(second, `?baseSnapshotUUID=${second}`))).toEqual([400, 3]); // identical
    expect(await statusOf(diff(unknownUuid))).toEqual([404, 5]);
    expect(await statusOf(diff(second, `?baseSnapshotUUID=${unknownUuid}`))).toEqual([404, 5]);
    expect(await statusOf(diff(second, "?offsetLBA=262145"))).toEqual([400, 11]); // 1 GiB is 262144 blocks
    expect(await statusOf(diff(second, "?offsetLBA=262144"))).toEqual([200, undefined]);
    expect(await statusOf(diff(second, "?offsetLBA=-1"))).toEqual([400, 3]);
    expect(await statusOf(diff(second, `?baseSnapshotUUID=${first}&baseSnapshotName=a`))).toEqual([400, 3]);
    expect(await statusOf(diff(second, "?snapshotName=a"))).toEqual([400, 3]);
    expect(await statusOf(diff("", "?snapshotName=nowhere"))).toEqual([404, 5]);
    expect(await statusOf(diff(""))).toEqual([400, 3]);
    store.snapshotMap.get(first)!.state = "deleting";
    expect(await statusOf(diff(second, `?baseSnapshotUUID=${first}`))).toEqual([404, 5]);
    store.changedChunks = () => {
      throw new StoreError("ERR_NOT_ON_CHAIN", "different volumes");
    };
    expect((await call("GET", diff(second))).json.message).toContain("not on same chain");
  });
});

describe("cluster", () => {
  test("says where its data path is", async () => {
    const call = start();
    expect((await call("GET", "/api/v2/clusterinfo")).json).toEqual({
      UUID: clusterUuid,
      subsystemNQN: "nqn.2016-01.com.example:cluster",
      currentMaxReplicas: 1,
      supportedMaxReplicas: 1,
      apiEndpoints: [],
      nvmeEndpoints: ["127.0.0.1:4420"],
      clusterName: "harrow",
    });
    expect((await call("GET", "/api/v2/nodes")).json.nodes).toMatchObject([
      { UUID: nodeUuid, state: "Active" },
    ]);
    expect((await call("GET", `/api/v2/nodes/${nodeUuid}`)).json.nvmeEndpoint).toBe("127.0.0.1:4420");
    expect((await call("GET", "/api/v2/projects")).json).toEqual({ projects: [{ name: "default" }] });
    expect((await call("GET", "/api/v2/projects/other")).status).toBe(404);
    expect((await call("GET", "/api/v2/version")).json.apiVersion).toBe("v2");
  });
});

describe("a request that cannot be carried out", () => {
  const refusals: Record<string, [number, number, string, string, object?]> = {
    "an unknown path": [404, 5, "GET", "/api/v2/nothing"],
    "an unknown method": [404, 5, "PATCH", `${project}/volumes`],
    "an unknown project": [404, 5, "GET", "/api/v2/projects/other/volumes"],
    "an unknown volume": [404, 5, "GET", `${project}/volumes/${unknownUuid}`],
    "an unknown snapshot": [404, 5, "DELETE", `${project}/snapshots/${unknownUuid}`],
    "a malformed UUID": [400, 3, "GET", `${project}/volumes/12`],
    "an unknown field": [400, 3, "POST", `${project}/volumes`, { ...volumeBody, sise: "1gib" }],
    "a missing field": [400, 3, "POST", `${project}/volumes`, { name: "v" }],
    "a name outside the grammar": [400, 3, "POST", `${project}/volumes`, { ...volumeBody, name: "a b" }],
    "a size of nothing": [400, 3, "POST", `${project}/volumes`, { ...volumeBody, size: "0" }],
    "too many replicas": [400, 3, "POST", `${project}/volumes`, { ...volumeBody, replicaCount: 3 }],
    "an unknown sector size": [400, 3, "POST", `${project}/volumes`, { ...volumeBody, sectorSize: 520 }],
    "a body that is a list": [400, 3, "POST", `${project}/volumes`, []],
    "an unknown source": [
      404,
      5,
      "POST",
      `${project}/volumes`,
      { ...volumeBody, sourceSnapshotUUID: unknownUuid },
    ],
    "a QoS policy": [501, 12, "POST", `${project}/volumes`, { ...volumeBody, qosPolicyName: "fast" }],
    "an unknown query": [400, 3, "GET", `${project}/volumes?nmae=v`],
    "a query twice": [400, 3, "GET", `${project}/volumes?name=v&name=w`],
    "a limit too high": [400, 3, "GET", `${project}/volumes?limit=1001`],
    "a snapshot of an unknown volume": [
      404,
      5,
      "POST",
      `${project}/snapshots`,
      { name: "s", sourceVolumeName: "x" },
    ],
    "a snapshot of nothing": [400, 3, "POST", `${project}/snapshots`, { name: "s" }],
    "a rollback to nothing": [404, 5, "PUT", `${project}/volumes/${unknownUuid}/rollback`, {}],
    "a body too large": [413, 3, "POST", `${project}/volumes`, { name: "v".repeat(600_000) }],
  };
  test.for(Object.entries(refusals))("is refused for %s", async ([, [status, code, method, url, body]]) => {
    const call = start();
    const reply = await call(method as "GET", url, body);
    expect(reply).toMatchObject({ status, json: { code, error: expect.any(String), details: [] } });
    expect(reply.json.message.length).toBeGreaterThan(10);
  });

  test("is refused if its JSON is cut short or its media type is another", async () => {
    const { app, dispose } = controlPlaneApp({ store, subsystemNqn: "nqn", nvmeEndpoints: [] });
    disposals.push(dispose);
    const post = (payload: string, type: string) =>
      app.inject({ method: "POST", url: `${project}/volumes`, payload, headers: { "content-type": type } });
    expect((await post('{"name":', "application/json")).statusCode).toBe(400);
    expect((await post("name=v", "application/x-www-form-urlencoded")).statusCode).toBe(415);
  });

  test("is answered without the inside of an unforeseen error", async () => {
    const logged: string[] = [];
    const call = start({ log: { ...silentLog, error: (message) => logged.push(message) } });
    const target = await makeSnapshot(call, await makeVolume(call), "s");
    store.changedChunks = () => {
      throw new Error("secret at /a/path");
    };
    const { status, json } = await call("GET", `${project}/snapshots/diff/${target}`);
    expect(status).toBe(500);
    expect(JSON.stringify(json)).not.toContain("secret");
    expect(logged).toEqual([expect.stringContaining("secret at /a/path")]);
  });
});

describe("the token", () => {
  const token = "0123456789abcdef";

  test("must be presented, and be the right one", async () => {
    const call = start({ token });
    const version = (authorization?: string) =>
      call("GET", "/api/v2/version", undefined, authorization === undefined ? {} : { authorization });
    expect(await version()).toMatchObject({ status: 401, json: { code: 16 } });
    expect((await version("Bearer 0123456789abcdeg")).status).toBe(401);
    expect((await version(`Basic ${token}`)).status).toBe(401);
    expect((await call("GET", "/api/v2/nothing")).status).toBe(401);
    expect((await version(`Bearer ${token}`)).status).toBe(200);
  });

  test("is needed to serve an address that others can reach", async () => {
    const options = { store, subsystemNqn: "nqn", nvmeEndpoints: [] };
    for (const host of ["0.0.0.0", "::", "192.168.1.1", "example.org"]) {
      await expect(serveControlPlane({ ...options, host })).rejects.toThrow(
        /does not serve .* without a token/,
      );
    }
    await expect(serveControlPlane({ ...options, token: "with space" })).rejects.toThrow(/printable/);
  });
});

test("listens on a free loopback port, says which, and stops twice", async () => {
  const plane = await serveControlPlane({ store, subsystemNqn: "nqn", nvmeEndpoints: [] });
  expect(plane.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  const info = (await (await fetch(`${plane.url}/api/v2/clusterinfo`)).json()) as { apiEndpoints: string[] };
  expect(info.apiEndpoints).toEqual([plane.url.slice("http://".length)]);
  await expect(
    serveControlPlane({
      store,
      subsystemNqn: "nqn",
      nvmeEndpoints: [],
      port: Number(new URL(plane.url).port),
    }),
  ).rejects.toThrow(/cannot listen on 127.0.0.1 port/);
  await plane[Symbol.asyncDispose]();
  await plane[Symbol.asyncDispose]();
  await expect(fetch(plane.url)).rejects.toThrow();
});
