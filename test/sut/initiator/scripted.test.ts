import { afterEach, describe, expect, test } from "vitest";
import { connectController, type ControllerOptions } from "../../../src/sut/initiator/controller.ts";
import { silentLog } from "../../../src/sut/log.ts";
import type { NamespaceDevice } from "../../../src/sut/initiator/namespace-device.ts";
import { SimulatedClock } from "../../../src/sut/simulated-clock.ts";
import * as captures from "../nvme/captures.ts";
import { image, linuxController } from "../nvme/linux-controller.ts";
import {
  c2hData,
  hostId,
  hostNqn,
  namespaceUuid,
  r2t,
  type Received,
  response,
  ScriptedPeer,
  type Script,
  subsystemNqn,
} from "./scripted-peer.ts";

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const resource of open.splice(0).toReversed()) await resource[Symbol.asyncDispose]();
});

async function peerOf(script: Script): Promise<ScriptedPeer> {
  const peer = await ScriptedPeer.listen();
  peer.script = script;
  open.push(peer);
  return peer;
}

async function controllerOf(peer: ScriptedPeer, options: Partial<ControllerOptions> = {}) {
  const controller = await connectController({
    host: "127.0.0.1",
    port: peer.port,
    subsystemNqn,
    hostNqn,
    hostId,
    reconnect: { delayMsMin: 5, delayMsMax: 5, attemptsMax: 3, random: () => 0 },
    commandTimeoutMs: 1_000,
    ...options,
  });
  open.push(controller);
  return controller;
}

async function deviceOf(script: Script, options: Partial<ControllerOptions> = {}): Promise<NamespaceDevice> {
  const controller = await controllerOf(await peerOf(script), options);
  return controller.openNamespace({ uuid: namespaceUuid });
}

const data = Buffer.from(
  Array.from({ length: 512 * 1024 }, (_, index) => (index * 31 + (index >> 9)) & 0xff),
);

describe("a host reads", () => {
  test("what arrives in pieces, between those of other commands", async () => {
    const waiting: Received[] = [];
    const device = await deviceOf((received) => {
      waiting.push(received);
      if (waiting.length < 2) return;
      const [first, second] = [waiting[0]!.cid, waiting[1]!.cid];
      received.socket.write(c2hData(first, 0, data.subarray(0, 512), 0));
      received.socket.write(c2hData(second, 0, data.subarray(4096, 4608), 0));
      received.socket.write(c2hData(first, 512, data.subarray(512, 1024)));
      received.socket.write(c2hData(second, 512, data.subarray(4608, 5120), 0x0c)); // LAST, SUCCESS
      received.socket.write(response(first));
    });
    const into = [Buffer.alloc(1024), Buffer.alloc(1024)] as const;
    const reads = await Promise.all([
      device.read({ block: 0, blockCount: 2, into: into[0] }),
      device.read({ block: 8, blockCount: 2, into: into[1] }),
    ]);
    expect(reads).toEqual([{ kind: "ok" }, { kind: "ok" }]);
    expect(into[0].equals(data.subarray(0, 1024))).toBe(true);
    expect(into[1].equals(data.subarray(4096, 5120))).toBe(true);
  });

  test("64 KiB at LBA 0x280 with the dwords of the specification", async () => {
    const commands: string[] = [];
    const device = await deviceOf(({ pdu, cid, socket }) => {
      commands.push(pdu.toString("hex", 8 + 40, 8 + 52));
      socket.write(response(cid, 0x8100)); // 0/80
    });
    const outcome = await device.read({ block: 0x280, blockCount: 128, into: Buffer.alloc(65_536) });
    expect(outcome).toMatchObject({
      kind: "failed",
      code: "ERR_OUT_OF_RANGE",
      message: `read of 128 blocks at 640 on ${subsystemNqn} namespace 1: LBA out of range (0/80, do not retry)`,
      status: { sct: 0, sc: 0x80, dnr: true },
    });
    expect(commands).toEqual(["8002000000000000" + "7f000000"]);
  });
});

