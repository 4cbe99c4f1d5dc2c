import { createHash } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import type { NvmeInterceptor, WireConnection } from "../../../src/gallery/wire/nvme-interceptor.ts";
import { serveNvmeProxy } from "../../../src/gallery/wire/nvme-proxy.ts";
import type { WirePdu } from "../../../src/gallery/wire/wire-pdu.ts";
import { connectController, type ControllerOptions } from "../../../src/sut/initiator/controller.ts";
import { openStore } from "../../../src/sut/store/open.ts";
import { serveTarget } from "../../../src/sut/target/server.ts";
import { bytes } from "../../sut/nvme/bytes.ts";
import {
  connectIo,
  cut,
  digest,
  hostPdu,
  icReq,
  icResp,
  icRespDigests,
  otherWrite,
  withDigests,
  write,
  written,
} from "./pdus.ts";

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const resource of open.splice(0).toReversed()) await resource[Symbol.asyncDispose]();
});

const passing: NvmeInterceptor = { intercept: () => true };

/** One end of a connection: what it has received, and when it ended. */
class End {
  readonly socket: Socket;
  received = Buffer.alloc(0);
  /** `end`, or the code of the error. */
  readonly over: Promise<string>;

  constructor(socket: Socket) {
    this.socket = socket;
    this.over = new Promise((resolve) => {
      socket.on("end", () => resolve("end"));
      socket.on("error", (error) => resolve((error as NodeJS.ErrnoException).code ?? error.message));
      socket.on("close", () => resolve("close"));
    });
    socket.on("data", (chunk) => {
      this.received = Buffer.concat([this.received, chunk]);
    });
  }

  /** What comes next, as soon as there are so many bytes. */
  async take(lengthBytes: number): Promise<Buffer> {
    while (this.received.length < lengthBytes) {
      const isOver = await Promise.race([this.over, once(this.socket, "data").then(() => undefined)]);
      if (isOver !== undefined && this.received.length < lengthBytes) throw new Error(`ended: ${isOver}`);
    }
    const taken = this.received.subarray(0, lengthBytes);
    this.received = this.received.subarray(lengthBytes);
    return taken;
  }
}

/** Something that takes connections, as a target would, and leaves the rest to the test. */
async function listening() {
  const waiting: ((end: End) => void)[] = [];
  const accepted: End[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const end = new End(socket);
    const next = waiting.shift();
    if (next === undefined) accepted.push(end);
    else next(end);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => sockets.add(socket));
  open.push({
    [Symbol.asyncDispose]: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  });
  return {
    address: { host: "127.0.0.1", port: (server.address() as AddressInfo).port },
    next: (): Promise<End> => {
      const first = accepted.shift();
      return first === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(first);
    },
  };
}

/** A host and a target with a proxy between them. */
async function joined(interceptor: NvmeInterceptor = passing) {
  const upstream = await listening();
  const warnings: string[] = [];
  const log = { warn: (message: string) => void warnings.push(message) };
  const proxy = await serveNvmeProxy({ upstream: upstream.address, interceptor, log });
  open.push(proxy);
  const dial = async () => {
    const host = new End(connect({ ...proxy.address, allowHalfOpen: true }));
    open.push({ [Symbol.asyncDispose]: async () => void host.socket.destroy() });
    const target = await upstream.next();
    return { host, target };
  };
  return { ...(await dial()), dial, proxy, warnings };
}

/** The same after connection initialization. */
async function initialized(interceptor: NvmeInterceptor = passing, response = icResp) {
  const all = await joined(interceptor);
  await initialize(all, response);
  return all;
}

async function initialize({ host, target }: { host: End; target: End }, response = icResp) {
  host.socket.write(icReq);
  expect(await target.take(128)).toEqual(icReq);
  target.socket.write(response);
  expect(await host.take(128)).toEqual(response);
}

