import { once } from "node:events";
import { createServer, request as httpRequest, type RequestListener } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import {
  type RestInterceptor,
  type RestRequest,
  serveRestProxy,
} from "../../../src/gallery/wire/rest-proxy.ts";
import { serveControlPlane } from "../../../src/sut/control-plane/server.ts";
import { connectLightbits } from "../../../src/sut/lightbits/service.ts";
import type { DiffRange, VolumeService } from "../../../src/sut/port.ts";
import { openStore } from "../../../src/sut/store/open.ts";
import { StoreConnection } from "../../sut/lightbits/store-device.ts";

const token = "a-token-of-a-test";
const blockBytes = 4096;

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const resource of open.splice(0).toReversed()) await resource[Symbol.asyncDispose]();
});

/** A service in this process, by way of a proxy. */
async function served(interceptor: RestInterceptor = {}) {
  const store = await openStore({ kind: "memory" });
  open.push(store);
  const plane = await serveControlPlane({
    store,
    token,
    subsystemNqn: "nqn.2016-01.com.example:cluster",
    nvmeEndpoints: ["127.0.0.1:4420"],
  });
  open.push(plane);
  const proxy = await serveRestProxy({ upstream: plane.url, interceptor });
  open.push(proxy);
  const service: VolumeService = await connectLightbits({
    endpoint: proxy.url,
    token,
    connectNamespaces: async () => new StoreConnection(store),
  });
  open.push(service);
  return { plane, proxy, service };
}

/** A volume with two snapshots, between which blocks 3 and 130 changed. */
async function withSnapshots(service: VolumeService) {
  const volume = await service.createVolume({ name: "a", sizeBytes: 2 ** 20, sectorSizeBytes: blockBytes });
  await using device = await service.openVolume(volume.uuid);
  const first = await service.createSnapshot({ name: "s0", volumeUuid: volume.uuid });
  const from = new Uint8Array(blockBytes).fill(7);
  for (const block of [3, 130]) await device.write({ block, blockCount: 1, from });
  const second = await service.createSnapshot({ name: "s1", volumeUuid: volume.uuid });
  const rangesOf = async (baseSnapshotUuid?: string): Promise<DiffRange[]> => {
    const ranges: DiffRange[] = [];
    const asked = { snapshotUuid: second.uuid, ...(baseSnapshotUuid !== undefined && { baseSnapshotUuid }) };
    for await (const page of service.diff(asked)) ranges.push(...page.ranges);
    return ranges;
  };
  return { volume, first, second, rangesOf };
}

interface Exchange {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

function exchange(
  base: string,
  {
    path,
    method = "GET",
    body,
    headers = {},
  }: {
    readonly path: string;
    readonly method?: string;
    readonly body?: string;
    readonly headers?: Readonly<Record<string, string | string[]>>;
  },
): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(new URL(path, base), { method, headers, agent: false }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("error", reject);
      response.on("end", () => {
        const { date: _, connection: __, "keep-alive": ___, ...rest } = response.headersDistinct;
        resolve({
          statusCode: response.statusCode ?? 0,
          headers: rest,
          body: Buffer.concat(parts).toString("utf8"),
        });
      });
    });
    request.on("error", reject);
    request.end(body);
  });
}

/** Any HTTP server as upstream. */
async function proxied(listener: RequestListener, interceptor: RestInterceptor = {}, path = "") {
  const server = createServer(listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  open.push({
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
    },
  });
  const { port } = server.address() as AddressInfo;
  const upstream = `http://127.0.0.1:${port}${path}`;
  const proxy = await serveRestProxy({ upstream, interceptor });
  open.push(proxy);
  return { proxy, server, upstream };
}