describe("a host writes", () => {
  test("small data in the capsule, which is the only way that the Linux target takes it", async () => {
    const capsules: Buffer[] = [];
    const device = await deviceOf(({ pdu, cid, socket }) => {
      capsules.push(Buffer.from(pdu));
      socket.write(response(cid));
    });
    // 16384 bytes fit: IOCCSZ is 0x404.
    expect(await device.write({ block: 1, blockCount: 32, from: data.subarray(0, 16_384) })).toEqual({
      kind: "ok",
    });
    const [capsule] = capsules;
    expect(capsule).toHaveLength(72 + 16_384);
    expect(capsule!.toString("hex", 0, 8)).toBe("0400484848400000");
    expect(capsule!.toString("hex", 8 + 24, 8 + 40)).toBe("0000000000000000" + "0040000000000001");
    expect(capsule!.subarray(72).equals(data.subarray(0, 16_384))).toBe(true);
  });

  test("256 KiB as the captured R2T asks for it", async () => {
    const answers: Buffer[] = [];
    const device = await deviceOf(({ pdu, cid, socket }) => {
      if (pdu[0] === 4) {
        expect(pdu[8 + 39]).toBe(0x5a);
        socket.write(r2t(cid, 5, 0, 262_144));
      } else {
        answers.push(Buffer.from(pdu));
        socket.write(response(pdu.readUInt16LE(8)));
      }
    });
    const from = data.subarray(0, 262_144);
    expect(await device.write({ block: 0, blockCount: 512, from })).toEqual({ kind: "ok" });
    const expected = Buffer.from(captures.h2cData256KiB);
    answers[0]!.copy(expected, 8, 8, 10); // CID
    expect(answers[0]!.subarray(0, 24)).toEqual(expected);
    expect(answers[0]!.subarray(24).equals(from)).toBe(true);
  });

  test("piece by piece if the controller asks so, in PDUs of MAXH2CDATA at most", async () => {
    const pieces: { readonly offset: number; readonly length: number; readonly flags: number }[] = [];
    const peer = await peerOf(({ pdu, cid, socket }) => {
      if (pdu[0] === 4) {
        socket.write(r2t(cid, 1, 0, 20_000));
        return;
      }
      const [offset, length] = [pdu.readUInt32LE(12), pdu.readUInt32LE(16)];
      pieces.push({ offset, length, flags: pdu[1]! });
      expect(pdu.subarray(24).equals(data.subarray(offset, offset + length))).toBe(true);
      if (offset + length === 20_000) socket.write(r2t(pdu.readUInt16LE(8), 2, 20_000, 12_768));
      if (offset + length === 32_768) socket.write(response(pdu.readUInt16LE(8)));
    });
    peer.alter = (answer, { pdu }) => {
      if (pdu[0] !== 0) return answer;
      const icResp = Buffer.from(answer);
      icResp.writeUInt32LE(8192, 12);
      return icResp;
    };
    const device = await (await controllerOf(peer)).openNamespace({ nsid: 1 });
    const outcome = await device.write({ block: 0, blockCount: 64, from: data.subarray(0, 32_768) });
    expect(outcome).toEqual({ kind: "ok" });
    expect(pieces).toEqual([
      { offset: 0, length: 8192, flags: 0 },
      { offset: 8192, length: 8192, flags: 0 },
      { offset: 16_384, length: 3616, flags: 4 },
      { offset: 20_000, length: 8192, flags: 0 },
      { offset: 28_192, length: 4576, flags: 4 },
    ]);
  });

  test("an unknown amount if one part of a split write fails and another does not", async () => {
    let count = 0;
    const device = await deviceOf(({ pdu, cid, socket }) => {
      if (pdu[0] !== 4) return;
      count += 1;
      socket.write(response(cid, count === 1 ? 0 : 0x8040)); // the second: 0/20, DNR
    }, {});
    const peerless = { block: 0, blockCount: 4096 };
    // 4096 blocks of zeros are two commands of 1 MiB.
    expect(await device.writeZeroes(peerless)).toMatchObject({
      kind: "unknown",
      code: "ERR_TARGET",
      message: expect.stringMatching(/write protected .* another part of the call succeeded/),
    });
    expect(count).toBe(2);
  });

  test("a fused pair back to back, and knows from both answers that nothing was written", async () => {
    const commands: number[][] = [];
    const cids: number[] = [];
    const device = await deviceOf(({ pdu, cid, socket }) => {
      commands.push([pdu[8]!, pdu[9]!]);
      cids.push(cid);
      if (cids.length < 2) return;
      // The write is answered first: it was aborted because of its partner.
      socket.write(Buffer.concat([response(cids[1]!, 0x0012), response(cids[0]!, 0x850a)]));
    });
    const swap = { block: 0, blockCount: 1, expected: data.subarray(0, 512), from: data.subarray(512, 1024) };
    expect(await device.compareAndWrite(swap)).toMatchObject({ kind: "failed", code: "ERR_COMPARE_FAILED" });
    expect(commands).toEqual([
      [0x05, 0x41],
      [0x01, 0x42],
    ]);
  });
});

