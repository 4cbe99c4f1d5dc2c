import { describe, expect, test } from "vitest";
import { FakeStore } from "./fake-store.ts";
import { Bench, discoveryNqn, type Host, hex, hostId, subsystemNqn } from "./host.ts";

function bytes(answer: ReturnType<Host["read"]>): Buffer {
  if (!Buffer.isBuffer(answer)) throw new Error(`data expected, got ${answer.status}`);
  return answer;
}

describe("Identify", () => {
  test("of the controller has every field that a Linux host or SPDK checks", () => {
    const bench = new Bench();
    const host = bench.openAdmin();
    const identity = bytes(host.identify(0x01));
    expect(identity.length).toBe(4096);
    expect(identity.toString("latin1", 4, 24)).toBe("HARROW1             ");
    expect(identity.toString("latin1", 24, 64)).toBe("harrow embedded target".padEnd(40));
    expect({
      cmic: identity[76],
      mdts: identity[77],
      cntlid: identity.readUInt16LE(78),
      version: identity.readUInt32LE(80),
      oaes: identity.readUInt32LE(92),
      ctratt: identity.readUInt32LE(96),
      controllerType: identity[111],
      aerl: identity[259],
      lpa: identity[261],
      kas: identity.readUInt16LE(320),
      sqes: identity[512],
      cqes: identity[513],
      maxcmd: identity.readUInt16LE(514),
      nn: identity.readUInt32LE(516),
      oncs: identity.readUInt16LE(520),
      fuses: identity.readUInt16LE(522),
      vwc: identity[525],
      awun: identity.readUInt16LE(526),
      awupf: identity.readUInt16LE(528),
      acwu: identity.readUInt16LE(532),
      sgls: identity.readUInt32LE(536),
      ioccsz: identity.readUInt32LE(1792),
      iorcsz: identity.readUInt32LE(1796),
      icdoff: identity.readUInt16LE(1800),
      msdbd: identity[1803],
    }).toEqual({
      cmic: 2,
      mdts: 5,
      cntlid: host.cntlid,
      version: 0x0001_0400,
      oaes: 0x100,
      ctratt: 0x41,
      controllerType: 1,
      aerl: 3,
      lpa: 6,
      kas: 10,
      sqes: 0x66,
      cqes: 0x44,
      maxcmd: 256,
      nn: 1024,
      oncs: 0x000d,
      fuses: 1,
      vwc: 7,
      awun: 31,
      awupf: 0,
      acwu: 31,
      sgls: 0x0010_0001,
      ioccsz: 0x404,
      iorcsz: 1,
      icdoff: 0,
      msdbd: 1,
    });
    expect(identity.toString("latin1", 768, 768 + 256).replace(/\0+$/, "")).toBe(subsystemNqn);
  });

  test("reports no volatile write cache when there is none", () => {
    const host = new Bench({ volatileWriteCache: false }).openAdmin();
    expect(bytes(host.identify(0x01))[525]! & 1).toBe(0);
    expect(host.complete({ opcode: 0x0a, cid: 1, cdw10: 0x06 }).status).toBe("0/02 DNR");
  });

  test("of a namespace describes size, format, atomicity and deallocation", () => {
    const host = new Bench({}, new FakeStore([512, 4096])).openAdmin();
    const identity = bytes(host.identify(0x00, 2));
    expect([0, 8, 16].map((at) => identity.readBigUInt64LE(at))).toEqual([1024n, 1024n, 5n]);
    expect({
      nsfeat: identity[24],
      nlbaf: identity[25],
      flbas: identity[26],
      nmic: identity[30],
      dlfeat: identity[33],
      nawun: identity.readUInt16LE(34),
      nawupf: identity.readUInt16LE(36),
      nacwu: identity.readUInt16LE(38),
      npwg: identity.readUInt16LE(64),
      npdg: identity.readUInt16LE(68),
      nows: identity.readUInt16LE(72),
    }).toEqual({
      nsfeat: 0x13,
      nlbaf: 0,
      flbas: 0,
      nmic: 1,
      dlfeat: 0x09,
      nawun: 31,
      nawupf: 0,
      nacwu: 31,
      npwg: 0,
      npdg: 63,
      nows: 31,
    });
    // The NGUID is the UUID; the format is 4096 bytes without metadata.
    expect(identity.subarray(104, 120)).toEqual(hex("00112233445566778899aabbccdd0002"));
    expect(identity.subarray(128, 132)).toEqual(hex("0000 0c 00"));
    expect(bytes(host.identify(0x00, 1)).subarray(128, 132)).toEqual(hex("0000 09 00"));
  });

  test("of an inactive namespace is zeros, of an impossible one an error", () => {
    const host = new Bench().openAdmin();
    expect(bytes(host.identify(0x00, 500)).equals(Buffer.alloc(4096))).toBe(true);
    for (const nsid of [0, 1025, 0xffff_ffff]) {
      expect(host.identify(0x00, nsid)).toMatchObject({ status: "0/0b DNR" });
    }
  });

  test("lists active namespaces above the one given", () => {
    const store = new FakeStore([512, 512, 512]);
    store.add(900);
    store.remove(2);
    const host = new Bench({}, store).openAdmin();
    const list = (nsid: number) => [
      ...new Uint32Array(Uint8Array.from(bytes(host.identify(0x02, nsid))).buffer),
    ];
    expect(list(0).slice(0, 4)).toEqual([1, 3, 900, 0]);
    expect(list(3).slice(0, 2)).toEqual([900, 0]);
    expect(host.identify(0x02, 0xffff_fffe)).toMatchObject({ status: "0/0b DNR" });
  });

  test("lists the NGUID and the UUID of a namespace, both the same bytes", () => {
    const host = new Bench().openAdmin();
    const descriptors = bytes(host.identify(0x03, 1));
    const uuid = "00112233445566778899aabbccdd0001";
    expect(descriptors.subarray(0, 44)).toEqual(hex(`02100000 ${uuid} 03100000 ${uuid} 00000000`));
    expect(host.identify(0x03, 2)).toMatchObject({ status: "0/0b DNR" });
  });

  test("knows the limits of the NVM command set and of no other", () => {
    const host = new Bench().openAdmin();
    expect(bytes(host.identify(0x06)).subarray(0, 4)).toEqual(hex("00 0d 00 00"));
    expect(bytes(host.identify(0x05, 1)).length).toBe(4096);
    expect(host.identify(0x06, 0, 0x0200_0000)).toMatchObject({ status: "0/02 DNR" });
    expect(host.identify(0x08, 1)).toMatchObject({ status: "0/02 DNR" });
  });

  test("sends nothing into an SGL of another length", () => {
    const host = new Bench().openAdmin();
    expect(host.read({ opcode: 0x06, cid: 2, cdw10: 1, length: 2048 })).toMatchObject({ status: "0/0f DNR" });
    expect(host.read({ opcode: 0x06, cid: 2, cdw10: 1, length: 4096, sgl: 0x00 })).toMatchObject({
      status: "0/11 DNR",
    });
  });
});

