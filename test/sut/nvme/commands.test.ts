import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  fuse,
  ioControl,
  isSglAddressZero,
  nvmOpcode,
  readBlockCount,
  readCdw,
  readCid,
  readControl,
  readDeallocateRange,
  readFuse,
  readGetLogPage,
  readNsid,
  readOpcode,
  readPsdt,
  readSglIdentifier,
  readSglLength,
  readSlba,
  sglIdentifier,
  writeDeallocateRange,
  writeFuse,
  writeGetLogPage,
  writeNlb,
  writeSgl,
  writeSlba,
  writeSqe,
} from "../../../src/sut/nvme/commands.ts";
import {
  readCqeCid,
  readCqeDw0,
  readCqeDw1,
  readCqeSqHead,
  readCqeStatus,
} from "../../../src/sut/nvme/completions.ts";
import {
  decodeCapabilities,
  decodeConnectData,
  encodeCapabilities,
  encodeConnectData,
  readConnectSqe,
  readPropertySqe,
} from "../../../src/sut/nvme/fabrics.ts";
import { Slab } from "../../../src/sut/nvme/slab.ts";
import { describeStatus, parseStatus, statusCode, statusField } from "../../../src/sut/nvme/status.ts";
import { bytes } from "./bytes.ts";
import * as captures from "./captures.ts";

const viewOf = (buffer: Buffer) => new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);

describe("submission queue entries", () => {
  test("are read as a Linux host sent them", () => {
    const identify = viewOf(captures.identifyControllerSqe);
    expect(readOpcode(identify, 0)).toBe(6);
    expect(readPsdt(identify, 0)).toBe(1);
    expect(readCid(identify, 0)).toBe(2);
    expect(readSglIdentifier(identify, 0)).toBe(sglIdentifier.transport);
    expect(readSglLength(identify, 0)).toBe(4096);
    expect(isSglAddressZero(identify, 0)).toBe(true);
    expect(readCdw(identify, 0, 10)).toBe(1);
  });

  test("of a readahead name LBA 0x280 and 128 blocks, with hints that are left alone", () => {
    const view = viewOf(Buffer.concat([Buffer.alloc(40), captures.readaheadDwords, Buffer.alloc(8)]));
    expect(readSlba(view, 0)).toBe(0x280);
    expect(readBlockCount(view, 0)).toBe(128);
    expect(readControl(view, 0) & ioControl.forceUnitAccess).toBe(0);
  });

  test("of a fused write with FUA are laid out as the specification says", () => {
    const slab = new Slab(72);
    slab.bytes.fill(0xff);
    writeSqe(slab, 8, nvmOpcode.write, 0x1234, 3);
    writeFuse(slab, 8, fuse.second);
    writeSgl(slab, 8, sglIdentifier.inCapsule, 8192);
    writeSlba(slab, 8, 0x12_3456_789a);
    writeNlb(slab, 8, 16, ioControl.forceUnitAccess);
    expect(slab.bytes.subarray(8).toString("hex")).toBe(
      bytes(`
        01 42 34 12      ; write, FUSE 10b, PSDT 01b, CID
        03 00 00 00      ; NSID
        00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
        00 00 00 00 00 00 00 00
        00 20 00 00      ; 8192 bytes
        00 00 00 01      ; in the capsule
        9a 78 56 34 12 00 00 00   ; SLBA
        0f 00 00 40      ; NLB 15, FUA
        00 00 00 00 00 00 00 00 00 00 00 00`).toString("hex"),
    );
    expect(readFuse(slab.view, 8)).toBe(fuse.second);
    expect(readControl(slab.view, 8)).toBe(ioControl.forceUnitAccess);
    expect(readNsid(slab.view, 8)).toBe(3);
  });

  test("keep any LBA below 2^53 and any NLB", () => {
    const slab = new Slab(64);
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.integer({ min: 1, max: 65_536 }), (block, blockCount) => {
        writeSlba(slab, 0, block);
        writeNlb(slab, 0, blockCount, 0);
        expect(readSlba(slab.view, 0)).toBe(block);
        expect(readBlockCount(slab.view, 0)).toBe(blockCount);
      }),
    );
  });

  test("of Get Log Page carry length and offset in dwords and bytes", () => {
    const slab = new Slab(64);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 0x4000_0000 }), fc.maxSafeNat(), (dwords, offsetBytes) => {
        writeSqe(slab, 0, 2, 0, 0);
        writeGetLogPage(slab, 0, { logId: 0x70, lengthBytes: dwords * 4, offsetBytes });
        expect(readGetLogPage(slab.view, 0)).toEqual({
          logId: 0x70,
          lengthBytes: dwords * 4,
          offsetBytes,
          retainsEvent: false,
        });
      }),
    );
  });

  test("carry deallocate ranges as Linux sends them", () => {
    const list = Buffer.alloc(32);
    const captured = bytes("00000000 80000000 0008000000000000");
    writeDeallocateRange(viewOf(list), 16, 0, { block: 0x800, blockCount: 128 });
    expect(list.subarray(16)).toEqual(captured);
    expect(readDeallocateRange(viewOf(list), 0, 1)).toEqual({ block: 0x800, blockCount: 128 });
  });
});

