import { readFile } from "node:fs/promises";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Decoder } from "../../../src/sut/lightbits/decode.ts";
import { RestClient, type RestClientOptions } from "../../../src/sut/lightbits/rest-client.ts";
import { ServiceError } from "../../../src/sut/port.ts";
import { SimulatedClock } from "../../../src/sut/simulated-clock.ts";
import { serveRaw as startRaw } from "./raw-server.ts";

const decode: Decoder<unknown> = (_, document) => document;
const token = "not-to-be-shown";

let disposals: AsyncDisposable[] = [];
/** Stands still unless a test moves it: an answer is never too late by accident. */
let clock: SimulatedClock;
beforeEach(() => {
  clock = new SimulatedClock();
});
afterEach(async () => {
  for (const disposable of disposals) await disposable[Symbol.asyncDispose]();
  disposals = [];
});

/** A server that does with each request what the test says. */
async function serveRaw(answer: (socket: Socket, request: string) => void): Promise<string> {
  const server = await startRaw(answer);
  disposals.push(server);
  return server.url;
}

async function clientOf(endpoint: string, options: Partial<RestClientOptions> = {}): Promise<RestClient> {
  const client = await RestClient.create({
    endpoint,
    token,
    callTimeoutMs: 30_000,
    clock,
    answerBytesMax: 10_000,
    ...options,
  });
  disposals.unshift(client);
  return client;
}

async function errorOf(client: RestClient, signal?: AbortSignal): Promise<ServiceError> {
  try {
    await client.call({ method: "GET", path: "/x" }, decode, signal && { signal });
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    expect(`${error.message} ${String(error.cause)} ${error.stack}`).not.toContain(token);
    return error;
  }
  throw new Error("it was accepted");
}

const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";

