import { describe, expect, test } from "vitest";
import { StoreError } from "../../../src/sut/store/port.ts";
import { FakeStore } from "./fake-store.ts";
import { Bench, type Command, completionOf, digestOf, type Host, hex, pattern } from "./host.ts";

const forceUnitAccess = 1 << 30;

function openIo(options: Parameters<Bench["openIo"]>[1] = {}, bench = new Bench()) {
  const admin = bench.openAdmin();
  return { bench, admin, io: bench.openIo(admin, options), namespace: bench.store.namespace(1)! };
}

function write(command: Partial<Command> & { block?: number; data: Buffer }): Command {
  const { block = 0, ...rest } = command;
  const cdw12 = command.data.length / 512 - 1;
  return { opcode: 0x01, cid: 7, nsid: 1, cdw10: block, cdw12, ...rest };
}

function read(block: number, blockCount: number, rest: Partial<Command> = {}): Command {
  return {
    opcode: 0x02,
    cid: 8,
    nsid: 1,
    cdw10: block,
    cdw12: blockCount - 1,
    length: blockCount * 512,
    ...rest,
  };
}

describe("reads", () => {
  test("sends one C2HData with LAST and a response capsule while flow control is on", () => {
    const { io, namespace } = openIo();
    pattern(4096).copy(namespace.bytes, 8 * 512);
    io.send(io.capsule(read(8, 8, { cid: 0x42 })));
    const [data, response, ...rest] = io.take();
    // type 7, LAST, HLEN 24, PDO 24, PLEN 4120; CCCID, DATAO 0, DATAL 4096
    expect(data!.bytes.subarray(0, 24)).toEqual(hex("07041818 18100000 42000000 00000000 00100000 00000000"));
    expect(data!.data).toEqual(pattern(4096));
    expect(completionOf(response!)).toMatchObject({ status: "0/00", cid: 0x42, qid: 1, sqHead: 2 });
    expect(rest).toEqual([]);
  });

  test("ends with SUCCESS and no capsule when flow control is disabled, as captured with both digests", () => {
    const { io } = openIo({ cattr: 4, digests: { header: true, data: true } });
    io.send(io.capsule(read(0, 8, { cid: 0x42 })));
    const [data, ...rest] = io.take();
    // The captured header of this answer, digest included; then the data digest of 4096 zeros.
    expect(data!.bytes.subarray(0, 28)).toEqual(
      hex("070f181c 20100000 42000000 00000000 00100000 00000000 dc883696"),
    );
    expect(data!.bytes.subarray(28 + 4096)).toEqual(hex("8941f998"));
    expect(rest).toEqual([]);
  });

  test("splits a long read into contiguous PDUs, the last one marked", () => {
    const bench = new Bench({ mdts: 8 }, new FakeStore([4096]));
    const { io, namespace } = openIo({ cattr: 4 }, bench);
    pattern(namespace.bytes.length).copy(namespace.bytes);
    io.send(io.capsule(read(0, 70, { length: 70 * 4096 })));
    const pdus = io.take();
    expect(pdus.map((pdu) => [pdu.bytes.readUInt32LE(12), pdu.bytes.readUInt32LE(16), pdu.flags])).toEqual([
      [0, 131072, 0],
      [131072, 131072, 0],
      [262144, 24576, 0x0c],
    ]);
    expect(Buffer.concat(pdus.map((pdu) => pdu.data))).toEqual(namespace.bytes.subarray(0, 70 * 4096));
  });

  test("flushes before a forced unit access read", async () => {
    const { io, namespace } = openIo();
    namespace.holdsFlushes = true;
    io.send(io.capsule(read(0, 1, { cdw12: forceUnitAccess })));
    expect(io.take()).toEqual([]);
    namespace.settleFlushes();
    await new Promise(setImmediate);
    expect(io.take().map((pdu) => pdu.type)).toEqual([0x07, 0x05]);
  });

  test("waits with reads until the host has read, within bounds, and then sends all of them", () => {
    const bench = new Bench();
    const { io } = openIo({ sqsize: 63 }, bench);
    io.transport.isBlocked = true;
    const commands = Array.from({ length: 60 }, (_, cid) => io.capsule(read(0, 256, { cid: cid + 1 })));
    io.send(Buffer.concat(commands));
    const sentBytes = io.transport.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    expect(sentBytes).toBeLessThan(2 * 1024 * 1024);
    expect(io.transport.isPaused).toBe(true);
    const flush = io.capsule({ opcode: 0x00, cid: 900, nsid: 1 });
    io.send(flush);
    const cids: number[] = [];
    do {
      for (const completion of io.completions()) cids.push(completion.cid);
    } while (io.transport.takeOne());
    for (const completion of io.completions()) cids.push(completion.cid);
    expect(cids).toEqual(Array.from({ length: 60 }, (_, cid) => cid + 1));
    expect(io.transport.isPaused).toBe(false);
  });
});