describe("Get Log Page", () => {
  test("serves error, SMART, firmware and effects pages, whole and from an offset", () => {
    const bench = new Bench();
    const admin = bench.openAdmin();
    const io = bench.openIo(admin);
    io.complete({ opcode: 1, cid: 1, nsid: 1, data: Buffer.alloc(512) });
    expect(bytes(admin.getLog(0x01, 64)).equals(Buffer.alloc(64))).toBe(true);
    const smart = bytes(admin.getLog(0x02, 512));
    expect([smart[0], smart.readUInt16LE(1), smart[3]]).toEqual([0, 298, 100]);
    expect(smart.readBigUInt64LE(80)).toBe(1n);
    expect(bytes(admin.getLog(0x03, 512)).subarray(0, 16)).toEqual(hex("0100000000000000 312e302020202020"));
    const effects = bytes(admin.getLog(0x05, 4096));
    const supported = (start: number) =>
      Array.from({ length: 256 }, (_, opcode) => [opcode, effects.readUInt32LE(start + opcode * 4)]).filter(
        ([, effect]) => effect !== 0,
      );
    expect(supported(0).map(([opcode]) => opcode)).toEqual([0x02, 0x06, 0x08, 0x09, 0x0a, 0x0c, 0x18]);
    expect(supported(1024)).toEqual([
      [0x00, 1],
      [0x01, 3],
      [0x02, 1],
      [0x05, 1],
      [0x08, 3],
      [0x09, 3],
    ]);
    expect(bytes(admin.getLog(0x05, 16, { offset: 1024 }))).toEqual(effects.subarray(1024, 1040));
    // Behind the end of a page there are zeros.
    expect(bytes(admin.getLog(0x03, 512, { offset: 508 })).equals(Buffer.alloc(512))).toBe(true);
  });

  test("refuses unknown pages, odd offsets, offsets beyond the page and more than one transfer", () => {
    const admin = new Bench().openAdmin();
    expect(admin.getLog(0x70, 16)).toMatchObject({ status: "1/09 DNR" });
    expect(admin.getLog(0x0c, 16)).toMatchObject({ status: "1/09 DNR" });
    expect(admin.getLog(0x02, 16, { offset: 2 })).toMatchObject({ status: "0/02 DNR" });
    expect(admin.getLog(0x02, 16, { offset: 516 })).toMatchObject({ status: "0/02 DNR" });
    expect(admin.getLog(0x02, 131_076)).toMatchObject({ status: "0/02 DNR" });
  });
});

