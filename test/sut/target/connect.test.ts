import { describe, expect, test } from "vitest";
import { Bench, completionOf, discoveryNqn, hex, hostNqn, subsystemNqn } from "./host.ts";

describe("connection initialization", () => {
  test("answers the ICReq of a Linux host with 128 bytes, no padding and MAXH2CDATA of one transfer", () => {
    const host = new Bench().open();
    const icResp = host.initialize();
    // type 1, flags 0, HLEN 128, PDO 0, PLEN 128, PFV 0, CPDA 0, DGST 0, MAXH2CDATA 131072
    expect(icResp.bytes.subarray(0, 16)).toEqual(hex("01008000 80000000 0000 00 00 00000200"));
    expect(icResp.bytes.subarray(16).every((byte) => byte === 0)).toBe(true);
  });

  test.for([
    { asked: 3, header: true, data: true, granted: 3 },
    { asked: 3, header: false, data: true, granted: 2 },
    { asked: 3, header: false, data: false, granted: 0 },
    { asked: 1, header: true, data: true, granted: 1 },
    { asked: 0, header: true, data: true, granted: 0 },
  ])(
    "grants digests $granted of $asked under a policy of $header, $data",
    ({ asked, header, data, granted }) => {
      const host = new Bench({ headerDigest: header, dataDigest: data }).open();
      const icResp = host.initialize({ header: (asked & 1) !== 0, data: (asked & 2) !== 0 });
      expect(icResp.bytes[11]).toBe(granted);
    },
  );

  test("pads data to the alignment that the host asked for", () => {
    const host = new Bench().open();
    const icReq = Buffer.alloc(128);
    // HPDA 15: data of C2HData starts at a multiple of 64 bytes.
    icReq.set([0, 0, 128, 0, 128, 0, 0, 0, 0, 0, 15]);
    host.send(icReq);
    host.take();
    host.connect({ qid: 0 });
    host.setProperty(0x14, 0x0046_0001);
    host.send(host.capsule({ opcode: 0x06, cid: 9, cdw10: 1, length: 4096 }));
    const [data] = host.take();
    expect(data!.bytes[3]).toBe(64);
    expect(data!.bytes.length).toBe(64 + 4096);
    expect(data!.data.toString("latin1", 768, 768 + subsystemNqn.length)).toBe(subsystemNqn);
  });
});