/** An interceptor that lets everything pass but what `act` takes: PDUs that are about these CIDs. */
function of(
  cids: readonly number[],
  act: (pdu: WirePdu, connection: WireConnection) => boolean,
): NvmeInterceptor {
  return {
    intercept: (pdu, connection) =>
      pdu.cid === undefined || !cids.includes(pdu.cid) ? true : act(pdu, connection),
  };
}

describe("the proxy of NVMe/TCP", () => {
  test("passes any PDUs on unchanged, wherever their bytes are cut", async () => {
    const { dial } = await joined();
    await fc.assert(
      fc.asyncProperty(
        fc.array(hostPdu, { maxLength: 12 }),
        fc.array(fc.nat(), { maxLength: 6 }),
        async (pdus, places) => {
          const pair = await dial();
          await initialize(pair);
          const { host, target } = pair;
          const stream = Buffer.concat(pdus);
          for (const piece of cut(stream, places)) {
            host.socket.write(piece);
            await new Promise((resolve) => setImmediate(resolve));
          }
          expect(await target.take(stream.length)).toEqual(stream);
          target.socket.write(written);
          expect(await host.take(written.length)).toEqual(written);
          host.socket.end();
          expect(await target.over).toBe("end");
          target.socket.end();
          expect(await host.over).toBe("end");
          expect([host.received.length, target.received.length]).toEqual([0, 0]);
        },
      ),
      { numRuns: 40 },
    );
  });

  test.for(["off", "require"] as const)("lets an initiator work on a target, digests: %s", async (mode) => {
    const seen = new Set<number>();
    const queues = new Set<number | undefined>();
    const { device } = await attached(
      {
        intercept: (pdu, connection) => {
          seen.add(pdu.type);
          queues.add(connection.qid);
          return true;
        },
      },
      { headerDigest: mode, dataDigest: mode },
    );
    for (const blockCount of [1, 32, 33, 600]) {
      const from = Buffer.alloc(blockCount * 512, blockCount & 0xff);
      const into = Buffer.alloc(from.length);
      expect(await device.write({ block: 3, blockCount, from })).toEqual({ kind: "ok" });
      expect(await device.read({ block: 3, blockCount, into })).toEqual({ kind: "ok" });
      expect(into.equals(from)).toBe(true);
    }
    expect([...seen].sort((a, b) => a - b)).toEqual([0, 1, 4, 5, 6, 7, 9]);
    expect(queues).toEqual(new Set([undefined, 0, 1, 2]));
  });

  test("drops a PDU", async () => {
    const { host, target } = await initialized(of([0x21], () => false));
    host.socket.write(Buffer.concat([write, otherWrite]));
    expect(await target.take(otherWrite.length)).toEqual(otherWrite);
  });

  test("changes a copy of a PDU, with digests that fit", async () => {
    const interceptor = of([0x21], (pdu, connection) => {
      connection.send(pdu.changed((_, data) => data.fill(0x55)));
      return false;
    });
    const { host, target } = await initialized(interceptor, icRespDigests);
    host.socket.write(withDigests(write));
    const data = Buffer.alloc(16, 0x55);
    const expected = Buffer.concat([withDigests(write).subarray(0, 76), data, digest(data)]);
    expect(await target.take(expected.length)).toEqual(expected);
  });

  test("stores what it changed through a target that checks digests", async () => {
    const { device } = await attached(
      {
        intercept: (pdu, connection) => {
          if (connection.qid !== 1 && connection.qid !== 2) return true;
          if (pdu.direction === "toHost" || pdu.data.length === 0 || pdu.opcode === 0x7f) return true;
          connection.send(pdu.changed((_, data) => void (data[0]! ^= 1)));
          return false;
        },
      },
      { headerDigest: "require", dataDigest: "require" },
    );
    const from = Buffer.alloc(64 * 512, 8);
    const into = Buffer.alloc(from.length);
    expect(await device.write({ block: 0, blockCount: 64, from })).toEqual({ kind: "ok" });
    expect(await device.read({ block: 0, blockCount: 64, into })).toEqual({ kind: "ok" });
    const expected = Buffer.from(from);
    expected[0] = 9;
    expect(into.equals(expected)).toBe(true);
  });

  test("holds a PDU back until another has gone by", async () => {
    let held: WirePdu | undefined;
    const interceptor = of([0x21, 0x22], (pdu, connection) => {
      if (pdu.cid === 0x21) held = pdu;
      else {
        connection.send(pdu);
        connection.send(held!);
      }
      return false;
    });
    const { host, target } = await initialized(interceptor);
    host.socket.write(Buffer.concat([write, otherWrite]));
    expect(await target.take(2 * write.length)).toEqual(Buffer.concat([otherWrite, write]));
  });

  test("holds a PDU back for a time, and lets others overtake it", async () => {
    const interceptor = of([0x21], (pdu, connection) => {
      connection.send(pdu, { afterMs: 50 });
      return false;
    });
    const { host, target } = await initialized(interceptor);
    const began = performance.now();
    host.socket.write(Buffer.concat([write, otherWrite]));
    expect(await target.take(otherWrite.length)).toEqual(otherWrite);
    // A host that ends its half is no reason to lose what is held back.
    host.socket.end();
    expect(await target.take(write.length)).toEqual(write);
    expect(performance.now() - began).toBeGreaterThan(45);
    expect(await target.over).toBe("end");
  });

  test("plays an old PDU again", async () => {
    let old: WirePdu | undefined;
    const interceptor = of([0x21, 0x22], (pdu, connection) => {
      if (pdu.cid === 0x21) old = pdu;
      else connection.send(old!);
      return true;
    });
    const { host, target } = await initialized(interceptor);
    host.socket.write(Buffer.concat([write, otherWrite]));
    expect(await target.take(3 * write.length)).toEqual(Buffer.concat([write, write, otherWrite]));
  });

  test("swaps the data of two PDUs", async () => {
    let first: WirePdu | undefined;
    const interceptor = of([0x21, 0x22], (pdu, connection) => {
      if (first === undefined) first = pdu;
      else {
        const other = first;
        connection.send(other.changed((_, data) => void data.set(pdu.data)));
        connection.send(pdu.changed((_, data) => void data.set(other.data)));
      }
      return false;
    });
    const { host, target } = await initialized(interceptor);
    host.socket.write(Buffer.concat([write, otherWrite]));
    expect(await target.take(2 * write.length)).toEqual(
      Buffer.concat([
        write.subarray(0, 72),
        otherWrite.subarray(72),
        otherWrite.subarray(0, 72),
        write.subarray(72),
      ]),
    );
  });

  test("answers a command in the target's name, on the right queue and with the queue's head", async () => {
    const interceptor = of([0x22], (pdu, connection) => {
      // LBA out of range: SCT 0, SC 0x80, DNR.
      connection.answer(pdu, { status: 0x8100, dw0: 5 });
      return false;
    });
    const { host, target } = await initialized(interceptor);
    host.socket.write(connectIo);
    await target.take(connectIo.length);
    target.socket.write(written);
    await host.take(written.length);
    host.socket.write(otherWrite);
    expect(await host.take(24)).toEqual(
      bytes(`
        05 00 18 00  18 00 00 00
        05 00 00 00  00 00 00 00
        07 00 01 00      ; SQHD 7, SQID 1
        22 00 00 81      ; CID 0x22`),
    );
    expect(target.received.length).toBe(0);
  });

  test("gives its answers header digests where these were negotiated", async () => {
    const interceptor = of([0x21], (pdu, connection) => {
      connection.answer(pdu, { status: 0 });
      return false;
    });
    const { host } = await initialized(interceptor, icRespDigests);
    host.socket.write(withDigests(write));
    const header = bytes("05 01 18 00  1c 00 00 00  00 00 00 00  00 00 00 00  00 00 00 00  21 00 00 00");
    expect(await host.take(28)).toEqual(Buffer.concat([header, digest(header)]));
  });

  test("resets a connection on both sides, and nothing is sent afterwards", async () => {
    const asked: unknown[] = [];
    const interceptor = of([0x21, 0x22], (pdu, connection) => {
      asked.push(pdu.cid);
      connection.reset();
      expect(connection.isClosed).toBe(true);
      connection.send(pdu);
      connection.send(pdu, { afterMs: 1 });
      connection.answer(pdu, { status: 0 });
      return true;
    });
    const { host, target, dial } = await initialized(interceptor);
    host.socket.write(Buffer.concat([write, otherWrite]));
    expect(await host.over).toBe("ECONNRESET");
    expect(await target.over).toBe("ECONNRESET");
    expect(target.received.length).toBe(0);
    expect(asked).toEqual([0x21]);
    // Others are not concerned.
    await initialize(await dial());
  });

  test("ends a connection whose interceptor fails, and says so", async () => {
    const interceptor = of([0x21], () => {
      throw new TypeError("what next?");
    });
    const { host, target, warnings } = await initialized(interceptor);
    host.socket.write(write);
    expect(await host.over).toBe("ECONNRESET");
    expect(["end", "close", "ECONNRESET"]).toContain(await target.over);
    expect(warnings.join()).toMatch(/ending the connection of 127.0.0.1:\d+, queue unknown: what next\?/);
  });

  test("ends a connection on which too much is held back", async () => {
    const interceptor: NvmeInterceptor = {
      intercept: (pdu, connection) => {
        if (pdu.type !== 6) return true;
        connection.send(pdu, { afterMs: 10_000 });
        return false;
      },
    };
    const { host, warnings } = await initialized(interceptor);
    // H2CData of 4 MiB.
    const header = bytes("06 04 18 18  18 00 40 00  21 00 00 00  00 00 00 00  00 00 40 00  00 00 00 00");
    const pdu = Buffer.concat([header, Buffer.alloc(4 * 1024 * 1024)]);
    for (let count = 0; count < 17; count++) host.socket.write(pdu);
    expect(await host.over).toMatch(/ECONNRESET|EPIPE/);
    expect(warnings.join()).toMatch(/more than 67108864 bytes are held back/);
  });
});