describe("the proxy of the REST API", () => {
  test("answers as the service does, whatever is asked", async () => {
    const { plane, proxy } = await served();
    const authorization = `Bearer ${token}`;
    const volumes = "/api/v2/projects/default/volumes";
    const questions = [
      { path: "/api/v2/clusterinfo", headers: { authorization } },
      { path: `${volumes}?limit=5&name=a%20b`, headers: { authorization } },
      // No token, another path, another method, bad JSON.
      { path: volumes },
      { path: "/nothing/here?", headers: { authorization } },
      { path: volumes, method: "DELETE", headers: { authorization } },
      {
        path: volumes,
        method: "POST",
        body: "{",
        headers: { authorization, "content-type": "application/json" },
      },
    ];
    for (const question of questions)
      expect(await exchange(proxy.url, question)).toEqual(await exchange(plane.url, question));
  });

  test("lets an adapter work on a service, diffs included", async () => {
    const { service } = await served();
    const { first, rangesOf } = await withSnapshots(service);
    expect(await rangesOf(first.uuid)).toEqual(
      [
        { lbaStart: 0, bitmap: Uint8Array.of(0x08, 0, 0, 0, 0, 0, 0, 0) },
        { lbaStart: 128, bitmap: Uint8Array.of(0x04, 0, 0, 0, 0, 0, 0, 0) },
      ].map(({ lbaStart, bitmap }) => ({ lbaStart, bitmap: Buffer.from(bitmap) })),
    );
  });

  test("passes method, path, query, headers and bodies on as they are", async () => {
    const seen: unknown[] = [];
    const { proxy, upstream } = await proxied(
      (request, response) => {
        const { method, url, headersDistinct } = request;
        seen.push({ method, url, host: headersDistinct.host, many: headersDistinct["x-many"] });
        response.writeHead(207, "Mixed", [
          ["x-answer", "1"],
          ["x-answer", "2"],
        ]);
        request.pipe(response);
      },
      {},
      "/below",
    );
    const body = "ä".repeat(300_000);
    const answer = await exchange(proxy.url, {
      path: "/a%2Fb//c?x=1&x=%20",
      method: "PUT",
      body,
      headers: { "x-many": ["1", "2"] },
    });
    expect(seen).toEqual([
      {
        method: "PUT",
        url: "/below/a%2Fb//c?x=1&x=%20",
        host: [new URL(upstream).host],
        many: ["1", "2"],
      },
    ]);
    expect(answer).toMatchObject({ statusCode: 207, headers: { "x-answer": ["1", "2"] } });
    expect(answer.body === body).toBe(true);
  });

  test("tells another diff than the service", async () => {
    const calls: unknown[] = [];
    const { service } = await served({
      diff: (page, { snapshotUuid, baseSnapshotUuid }) => {
        calls.push({ page, snapshotUuid, baseSnapshotUuid });
        if (baseSnapshotUuid === undefined) return undefined;
        const { lbaRanges } = page as { lbaRanges: object[] };
        return { lbaRanges: [{ ...lbaRanges[1], lbaStart: "64" }] };
      },
    });
    const { first, second, rangesOf } = await withSnapshots(service);
    expect(await rangesOf(first.uuid)).toEqual([
      { lbaStart: 64, bitmap: Buffer.from("0400000000000000", "hex") },
    ]);
    expect((await rangesOf()).map(({ lbaStart }) => lbaStart)).toEqual([0, 128]);
    const page = {
      lbaRanges: [
        { lbaEnd: "64", dataBitMap: "CAAAAAAAAAA=" },
        { lbaStart: "128", lbaEnd: "192", dataBitMap: "BAAAAAAAAAA=" },
      ],
    };
    expect(calls).toEqual([
      { page, snapshotUuid: second.uuid, baseSnapshotUuid: first.uuid },
      { page, snapshotUuid: second.uuid, baseSnapshotUuid: undefined },
    ]);
  });

  test("asks about no diff that failed, and about no answer that is none", async () => {
    const diff = () => ({ lbaRanges: [] });
    const { service } = await served({ diff });
    const { first, rangesOf } = await withSnapshots(service);
    await service.deleteSnapshot(first.uuid);
    await expect(rangesOf(first.uuid)).rejects.toMatchObject({ code: "ERR_NOT_FOUND" });
    const { proxy } = await proxied((_, response) => void response.end("<html>"), { diff });
    expect(await exchange(proxy.url, { path: "/snapshots/diff/x" })).toMatchObject({ body: "<html>" });
  });

  test("answers itself, waits, or ends the connection, as the interceptor likes", async () => {
    const asked: RestRequest[] = [];
    const { proxy } = await proxied((_, response) => void response.end("from the service"), {
      request: async (request) => {
        asked.push(request);
        if (request.path === "/own") return { statusCode: 503, body: { code: 14 } };
        if (request.path === "/gone") return "drop";
        await delay(50);
        return undefined;
      },
    });
    expect(await exchange(proxy.url, { path: "/own?a=b", method: "POST", body: "{}" })).toMatchObject({
      statusCode: 503,
      headers: { "content-type": ["application/json"] },
      body: '{"code":14}',
    });
    expect(asked[0]).toEqual({ method: "POST", path: "/own", query: new URLSearchParams("a=b") });
    await expect(exchange(proxy.url, { path: "/gone" })).rejects.toMatchObject({ code: "ECONNRESET" });
    const began = performance.now();
    expect(await exchange(proxy.url, { path: "/slow" })).toMatchObject({ body: "from the service" });
    expect(performance.now() - began).toBeGreaterThan(45);
  });

  test("ends the client's connection when the interceptor fails, and says so", async () => {
    const warnings: string[] = [];
    const proxy = await serveRestProxy({
      upstream: "http://127.0.0.1:9",
      interceptor: { request: () => Promise.reject(new Error("what next?")) },
      log: { warn: (message) => void warnings.push(message) },
    });
    open.push(proxy);
    await expect(exchange(proxy.url, { path: "/a?b" })).rejects.toMatchObject({ code: "ECONNRESET" });
    expect(warnings).toEqual(["proxy: no answer to GET /a: what next?"]);
  });

  test("ends the client's connection when the service is gone, or goes away amid an answer", async () => {
    const { proxy, server } = await proxied((request, response) => {
      response.writeHead(200, { "content-length": 100 });
      response.write("half");
      setTimeout(() => request.socket.destroy(), 20);
    });
    await expect(exchange(proxy.url, { path: "/" })).rejects.toMatchObject({ code: "ECONNRESET" });
    await expect(exchange(proxy.url, { path: "/snapshots/diff/x" })).rejects.toMatchObject({
      code: "ECONNRESET",
    });
    server.close();
    await expect(exchange(proxy.url, { path: "/" })).rejects.toMatchObject({ code: "ECONNRESET" });
  });

  test("ends its request when the client has gone", async () => {
    let noteGone = (): void => {};
    const gone = new Promise<void>((resolve) => {
      noteGone = resolve;
    });
    const { proxy } = await proxied((request) => void request.socket.once("close", noteGone));
    const { hostname, port } = new URL(proxy.url);
    const client = connect({ host: hostname, port: Number(port) });
    client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await delay(50);
    client.destroy();
    await gone;
  });

  test("ends what is under way when it is disposed, which may be repeated", async () => {
    // One request waits for the service, the other one for the interceptor.
    const { proxy } = await proxied(() => {}, {
      request: ({ path }) => (path === "/" ? Promise.resolve(undefined) : new Promise(() => {})),
    });
    const pending = ["/", "/later"].map((path) =>
      expect(exchange(proxy.url, { path })).rejects.toMatchObject({ code: "ECONNRESET" }),
    );
    await delay(50);
    await proxy[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
    await Promise.all(pending);
    await expect(exchange(proxy.url, { path: "/" })).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  test("refuses an upstream that is not plain HTTP", async () => {
    await expect(serveRestProxy({ upstream: "https://127.0.0.1", interceptor: {} })).rejects.toThrow(
      "the proxy speaks plain HTTP to its upstream, got https://",
    );
  });
});