describe("Connect", () => {
  test("accepts the admin Connect that a Linux host sends", () => {
    const bench = new Bench();
    const host = bench.open();
    host.initialize();
    const data = Buffer.alloc(1024);
    data.write("11111111222233334444555555555555", 0, "hex");
    data.writeUInt16LE(0xffff, 16);
    data.write(subsystemNqn, 256);
    data.write(hostNqn, 512);
    // Captured: CID 0, SGL 0x01 of 1024 bytes, QID 0, SQSIZE 31, KATO 5000.
    const header = hex(
      `04004848 48040000 7f400000 01000000 ${"00".repeat(24)} 00040000 00000001 00000000 1f000000 88130000 ${"00".repeat(12)}`,
    );
    host.send(Buffer.concat([header, data]));
    const [response] = host.take();
    // CNTLID 1, SQHD 1 (flow control is on), SQID 0, CID 0, status 0.
    expect(response!.bytes).toEqual(hex("05001800 18000000 01000000 00000000 01000000 00000000"));
  });

  test("grants disabled flow control with SQHD 0xffff and counts no heads from then on", () => {
    const host = new Bench().open();
    host.initialize();
    expect(host.connect({ qid: 0, cattr: 4 })).toMatchObject({ status: "0/00", sqHead: 0xffff });
    expect(host.getProperty(0x08)).toMatchObject({ sqHead: 0 });
  });

  test("moves SQHD by one for each completion and wraps at the queue's size", () => {
    const host = new Bench().open();
    host.initialize();
    const heads = [host.connect({ qid: 0, sqsize: 2 }).sqHead];
    for (let i = 0; i < 4; i++) heads.push(host.getProperty(0x08).sqHead);
    expect(heads).toEqual([1, 2, 0, 1, 2]);
  });

  const refusals: Record<string, [Parameters<ReturnType<Bench["open"]>["connect"]>[0], string, number]> = {
    "an unknown subsystem": [{ qid: 0, nqn: "nqn.2024-01.test:other" }, "1/82 DNR", 0x0001_0100],
    "an empty subsystem name": [{ qid: 0, nqn: "" }, "1/82 DNR", 0x0001_0100],
    "a subsystem name without end": [{ qid: 0, nqn: "n".repeat(256) }, "1/82 DNR", 0x0001_0100],
    "a host that is not allowed": [{ qid: 0, hostNqn: "nqn.2024-01.test:stranger" }, "1/84 DNR", 0x0001_0200],
    "an empty host name": [{ qid: 0, hostNqn: "" }, "1/82 DNR", 0x0001_0200],
    "a host identifier of zeros": [{ qid: 0, hostId: "00".repeat(16) }, "1/82 DNR", 0x0001_0000],
    "a chosen controller": [{ qid: 0, cntlid: 7 }, "1/82 DNR", 0x0001_0010],
    "SQSIZE 0": [{ qid: 0, sqsize: 0 }, "1/82 DNR", 44],
    "SQSIZE above CAP.MQES": [{ qid: 0, sqsize: 256 }, "1/82 DNR", 44],
    "a record format": [{ qid: 0, recordFormat: 1 }, "1/80 DNR", 0],
    "data of 512 bytes": [{ qid: 0, dataLength: 512 }, "0/0f DNR", 0],
    "an I/O queue of no controller": [{ qid: 1, cntlid: 1 }, "1/82 DNR", 0x0001_0010],
    "an I/O queue of discovery": [{ qid: 1, cntlid: 1, nqn: discoveryNqn }, "1/82 DNR", 0x0001_0010],
  };
  test.for(Object.entries(refusals))("refuses %s", ([, [options, status, dw0]]) => {
    const bench = new Bench({ allowedHostNqns: [hostNqn] });
    const host = bench.open();
    host.initialize();
    expect(host.connect(options)).toMatchObject({ status, dw0 });
    expect(bench.target.controller(1)).toBeUndefined();
  });

  const ioRefusals: Record<string, [Parameters<ReturnType<Bench["open"]>["connect"]>[0], string, number]> = {
    "a queue beyond the count": [{ qid: 17, cntlid: 1 }, "1/82 DNR", 42],
    "a queue that exists": [{ qid: 1, cntlid: 1 }, "0/0c DNR", 0],
    "another host": [{ qid: 2, cntlid: 1, hostNqn: "nqn.2024-01.test:stranger" }, "1/82 DNR", 0x0001_0010],
    "another host identifier": [{ qid: 2, cntlid: 1, hostId: "22".repeat(16) }, "1/82 DNR", 0x0001_0000],
    "another controller": [{ qid: 2, cntlid: 2 }, "1/82 DNR", 0x0001_0010],
    "another subsystem": [{ qid: 2, cntlid: 1, nqn: discoveryNqn }, "1/82 DNR", 0x0001_0010],
    "SQSIZE above CAP.MQES": [{ qid: 2, cntlid: 1, sqsize: 256 }, "1/82 DNR", 44],
  };
  test.for(Object.entries(ioRefusals))("refuses an I/O queue of %s", ([, [options, status, dw0]]) => {
    const bench = new Bench();
    bench.openIo(bench.openAdmin());
    const host = bench.open();
    host.initialize();
    expect(host.connect(options)).toMatchObject({ status, dw0 });
  });

  test("refuses an I/O queue of a discovery controller by its queue number", () => {
    const bench = new Bench();
    const admin = bench.openAdmin({ nqn: discoveryNqn });
    const host = bench.open();
    host.initialize();
    const completion = host.connect({ qid: 1, cntlid: admin.cntlid, nqn: discoveryNqn });
    expect(completion).toMatchObject({ status: "1/82 DNR", dw0: 42 });
  });

  test("refuses an I/O queue while the controller is not enabled", () => {
    const bench = new Bench();
    const admin = bench.open();
    admin.initialize();
    admin.connect({ qid: 0 });
    const host = bench.open();
    host.initialize();
    expect(host.connect({ qid: 1, cntlid: 1 }).status).toBe("0/0c DNR");
    admin.setProperty(0x14, 0x0046_0001);
    expect(host.connect({ qid: 1, cntlid: 1 }).status).toBe("0/00");
  });

  test("refuses a second Connect and anything before the first", () => {
    const host = new Bench().open();
    host.initialize();
    expect(host.complete({ opcode: 0x06, cid: 5, cdw10: 1, length: 4096 }).status).toBe("0/0c DNR");
    expect(host.getProperty(0).status).toBe("0/0c DNR");
    expect(host.connect({ qid: 0 }).status).toBe("0/00");
    expect(host.connect({ qid: 0 }).status).toBe("0/0c DNR");
  });

  test("frees a queue number when its connection is gone, and a controller with its admin queue", () => {
    const bench = new Bench();
    const admin = bench.openAdmin();
    const first = bench.openIo(admin);
    first.connection.disconnected("test");
    const second = bench.openIo(admin);
    admin.connection.disconnected("test");
    expect(second.transport.isEnded).toBe(true);
    expect(bench.target.controller(admin.cntlid)).toBeUndefined();
    expect(bench.openAdmin().cntlid).toBe(admin.cntlid + 1);
  });

  test("finds a host overdue that does not connect within ten seconds", () => {
    const bench = new Bench();
    const host = bench.open();
    host.initialize();
    expect(host.connection.isOverdue(bench.nowMs + 9999)).toBe(false);
    expect(host.connection.isOverdue(bench.nowMs + 10_000)).toBe(true);
    host.connect({ qid: 0 });
    expect(host.connection.isOverdue(bench.nowMs + 10_000)).toBe(false);
  });
});

