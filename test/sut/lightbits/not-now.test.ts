import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { connectLightbits } from "../../../src/sut/lightbits/service.ts";
import { ServiceError, type VolumeService } from "../../../src/sut/port.ts";
import { SimulatedClock } from "../../../src/sut/simulated-clock.ts";
import { jsonAnswer, serveRaw } from "./raw-server.ts";

const uuid = "0f0e0d0c-0b0a-4908-8706-050403020100";

let clock: SimulatedClock;
let disposals: AsyncDisposable[];
beforeEach(() => {
  clock = new SimulatedClock();
  disposals = [];
});
afterEach(async () => {
  for (const disposable of disposals.reverse()) await disposable[Symbol.asyncDispose]();
});

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly ifMatch: string | undefined;
  readonly body: Record<string, unknown>;
}

/** A service of the test's own, in whole answers; what it was asked is kept. */
async function start(
  answer: (asked: Asked, count: number) => string,
): Promise<{ readonly service: VolumeService; readonly url: string; readonly asked: Asked[] }> {
  const asked: Asked[] = [];
  const server = await serveRaw((socket, request) => {
    const [, method = "", path = ""] = /^(\S+) (\S+)/.exec(request) ?? [];
    const text = request.slice(request.indexOf("\r\n\r\n") + 4);
    const body = text === "" ? {} : JSON.parse(text);
    const entry = { method, path, ifMatch: /if-match: (\S+)/.exec(request)?.[1], body };
    asked.push(entry);
    socket.write(answer(entry, asked.filter((other) => other.method === method).length));
  });
  const service = await connectLightbits({
    endpoint: server.url,
    clock,
    random: () => 0,
    connectNamespaces: () => Promise.reject(new Error("no data path here")),
  });
  disposals.push(server, service);
  return { service, url: server.url, asked };
}

async function errorOf(call: Promise<unknown>): Promise<ServiceError> {
  const error = await clock.advanceThrough(
    call.then(
      () => new Error("it was accepted"),
      (cause: unknown) => cause,
    ),
  );
  if (error instanceof ServiceError) return error;
  throw error;
}

const volume = (fields: object = {}) =>
  jsonAnswer(200, { UUID: uuid, name: "v", size: "4096", state: "Available", ETag: "7", ...fields });
const refusal = (status: number, code: number, message: string, headers?: string) =>
  jsonAnswer(status, { error: message, code, message }, headers);

describe("Retry-After", () => {
  test("of seconds is waited for", async () => {
    const { service } = await start((_, count) =>
      count < 3 ? refusal(503, 14, "busy", "Retry-After: 7\r\n") : jsonAnswer(200, {}),
    );
    expect(await clock.advanceThrough(service.listVolumes())).toEqual([]);
    expect(clock.now()).toBe(14_000);
  });

  test("of a date is waited for", async () => {
    clock = new SimulatedClock({ startMs: Date.UTC(2024, 0, 1) });
    const { service } = await start((_, count) =>
      count === 1
        ? refusal(429, 8, "slow down", "Retry-After: Mon, 01 Jan 2024 00:00:09 GMT\r\n")
        : jsonAnswer(200, {}),
    );
    await clock.advanceThrough(service.listVolumes());
    expect(clock.now()).toBe(Date.UTC(2024, 0, 1, 0, 0, 9));
  });

  test("beyond the time that there is ends the wait at once, and is said", async () => {
    const { service } = await start(() => refusal(503, 14, "busy", "Retry-After: 3600\r\n"));
    expect(await errorOf(service.listVolumes())).toMatchObject({
      code: "ERR_BUSY",
      message: expect.stringMatching(/busy; still so after 0\.0 s and 1 tries; it asks to wait 3600 s$/),
    });
    expect(clock.now()).toBe(0);
  });

  test.for(["-1", "soon", "1e3", "99999999999"])("of '%s' is passed over", async (value) => {
    const { service } = await start((_, count) =>
      count === 1 ? refusal(503, 14, "busy", `Retry-After: ${value}\r\n`) : jsonAnswer(200, {}),
    );
    await clock.advanceThrough(service.listVolumes());
    expect(clock.now()).toBeLessThan(100);
  });
});

