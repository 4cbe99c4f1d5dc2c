import { createConnection, type Socket } from "node:net";
import { describe, expect, test } from "vitest";
import type { TargetOptions } from "../../../src/sut/target/options.ts";
import { serveTarget } from "../../../src/sut/target/server.ts";
import { FakeStore } from "./fake-store.ts";
import { hex, subsystemNqn } from "./host.ts";

const icReq = Buffer.concat([hex("00008000 80000000"), Buffer.alloc(120)]);

function serve(options: Partial<TargetOptions> = {}, store = new FakeStore()) {
  return serveTarget({ store: store.port, subsystemNqn, serial: "HARROW1", ...options });
}

function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ port, host: "127.0.0.1" }, () => resolve(socket));
    socket.once("error", reject);
  });
}

/** What a socket sends until there are `lengthBytes`, or until it ends. */
function receive(socket: Socket, lengthBytes = Number.POSITIVE_INFINITY): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const finish = () => resolve(Buffer.concat(chunks));
    socket.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      if (chunks.reduce((sum, { length }) => sum + length, 0) >= lengthBytes) finish();
    });
    socket.once("end", finish);
    socket.once("error", finish);
    socket.once("close", finish);
  });
}

describe("a served target", () => {
  test("listens on a port of the system's choice, on the loopback interface, and says where", async () => {
    await using target = await serve();
    expect(target).toMatchObject({ host: "127.0.0.1", subsystemNqn, address: `127.0.0.1:${target.port}` });
    const socket = await open(target.port);
    socket.write(icReq);
    expect((await receive(socket, 128)).subarray(0, 8)).toEqual(hex("01008000 80000000"));
    expect(target.connectionCount).toBe(1);
    socket.destroy();
  });

  test("lets a host that broke the protocol read why before it closes", async () => {
    await using target = await serve();
    const socket = await open(target.port);
    // A capsule where ICReq belongs, and more than enough behind it.
    socket.write(Buffer.concat([hex("04004800 48000000"), Buffer.alloc(200_000)]));
    const answer = await receive(socket);
    expect([answer[0], answer.readUInt16LE(8), answer.length]).toEqual([0x03, 2, 24 + 24]);
    socket.destroy();
  });

  test("accepts no more connections than it was told to", async () => {
    await using target = await serve({ connectionCountMax: 2 });
    const sockets = [await open(target.port), await open(target.port)];
    for (const socket of sockets) socket.write(icReq);
    await Promise.all(sockets.map((socket) => receive(socket, 128)));
    const third = await open(target.port);
    expect((await receive(third)).length).toBe(0);
    expect(target.connectionCount).toBe(2);
    for (const socket of sockets) socket.destroy();
  });

  test("resets its connections, and takes new ones", async () => {
    await using target = await serve();
    const socket = await open(target.port);
    const failed = new Promise<NodeJS.ErrnoException>((resolve) => socket.once("error", resolve));
    socket.write(icReq);
    await receive(socket, 128);
    target.resetConnections();
    expect((await failed).code).toBe("ECONNRESET");
    const another = await open(target.port);
    another.write(icReq);
    expect((await receive(another, 128)).length).toBe(128);
    another.destroy();
  });

  test("stands still while paused, and is slow while delayed", async () => {
    await using target = await serve();
    const socket = await open(target.port);
    target.setPaused(true);
    const answer = receive(socket, 128);
    socket.write(icReq);
    const first = await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 50, "silence"))]);
    expect(first).toBe("silence");
    target.setDelay(30);
    const startMs = performance.now();
    target.setPaused(false);
    expect((await answer).length).toBe(128);
    expect(performance.now() - startMs).toBeGreaterThan(25);
    socket.destroy();
  });

  test("is cut off from its hosts until it is restored, on the same port", async () => {
    await using target = await serve();
    const socket = await open(target.port);
    const failed = new Promise<NodeJS.ErrnoException>((resolve) => socket.once("error", resolve));
    socket.write(icReq);
    await receive(socket, 128);
    await Promise.all([target.setCut(true), target.setCut(true)]);
    expect((await failed).code).toBe("ECONNRESET");
    expect(target.connectionCount).toBe(0);
    await expect(open(target.port)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    await Promise.all([target.setCut(false), target.setCut(false)]);
    const another = await open(target.port);
    another.write(icReq);
    expect((await receive(another, 128)).length).toBe(128);
    another.destroy();
  });

  test("says that its port was taken while it was cut off, and can be restored later", async () => {
    await using target = await serve();
    await target.setCut(true);
    {
      await using _thief = await serve({ port: target.port });
      await expect(target.setCut(false)).rejects.toMatchObject({ code: "EADDRINUSE" });
    }
    await target.setCut(false);
    (await open(target.port)).destroy();
  });

  test("can be disposed while it is cut off, and is then not restored", async () => {
    const target = await serve();
    await target.setCut(true);
    const disposed = target[Symbol.asyncDispose]();
    await expect(target.setCut(false)).rejects.toThrow(/is closed/);
    await disposed;
    await expect(open(target.port)).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  test("closes connections and the port when disposed, once or twice, and leaves the store alone", async () => {
    const store = new FakeStore();
    const target = await serve({}, store);
    const socket = await open(target.port);
    socket.write(icReq);
    await receive(socket, 128);
    const ended = receive(socket);
    await Promise.all([target[Symbol.asyncDispose](), target[Symbol.asyncDispose]()]);
    await ended;
    await expect(open(target.port)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    expect(store.listenerCount).toBe(0);
  });

  test("rejects when the port is taken", async () => {
    await using target = await serve();
    await expect(serve({ port: target.port })).rejects.toMatchObject({ code: "EADDRINUSE" });
  });
});

describe("options", () => {
  test.for([
    [{ mdts: 0 }, "mdts"],
    [{ mdts: 9 }, "mdts"],
    [{ queueDepthMax: 5000 }, "queueDepthMax"],
    [{ ioQueueCountMax: 1.5 }, "ioQueueCountMax"],
    [{ subsystemNqn: "" }, "subsystemNqn"],
    [{ subsystemNqn: `nqn.2024-01.test:${"x".repeat(250)}` }, "subsystemNqn"],
    [{ serial: "longer than twenty characters" }, "serial"],
  ] as const)("%o are refused by name", async ([options, name]) => {
    await expect(serve(options)).rejects.toThrow(new RegExp(`^${name}: `));
  });
});
