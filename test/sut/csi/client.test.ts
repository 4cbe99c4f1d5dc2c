import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer as createHttp2Server } from "node:http2";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { ServerCredentials } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { connectCsiSnapshotMetadata, type CsiOptions } from "../../../src/sut/csi/client.ts";
import type { MetadataMessage } from "../../../src/sut/csi/messages.ts";
import { encode, fixed, rawServer } from "./raw-server.ts";

const fixtures = new URL("../lightbits/fixtures/", import.meta.url);

function connect(address: string, options: Partial<CsiOptions> = {}) {
  return connectCsiSnapshotMetadata({
    address: `tcp://${address}`,
    access: { dialect: "csi" },
    connectTimeoutMs: 300,
    firstMessageTimeoutMs: 300,
    messageGapTimeoutMs: 300,
    answerTimeoutMs: 1000,
    ...options,
  });
}

/** All messages of an answer, with the error that ended it, if one did. */
async function read(address: string, options: Partial<CsiOptions> = {}, signal?: AbortSignal) {
  await using client = await connect(address, options);
  const messages: MetadataMessage[] = [];
  try {
    const asked = client.metadataDelta(
      { baseId: "a", targetId: "b" },
      signal === undefined ? {} : { signal },
    );
    for await (const message of asked) messages.push(message);
    return { messages, error: undefined };
  } catch (error) {
    return { messages, error: error as Error & { readonly code?: string } };
  }
}

describe("a SnapshotMetadata client", () => {
  test("hands on what it is told, in order or not, and asks as the specification has it", async () => {
    let asked: unknown;
    await using server = await rawServer((call) => {
      asked = call.request;
      call.write(fixed(8192, 0, 0, -4096));
      call.write(encode({ block_metadata_type: 2, volume_capacity_bytes: "-5", block_metadata: [] }));
      call.end();
    });
    await using client = await connect(server.address, { access: { dialect: "csi", secrets: { k: "v" } } });
    const messages = [];
    for await (const message of client.metadataDelta({
      baseId: "a",
      targetId: "b",
      startingOffset: -(2n ** 63n),
      maxResults: 7,
    }))
      messages.push(message);
    expect(asked).toEqual({
      base_snapshot_id: "a",
      target_snapshot_id: "b",
      starting_offset: "-9223372036854775808",
      max_results: 7,
      secrets: { k: "v" },
    });
    const tuple = (byteOffset: number) => ({ byteOffset, sizeBytes: 4096 });
    expect(messages).toEqual([
      {
        type: "FIXED_LENGTH",
        capacityBytes: 2 ** 30,
        tuples: [tuple(8192), tuple(0), tuple(0), tuple(-4096)],
      },
      { type: "VARIABLE_LENGTH", capacityBytes: -5, tuples: [] },
    ]);
  });

  test("speaks to the service of Kubernetes with token, namespace and names", async () => {
    let asked: unknown;
    let path: unknown;
    await using server = await rawServer((call) => {
      [asked, path] = [call.request, call.getPath()];
      call.write(fixed(0));
      call.end();
    });
    const access = { dialect: "kubernetes", namespace: "ns", securityToken: "tok\n" } as const;
    const { messages } = await read(server.address, { access });
    expect(messages).toHaveLength(1);
    expect(path).toBe("/snapshotmetadata.SnapshotMetadata/GetMetadataDelta");
    expect(asked).toEqual({
      security_token: "tok",
      namespace: "ns",
      base_snapshot_id: "a",
      target_snapshot_name: "b",
      starting_offset: "0",
      max_results: 0,
    });
  });

  test("verifies the service's certificate, unless it is told not to", async () => {
    const [key, certificate] = [
      readFileSync(new URL("key.pem", fixtures)),
      readFileSync(new URL("certificate.pem", fixtures)),
    ];
    const credentials = ServerCredentials.createSsl(null, [{ private_key: key, cert_chain: certificate }]);
    await using server = await rawServer((call) => {
      call.write(fixed(0));
      call.end();
    }, credentials);
    const tls = `tls://${server.address}`;
    const unknown = await read(server.address, { address: tls, connectTimeoutMs: 2000 });
    expect(unknown.error).toMatchObject({ code: "ERR_UNREACHABLE" });
    expect(unknown.error?.message).toMatch(/certificate.*caFile/);
    const caFile = new URL("certificate.pem", fixtures).pathname;
    expect((await read(server.address, { address: tls, caFile })).messages).toHaveLength(1);
    expect((await read(server.address, { address: tls, insecure: true })).messages).toHaveLength(1);
  });

  test.for([
    ["unix:relative", {}, /the address must be/],
    ["tcp://host", {}, /the address must be/],
    ["host:99999", {}, /the address must be/],
    ["tcp://10.0.0.1:1", { access: { dialect: "csi", secrets: { a: "b" } } }, /clear text/],
    ["tcp://127.0.0.1:1", { caFile: "x" }, /no use/],
    ["host:1", { caFile: "/nowhere/ca.pem" }, /cannot be read/],
    ["host:1", { caFile: "x", insecure: true }, /exclude/],
    ["host:1", { access: { dialect: "kubernetes", namespace: "", securityToken: "x" } }, /namespace/],
  ] satisfies [string, Partial<CsiOptions>, RegExp][])(
    "refuses %s with options %j",
    async ([address, options, text]) => {
      const connecting = connect("", { ...options, address });
      await expect(connecting).rejects.toMatchObject({ code: "ERR_INVALID_REQUEST" });
      await expect(connecting).rejects.toThrow(text);
    },
  );
});

