import { describe, expect, test } from "vitest";
import { Bench, type Host, hex, hostId, hostNqn, pattern, subsystemNqn } from "./host.ts";

interface Case {
  /** What the host has done before. */
  readonly before?: (host: Host) => void;
  readonly bytes: (host: Host) => Buffer;
  readonly fes: number;
  readonly fei: number;
}

const header = (text: string) => Buffer.concat([hex(text)], 128);
const announceWrite = (host: Host) => {
  host.send(host.capsule({ opcode: 1, cid: 7, nsid: 1, cdw12: 15, length: 8192 }));
  host.take();
};
const transfer = (changes: Partial<Parameters<Host["h2cData"]>[0]>) => (host: Host) =>
  host.h2cData({ cid: 7, ttag: 0, offset: 0, data: pattern(4096), isLast: false, ...changes });

const onIoQueue: Record<string, Case> = {
  "an unknown PDU type": { bytes: () => header("0b001800 18000000"), fes: 1, fei: 0 },
  "a PDU of the other direction": { bytes: () => header("05001800 18000000"), fes: 1, fei: 0 },
  "a second ICReq": { bytes: () => header("00008000 80000000"), fes: 2, fei: 0 },
  "a header digest nobody negotiated": { bytes: () => header("04014800 4c000000"), fes: 1, fei: 1 },
  "a wrong HLEN": { bytes: () => header("04004900 48000000"), fes: 1, fei: 2 },
  "a PLEN below the header": { bytes: () => header("04004800 47000000"), fes: 1, fei: 4 },
  "a PLEN of 4 GiB": { bytes: () => header("04004848 ffffffff"), fes: 5, fei: 0 },
  "in-capsule data above IOCCSZ": { bytes: () => header("04004848 49400000"), fes: 5, fei: 0 },
  "a PDO inside the header": { bytes: () => header("04004840 48020000"), fes: 1, fei: 3 },
  "H2CData without a transfer": { bytes: transfer({}), fes: 1, fei: 10 },
  "H2CData with another tag": { before: announceWrite, bytes: transfer({ ttag: 1 }), fes: 1, fei: 10 },
  "H2CData with another CID": { before: announceWrite, bytes: transfer({ cid: 8 }), fes: 1, fei: 8 },
  "H2CData that skips": { before: announceWrite, bytes: transfer({ offset: 4096 }), fes: 1, fei: 12 },
  "H2CData beyond what was granted": {
    before: announceWrite,
    bytes: transfer({ offset: 8192 }),
    fes: 4,
    fei: 0,
  },
  "H2CData whose end wraps": {
    before: announceWrite,
    bytes: transfer({ offset: 0xffff_f000 }),
    fes: 4,
    fei: 0,
  },
  "H2CData above MAXH2CDATA": {
    before: announceWrite,
    bytes: transfer({ data: Buffer.alloc(131_076) }),
    fes: 5,
    fei: 0,
  },
  "LAST too early": { before: announceWrite, bytes: transfer({ isLast: true }), fes: 1, fei: 1 },
  "a CID in use": {
    before: announceWrite,
    bytes: (host) => host.capsule({ opcode: 0, cid: 7, nsid: 1 }),
    fes: 1,
    fei: 10,
  },
};

function expectTermReq(host: Host, fes: number, fei: number): void {
  const [termReq, ...rest] = host.take();
  expect(rest).toEqual([]);
  expect({
    type: termReq!.type,
    hlen: termReq!.bytes[2],
    fes: termReq!.bytes.readUInt16LE(8),
    fei: termReq!.bytes.readUInt32LE(10),
  }).toEqual({ type: 0x03, hlen: 24, fes, fei });
  expect(termReq!.bytes.length).toBeGreaterThanOrEqual(48);
  expect(termReq!.bytes.length).toBeLessThanOrEqual(152);
  expect(host.transport.isEnded).toBe(true);
}

function openIo(bench = new Bench(), sqsize = 127): Host {
  return bench.openIo(bench.openAdmin(), { sqsize });
}

describe("a host that breaks the protocol is told so and closed", () => {
  test.for(Object.entries(onIoQueue))("after %s", ([, { before, bytes, fes, fei }]) => {
    const bench = new Bench();
    const host = openIo(bench);
    before?.(host);
    host.send(bytes(host));
    expectTermReq(host, fes, fei);
    // Nothing more is heard from this connection, and the rest lives on.
    host.send(host.capsule({ opcode: 0, cid: 1, nsid: 1 }));
    expect(host.take()).toEqual([]);
    expect(bench.store.namespace(1)!.bytes.equals(Buffer.alloc(524288))).toBe(true);
    expect(openIo(bench).connection.isClosed).toBe(false);
  });

  test.for([
    ["a capsule before ICReq", "04004800 48000000", 2, 0],
    ["a wrong PFV", "00008000 80000000 0100", 1, 8],
    ["HPDA 32", "00008000 80000000 0000 20", 1, 10],
    ["a PLEN of ICReq that is not 128", "00008000 84000000", 1, 4],
  ] as const)("after %s", ([, text, fes, fei]) => {
    const host = new Bench().open();
    host.send(header(text));
    expectTermReq(host, fes, fei);
  });

  test("after a wrong header digest, which the answer repeats", () => {
    const bench = new Bench();
    const host = bench.openIo(bench.openAdmin(), { digests: { header: true, data: false } });
    const capsule = host.capsule({ opcode: 0, cid: 1, nsid: 1 });
    capsule[20]! ^= 1;
    host.send(capsule);
    expectTermReq(host, 3, capsule.readUInt32LE(72));
  });

  test("after more commands in flight than the queue has entries", () => {
    const host = openIo(new Bench(), 3);
    for (let cid = 0; cid < 4; cid++) {
      host.send(host.capsule({ opcode: 1, cid, nsid: 1, cdw12: 0, length: 512 }));
    }
    expect(host.take().map((pdu) => pdu.type)).toEqual([9, 9, 9, 9]);
    host.send(host.capsule({ opcode: 1, cid: 9, nsid: 1, cdw12: 0, length: 512 }));
    expectTermReq(host, 2, 0);
  });

  test("but not answered with a TermReq to its own", () => {
    const host = openIo();
    host.send(Buffer.concat([hex("02001800 30000000 0100 00000000"), Buffer.alloc(34)]));
    expect(host.take()).toEqual([]);
    expect(host.transport.isEnded).toBe(true);
  });
});