test("a host that does not read binds a few slabs, not one for each answer", () => {
  const { io } = openIo();
  io.transport.isBlocked = true;
  for (let count = 0; count < 5000; count++) io.send(io.capsule({ opcode: 0x08, cid: 1, nsid: 1 }));
  expect(io.transport.chunks.length).toBe(2);
  while (io.transport.takeOne()) {}
  expect(io.completions().length).toBe(5000);
});

describe("writes in the capsule", () => {
  test("are applied and completed at once", () => {
    const { io, namespace } = openIo();
    expect(io.complete(write({ block: 3, data: pattern(1024) }))).toMatchObject({ status: "0/00", cid: 7 });
    expect(namespace.bytes.subarray(3 * 512, 5 * 512)).toEqual(pattern(1024));
    expect(namespace.flushCount).toBe(0);
  });

  test("arrive the same in one piece and byte by byte", () => {
    const { io, namespace } = openIo({ digests: { header: true, data: true } });
    for (const byte of io.capsule(write({ block: 1, data: pattern(512) }))) io.send(Buffer.of(byte));
    expect(io.completions()).toMatchObject([{ status: "0/00" }]);
    expect(namespace.bytes.subarray(512, 1024)).toEqual(pattern(512));
  });

  test("fail without effect, and leave the connection alone, when the data digest is wrong", () => {
    const { io, namespace } = openIo({ digests: { header: false, data: true } });
    const capsule = io.capsule(write({ data: pattern(512) }));
    capsule[100]! ^= 1;
    io.send(capsule);
    expect(io.completions()).toMatchObject([{ status: "0/22", cid: 7 }]);
    expect(namespace.bytes.equals(Buffer.alloc(namespace.bytes.length))).toBe(true);
    expect(io.complete(write({ data: pattern(512) })).status).toBe("0/00");
  });

  test("have only their own blocks flushed with FUA, if the namespace can tell them apart", async () => {
    const { bench, io, admin, namespace } = openIo();
    const flushed: (readonly [block: number, blockCount: number])[] = [];
    const flushBlocks = (block: number, blockCount: number) => {
      flushed.push([block, blockCount]);
      return Promise.resolve();
    };
    bench.store.all.set(1, Object.assign(namespace, { flushBlocks }));
    io.send(io.capsule(write({ block: 3, data: pattern(1024), cdw12: forceUnitAccess | 1 })));
    io.send(io.capsule({ opcode: 0x08, cid: 9, nsid: 1, cdw10: 20, cdw12: forceUnitAccess | 4 }));
    io.send(io.capsule(read(40, 8, { cdw12: forceUnitAccess | 7 })));
    // Without data in the capsule: after an R2T.
    io.send(io.capsule({ ...read(60, 2), opcode: 0x01, cid: 10, cdw12: forceUnitAccess | 1 }));
    const [r2t] = io.take().filter((pdu) => pdu.type === 0x09);
    io.send(io.h2cData({ cid: 10, ttag: r2t!.bytes.readUInt16LE(10), offset: 0, data: pattern(1024) }));
    await new Promise(setImmediate);
    expect(flushed).toEqual([
      [3, 2],
      [20, 5],
      [40, 8],
      [60, 2],
    ]);
    expect(namespace.flushCount).toBe(0);
    expect(admin.complete({ opcode: 0x09, cid: 1, cdw10: 0x06, cdw11: 0 }).status).toBe("0/00");
    io.send(io.capsule(write({ data: pattern(512), cdw12: forceUnitAccess })));
    expect(namespace.flushCount).toBe(1);
  });

  test("wait for a flush with FUA, and always while the write cache is switched off", async () => {
    const { io, admin, namespace } = openIo();
    namespace.holdsFlushes = true;
    io.send(io.capsule(write({ data: pattern(512), cdw12: forceUnitAccess })));
    expect(io.take()).toEqual([]);
    namespace.settleFlushes();
    await new Promise(setImmediate);
    expect(io.completions()).toMatchObject([{ status: "0/00", cid: 7 }]);

    expect(admin.complete({ opcode: 0x09, cid: 1, cdw10: 0x06, cdw11: 0 }).status).toBe("0/00");
    io.send(io.capsule(write({ data: pattern(512) })));
    expect(io.take()).toEqual([]);
    namespace.settleFlushes(new StoreError("ERR_IO", "disk on fire"));
    await new Promise(setImmediate);
    expect(io.completions()).toMatchObject([{ status: "2/80", cid: 7 }]);
  });
});