describe("a hostile SnapshotMetadata service", () => {
  const huge = Buffer.alloc(2 * 100_000);
  for (let at = 0; at < huge.length; at += 2) huge.set([0x1a, 0], at);

  const messages: Record<string, readonly [Buffer, RegExp]> = {
    "sends bytes that are no message": [Buffer.from("no protobuf at all"), /not a message of this service/],
    "sends a message cut short": [fixed(0, 4096).subarray(0, 20), /not a message of this service/],
    "sends a tuple that is longer than its message": [Buffer.from([0x1a, 0x7f, 1]), /not a message/],
    "sends text where a number is due": [Buffer.from([0x0a, 3, 97, 98, 99]), /not a message|UNKNOWN|none of/],
    "sends a type that there is not": [Buffer.from([0x08, 7]), /block_metadata_type 7 is none of/],
    "sends more tuples than are read": [huge, /100000 tuples, at most 65536/],
    "sends an offset that would be rounded": [
      fixed("9007199254740993"),
      /byte_offset of tuple 0 is 9007199254740993: at most 2\^53/,
    ],
    "sends a capacity that would be rounded": [
      encode({ block_metadata_type: 1, volume_capacity_bytes: "9223372036854775807" }),
      /volume_capacity_bytes is 9223372036854775807/,
    ],
  };
  test.for(Object.entries(messages))("that %s is named as such", async ([, [bytes, text]]) => {
    await using server = await rawServer((call) => {
      call.write(fixed(0));
      call.write(bytes);
      call.end();
    });
    const { messages: got, error } = await read(server.address);
    expect(error).toMatchObject({ code: "ERR_BAD_ANSWER" });
    expect(error?.message).toMatch(text);
    expect(error?.message).toMatch(/changes from a to b, message 1/);
    expect(got).toHaveLength(1);
  });

  test("that announces a message of 64 MiB is left before it is read", async () => {
    await using server = await rawServer((call) => call.write(Buffer.alloc(64 * 2 ** 20)));
    const { error } = await read(server.address, { firstMessageTimeoutMs: 5000, answerTimeoutMs: 5000 });
    expect(error).toMatchObject({ code: "ERR_BAD_ANSWER" });
    expect(error?.message).toMatch(/too long to be read/);
  });

  test.for<[string, number, string, RegExp]>([
    ["an unknown status", 77, "ERR_BAD_ANSWER", /status 77/],
    ["CANCELLED", 1, "ERR_TARGET", /cancelled/],
    ["UNKNOWN", 2, "ERR_TARGET", /does not say how/],
    ["INVALID_ARGUMENT", 3, "ERR_INVALID_REQUEST", /InvalidArgument/],
    ["DEADLINE_EXCEEDED", 4, "ERR_TIMEOUT", /deadline/],
    ["NOT_FOUND", 5, "ERR_NOT_FOUND", /no such snapshot/],
    ["PERMISSION_DENIED", 7, "ERR_FORBIDDEN", /may not/],
    ["RESOURCE_EXHAUSTED", 8, "ERR_BUSY", /try again later/],
    ["FAILED_PRECONDITION", 9, "ERR_UNSUPPORTED", /full copy/],
    ["ABORTED", 10, "ERR_BUSY", /try again/],
    ["OUT_OF_RANGE", 11, "ERR_INVALID_REQUEST", /outside the volume/],
    ["UNIMPLEMENTED", 12, "ERR_UNSUPPORTED", /no SnapshotMetadata service/],
    ["INTERNAL", 13, "ERR_TARGET", /Internal/],
    ["UNAVAILABLE", 14, "ERR_BUSY", /not ready/],
    ["DATA_LOSS", 15, "ERR_TARGET", /lost data/],
    ["UNAUTHENTICATED", 16, "ERR_UNAUTHENTICATED", /token/],
  ])(
    "that ends with %s after a message is not taken for one that has ended",
    async ([, status, code, text]) => {
      await using server = await rawServer((call) => {
        call.write(fixed(0));
        call.emit("error", { code: status, details: "the disk \u001b[31mis on fire" });
      });
      const { messages: got, error } = await read(server.address);
      expect(got).toHaveLength(1);
      expect(error).toMatchObject({ code });
      expect(error?.message).toMatch(text);
      expect(error?.message).not.toContain("\u001b");
    },
  );

  test("that says nothing is left after the time for a first message", async () => {
    await using server = await rawServer(() => undefined);
    const startMs = performance.now();
    const { error } = await read(server.address);
    expect(error).toMatchObject({ code: "ERR_TIMEOUT", message: expect.stringMatching(/message 0.*300 ms/) });
    expect(performance.now() - startMs).toBeLessThan(3000);
  });

  test("that stops in the middle is left after the time between two messages", async () => {
    await using server = await rawServer((call) => call.write(fixed(0)));
    const { messages: got, error } = await read(server.address);
    expect(got).toHaveLength(1);
    expect(error).toMatchObject({ code: "ERR_TIMEOUT", message: expect.stringMatching(/message 1.*300 ms/) });
  });

  test("that drips without end is left after the time for a whole answer", async () => {
    await using server = await rawServer(async (call) => {
      for (let index = 0; !call.cancelled; index++) {
        call.write(fixed(index * 4096));
        await sleep(50);
      }
    });
    const { messages: got, error } = await read(server.address);
    expect(got.length).toBeGreaterThan(2);
    expect(error).toMatchObject({ code: "ERR_TIMEOUT", message: expect.stringMatching(/within 1000 ms/) });
  });

  test("that floods an idle reader fills no memory", async () => {
    let written = 0;
    const message = encode({
      block_metadata_type: 1,
      block_metadata: Array.from({ length: 50_000 }, (_, index) => ({
        byte_offset: index * 4096,
        size_bytes: 4096,
      })),
    });
    await using server = await rawServer((call) => {
      const pump = () => {
        while (!call.cancelled && written < 1000) {
          written++;
          if (!call.write(message)) break;
        }
      };
      call.on("drain", pump);
      pump();
    });
    await using client = await connect(server.address, { answerTimeoutMs: 10_000 });
    for await (const first of client.metadataAllocated({ snapshotId: "s" })) {
      expect(first.tuples).toHaveLength(50_000);
      await sleep(300);
      break;
    }
    // Of half a gigabyte: what the two sides may have under way.
    expect(written).toBeLessThan(100);
  });

  test("that resets the stream is not taken for one that has ended", async () => {
    const server = createHttp2Server();
    server.on("stream", (stream) => {
      stream.on("error", () => undefined);
      stream.respond({ ":status": 200, "content-type": "application/grpc+proto" });
      const message = fixed(0);
      stream.write(Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]));
      setTimeout(() => stream.close(2), 50);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { messages: got, error } = await read(`127.0.0.1:${(server.address() as AddressInfo).port}`);
    expect(got).toHaveLength(1);
    expect(error).toMatchObject({ code: "ERR_UNREACHABLE", message: expect.stringMatching(/cut off/) });
    server.close();
  });

  test("that ends the stream without a status is not taken for one that has ended", async () => {
    const server = createHttp2Server();
    server.on("stream", (stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc+proto" });
      const message = fixed(0);
      stream.end(Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { error } = await read(`127.0.0.1:${(server.address() as AddressInfo).port}`);
    expect(error).toBeInstanceOf(Error);
    server.close();
  });

  test.for<[string, (socket: Socket) => void, RegExp]>([
    ["never answers", () => undefined, /ERR_TIMEOUT/],
    [
      "speaks something else",
      (socket) => socket.write("SSH-2.0-OpenSSH_9.9\r\n"),
      /ERR_(UNREACHABLE|TIMEOUT)/,
    ],
    ["hangs up", (socket) => socket.destroy(), /ERR_(UNREACHABLE|TIMEOUT)/],
  ])("that accepts a connection and %s is left in time", async ([, act, code]) => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => {
      sockets.push(socket.on("error", () => undefined));
      act(socket);
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const startMs = performance.now();
    const { error } = await read(`127.0.0.1:${(server.address() as AddressInfo).port}`);
    expect(error?.code).toMatch(code);
    expect(performance.now() - startMs).toBeLessThan(5000);
    for (const socket of sockets) socket.destroy();
    server.close();
  });

  test("that is not there is said to be unreachable, and where", async () => {
    const { error } = await read("127.0.0.1:1");
    expect(error).toMatchObject({
      code: "ERR_UNREACHABLE",
      message: expect.stringMatching(/127\.0\.0\.1:1.*ECONNREFUSED/),
    });
  });

  test("can be left by a signal at any time", async () => {
    await using server = await rawServer((call) => call.write(fixed(0)));
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 100);
    const { error } = await read(
      server.address,
      { messageGapTimeoutMs: 10_000, answerTimeoutMs: 10_000 },
      stop.signal,
    );
    expect(error).toMatchObject({ code: "ERR_ABORTED" });
    const { error: before } = await read(server.address, {}, AbortSignal.abort());
    expect(before).toMatchObject({ code: "ERR_ABORTED" });
  });
});