describe("a fused pair", () => {
  const rows: Record<string, readonly [number, number, string, string]> = {
    "failed if the write was refused after the compare": [0, 0x8040, "failed", "ERR_TARGET"],
    "unknown if the write may have happened": [0, 0x000c, "unknown", "ERR_TARGET"],
    "unknown if the write was done although the compare failed": [0x850a, 0, "unknown", "ERR_COMPARE_FAILED"],
  };
  test.for(Object.entries(rows))("is %s", async ([, [compare, write, kind, code]]) => {
    const cids: number[] = [];
    const device = await deviceOf(({ cid, socket }) => {
      cids.push(cid);
      if (cids.length === 2)
        socket.write(Buffer.concat([response(cids[0]!, compare), response(cids[1]!, write)]));
    });
    const swap = { block: 0, blockCount: 1, expected: data.subarray(0, 512), from: data.subarray(512, 1024) };
    expect(await device.compareAndWrite(swap)).toMatchObject({ kind, code });
  });
});

describe("an aborted call", () => {
  test("takes its buffer back in the middle of a PDU", async () => {
    const rest: Buffer[] = [];
    let socket: Received["socket"] | undefined;
    const device = await deviceOf((received) => {
      socket = received.socket;
      const pdu = Buffer.concat([c2hData(received.cid, 0, data.subarray(0, 1024)), response(received.cid)]);
      socket.write(pdu.subarray(0, 24 + 512));
      rest.push(pdu.subarray(24 + 512));
    });
    const into = Buffer.alloc(1024);
    const abort = new AbortController();
    const read = device.read({ block: 0, blockCount: 2, into }, { signal: abort.signal });
    await expect.poll(() => into.subarray(0, 512).equals(data.subarray(0, 512))).toBe(true);
    abort.abort();
    expect(await read).toMatchObject({ kind: "unknown", code: "ERR_ABORTED" });
    into.fill(0xcc);
    socket!.write(rest[0]!);
    // The connection is fine: the same slot serves the next command.
    const again = Buffer.alloc(1024);
    const next = device.read({ block: 0, blockCount: 2, into: again });
    await expect.poll(() => rest.length).toBe(2);
    socket!.write(rest[1]!);
    expect(await next).toEqual({ kind: "ok" });
    expect(into.every((byte) => byte === 0xcc)).toBe(true);
  });

  test("settles only when the socket has taken its data", async () => {
    const count = 24;
    const length = 512 * 1024;
    let socket: Received["socket"] | undefined;
    const cids: number[] = [];
    let arrived = 0;
    const clock = new SimulatedClock();
    const script: Script = (received) => {
      const { pdu, cid } = received;
      if (pdu[0] === 6) {
        if (pdu.subarray(24).equals(data.subarray(0, length))) arrived += 1;
        return;
      }
      socket = received.socket;
      cids.push(cid);
      if (cids.length < count) return;
      socket.pause(); // from here on, the host can send as much as the kernel buffers
      for (const each of cids) socket.write(r2t(each, 0, 0, length));
    };
    const device = await deviceOf(script, { clock });
    const abort = new AbortController();
    let settled = 0;
    const writes = Array.from({ length: count }, async (_, index) => {
      const from = Buffer.from(data.subarray(0, length));
      const outcome = await device.write({ block: index, blockCount: 1024, from }, { signal: abort.signal });
      settled += 1;
      from.fill(0xcc);
      return outcome;
    });
    // Until the kernel takes no more.
    await clock.advance(10);
    expect(cids.length).toBe(count);
    abort.abort();
    await clock.advance(10);
    expect(settled).toBeLessThan(count);
    socket!.resume();
    const outcomes = await Promise.all(writes);
    expect(new Set(outcomes.map(({ kind }) => kind))).toEqual(new Set(["unknown"]));
    await clock.advance(10);
    expect(arrived).toBe(count);
  });
});