describe("features", () => {
  const get = (host: Host, id: number, cdw11 = 0) =>
    host.complete({ opcode: 0x0a, cid: 1, cdw10: id, cdw11 });
  const set = (host: Host, id: number, cdw11: number) =>
    host.complete({ opcode: 0x09, cid: 1, cdw10: id, cdw11 });

  test("keep what is set and start from sensible values", () => {
    const host = new Bench().openAdmin({ keepAliveMs: 4500 });
    const initial = [0x01, 0x02, 0x04, 0x05, 0x06, 0x0a, 0x0b, 0x0f].map((id) => get(host, id).dw0);
    expect(initial).toEqual([7, 0, 348, 0, 1, 0, 0, 5000]);
    expect(set(host, 0x04, 0x155)).toMatchObject({ status: "0/00", dw0: 0 });
    expect(get(host, 0x04).dw0).toBe(0x155);
    expect(set(host, 0x0f, 1500).status).toBe("0/00");
    expect(get(host, 0x0f).dw0).toBe(2000);
    expect(set(host, 0x0b, 0x11f).status).toBe("0/00");
    expect(get(host, 0x0b).dw0).toBe(0x11f);
    expect(set(host, 0x06, 0).status).toBe("0/00");
    expect(get(host, 0x06).dw0).toBe(0);
  });

  test("grant all I/O queues, whatever is asked, except the impossible", () => {
    const host = new Bench({ ioQueueCountMax: 4 }).openAdmin();
    expect(set(host, 0x07, 0)).toMatchObject({ status: "0/00", dw0: 0x0003_0003 });
    expect(set(host, 0x07, 0x00ff_00ff)).toMatchObject({ status: "0/00", dw0: 0x0003_0003 });
    expect(set(host, 0x07, 0xffff_0000).status).toBe("0/02 DNR");
    expect(set(host, 0x07, 0x0000_ffff).status).toBe("0/02 DNR");
    expect(get(host, 0x07).dw0).toBe(0x0003_0003);
  });

  test("tell the 128-bit host identifier and let nobody change it", () => {
    const host = new Bench().openAdmin();
    expect(
      bytes(host.read({ opcode: 0x0a, cid: 1, cdw10: 0x81, cdw11: 1, length: 16 })).toString("hex"),
    ).toBe(hostId);
    expect(get(host, 0x81, 0).status).toBe("0/02 DNR");
    expect(set(host, 0x81, 1).status).toBe("1/0e DNR");
  });

  test("refuse what is unknown, cannot be saved or is reserved", () => {
    const host = new Bench().openAdmin();
    expect(get(host, 0x0e).status).toBe("0/02 DNR");
    expect(set(host, 0x16, 0).status).toBe("0/02 DNR");
    expect(host.complete({ opcode: 0x09, cid: 1, cdw10: 0x8000_0004, cdw11: 0 }).status).toBe("1/0d DNR");
    expect(set(host, 0x05, 0x1_0000).status).toBe("0/02 DNR");
    expect(set(host, 0x0b, 0x800).status).toBe("0/02 DNR");
  });

  test("return to their initial values on a reset", () => {
    const host = new Bench().openAdmin();
    set(host, 0x04, 1);
    set(host, 0x0b, 0x100);
    host.setProperty(0x14, 0x0046_0000);
    host.setProperty(0x14, 0x0046_0001);
    expect([get(host, 0x04).dw0, get(host, 0x0b).dw0]).toEqual([348, 0]);
  });
});