describe("completions", () => {
  test("are read as a Linux target sent them", () => {
    const refused = viewOf(captures.hostRefused);
    expect(readCqeDw0(refused, 8)).toBe(0x10200);
    expect(describeStatus(parseStatus(readCqeStatus(refused, 8)))).toBe(
      "connect invalid host (1/84, do not retry)",
    );
    const cap = viewOf(captures.capReply);
    expect([readCqeCid(cap, 8), readCqeSqHead(cap, 8), readCqeStatus(cap, 8)]).toEqual([1, 2, 0]);
    expect(decodeCapabilities(readCqeDw0(cap, 8), readCqeDw1(cap, 8))).toEqual({
      mqes: 1023,
      timeoutHalfSeconds: 15,
      supportsNvmCommandSet: true,
      supportsCommandSets: true,
    });
  });

  test("ignore the phase bit", () => {
    expect(readCqeStatus(viewOf(bytes("00000000 00000000 00000000 0000 0100")), 0)).toBe(0);
  });

  test("have a status field that is taken apart as it was put together", () => {
    for (const code of Object.values(statusCode)) {
      for (const dnr of [false, true]) {
        expect(parseStatus(statusField(code, dnr))).toEqual({ sct: code.sct, sc: code.sc, dnr });
      }
    }
    expect(statusField(statusCode.connectInvalidHost, true)).toBe(0x8308);
    expect(describeStatus({ sct: 7, sc: 0xc0, dnr: false })).toBe("unnamed status (7/c0)");
  });

  test("have one name per status", () => {
    const codes = Object.values(statusCode).map(({ sct, sc }) => sct * 256 + sc);
    expect(new Set(codes).size).toBe(codes.length);
  });
});

describe("fabrics commands", () => {
  test("are read as a Linux host sent them", () => {
    expect(readConnectSqe(viewOf(captures.connectAdminDigests), 8)).toEqual({
      recordFormat: 0,
      qid: 0,
      sqsize: 31,
      disablesSqFlowControl: true,
      keepAliveMs: 5000,
    });
    expect(readPropertySqe(viewOf(captures.propertySetCc), 0)).toEqual({
      offset: 0x14,
      isWide: false,
      value: 0x00460060,
    });
    expect(readPropertySqe(viewOf(captures.propertyGetCap), 8)).toMatchObject({ offset: 0, isWide: true });
  });

  test("put Connect data where the specification says", () => {
    const data = encodeConnectData({
      hostId: bytes("000102030405060708090a0b0c0d0e0f"),
      cntlid: 0xffff,
      subsystemNqn: "nqn.2024-01.test:sub1",
      hostNqn: "nqn.2024-01.test:host",
    });
    expect(data).toHaveLength(1024);
    expect(data.toString("hex", 0, 18)).toBe("000102030405060708090a0b0c0d0e0fffff");
    expect(data.toString("latin1", 256, 278)).toBe("nqn.2024-01.test:sub1\0");
    expect(data.toString("latin1", 512, 534)).toBe("nqn.2024-01.test:host\0");
    expect(decodeConnectData(data)).toMatchObject({
      cntlid: 0xffff,
      subsystemNqn: "nqn.2024-01.test:sub1",
      hostNqn: "nqn.2024-01.test:host",
    });
  });

  test("refuse an NQN field without an end or with bytes that are no UTF-8", () => {
    expect(decodeConnectData(new Uint8Array(1024).fill(0x61)).subsystemNqn).toBeUndefined();
    const broken = new Uint8Array(1024);
    broken[512] = 0xff;
    expect(decodeConnectData(broken).hostNqn).toBeUndefined();
  });

  test("keep capabilities", () => {
    const cap = {
      mqes: 127,
      timeoutHalfSeconds: 60,
      supportsNvmCommandSet: true,
      supportsCommandSets: false,
    };
    const { low, high } = encodeCapabilities(cap);
    expect(decodeCapabilities(low, high)).toEqual(cap);
    expect([low, high]).toEqual([0x3c01007f, 0x20]);
  });
});