describe("a controller that breaks the protocol", () => {
  const read: Record<string, readonly [(cid: number) => Buffer, string, number]> = {
    "answers a CID that is not in flight": [(cid) => response(cid ^ 0x1000), "is not in flight", 1],
    "leaves a gap in the data": [
      (cid) => c2hData(cid, 512, data.subarray(0, 512)),
      "C2HData starts at offset 512, 0 was expected",
      1,
    ],
    "sends more data than was asked for": [
      (cid) => c2hData(cid, 0, data.subarray(0, 2048)),
      "C2HData ends at 2048 of 1024 bytes",
      4,
    ],
    "reports success too early": [
      (cid) => Buffer.concat([c2hData(cid, 0, data.subarray(0, 512), 0), response(cid)]),
      "success after 512 of 1024 bytes",
      4,
    ],
    "asks for data of a read": [(cid) => r2t(cid, 0, 0, 512), "R2T for a command that sends no data", 2],
    "announces 4 GiB": [
      () => Buffer.from("07041818ffffffff", "hex"),
      "announces 4294967271 bytes of data",
      5,
    ],
    "says nothing that makes sense": [() => Buffer.alloc(64, 0xee), "PDU type 0xee is unknown", 1],
  };
  test.for(Object.entries(read))(
    "and %s loses the connection, with a TermReq",
    async ([, [answer, why, fes]]) => {
      const termReqs: Buffer[] = [];
      const device = await deviceOf(({ pdu, cid, socket }) => {
        if (pdu[0] === 2) termReqs.push(Buffer.from(pdu));
        else socket.write(answer(cid));
      });
      const outcome = await device.read({ block: 0, blockCount: 2, into: Buffer.alloc(1024) });
      expect(outcome).toMatchObject({ kind: "unknown", code: "ERR_CONNECTION_LOST" });
      expect(outcome.kind === "unknown" && outcome.message).toContain(why);
      await expect.poll(() => termReqs[0]?.readUInt16LE(8)).toBe(fes);
      expect(termReqs[0]!.length).toBeGreaterThan(24);
    },
  );

  const write: Record<string, readonly [(cid: number) => Buffer, string]> = {
    "asks for no data": [(cid) => r2t(cid, 0, 0, 0), "R2T asks for bytes 0 to 0 of 32768"],
    "asks for data beyond the end": [
      (cid) => r2t(cid, 0, 0, 32_772),
      "R2T asks for bytes 0 to 32772 of 32768",
    ],
    "skips ahead": [(cid) => r2t(cid, 0, 4096, 4096), "R2T asks for offset 4096, 0 was expected"],
    "goes back": [
      (cid) => Buffer.concat([r2t(cid, 0, 0, 4096), r2t(cid, 0, 0, 4096)]),
      "R2T asks for offset 0, 4096 was expected",
    ],
    "is done before it has the data": [(cid) => response(cid), "success after 0 of 32768 bytes"],
    "ends the connection": [
      () => Buffer.from(`0300180030000000050000000000${"00".repeat(10)}${"00".repeat(24)}`, "hex"),
      "data transfer limit exceeded (FES 5, FEI 0)",
    ],
  };
  test.for(Object.entries(write))("and %s makes a write unknown", async ([, [answer, why]]) => {
    const device = await deviceOf(({ pdu, cid, socket }) => {
      if (pdu[0] === 4) socket.write(answer(cid));
    });
    const outcome = await device.write({ block: 0, blockCount: 64, from: data.subarray(0, 32_768) });
    expect(outcome).toMatchObject({ kind: "unknown", code: "ERR_CONNECTION_LOST" });
    expect(outcome.kind === "unknown" && outcome.message).toContain(why);
  });

  test("takes down every queue at once, and no command is sent twice", async () => {
    let count = 0;
    const device = await deviceOf(
      ({ pdu, socket }) => {
        if (pdu[0] !== 4) return;
        count += 1;
        if (count === 4) socket.write(Buffer.alloc(64, 0xee));
      },
      { ioQueueCount: 4 },
    );
    const calls = Array.from({ length: 4 }, (_, block) =>
      device.write({ block, blockCount: 1, from: data.subarray(0, 512) }),
    );
    for (const outcome of await Promise.all(calls)) {
      expect(outcome).toMatchObject({ kind: "unknown", code: "ERR_CONNECTION_LOST" });
    }
    expect(count).toBe(4);
  });
});