describe("a call", () => {
  test("sends the token, its query and its body, and gives the decoded answer", async () => {
    let seen = "";
    const endpoint = await serveRaw((socket, request) => {
      seen = request;
      socket.write(`${head}Content-Length: 7\r\n\r\n{"a":1}`);
    });
    const client = await clientOf(endpoint, { token: ` ${token}\n` });
    const query = { name: "a&b", absent: undefined };
    expect(await client.call({ method: "POST", path: "/x", query, body: { b: 2 } }, decode)).toEqual({
      a: 1,
    });
    expect(seen).toMatch(/^POST \/x\?name=a%26b HTTP\/1\.1\r\n/);
    expect(seen).toContain(`authorization: Bearer ${token}\r\n`);
    expect(seen).toContain('\r\n\r\n{"b":2}');
  });

  const strange: Record<string, [string, RegExp]> = {
    "announces more than is read": [
      `${head}Content-Length: 10001\r\n\r\n`,
      /10001 bytes was announced, at most 10000/,
    ],
    "announces nonsense": [`${head}Content-Length: many\r\n\r\n`, /does not speak HTTP/],
    "sends more than is read, in chunks": [
      `${head}Transfer-Encoding: chunked\r\n\r\n${`1000\r\n${" ".repeat(4096)}\r\n`.repeat(5)}`,
      /longer than the 10000 bytes/,
    ],
    "is compressed all the same": [
      `${head}Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}`,
      /encoding gzip/,
    ],
    "is no HTTP": ["SSH-2.0-OpenSSH_9.2\r\n\r\n", /does not speak HTTP/],
    "has headers without end": [`${head}${"X-A: b\r\n".repeat(10_000)}`, /does not speak HTTP/],
    "leads elsewhere": [
      "HTTP/1.1 302 Found\r\nLocation: http://example.org/\r\nContent-Length: 0\r\n\r\n",
      /HTTP 302/,
    ],
    "is a web page": [
      "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1\r\n\r\n<",
      /got text\/html/,
    ],
  };
  test.for(Object.entries(strange))("that %s is ERR_BAD_ANSWER", async ([, [bytes, message]]) => {
    const client = await clientOf(await serveRaw((socket) => socket.write(bytes)));
    const error = await errorOf(client);
    expect(error.message).toMatch(message);
    expect(error.code).toBe("ERR_BAD_ANSWER");
  });

  test("whose answer is cut off in the middle is ERR_UNREACHABLE, never a short answer", async () => {
    const client = await clientOf(
      await serveRaw((socket) => socket.end(`${head}Content-Length: 9\r\n\r\n{}`)),
    );
    expect((await errorOf(client)).code).toBe("ERR_UNREACHABLE");
    const chunked = await serveRaw((socket) =>
      socket.end(`${head}Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n`),
    );
    expect((await errorOf(await clientOf(chunked))).code).toBe("ERR_UNREACHABLE");
  });

  test("has a deadline for the first byte and for the last", async () => {
    const silent = await clientOf(await serveRaw(() => undefined));
    expect(await clock.advanceThrough(errorOf(silent))).toMatchObject({
      code: "ERR_TIMEOUT",
      message: "GET /x: no answer within 30000 ms",
    });
    expect(clock.now()).toBe(30_000);
    const drip = await serveRaw((socket) => {
      socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n`);
      const next = () => {
        if (socket.destroyed) return;
        socket.write("1\r\n \r\n");
        clock.setTimeout(next, 999);
      };
      next();
    });
    const error = await clock.advanceThrough(errorOf(await clientOf(drip)));
    expect(error.code).toBe("ERR_TIMEOUT");
    expect(clock.now()).toBe(60_000);
  });

  test("can be cancelled before and during", async () => {
    const client = await clientOf(await serveRaw(() => undefined));
    expect((await errorOf(client, AbortSignal.abort())).code).toBe("ERR_ABORTED");
    const abort = new AbortController();
    clock.setTimeout(() => abort.abort(), 20);
    expect((await clock.advanceThrough(errorOf(client, abort.signal))).code).toBe("ERR_ABORTED");
    expect(clock.pendingCount).toBe(0);
  });

  test("to nobody is ERR_UNREACHABLE", async () => {
    const endpoint = await serveRaw(() => undefined);
    for (const disposable of disposals.splice(0)) await disposable[Symbol.asyncDispose]();
    const error = await errorOf(await clientOf(endpoint));
    expect(error).toMatchObject({
      code: "ERR_UNREACHABLE",
      message: expect.stringContaining("ECONNREFUSED"),
    });
  });

  test("answers whatever bytes come with a value or a ServiceError, in time", async () => {
    let bytes: Uint8Array = new Uint8Array();
    const endpoint = await serveRaw((socket) => socket.end(bytes));
    const client = await clientOf(endpoint);
    const pieces = fc.oneof(
      fc.constantFrom(
        head,
        "HTTP/1.1 404 \r\n",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "\r\n",
        "{}",
        "0\r\n\r\n",
      ),
      fc.string({ maxLength: 8 }),
    );
    const streams = fc.oneof(
      fc.uint8Array({ maxLength: 100 }),
      fc.array(pieces, { maxLength: 6 }).map((parts) => Buffer.from(parts.join(""))),
      fc.array(pieces, { maxLength: 5 }).map((parts) => Buffer.from(head + parts.join(""))),
    );
    await fc.assert(
      fc.asyncProperty(streams, async (stream) => {
        bytes = stream;
        try {
          await client.call({ method: "GET", path: "/x" }, decode);
        } catch (error) {
          expect(error).toBeInstanceOf(ServiceError);
          expect((error as ServiceError).code).not.toBe("ERR_TIMEOUT");
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("TLS", () => {
  // A self-signed certificate for 127.0.0.1, valid until 2126, and its key, made for this test alone.
  const fixture = (name: string) => fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url));
  const caFile = fixture("certificate.pem");

  async function serveTls(): Promise<string> {
    const [cert, key] = await Promise.all([readFile(caFile), readFile(fixture("key.pem"))]);
    const server = createTlsServer({ cert, key }, (_, reply) => {
      reply.setHeader("content-type", "application/json").end("{}");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    disposals.push({
      [Symbol.asyncDispose]: () =>
        new Promise((resolve) => {
          server.close(() => resolve());
          server.closeAllConnections();
        }),
    });
    return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  test("is verified, and a failure says what to do", async () => {
    const error = await errorOf(await clientOf(await serveTls()));
    expect(error.code).toBe("ERR_UNREACHABLE");
    expect(error.message).toMatch(/DEPTH_ZERO_SELF_SIGNED_CERT.*caFile.*insecure/);
  });

  test("is verified for the name that is asked for, too", async () => {
    const endpoint = (await serveTls()).replace("127.0.0.1", "localhost");
    const error = await errorOf(await clientOf(endpoint, { caFile }));
    expect(error).toMatchObject({
      code: "ERR_UNREACHABLE",
      message: expect.stringContaining("ERR_TLS_CERT_ALTNAME_INVALID"),
    });
  });

  test("with a port that does not speak it is said to be that", async () => {
    const server = createServer((socket) => {
      socket.on("error", () => undefined).write("HTTP/1.1 400 \r\n\r\n");
      socket.destroySoon();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    disposals.push({
      [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
    });
    const { port } = server.address() as AddressInfo;
    const error = await errorOf(await clientOf(`https://127.0.0.1:${port}`));
    expect(error).toMatchObject({
      code: "ERR_UNREACHABLE",
      message: expect.stringMatching(/does that port speak TLS/),
    });
  });

  test("trusts the certificates of caFile, or anything if insecure is asked for", async () => {
    const endpoint = await serveTls();
    for (const options of [{ caFile }, { insecure: true }]) {
      const client = await clientOf(endpoint, options);
      expect(await client.call({ method: "GET", path: "/x" }, decode)).toEqual({});
    }
  });
});

describe("RestClient.create", () => {
  const refused: Record<string, [Partial<RestClientOptions> & { endpoint: string }, RegExp]> = {
    "an endpoint that is no URL": [{ endpoint: "10.0.0.1" }, /must be a URL/],
    "an endpoint of another scheme": [{ endpoint: "ftp://10.0.0.1" }, /must be a URL/],
    "a password in the endpoint": [{ endpoint: "https://a:b@10.0.0.1" }, /user or password/],
    "a path in the endpoint": [{ endpoint: "https://10.0.0.1/api/v2" }, /end after host and port/],
    "a token over plain HTTP to another host": [{ endpoint: "http://10.0.0.1" }, /clear text/],
    "a token with a line break inside": [{ endpoint: "https://10.0.0.1", token: "a\nb" }, /printable ASCII/],
    "an empty token": [{ endpoint: "https://10.0.0.1", token: "\n" }, /token is empty/],
    "certificates that cannot be read": [
      { endpoint: "https://10.0.0.1", caFile: "/nowhere/ca.pem" },
      /nowhere\/ca.pem/,
    ],
    "certificates that are none": [
      { endpoint: "https://10.0.0.1", caFile: fileURLToPath(import.meta.url) },
      /holds no certificate in PEM form/,
    ],
    "certificates and no verification": [
      { endpoint: "https://10.0.0.1", caFile: "/nowhere/ca.pem", insecure: true },
      /exclude each other/,
    ],
  };
  test.for(Object.entries(refused))("refuses %s", async ([, [{ endpoint, ...options }, message]]) => {
    await expect(clientOf(endpoint, options)).rejects.toMatchObject({
      code: "ERR_INVALID_REQUEST",
      message: expect.stringMatching(message),
    });
  });
});