describe("writes after R2T", () => {
  test("ask for the whole data once and apply it when all of it is here", () => {
    const { io, namespace } = openIo();
    const data = pattern(65536);
    io.send(io.capsule(write({ cid: 0x65, cdw12: 127, data: Buffer.alloc(0), length: data.length })));
    const [r2t] = io.take();
    // type 9, HLEN 24, PLEN 24; CCCID 0x65, TTAG 0, R2TO 0, R2TL 65536
    expect(r2t!.bytes).toEqual(hex("09001800 18000000 65000000 00000000 00000100 00000000"));
    const ttag = r2t!.bytes.readUInt16LE(10);
    for (let offset = 0; offset < data.length; offset += 16384) {
      expect(namespace.bytes.equals(Buffer.alloc(namespace.bytes.length))).toBe(true);
      expect(io.take()).toEqual([]);
      const isLast = offset + 16384 === data.length;
      io.send(io.h2cData({ cid: 0x65, ttag, offset, data: data.subarray(offset, offset + 16384), isLast }));
    }
    expect(io.completions()).toMatchObject([{ status: "0/00", cid: 0x65 }]);
    expect(namespace.bytes.subarray(0, data.length)).toEqual(data);
  });

  test("take the H2CData of a Linux host, 256 KiB in one PDU, when transfers may be that long", () => {
    const bench = new Bench({ mdts: 6 });
    const { io, namespace } = openIo({}, bench);
    io.send(io.capsule({ opcode: 1, cid: 0x65, nsid: 1, cdw12: 511, length: 262144 }));
    expect(io.take()[0]!.bytes).toEqual(hex("09001800 18000000 65000000 00000000 00000400 00000000"));
    io.send(Buffer.concat([hex("06041818 18000400 65000000 00000000 00000400 00000000"), pattern(262144)]));
    expect(io.completions()).toMatchObject([{ status: "0/00", cid: 0x65 }]);
    expect(namespace.bytes.subarray(0, 262144)).toEqual(pattern(262144));
  });

  test("are dropped, not applied in part, when the connection goes", () => {
    const { io, namespace } = openIo();
    io.send(io.capsule(write({ cdw12: 15, data: Buffer.alloc(0), length: 8192 })));
    io.send(io.h2cData({ cid: 7, ttag: 0, offset: 0, data: pattern(4096), isLast: false }));
    io.connection.disconnected("test");
    expect(namespace.bytes.equals(Buffer.alloc(namespace.bytes.length))).toBe(true);
  });

  test("give their buffer back when the connection goes", () => {
    const bench = new Bench();
    const { io } = openIo({}, bench);
    const { transferPool } = bench.target;
    const buffer = transferPool.take();
    transferPool.give(buffer);
    io.send(io.capsule(write({ cdw12: 15, data: Buffer.alloc(0), length: 8192 })));
    io.connection.disconnected("test");
    expect(transferPool.take()).toBe(buffer);
  });

  test("fail when a data digest is wrong, after the rest has come", () => {
    const { io, namespace } = openIo({ digests: { header: true, data: true } });
    io.send(io.capsule(write({ cdw12: 15, data: Buffer.alloc(0), length: 8192 })));
    const first = io.h2cData({ cid: 7, ttag: 0, offset: 0, data: pattern(4096), isLast: false });
    first[200]! ^= 0x10;
    io.send(first);
    expect(io.take().filter((pdu) => pdu.type !== 0x09)).toEqual([]);
    io.send(io.h2cData({ cid: 7, ttag: 0, offset: 4096, data: pattern(4096) }));
    expect(io.completions()).toMatchObject([{ status: "0/22", cid: 7 }]);
    expect(namespace.bytes.equals(Buffer.alloc(namespace.bytes.length))).toBe(true);
  });

  test("are checked again when the data is here: the namespace may have shrunk or gone", () => {
    const { io, bench } = openIo();
    io.send(io.capsule(write({ cid: 1, block: 1000, data: Buffer.alloc(0), length: 512, cdw12: 0 })));
    io.send(io.capsule(write({ cid: 2, data: Buffer.alloc(0), length: 512, cdw12: 0 })));
    io.take();
    bench.store.resize(1, 1000);
    io.send(io.h2cData({ cid: 1, ttag: 0, offset: 0, data: pattern(512) }));
    expect(io.completions()).toMatchObject([{ status: "0/80 DNR", cid: 1 }]);
    bench.store.remove(1);
    io.send(io.h2cData({ cid: 2, ttag: 1, offset: 0, data: pattern(512) }));
    expect(io.completions()).toMatchObject([{ status: "0/0b DNR", cid: 2 }]);
  });

  test("wait for a buffer when many are under way, in order, and can be aborted until then", () => {
    const { io, admin } = openIo();
    // 8 MiB of buffers of 128 KiB are 64 transfers.
    for (let cid = 0; cid < 70; cid++) {
      io.send(io.capsule(write({ cid, cdw12: 255, data: Buffer.alloc(0), length: 131072 })));
    }
    expect(io.take().map((pdu) => pdu.cid)).toEqual(Array.from({ length: 64 }, (_, cid) => cid));
    const abort = (cid: number) => admin.complete({ opcode: 0x08, cid: 1, cdw10: 1 | (cid << 16) });
    expect(abort(64)).toMatchObject({ status: "0/00", dw0: 0 });
    expect(io.completions()).toMatchObject([]);
    // Under way, and unknown: not aborted.
    expect(abort(63).dw0).toBe(1);
    expect(abort(500).dw0).toBe(1);
    io.send(io.h2cData({ cid: 5, ttag: 5, offset: 0, data: pattern(131072) }));
    const pdus = io.take();
    expect(pdus.map((pdu) => [pdu.type, pdu.cid])).toContainEqual([0x09, 65]);
    expect(pdus.filter((pdu) => pdu.type === 0x05).map((pdu) => completionOf(pdu))).toMatchObject([
      { status: "0/07", cid: 64 },
      { status: "0/00", cid: 5 },
    ]);
  });
});