describe("a resize", () => {
  test("names the version that it was decided on, and is decided anew on the next", async () => {
    let size = 4096;
    let etag = 7;
    const { service, asked } = await start(({ method, body, ifMatch }) => {
      if (method === "GET") return volume({ size: String(size), ETag: String(etag) });
      if (ifMatch === "7") {
        // Somebody else was faster, so that the same size is now a shrinking.
        size = 16_384;
        etag = 8;
      }
      if (ifMatch !== String(etag) || ifMatch === "7") return refusal(412, 9, "Etag mismatch");
      size = Number.parseInt(String(body.size), 10);
      return jsonAnswer(200, {});
    });
    const resized = await clock.advanceThrough(service.resizeVolume({ uuid, sizeBytes: 8192 }));
    expect(resized.sizeBytes).toBe(8192);
    expect(
      asked.filter(({ method }) => method === "PUT").map(({ ifMatch, body }) => [ifMatch, body]),
    ).toEqual([
      ["7", { size: "8192b" }],
      ["8", { size: "8192b", Force: true }],
    ]);
  });

  test("of a service without ETags names none", async () => {
    let size = "4096";
    const { service, asked } = await start(({ method }) => {
      if (method === "PUT") size = "8192";
      return method === "PUT" ? jsonAnswer(200, {}) : volume({ size, ETag: undefined });
    });
    await clock.advanceThrough(service.resizeVolume({ uuid, sizeBytes: 8192 }));
    expect(asked.find(({ method }) => method === "PUT")?.ifMatch).toBeUndefined();
  });

  test.for([
    [409, 6],
    [409, 10],
    [503, 14],
    [500, 13],
    [504, 4],
  ])("is tried again after %i with code %i", async ([status, code]) => {
    let size = "4096";
    const { service } = await start(({ method }, count) => {
      if (method === "GET") return volume({ size });
      if (count < 3) return refusal(status!, code!, "another operation runs");
      size = "8192";
      return jsonAnswer(200, {});
    });
    expect((await clock.advanceThrough(service.resizeVolume({ uuid, sizeBytes: 8192 }))).sizeBytes).toBe(
      8192,
    );
  });

  test("that is seen to be done after a 500 is not asked for again", async () => {
    let size = "4096";
    const { service, asked } = await start(({ method }) => {
      if (method === "GET") return volume({ size });
      size = "8192";
      return refusal(500, 13, "lost its way");
    });
    await clock.advanceThrough(service.resizeVolume({ uuid, sizeBytes: 8192 }));
    expect(asked.filter(({ method }) => method === "PUT")).toHaveLength(1);
  });

  test("whose volume is changed by others all the time is given up", async () => {
    const { service } = await start(({ method }) =>
      method === "GET" ? volume() : refusal(412, 9, "Etag mismatch"),
    );
    expect(await errorOf(service.resizeVolume({ uuid, sizeBytes: 8192 }))).toMatchObject({
      code: "ERR_BUSY",
      message: expect.stringMatching(/Etag mismatch; still so after 120\.0 s/),
    });
  });
});

describe("a delete", () => {
  test.for([
    [400, 9],
    [409, 6],
    [500, 13],
    [503, 14],
    [504, 4],
  ])("that answers %i (code %i) and is seen to be done is done", async ([status, code]) => {
    const { service } = await start(({ method }) =>
      method === "DELETE" ? refusal(status!, code!, "?") : refusal(404, 5, "not found"),
    );
    await clock.advanceThrough(service.deleteVolume(uuid));
  });

  test("whose answer makes no sense is looked at: gone is done, there is the error", async () => {
    let isThere = false;
    const { service } = await start(({ method }) => {
      if (method === "GET") return isThere ? volume() : refusal(404, 5, "not found");
      return jsonAnswer(200, []);
    });
    await clock.advanceThrough(service.deleteVolume(uuid));
    isThere = true;
    expect((await errorOf(service.deleteVolume(uuid))).code).toBe("ERR_BAD_ANSWER");
  });

  test("of what is not there is still refused", async () => {
    const { service } = await start(() => refusal(404, 5, "not found"));
    expect((await errorOf(service.deleteSnapshot(uuid))).code).toBe("ERR_NOT_FOUND");
  });
});

describe("several endpoints", () => {
  test("are gone through until one is reached, and that one is kept", async () => {
    const { url, asked } = await start(() => jsonAnswer(200, {}));
    const closed = await serveRaw(() => undefined);
    await closed[Symbol.asyncDispose]();
    const several = await connectLightbits({
      endpoint: closed.url,
      otherEndpoints: [url],
      clock,
      connectNamespaces: () => Promise.reject(new Error("no data path here")),
    });
    disposals.push(several);
    expect(await several.listVolumes()).toEqual([]);
    expect(await several.listVolumes()).toEqual([]);
    expect(asked).toHaveLength(2);
  });

  test("of which none is reached are counted in the error", async () => {
    const closed = [await serveRaw(() => undefined), await serveRaw(() => undefined)];
    for (const server of closed) await server[Symbol.asyncDispose]();
    const service = await connectLightbits({
      endpoint: closed[0]!.url,
      otherEndpoints: [closed[1]!.url],
      clock,
      connectNamespaces: () => Promise.reject(new Error("no data path here")),
    });
    disposals.push(service);
    expect(await errorOf(service.createSnapshot({ name: "s", volumeUuid: uuid }))).toMatchObject({
      code: "ERR_UNREACHABLE",
      message: expect.stringMatching(/ECONNREFUSED.*nor did the 1 other endpoints/),
    });
  });
});

test("a name that only a deleted snapshot has is free", async () => {
  const made = { UUID: uuid, name: "s", size: "4096", state: "Available", sourceVolumeUUID: uuid };
  const deleted = { ...made, UUID: uuid.replace("0f", "1f"), state: "Deleted" };
  const { service } = await start(({ method }, count) => {
    if (method === "GET") return jsonAnswer(200, { snapshots: [deleted] });
    return count === 1 ? refusal(503, 14, "busy") : jsonAnswer(200, made);
  });
  const created = await clock.advanceThrough(service.createSnapshot({ name: "s", volumeUuid: uuid }));
  expect(created.uuid).toBe(uuid);
});