describe("properties", () => {
  test("answers the Property Get CAP of a Linux host, 8 bytes", () => {
    const host = new Bench().open();
    host.initialize();
    host.connect({ qid: 0 });
    // Captured: CID 1, fctype 4, attribute 1 (8 bytes), offset 0.
    host.send(
      hex(`04004800 48000000 7f400100 04000000 ${"00".repeat(28)} 0000005a 01000000 ${"00".repeat(20)}`),
    );
    const { dw0, dw1, cid } = completionOf(host.take()[0]!);
    // MQES 255, CQR, TO 15 s; command set NVM.
    expect([dw0, dw1, cid]).toEqual([0x1e01_00ff, 0x20, 1]);
  });

  test("reads the registers at their sizes and nothing else", () => {
    const host = new Bench().openAdmin();
    expect(host.getProperty(0x08)).toMatchObject({ status: "0/00", dw0: 0x0001_0400 });
    expect(host.getProperty(0x14)).toMatchObject({ status: "0/00", dw0: 0x0046_0001 });
    expect(host.getProperty(0x1c)).toMatchObject({ status: "0/00", dw0: 1 });
    expect(host.getProperty(0x00)).toMatchObject({ status: "0/00", dw0: 0x1e01_00ff });
    expect(host.getProperty(0x04)).toMatchObject({ status: "0/00", dw0: 0x20 });
    expect(host.getProperty(0x08, 1).status).toBe("0/02 DNR");
    expect(host.getProperty(0x20).status).toBe("0/02 DNR");
    expect(host.setProperty(0x1c, 1).status).toBe("0/02 DNR");
  });

  test.for([
    ["entry sizes of 0", 0x0000_0001],
    ["a page size", 0x0046_0081],
    ["a command set", 0x0046_0061],
    ["an arbitration", 0x0046_0801],
  ] as const)("reports CFS when enabled with %s", ([, cc]) => {
    const host = new Bench().open();
    host.initialize();
    host.connect({ qid: 0 });
    expect(host.setProperty(0x14, cc).status).toBe("0/00");
    expect(host.getProperty(0x1c).dw0).toBe(2);
    expect(host.identify(1)).toMatchObject({ status: "0/0c DNR" });
    // A reset heals it.
    host.setProperty(0x14, 0);
    host.setProperty(0x14, 0x0046_0001);
    expect(host.getProperty(0x1c).dw0).toBe(1);
  });

  test("flushes on shutdown and reports it complete afterwards", async () => {
    const bench = new Bench();
    const host = bench.openAdmin();
    const namespace = bench.store.namespace(1)!;
    namespace.holdsFlushes = true;
    host.setProperty(0x14, 0x0046_4001);
    expect(host.getProperty(0x1c).dw0).toBe(1 | (1 << 2));
    expect(host.identify(1)).toMatchObject({ status: "0/0c DNR" });
    namespace.settleFlushes();
    await new Promise(setImmediate);
    expect(host.getProperty(0x1c).dw0).toBe(1 | (2 << 2));
  });

  test("closes the I/O queues on a reset and keeps the admin queue", () => {
    const bench = new Bench();
    const admin = bench.openAdmin();
    const io = bench.openIo(admin);
    admin.setProperty(0x14, 0x0046_0000);
    expect(io.transport.isEnded).toBe(true);
    expect(admin.getProperty(0x1c).dw0).toBe(0);
    admin.setProperty(0x14, 0x0046_0001);
    bench.openIo(admin);
  });
});