describe("the proxy of NVMe/TCP, on a connection that goes wrong,", () => {
  const garbage: Record<string, Buffer> = {
    "garbage to begin with": Buffer.from("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "a command before connection initialization": write,
    "an announced length of 4 GiB": Buffer.concat([icReq, bytes("06 04 18 18  f0 ff ff ff")]),
  };
  test.for(Object.entries(garbage))("refuses %s, and tells the host why", async ([, stream]) => {
    const { host, target, warnings } = await joined();
    host.socket.write(stream);
    const termReq = await host.take(24);
    // C2HTermReq, HLEN 24; FES 1 (invalid header field) or 2 (sequence error).
    expect(termReq.subarray(0, 3)).toEqual(bytes("03 00 18"));
    expect([1, 2]).toContain(termReq.readUInt16LE(8));
    expect(await host.over).toBe("end");
    await target.over;
    expect(warnings).toHaveLength(1);
  });

  test("refuses an impossible length from the target as well", async () => {
    const { host, target, warnings } = await initialized();
    target.socket.write(bytes("07 04 18 18  00 00 00 f0"));
    expect((await host.take(24))[0]).toBe(3);
    await target.over;
    expect(warnings.join()).toMatch(/PLEN of PDU type 0x07 is 4026531840: 8 to 4194816 bytes are passed on/);
  });

  test("passes on what a host has sent before it ends its half, and what the target still has to say", async () => {
    const { host, target } = await initialized();
    // The last PDU is not complete.
    host.socket.end(Buffer.concat([write, write.subarray(0, 30)]));
    expect(await target.over).toBe("end");
    expect(target.received).toEqual(Buffer.concat([write, write.subarray(0, 30)]));
    target.socket.end(written);
    expect(await host.over).toBe("end");
    expect(host.received).toEqual(written);
  });

  test("resets the host when the target has reset, and the other way round", async () => {
    const { host, target, dial } = await initialized();
    target.socket.resetAndDestroy();
    expect(await host.over).toBe("ECONNRESET");
    const second = await dial();
    await initialize(second);
    second.host.socket.resetAndDestroy();
    expect(await second.target.over).toBe("ECONNRESET");
  });

  test("does not wait for ever for the other half", async () => {
    const { host, target } = await initialized();
    host.socket.end();
    expect(await target.over).toBe("end");
    // The target leaves its half open.
    const began = performance.now();
    await once(host.socket, "close");
    expect(performance.now() - began).toBeLessThan(5000);
  });

  test("closes a host's connection when there is no target", async () => {
    const upstream = await listening();
    const gone = upstream.address;
    await open.pop()![Symbol.asyncDispose]();
    const proxy = await serveNvmeProxy({ upstream: gone, interceptor: passing });
    open.push(proxy);
    const host = new End(connect(proxy.address));
    host.socket.write(icReq);
    expect(["end", "close", "ECONNRESET", "EPIPE"]).toContain(await host.over);
  });

  test("stops reading from a host whose target does not read, and loses nothing", async () => {
    const { host, target } = await initialized();
    target.socket.pause();
    const header = bytes("06 04 18 18  18 00 01 00  21 00 00 00  00 00 00 00  00 00 01 00  00 00 00 00");
    const pduCount = 1000;
    const [sent, received] = [createHash("sha1"), createHash("sha1")];
    let sentCount = 0;
    const sendAll = async () => {
      for (; sentCount < pduCount; sentCount++) {
        const pdu = Buffer.concat([header, Buffer.alloc(65_536, sentCount & 0xff)]);
        sent.update(pdu);
        if (!host.socket.write(pdu)) await once(host.socket, "drain");
      }
    };
    const all = sendAll();
    for (let before = -1; before !== sentCount; ) {
      before = sentCount;
      await delay(300);
    }
    // Beside the sockets' own buffers only a little is under way.
    expect(sentCount).toBeLessThan(pduCount / 2);
    let lengthBytes = 0;
    target.socket.removeAllListeners("data");
    const whole = new Promise<void>((resolve) => {
      target.socket.on("data", (chunk: Buffer) => {
        received.update(chunk);
        lengthBytes += chunk.length;
        if (lengthBytes === pduCount * (65_536 + 24)) resolve();
      });
    });
    target.socket.resume();
    await Promise.all([all, whole]);
    expect(received.digest("hex")).toBe(sent.digest("hex"));
  });

  test("ends all connections when it is disposed, which may be repeated", async () => {
    const interceptor = of([0x21], (pdu, connection) => {
      connection.send(pdu, { afterMs: 60_000 });
      return false;
    });
    const { host, target, proxy } = await initialized(interceptor);
    host.socket.write(write);
    await delay(20);
    await proxy[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
    expect(await host.over).toBe("ECONNRESET");
    expect(await target.over).toBe("ECONNRESET");
    const late = new End(connect(proxy.address));
    expect(await late.over).toBe("ECONNREFUSED");
  });
});

/** A volume of a target in this process, by way of a proxy. */
async function attached(interceptor: NvmeInterceptor, host: Partial<ControllerOptions>) {
  const subsystemNqn = "nqn.2024-01.test:sub1";
  const hostId = "11111111-2222-3333-4444-555555555555";
  const store = await openStore({ kind: "memory" });
  open.push(store);
  const volume = await store.createVolume({ name: "a", sizeBytes: 2 ** 20, blockSizeBytes: 512 });
  const target = await serveTarget({ store, subsystemNqn, serial: "1" });
  open.push(target);
  const proxy = await serveNvmeProxy({ upstream: target, interceptor });
  open.push(proxy);
  const controller = await connectController({
    ...proxy.address,
    subsystemNqn,
    hostNqn: `nqn.2014-08.org.nvmexpress:uuid:${hostId}`,
    hostId,
    ioQueueCount: 2,
    ...host,
  });
  open.push(controller);
  const device = await controller.openNamespace({ uuid: volume.uuid });
  open.push(device);
  return { device };
}
