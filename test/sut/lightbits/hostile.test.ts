import type { Socket } from "node:net";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type Decoder,
  decodeClusterInfo,
  decodeDiff,
  decodeSnapshot,
  decodeSnapshots,
  decodeVolume,
  decodeVolumes,
  decodeVolumeVersion,
} from "../../../src/sut/lightbits/decode.ts";
import { connectLightbits, type LightbitsOptions } from "../../../src/sut/lightbits/service.ts";
import { type DiffPage, ServiceError, type VolumeService } from "../../../src/sut/port.ts";
import { SimulatedClock } from "../../../src/sut/simulated-clock.ts";
import { jsonAnswer, type RawServer, serveRaw } from "./raw-server.ts";

const uuid = "0f0e0d0c-0b0a-4908-8706-050403020100";
const token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2VjcmV0LXNlY3JldC1zZWNyZXQ";
const mib = 2 ** 20;

let clock: SimulatedClock;
let disposals: AsyncDisposable[];
beforeEach(() => {
  clock = new SimulatedClock();
  disposals = [];
});
afterEach(async () => {
  for (const disposable of disposals.reverse()) await disposable[Symbol.asyncDispose]();
});

async function start(
  answer: (socket: Socket, request: string) => void,
  options: Partial<LightbitsOptions> = {},
): Promise<{ readonly service: VolumeService; readonly server: RawServer }> {
  const server = await serveRaw(answer);
  const service = await connectLightbits({
    endpoint: server.url,
    token,
    clock,
    answerBytesMax: mib,
    connectNamespaces: () => Promise.reject(new Error("no data path here")),
    ...options,
  });
  disposals.push(server, service);
  return { service, server };
}

/** What a call fails with; nothing that can be printed of it holds the token, or much of it. */
async function errorOf(call: Promise<unknown>): Promise<ServiceError> {
  try {
    await clock.advanceThrough(call);
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    for (let shown: unknown = error; shown instanceof Error; shown = shown.cause)
      expect(`${shown.message} ${shown.stack} ${JSON.stringify(shown)}`).not.toContain(token.slice(0, 30));
    expect(error.message.length).toBeLessThan(1500);
    return error;
  }
  throw new Error("it was accepted");
}

async function pagesOf(diff: AsyncIterable<DiffPage>): Promise<DiffPage[]> {
  const pages: DiffPage[] = [];
  for await (const page of diff) pages.push(page);
  return pages;
}

describe("a token", () => {
  // A service that sends back what it was sent, in every place that ends up in a message.
  const echoes: Record<string, string> = {
    "in the text of a refusal": jsonAnswer(400, { code: 3, message: `bad token ${token}` }),
    "cut off by the end of the text": jsonAnswer(400, { code: 3, message: `${"x".repeat(270)}${token}` }),
    escaped: withLength(
      jsonAnswer(400, { code: 3, message: "?" }).replace('"?"', `"\\u0065${token.slice(1)}"`),
    ),
    "in a body that is no JSON": `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${token.length}\r\n\r\n${token}`,
    "in the type of a body": `HTTP/1.1 200 OK\r\nContent-Type: ${token}\r\nContent-Length: 2\r\n\r\n{}`,
    "in the name of an encoding": `HTTP/1.1 200 OK\r\nContent-Encoding: ${token}\r\nContent-Length: 2\r\n\r\n{}`,
    "in the place of a status line": `${token}\r\n\r\n`,
    "in a field of an object": jsonAnswer(200, { UUID: uuid, state: token }),
    "in a status that nobody knows": `HTTP/1.1 404 ${token}\r\nContent-Type: text/html\r\nContent-Length: ${token.length}\r\n\r\n${token}`,
  };
  test.for(Object.entries(echoes))("sent back %s is in no message", async ([, bytes]) => {
    const { service } = await start((socket) => socket.write(bytes));
    await errorOf(service.getVolume(uuid));
  });

  /** The same answer with its length set right. */
  function withLength(bytes: string): string {
    const [head = "", body = ""] = bytes.split("\r\n\r\n");
    return `${head.replace(/Content-Length: \d+/, `Content-Length: ${body.length}`)}\r\n\r\n${body}`;
  }

  test.for([301, 302, 303, 307, 308])("is not carried to where a %i leads", async (status) => {
    let seen = "";
    const elsewhere = await serveRaw((_, request) => (seen += request));
    disposals.push(elsewhere);
    const { service } = await start((socket) =>
      socket.write(`HTTP/1.1 ${status} X\r\nLocation: ${elsewhere.url}/\r\nContent-Length: 0\r\n\r\n`),
    );
    const error = await errorOf(service.listVolumes());
    expect(error).toMatchObject({
      code: "ERR_BAD_ANSWER",
      message: expect.stringContaining(`HTTP ${status}`),
    });
    expect([elsewhere.connectionCount, seen]).toEqual([0, ""]);
  });

  test("that is refused is asked for anew, once, and the call is made again with the new one", async () => {
    const given = ["old", "new", "newest"];
    const seen: (string | undefined)[] = [];
    const { service } = await start(
      (socket, request) => {
        const bearer = /authorization: Bearer (\S+)/.exec(request)?.[1];
        seen.push(bearer);
        socket.write(
          bearer === "new" ? jsonAnswer(200, {}) : jsonAnswer(401, { code: 16, message: "expired" }),
        );
      },
      { token: async () => given.shift() ?? "none" },
    );
    expect(await service.listVolumes()).toEqual([]);
    expect(await service.listVolumes()).toEqual([]);
    expect(seen).toEqual(["old", "new", "new"]);
  });

  test("that ended is said to have, when it is refused", async () => {
    // {"exp":1300819380} of RFC 7519, section 3.1.
    const ended = "e30.eyJleHAiOjEzMDA4MTkzODB9.c2ln";
    clock = new SimulatedClock({ startMs: 1_400_000_000_000 });
    const { service } = await start((socket) => socket.write(jsonAnswer(401, { code: 16, message: "no" })), {
      token: ended,
    });
    expect((await errorOf(service.listVolumes())).message).toMatch(
      /HTTP 401, code 16: no; the token says that it ended at 2011-03-22T18:43:00\.000Z$/,
    );
  });
});

