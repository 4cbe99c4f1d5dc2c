import { describe, expect, test } from "vitest";
import {
  decodeCommandEffects,
  decodeDiscoveryEntries,
  decodeDiscoveryHeader,
  decodeErrorLog,
  decodeSmartLog,
  encodeCommandEffects,
  encodeDiscoveryLog,
  encodeErrorLog,
  encodeSmartLog,
} from "../../../src/sut/nvme/log-pages.ts";
import { bytes } from "./bytes.ts";

describe("discovery log page", () => {
  const entry = Buffer.alloc(1024);
  entry.set(bytes("03 01 02 04 01 00 ff ff 20 00 00 00"), 0); // as the Linux target sends it
  entry.write("4420", 32);
  entry.write("nqn.2024-01.test:sub1", 256);
  entry.write("10.0.2.15", 512);
  const decoded = {
    transportType: 3,
    addressFamily: 1,
    subtype: 2,
    transportRequirements: 4,
    portId: 1,
    cntlid: 0xffff,
    adminQueueEntriesMax: 32,
    flags: 0,
    serviceId: "4420",
    subsystemNqn: "nqn.2024-01.test:sub1",
    address: "10.0.2.15",
    securityType: 0,
  };

  test("is read and written as the Linux target sends it", () => {
    const header = Buffer.alloc(1024);
    header.set(bytes("05 00 00 00 00 00 00 00  01 00 00 00 00 00 00 00  00 00"), 0);
    const page = Buffer.concat([header, entry]);
    expect(decodeDiscoveryHeader(page)).toEqual({ generation: 5n, recordCount: 1n, recordFormat: 0 });
    expect(decodeDiscoveryEntries(page.subarray(1024))).toEqual([decoded]);
    expect(encodeDiscoveryLog(5n, [decoded])).toEqual(page);
  });

  test("may pad its text with spaces, as some targets do, and may end inside of an entry", () => {
    const padded = Buffer.from(entry);
    padded.fill(" ", 36, 64);
    padded.fill(" ", 521, 768);
    expect(decodeDiscoveryEntries(Buffer.concat([padded, entry.subarray(0, 100)]))).toEqual([decoded]);
  });
});

describe("SMART log page", () => {
  test("is laid out as the specification says", () => {
    const page = Buffer.alloc(512);
    page.set(bytes("00 2c 01 64 0a 03"), 0); // 300 K, 100 % spare, threshold 10 %, 3 % used
    page.set(bytes("01 00 00 00 00 00 00 00  01"), 48); // data units written: 2^64 + 1
    const log = {
      temperature: 300,
      availableSparePercent: 100,
      availableSpareThresholdPercent: 10,
      usedPercent: 3,
      dataUnitsWritten: 2n ** 64n + 1n,
    };
    expect(decodeSmartLog(page)).toMatchObject(log);
    expect(encodeSmartLog(log)).toEqual(page);
  });
});

describe("error log page", () => {
  test("is laid out as the specification says, and leaves out entries that are not in use", () => {
    const page = Buffer.alloc(128);
    page.set(
      bytes("01 00 00 00 00 00 00 00  02 00  07 00  00 01  28 00  00 10 00 00 00 00 00 00  03 00 00 00"),
      0,
    );
    page.set(bytes("03 00 01"), 29);
    const entry = {
      errorCount: 1n,
      sqid: 2,
      cid: 7,
      status: 0x100,
      parameterLocation: 40,
      block: 0x1000n,
      nsid: 3,
      transportType: 3,
      opcode: 1,
    };
    expect(decodeErrorLog(page)).toEqual([entry]);
    expect(encodeErrorLog([entry, {}])).toEqual(page);
  });
});

describe("commands and effects log page", () => {
  test("has admin commands first and I/O commands from byte 1024 on", () => {
    const page = Buffer.alloc(4096);
    page.writeUInt32LE(1, 6 * 4);
    page.writeUInt32LE(3, 1024 + 1 * 4);
    const effects = { admin: new Map([[6, 1]]), io: new Map([[1, 3]]) };
    expect(decodeCommandEffects(page)).toEqual(effects);
    expect(encodeCommandEffects(effects)).toEqual(page);
  });
});