describe("a discovery controller", () => {
  test("lists itself and the subsystem at the address the host reached", () => {
    const host = new Bench().openAdmin({ nqn: discoveryNqn });
    const header = bytes(host.getLog(0x70, 16));
    expect([header.readBigUInt64LE(0), header.readBigUInt64LE(8)]).toEqual([1n, 2n]);
    const page = bytes(host.getLog(0x70, 3072));
    const entries = [page.subarray(1024, 2048), page.subarray(2048)];
    // TRTYPE 3, ADRFAM 1, SUBTYPE, TREQ 4, PORTID 1, CNTLID 0xffff, ASQSZ 32, EFLAGS 0
    expect(entries[0]!.subarray(0, 12)).toEqual(hex("03010304 0100 ffff 2000 0000"));
    expect(entries[1]!.subarray(0, 12)).toEqual(hex("03010204 0100 ffff 2000 0000"));
    for (const [index, nqn] of [discoveryNqn, subsystemNqn].entries()) {
      const text = (at: number, length: number) =>
        entries[index]!.toString("latin1", at, at + length).replace(/\0+$/, "");
      expect([text(32, 32), text(256, 256), text(512, 256)]).toEqual(["4420", nqn, "127.0.0.1"]);
    }
    expect(bytes(host.getLog(0x70, 1024, { offset: 2048 }))).toEqual(entries[1]);
  });

  test.for<[string, number, string, string]>([
    ["10.0.2.2", 1, "10.0.2.2", "4420"],
    ["10.0.2.2:14420", 1, "10.0.2.2", "14420"],
    ["[fd00::2]:14420", 2, "fd00::2", "14420"],
    ["[fd00::2]", 2, "fd00::2", "4420"],
  ])("names %s if that is to be advertised", ([advertise, family, address, service]) => {
    const host = new Bench({ advertise }).openAdmin({ nqn: discoveryNqn });
    const page = bytes(host.getLog(0x70, 3072));
    for (const entry of [page.subarray(1024, 2048), page.subarray(2048)]) {
      const text = (at: number, length: number) => entry.toString("latin1", at, at + length);
      expect(entry[1]).toBe(family);
      expect([text(512, 256), text(32, 32)]).toEqual([address.padEnd(256, "\0"), service.padEnd(32, "\0")]);
    }
  });

  test.for([
    "",
    "target.example",
    "10.0.2",
    "10.0.2.2:0",
    "10.0.2.2:65536",
    "fd00::2",
    "[10.0.2.2]",
    "[fd00::2]:x",
  ])("refuses to advertise '%s'", (advertise) => {
    expect(() => new Bench({ advertise })).toThrow(/^advertise/);
  });

  test("identifies itself, and offers nothing of an I/O controller", () => {
    const host = new Bench().openAdmin({ nqn: discoveryNqn });
    const identity = bytes(host.identify(0x01));
    expect([identity[111], identity.readUInt32LE(92), identity.readUInt32LE(516)]).toEqual([
      2, 0x8000_0000, 0,
    ]);
    expect(identity.toString("latin1", 768, 1024).replace(/\0+$/, "")).toBe(discoveryNqn);
    expect(host.identify(0x02)).toMatchObject({ status: "0/02 DNR" });
    expect(host.getLog(0x02, 512)).toMatchObject({ status: "1/09 DNR" });
    expect(host.complete({ opcode: 0x08, cid: 1 }).status).toBe("0/01 DNR");
    expect(host.complete({ opcode: 0x0a, cid: 1, cdw10: 0x07 }).status).toBe("0/02 DNR");
    expect(host.complete({ opcode: 0x18, cid: 1 }).status).toBe("0/00");
  });
});

test("unknown admin opcodes and fabrics types are refused", () => {
  const host = new Bench().openAdmin();
  expect(host.complete({ opcode: 0x86, cid: 1 }).status).toBe("0/01 DNR");
  // Authentication Send, Disconnect
  expect(host.complete({ opcode: 0x7f, cid: 1, nsid: 0x05 }).status).toBe("0/01 DNR");
  expect(host.complete({ opcode: 0x7f, cid: 1, nsid: 0x08 }).status).toBe("0/01 DNR");
});