describe("bring-up", () => {
  const rows: Record<string, readonly [(answer: Buffer, received: Received) => Buffer, object]> = {
    "a host that is not allowed": [
      (answer, { pdu, cid }) => {
        if (pdu[12] !== 1) return answer;
        const refused = Buffer.from(captures.hostRefused);
        refused.writeUInt16LE(cid, 20);
        return refused;
      },
      {
        code: "ERR_TARGET",
        isPermanent: true,
        status: { sct: 1, sc: 0x84, dnr: true },
        message: expect.stringContaining(
          "connect invalid host (1/84, do not retry), refers to data byte 512",
        ),
      },
    ],
    authentication: [
      (answer, { pdu, cid }) => (pdu[12] === 1 ? response(cid, 0, 0x0002_0001) : answer),
      { code: "ERR_UNSUPPORTED", isPermanent: true },
    ],
    "another controller than the one that was connected": [
      (answer, { pdu }) =>
        pdu[8] === 6 && pdu[48] === 1 ? Buffer.from(answer).fill(7, 24 + 78, 24 + 79) : answer,
      { message: expect.stringContaining("Identify names CNTLID 7, Connect returned 1") },
    ],
    "a fatal controller status": [
      (answer, { pdu, cid }) => (pdu[12] === 4 && pdu[52] === 0x1c ? response(cid, 0, 2) : answer),
      { message: expect.stringContaining("CSTS 0x2") },
    ],
    "a digest that was not asked for": [
      (answer, { pdu }) => (pdu[0] === 0 ? Buffer.from(answer).fill(3, 11, 12) : answer),
      {
        code: "ERR_CONNECTION_LOST",
        message: expect.stringContaining("header digest that was not asked for"),
      },
    ],
    silence: [
      (answer, { pdu }) => (pdu[8] === 6 ? Buffer.alloc(0) : answer),
      {
        code: "ERR_TIMEOUT",
        message: expect.stringContaining("Identify Controller of NSID 0: a command was not answered"),
      },
    ],
  };
  test.for(Object.entries(rows))("ends at %s", async ([, [alter, expected]]) => {
    const peer = await peerOf(() => {});
    peer.alter = alter;
    const clock = new SimulatedClock();
    await expect(clock.advanceThrough(controllerOf(peer, { clock }))).rejects.toMatchObject(expected);
  });

  test("keeps within MAXCMD and goes on where fewer queues are granted", async () => {
    const sizes: number[] = [];
    const peer = await peerOf(({ cid, socket }) => socket.write(response(cid)));
    peer.identifyController = image(4096, { ...linuxController, 78: "01 00", 514: "10 00" });
    peer.alter = (answer, { pdu, cid }) => {
      if (pdu[8] === 0x7f && pdu[12] === 1) sizes.push(pdu.readUInt16LE(52));
      return pdu[8] === 9 && pdu[48] === 7 ? response(cid, 0, 0x0001_0001) : answer;
    };
    const controller = await controllerOf(peer, { ioQueueCount: 8 });
    expect(sizes).toEqual([31, 15, 15]);
    const device = await controller.openNamespace({ nsid: 1 });
    const flushes = Array.from({ length: 100 }, () => device.flush());
    expect(new Set((await Promise.all(flushes)).map(({ kind }) => kind))).toEqual(new Set(["ok"]));
  });

  test("gives up after the attempts that are allowed", async () => {
    const peer = await peerOf(() => {});
    const controller = await controllerOf(peer);
    const device = await controller.openNamespace({ nsid: 1 });
    await peer[Symbol.asyncDispose]();
    open.splice(open.indexOf(peer), 1);
    // The first may still have been sent.
    await expect
      .poll(() => device.flush())
      .toMatchObject({
        kind: "failed",
        code: "ERR_CONNECTION_LOST",
        message: expect.stringContaining("could not be made again"),
      });
  });

  test("tells of attempts 1, 2, 4, 8, ... and of the end, each time naming the subsystem once", async () => {
    const warnings: string[] = [];
    const log = { ...silentLog, warn: (message: string) => void warnings.push(message) };
    const peer = await peerOf(() => {});
    const reconnect = { delayMsMin: 1, delayMsMax: 1, attemptsMax: 11, random: () => 0 };
    const controller = await controllerOf(peer, { log, reconnect });
    peer.alter = (answer, { pdu, cid }) =>
      pdu[0] === 4 && pdu[8] === 0x7f && pdu[12] === 1 ? response(cid, 0x0306) : answer; // 1/83, no DNR
    peer.disconnect();
    await expect.poll(() => warnings.at(-1)).toContain("could not be made again");
    expect(warnings.map((line) => / attempt (\d+) of 11 failed/.exec(line)?.[1])).toEqual([
      undefined, // lost
      "1",
      "2",
      "4",
      "8",
      undefined, // given up
    ]);
    for (const line of warnings) expect(line.split(subsystemNqn)).toHaveLength(2);
    expect(warnings[1]).toContain("Connect of queue 0: ");
    await expect(controller.namespaces()).rejects.toMatchObject({ code: "ERR_CONNECTION_LOST" });
  });
});