describe("bounds", () => {
  const rows: Record<string, [Partial<Command> & { opcode: number }, string]> = {
    "a read past the end": [read(1020, 8), "0/80 DNR"],
    "a read just past the end": [read(1017, 8), "0/80 DNR"],
    "a read whose end wraps 64 bits": [read(0xffff_ffff, 8, { cdw11: 0xffff_ffff }), "0/80 DNR"],
    "a read of namespace 0": [read(0, 1, { nsid: 0 }), "0/0b DNR"],
    "a read of an unknown namespace": [read(0, 1, { nsid: 2 }), "0/0b DNR"],
    "a read of all namespaces": [read(0, 1, { nsid: 0xffff_ffff }), "0/0b DNR"],
    "a read above MDTS": [read(0, 257), "0/02 DNR"],
    "a read with too short an SGL": [read(0, 8, { length: 512 }), "0/0f DNR"],
    "a read with too long an SGL": [read(0, 8, { length: 8192 }), "0/0f DNR"],
    "a read into the capsule": [read(0, 8, { sgl: 0x01 }), "0/11 DNR"],
    "a read with a foreign SGL": [read(0, 8, { sgl: 0x40 }), "0/11 DNR"],
    "a write past the end": [write({ block: 1024, data: pattern(512) }), "0/80 DNR"],
    "a write announced past the end": [
      write({ block: 1024, data: Buffer.alloc(0), length: 512, cdw12: 0 }),
      "0/80 DNR",
    ],
    "a write above MDTS": [write({ data: Buffer.alloc(0), length: 131584, cdw12: 256 }), "0/02 DNR"],
    "a write with less data than blocks": [write({ data: pattern(512), cdw12: 1 }), "0/0f DNR"],
    "a write with more data than blocks": [write({ data: pattern(1024), cdw12: 0 }), "0/0f DNR"],
    "a write whose SGL is not its capsule": [
      write({ data: pattern(512), length: 1024, cdw12: 1 }),
      "0/0f DNR",
    ],
    "a write with two kinds of data": [write({ data: pattern(512), sgl: 0x5a }), "0/0f DNR"],
    "write zeroes past the end": [{ opcode: 0x08, nsid: 1, cdw10: 1, cdw12: 1023 }, "0/80 DNR"],
    "an unknown opcode": [{ opcode: 0x99, nsid: 1 }, "0/01 DNR"],
    "verify, which is not offered": [{ opcode: 0x0c, nsid: 1 }, "0/01 DNR"],
    "a flush of an unknown namespace": [{ opcode: 0x00, nsid: 9 }, "0/0b DNR"],
  };
  test.for(Object.entries(rows))("refuse %s", ([, [command, status]]) => {
    const { io, namespace } = openIo();
    expect(io.complete({ ...command, cid: 77 })).toMatchObject({ status, cid: 77 });
    expect(namespace.bytes.equals(Buffer.alloc(namespace.bytes.length))).toBe(true);
    expect(io.complete(write({ data: pattern(512) })).status).toBe("0/00");
  });

  test("refuse commands without SGLs (PSDT)", () => {
    const { io } = openIo();
    const capsule = io.capsule(read(0, 1));
    capsule[9] = 0;
    io.send(capsule);
    expect(io.completions()).toMatchObject([{ status: "0/02 DNR", cid: 8 }]);
  });

  test("refuse I/O after a shutdown", () => {
    const { io, admin } = openIo();
    admin.setProperty(0x14, 0x0046_4001);
    expect(io.complete(read(0, 1)).status).toBe("0/0c DNR");
  });
});