/** Small generator of pseudo-random numbers (mulberry32), so that a failure can be repeated. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

describe("fuzzing", () => {
  const streamCount = 20_000;

  test(`survives ${streamCount} mutated streams without an error of its own, and ends every controller`, async () => {
    const bench = new Bench();
    const namespace = bench.store.namespace(1)!;
    const next = random(0x5eed);
    const seen = new Map<string, number>();
    for (let stream = 0; stream < streamCount; stream++) {
      if (stream % 1000 === 0) await new Promise(setImmediate);
      const isAdmin = stream % 3 === 0;
      const admin = bench.openAdmin();
      const host = isAdmin ? admin : bench.openIo(admin);
      const parts: Buffer[] = [];
      for (let count = 1 + next(6); count > 0; count--) parts.push(randomPdu(host, isAdmin, next));
      const bytes = Buffer.concat(parts);
      for (let count = next(4); count > 0; count--) {
        // Mostly in headers, where it matters.
        const at = next(4) === 0 ? next(bytes.length) : next(Math.min(bytes.length, 80));
        bytes[at] = next(3) === 0 ? next(256) : bytes[at]! ^ (1 << next(8));
      }
      const cut = next(3) === 0 ? next(bytes.length + 1) : 0;
      host.send(Buffer.from(bytes.subarray(0, cut)));
      host.send(Buffer.from(bytes.subarray(cut)));
      for (const pdu of host.take()) {
        expect(pdu.bytes.length).toBe(pdu.bytes.readUInt32LE(4));
        seen.set(String(pdu.type), (seen.get(String(pdu.type)) ?? 0) + 1);
      }
      admin.connection.disconnected("end of stream");
      expect(bench.target.controller(admin.cntlid)).toBeUndefined();
    }
    expect([...seen.keys()].sort()).toEqual(["3", "5", "7", "9"]);
    expect(bench.warnings.filter((warning) => warning.includes("error of the target"))).toEqual([]);
    expect(namespace.bytes.length).toBe(524288);
  }, 30_000);

  test("survives garbage before initialization", () => {
    const bench = new Bench();
    const next = random(0xdead);
    for (let stream = 0; stream < 20_000; stream++) {
      const host = bench.open();
      const bytes = Buffer.alloc(1 + next(300));
      for (let at = 0; at < bytes.length; at++) bytes[at] = next(256);
      if (next(2) === 0)
        bytes.set(hex("0000800080000000 0000").subarray(0, Math.min(bytes.length, next(11))));
      host.send(bytes);
      host.connection.disconnected("end of stream");
    }
    expect(bench.warnings.filter((warning) => warning.includes("error of the target"))).toEqual([]);
  });
});

const ioOpcodes = [0x00, 0x01, 0x01, 0x02, 0x02, 0x05, 0x08, 0x09];
const adminOpcodes = [0x02, 0x06, 0x08, 0x09, 0x0a, 0x0c, 0x18];

function randomPdu(host: Host, isAdmin: boolean, next: (below: number) => number): Buffer {
  if (!isAdmin && next(5) === 0) {
    const data = Buffer.alloc(512 * next(4), next(256));
    return host.h2cData({ cid: next(4), ttag: next(4), offset: 512 * next(4), data, isLast: next(2) === 0 });
  }
  if (next(20) === 0) {
    const data = Buffer.alloc(1024);
    data.write(hostId, 0, "hex");
    data.writeUInt16LE(next(2) === 0 ? 0xffff : next(4), 16);
    data.write(subsystemNqn, 256);
    data.write(hostNqn, 512);
    return host.capsule({
      opcode: 0x7f,
      cid: next(4),
      nsid: next(3),
      cdw10: next(3) << 16,
      cdw11: next(40),
      data,
    });
  }
  const opcode = isAdmin ? adminOpcodes[next(adminOpcodes.length)]! : ioOpcodes[next(ioOpcodes.length)]!;
  const blockCount = 1 + next(8);
  const hasData = !isAdmin && next(2) === 0;
  return host.capsule({
    opcode,
    cid: next(6),
    nsid: next(10) === 0 ? 0xffff_ffff : next(3),
    fuse: isAdmin || next(3) > 0 ? 0 : opcode === 5 ? 1 : 2,
    length: isAdmin ? 4096 : blockCount * 512,
    cdw10: isAdmin ? [0, 1, 2, 3, 4, 5, 6, 7, 0x0b, 0x0f, 0x81, 0x03ff_0002][next(12)]! : next(1030),
    cdw11: isAdmin ? next(0x200) : 0,
    cdw12: isAdmin ? 0 : (blockCount - 1) | (next(4) === 0 ? 1 << 30 : 0),
    ...(hasData ? { data: Buffer.alloc(blockCount * 512, next(256)) } : {}),
  });
}