describe("a namespace", () => {
  const identify =
    (cns: number) =>
    ({ pdu }: Received) =>
      pdu[0] === 4 && pdu[8] === 6 && pdu[48] === cns;

  test("whose NSID names another one after a reconnect is gone, and nothing is sent to it", async () => {
    const opcodes: number[] = [];
    const peer = await peerOf(({ pdu, socket }) => {
      opcodes.push(pdu[8]!);
      socket.destroy();
    });
    const controller = await controllerOf(peer);
    const device = await controller.openNamespace({ uuid: namespaceUuid });
    peer.alter = (answer, received) =>
      // Another UUID: C2HData header, descriptor header, first byte.
      identify(3)(received) ? Buffer.from(answer).fill(0, 28, 29) : answer;
    const write = { block: 0, blockCount: 1, from: data.subarray(0, 512) };
    expect(await device.write(write)).toMatchObject({ kind: "unknown", code: "ERR_CONNECTION_LOST" });
    expect(await device.write(write)).toMatchObject({ kind: "failed", code: "ERR_NAMESPACE_GONE" });
    await expect.poll(() => controller.associationCount).toBe(2);
    expect(opcodes).toEqual([0x01]);
  });

  test("that changed is read anew at the captured event, with the next request posted first", async () => {
    const opcodes: number[] = [];
    const peer = await peerOf(() => {});
    let blocks = 0x10000;
    let posted: Received | undefined;
    peer.alter = (answer, received) => {
      const { pdu, cid } = received;
      if (pdu[0] === 4) opcodes.push(pdu[8]!);
      if (pdu[0] === 4 && pdu[8] === 0x0c) posted = received;
      if (pdu[0] === 4 && pdu[8] === 0x02)
        return Buffer.concat([c2hData(cid, 0, Buffer.alloc(4096)), response(cid)]);
      if (!identify(0)(received)) return answer;
      const changed = Buffer.from(answer);
      changed.writeUInt32LE(blocks, 24);
      return changed;
    };
    const controller = await controllerOf(peer);
    const device = await controller.openNamespace({ nsid: 1 });
    await expect.poll(() => posted).toBeDefined();
    opcodes.length = 0;
    blocks = 0x20000;
    const event = Buffer.from(captures.asyncEventReply);
    event.writeUInt16LE(posted!.cid, 20);
    posted!.socket.write(event);
    await expect.poll(() => device.blockCount).toBe(0x20000);
    expect(opcodes.slice(0, 2)).toEqual([0x0c, 0x02]);
  });

  test("that goes away while it is read anew is gone, and the others are read all the same", async () => {
    const peer = await peerOf(({ cid, socket }) => socket.write(response(cid)));
    let posted: Received | undefined;
    let hasChanged = false;
    peer.alter = (answer, received) => {
      const { pdu, cid } = received;
      if (pdu[0] === 4 && pdu[8] === 0x0c) posted = received;
      if (pdu[0] === 4 && pdu[8] === 0x02)
        return Buffer.concat([c2hData(cid, 0, Buffer.alloc(4096)), response(cid)]);
      const altered = Buffer.from(answer);
      const nsid = pdu[0] === 4 ? pdu.readUInt32LE(8 + 4) : 0;
      if (identify(3)(received)) altered[24 + 4] = nsid; // first byte of the UUID
      if (!identify(0)(received) || !hasChanged) return altered;
      // Identify of a namespace that is not active returns zeros; its descriptors were read a moment ago.
      if (nsid === 1) altered.fill(0, 24, 24 + 4096);
      if (nsid === 2) altered.set([0x03], 24 + 128 + 2); // a format of 2^3 bytes
      if (nsid === 3) altered.writeUInt32LE(0x20000, 24); // NSZE
      return altered;
    };
    const warnings: string[] = [];
    const log = { ...silentLog, warn: (message: string) => void warnings.push(message) };
    const controller = await controllerOf(peer, { log });
    const gone = await controller.openNamespace({ nsid: 1 });
    const reformatted = await controller.openNamespace({ nsid: 2 });
    const resized = await controller.openNamespace({ nsid: 3 });
    await expect.poll(() => posted).toBeDefined();
    hasChanged = true;
    const event = Buffer.from(captures.asyncEventReply);
    event.writeUInt16LE(posted!.cid, 20);
    posted!.socket.write(event);
    await expect.poll(() => resized.blockCount).toBe(0x20000);
    const expected = { kind: "failed", code: "ERR_NAMESPACE_GONE" };
    expect(await gone.flush()).toMatchObject(expected);
    expect(await reformatted.flush()).toMatchObject(expected);
    expect(await resized.flush()).toEqual({ kind: "ok" });
    await expect(controller.openNamespace({ nsid: 1 })).rejects.toMatchObject({ code: expected.code });
    expect(warnings).toEqual([]);
  });

  test("with an optimal boundary gets no command across it, except for what it writes atomically", async () => {
    const commands: number[][] = [];
    const peer = await peerOf(({ pdu, cid, socket }) => {
      commands.push([pdu.readUInt32LE(48), pdu.readUInt16LE(56) + 1]);
      socket.write(response(cid));
    });
    peer.alter = (answer, received) => {
      if (!identify(0)(received)) return answer;
      const bounded = Buffer.from(answer);
      bounded.set([0x02], 24 + 24); // NSFEAT: its own atomic units
      bounded.writeUInt16LE(3, 24 + 34); // NAWUN: 4 blocks
      bounded.writeUInt16LE(8, 24 + 46); // NOIOB: 8 blocks
      return bounded;
    };
    const device = await (await controllerOf(peer)).openNamespace({ nsid: 1 });
    await device.write({ block: 6, blockCount: 4, from: data.subarray(0, 2048) });
    await device.write({ block: 6, blockCount: 12, from: data.subarray(0, 6144) });
    expect(commands).toEqual([
      [6, 4],
      [6, 2],
      [8, 8],
      [16, 2],
    ]);
  });
});