describe("other commands", () => {
  test("write zeroes, with and without the wish to deallocate, takes up to 65536 blocks", () => {
    const { io, namespace } = openIo();
    namespace.bytes.fill(0xff);
    expect(io.complete({ opcode: 0x08, cid: 1, nsid: 1, cdw10: 4, cdw12: 3 | (1 << 25) }).status).toBe(
      "0/00",
    );
    expect(namespace.bytes.indexOf(0)).toBe(4 * 512);
    expect(namespace.bytes.lastIndexOf(0)).toBe(8 * 512 - 1);
    expect(io.complete({ opcode: 0x08, cid: 1, nsid: 1, cdw10: 0, cdw12: 1023 }).status).toBe("0/00");
    expect(namespace.bytes.equals(Buffer.alloc(namespace.bytes.length))).toBe(true);
  });

  test("Dataset Management deallocates what a Linux host sends, a list of 4096 bytes for one range", () => {
    const { io, namespace } = openIo();
    namespace.bytes.fill(0xff);
    const list = Buffer.alloc(4096);
    // Captured but for the place: attributes 0, 128 blocks, from block 64 on.
    list.set(hex("00000000 80000000 4000000000000000"));
    const command = { opcode: 0x09, cid: 1, nsid: 1, cdw10: 0, data: list };
    expect(io.complete({ ...command, cdw11: 0 }).status).toBe("0/00");
    expect(namespace.bytes.includes(0)).toBe(false);
    expect(io.complete({ ...command, cdw11: 4 }).status).toBe("0/00");
    expect(namespace.bytes.indexOf(0)).toBe(64 * 512);
    expect(namespace.bytes.lastIndexOf(0)).toBe(192 * 512 - 1);
  });

  test("Dataset Management takes its list after an R2T too, and touches nothing if a range is out of bounds", () => {
    const { io, namespace } = openIo();
    namespace.bytes.fill(0xff);
    const list = Buffer.alloc(48);
    list.writeUInt32LE(1, 4);
    list.writeUInt32LE(0, 20);
    list.writeUInt32LE(2000, 24);
    list.writeUInt32LE(1, 36);
    list.writeUInt32LE(1023, 40);
    const command = { opcode: 0x09, cid: 4, nsid: 1, cdw10: 2, cdw11: 4, length: 48 };
    // The second range is empty, but even so out of bounds.
    io.send(io.capsule(command));
    io.send(io.h2cData({ cid: 4, ttag: 0, offset: 0, data: list }));
    expect(io.completions()).toMatchObject([{ status: "0/80 DNR" }]);
    expect(namespace.bytes.includes(0)).toBe(false);
    list.writeUInt32LE(0, 24);
    io.send(io.capsule(command));
    io.send(io.h2cData({ cid: 4, ttag: 0, offset: 0, data: list }));
    expect(io.completions()).toMatchObject([{ status: "0/00" }]);
    expect(namespace.bytes.filter((byte) => byte === 0).length).toBe(1024);
    expect(io.complete({ ...command, data: list, cdw10: 3 }).status).toBe("0/0f DNR");
  });

  test("Compare tells equal from different", () => {
    const { io, namespace } = openIo();
    pattern(1024).copy(namespace.bytes);
    const command = { opcode: 0x05, cid: 1, nsid: 1, cdw12: 1, data: pattern(1024) };
    expect(io.complete(command).status).toBe("0/00");
    namespace.bytes[1000]! ^= 1;
    expect(io.complete(command).status).toBe("2/85 DNR");
    io.send(io.capsule({ ...command, data: Buffer.alloc(0), length: 1024 }));
    io.send(io.h2cData({ cid: 1, ttag: 0, offset: 0, data: pattern(1024) }));
    expect(io.completions()).toMatchObject([{ status: "2/85 DNR" }]);
  });

  test("Flush waits for the store, of one namespace or of all, and reports its failure", async () => {
    const bench = new Bench({}, new FakeStore([512, 4096]));
    const { io } = openIo({}, bench);
    const [one, two] = bench.store.namespaces;
    one!.holdsFlushes = true;
    io.send(io.capsule({ opcode: 0x00, cid: 1, nsid: 0xffff_ffff }));
    await new Promise(setImmediate);
    expect([one!.flushCount, two!.flushCount]).toEqual([1, 1]);
    expect(io.take()).toEqual([]);
    one!.settleFlushes();
    await new Promise(setImmediate);
    expect(io.completions()).toMatchObject([{ status: "0/00", cid: 1 }]);
    io.send(io.capsule({ opcode: 0x00, cid: 2, nsid: 1 }));
    one!.settleFlushes(new StoreError("ERR_IO", "disk on fire"));
    await new Promise(setImmediate);
    expect(io.completions()).toMatchObject([{ status: "2/80", cid: 2 }]);
    expect(bench.warnings.join()).toContain("disk on fire");
  });

  test.for([
    ["ERR_IO", "2/81", "2/80"],
    ["ERR_CORRUPT", "2/81", "2/81"],
    ["ERR_OUT_OF_RANGE", "0/80 DNR", "0/80 DNR"],
    ["ERR_NOT_FOUND", "0/0b DNR", "0/0b DNR"],
    ["ERR_NOT_NOW", "0/82", "0/82"],
    ["ERR_INVALID", "0/06 DNR", "0/06 DNR"],
  ] as const)(
    "an error %s of the store becomes %s of a read and %s of a write",
    ([code, ofRead, ofWrite]) => {
      const { io, namespace } = openIo();
      const fail = (host: Host, command: Command) => {
        namespace.failure = new StoreError(code, "test");
        return host.complete(command).status;
      };
      expect(fail(io, read(0, 1))).toBe(ofRead);
      expect(fail(io, write({ data: pattern(512) }))).toBe(ofWrite);
    },
  );
});

describe("digests", () => {
  test("of headers are on every PDU, as captured from a Linux target", () => {
    const { io } = openIo({ digests: { header: true, data: false } });
    io.send(io.capsule(write({ data: pattern(512) })));
    const [response] = io.take();
    expect(response!.bytes.length).toBe(28);
    expect(response!.flags).toBe(1);
    expect(response!.bytes.subarray(24)).toEqual(digestOf(response!.bytes.subarray(0, 24)));
  });

  test("are not put on PDUs without data", () => {
    const { io } = openIo({ digests: { header: false, data: true } });
    const completion = io.capsule({ opcode: 0x08, cid: 1, nsid: 1 });
    io.send(completion);
    expect(io.take()[0]!.flags).toBe(0);
  });
});