describe("an answer", () => {
  test.for([
    ["of 100 MB that says so", `Content-Length: ${100 * mib}\r\n\r\n`],
    ["of 100 MB that does not say", "\r\n"],
  ])("%s is cut off at the limit", async ([, headers]) => {
    const piece = Buffer.alloc(256 * 1024, " ");
    let sentBytes = 0;
    const { service } = await start((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n${headers}`);
      const pour = () => {
        while (sentBytes < 100 * mib && !socket.destroyed) {
          sentBytes += piece.length;
          if (!socket.write(piece)) return;
        }
      };
      socket.on("drain", pour);
      pour();
    });
    const error = await errorOf(service.listVolumes());
    expect(error).toMatchObject({ code: "ERR_BAD_ANSWER", message: expect.stringMatching(/1048576/) });
    // What the sockets' own buffers hold comes on top.
    expect(sentBytes).toBeLessThan(32 * mib);
  });

  test("of millions of empty items is refused before they are made", async () => {
    const many = `{"volumes":[${"0,".repeat(500_000)}0]}`;
    const { service } = await start((socket) =>
      socket.write(
        `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${many.length}\r\n\r\n${many}`,
      ),
    );
    expect((await errorOf(service.listVolumes())).message).toMatch(
      /at most 10000 items, got a list of 500001/,
    );
  });

  test("that comes a byte a second ends at the deadline of the call", async () => {
    const { service } = await start((socket) => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n");
      const drip = () => {
        if (socket.destroyed) return;
        socket.write(" ");
        clock.setTimeout(drip, 1000);
      };
      drip();
    });
    const error = await errorOf(service.listVolumes());
    expect(error).toMatchObject({ code: "ERR_TIMEOUT", message: expect.stringContaining("30000 ms") });
    expect(clock.now()).toBe(30_000);
  });

  test("of 500 for ever is believed after a few tries, of every call", async () => {
    const { service } = await start((socket) =>
      socket.write(jsonAnswer(500, { code: 13, message: "disk on fire" })),
    );
    const calls = [
      () => service.listVolumes(),
      () => service.createVolume({ name: "v", sizeBytes: 4096, sectorSizeBytes: 4096 }),
      () => service.createSnapshot({ name: "s", volumeUuid: uuid }),
      () => service.deleteSnapshot(uuid),
      () => service.resizeVolume({ uuid, sizeBytes: 8192 }),
      () => service.rollbackVolume({ volumeUuid: uuid, snapshotUuid: uuid }),
      () => service.openVolume(uuid),
      () => pagesOf(service.diff({ snapshotUuid: uuid })),
    ];
    for (const call of calls)
      expect(await errorOf(call())).toMatchObject({
        code: "ERR_TARGET",
        message: expect.stringContaining("disk on fire"),
      });
    expect(clock.now()).toBeLessThan(120_000);
  });
});

describe("a list", () => {
  test("that never ends is given up", async () => {
    let count = 0;
    const { service } = await start((socket) => {
      const volumes = Array.from({ length: 1000 }, () => ({
        UUID: `00000000-0000-4000-8000-${String(count++).padStart(12, "0")}`,
      }));
      socket.write(jsonAnswer(200, { volumes }));
    });
    const error = await errorOf(service.listVolumes());
    expect(error).toMatchObject({
      code: "ERR_BAD_ANSWER",
      message: expect.stringMatching(/did not end within 100 pages/),
    });
  });

  test("whose pages repeat ends", async () => {
    const volumes = Array.from({ length: 1000 }, (_, index) => ({
      UUID: `00000000-0000-4000-8000-${String(index).padStart(12, "0")}`,
    }));
    const { service } = await start((socket) => socket.write(jsonAnswer(200, { volumes })));
    expect(await service.listVolumes()).toHaveLength(1000);
  });
});

describe("a diff", () => {
  const offsetOf = (request: string) => Number(/offsetLBA=(\d+)/.exec(request)?.[1] ?? 0);

  test("that never ends is given up when its time is over", async () => {
    let requestCount = 0;
    const { service } = await start(
      (socket, request) => {
        requestCount += 1;
        const document = { nextOffsetLBA: String(offsetOf(request) + 64) };
        clock.setTimeout(() => socket.write(jsonAnswer(200, document)), 1000);
      },
      { diffTimeoutMs: 60_000 },
    );
    expect(await errorOf(pagesOf(service.diff({ snapshotUuid: uuid })))).toMatchObject({
      code: "ERR_TIMEOUT",
      message: expect.stringMatching(/not at its end after 60000 ms and 61 pages, at block 3904$/),
    });
    expect(requestCount).toBe(61);
  });

  test.for([0, 5])(
    "that leads %i blocks on, and so back to the same chunk, ends with that page",
    async (step) => {
      const { service } = await start((socket, request) =>
        socket.write(jsonAnswer(200, { nextOffsetLBA: String(Math.max(640, offsetOf(request) + step)) })),
      );
      const pages = await clock.advanceThrough(pagesOf(service.diff({ snapshotUuid: uuid })));
      expect(pages.map(({ offsetLba, nextOffsetLba }) => [offsetLba, nextOffsetLba])).toEqual([
        [0, 640],
        [640, 640 + step],
      ]);
    },
  );

  test("whose page is cut off in the middle gives nothing of that page", async () => {
    const page = jsonAnswer(200, { lbaRanges: [{ lbaEnd: "64", dataBitMap: "AgAAAAAAAAA=" }] });
    const { service } = await start((socket) => socket.end(page.slice(0, -20)));
    const error = await errorOf(pagesOf(service.diff({ snapshotUuid: uuid })));
    expect(error.code).toBe("ERR_UNREACHABLE");
  });

  test.for([500, 504])("asks for the same page again after %i", async (status) => {
    const offsets: number[] = [];
    const { service } = await start((socket, request) => {
      offsets.push(offsetOf(request));
      const isLate = offsetOf(request) === 64 && offsets.length < 4;
      if (isLate) socket.write(jsonAnswer(status, { code: 4, message: "context deadline exceeded" }));
      else socket.write(jsonAnswer(200, offsetOf(request) === 0 ? { nextOffsetLBA: "64" } : {}));
    });
    const pages = await clock.advanceThrough(pagesOf(service.diff({ snapshotUuid: uuid })));
    expect(pages).toHaveLength(2);
    expect(offsets).toEqual([0, 64, 64, 64]);
  });

  test("whose base goes between two pages says that what came before is not the whole", async () => {
    const { service } = await start((socket, request) =>
      socket.write(
        offsetOf(request) === 0
          ? jsonAnswer(200, { nextOffsetLBA: "64" })
          : jsonAnswer(404, { code: 5, message: "base snapshot not found" }),
      ),
    );
    expect(
      await errorOf(pagesOf(service.diff({ snapshotUuid: uuid, baseSnapshotUuid: uuid }))),
    ).toMatchObject({
      code: "ERR_NOT_FOUND",
      message: expect.stringMatching(/base snapshot not found; it is the diff's page 2, from block 64,/),
    });
  });

  test("of ranges that overlap, run backwards or lie anywhere is shown as it came, and counted", async () => {
    const lbaRanges = [
      { lbaStart: "9007199254740928", lbaEnd: "9007199254740991", dataBitMap: "//////////8=" },
      { lbaStart: 64, lbaEnd: "128", dataBitMap: "AgAAAAAAAAA" },
      { lbaStart: "65", lbaEnd: "1", dataBitMap: "/w==" },
      { dataBitMap: "" },
    ];
    const server = await serveRaw((socket) => socket.write(jsonAnswer(200, { lbaRanges })));
    disposals.push(server);
    const service = await connectLightbits({
      endpoint: server.url,
      clock,
      bitmapOrder: "big",
      connectNamespaces: () => Promise.reject(new Error("no data path here")),
    });
    disposals.push(service);
    const [page] = await clock.advanceThrough(pagesOf(service.diff({ snapshotUuid: uuid })));
    expect(page?.ranges.map(({ lbaStart }) => lbaStart)).toEqual([9007199254740928, 64, 65, 0]);
    expect([...(page?.ranges[1]?.bitmap ?? [])]).toEqual([0, 0, 0, 0, 0, 0, 0, 2]);
    expect(service.diffFacts).toEqual({
      pages: 1,
      emptyPages: 0,
      ranges: 4,
      rangesPerPageMax: 4,
      bitmapBytesMax: 8,
      lbaEndInclusive: 1,
      lbaEndExclusive: 2,
      lbaEndOther: 1,
    });
  });

  test.for([
    '"9007199254740993"',
    "9007199254740993",
    "1e400",
    '"18446744073709551615"',
    '"-1"',
    "1.5",
    "[]",
  ])("with the number %s is refused, not rounded", async (number) => {
    for (const field of ["lbaStart", "lbaEnd"]) {
      const body = `{"lbaRanges":[{"${field}":${number},"dataBitMap":"AQAAAAAAAAA="}]}`;
      expect(() => decodeDiff("GET /x", JSON.parse(body))).toThrow(
        expect.objectContaining({ code: "ERR_BAD_ANSWER" }),
      );
    }
    expect(() => decodeDiff("GET /x", JSON.parse(`{"nextOffsetLBA":${number}}`))).toThrow(ServiceError);
  });
});

test("a field of any other type is refused or read as what it may mean, never taken as it is", () => {
  const volume = {
    UUID: uuid,
    name: "v",
    size: "4096",
    sectorSize: 4096,
    state: "Available",
    nsid: 1,
    ETag: "1",
  };
  const snapshot = { ...volume, sourceVolumeUUID: uuid, description: "" };
  const range = { lbaStart: "64", lbaEnd: "128", dataBitMap: "AgAAAAAAAAA=" };
  const documents: [Decoder<unknown>, Record<string, unknown>][] = [
    [decodeVolume, volume],
    [decodeVolumeVersion, volume],
    [decodeVolumes, { volumes: [volume] }],
    [decodeSnapshot, snapshot],
    [decodeSnapshots, { snapshots: [snapshot] }],
    [decodeDiff, { nextOffsetLBA: "128", lbaRanges: [range] }],
    [(call, document) => decodeDiff(call, { lbaRanges: [document] }), range],
    [decodeClusterInfo, { subsystemNQN: "nqn.x", nvmeEndpoints: ["a:1"], discoveryEndpoints: ["a:2"] }],
  ];
  const cases = fc.constantFrom(...documents).chain(([decode, document]) =>
    fc.record({
      decode: fc.constant(decode),
      document: fc.constant(document),
      field: fc.constantFrom(...Object.keys(document)),
      value: fc.oneof(
        fc.jsonValue(),
        fc.constantFrom<unknown>(
          null,
          true,
          "",
          "0",
          -1,
          2 ** 53,
          1e300,
          "x",
          [],
          {},
          [null],
          "9".repeat(99),
        ),
        fc.double(),
      ),
    }),
  );
  const check = (shown: unknown): void => {
    if (typeof shown === "number") expect(Number.isSafeInteger(shown) && shown >= 0).toBe(true);
    else if (shown instanceof Uint8Array) return;
    else if (typeof shown === "object" && shown !== null) Object.values(shown).forEach(check);
    else expect(["string", "undefined"]).toContain(typeof shown);
  };
  fc.assert(
    fc.property(cases, ({ decode, document, field, value }) => {
      let decoded: unknown;
      try {
        decoded = decode("GET /x", { ...document, [field]: value });
      } catch (error) {
        expect(error).toMatchObject({ name: "ServiceError", code: "ERR_BAD_ANSWER" });
        expect((error as Error).message.length).toBeLessThan(1000);
        return;
      }
      check(decoded);
    }),
    { numRuns: 2000 },
  );
});
