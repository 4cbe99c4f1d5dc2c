import { describe, expect, test } from "vitest";
import {
  decodeCommandSetLimits,
  decodeControllerIdentity,
  decodeNamespaceDescriptors,
  decodeNamespaceIdentity,
  decodeNamespaceList,
  encodeCommandSetLimits,
  encodeControllerIdentity,
  encodeNamespaceDescriptors,
  encodeNamespaceIdentity,
  encodeNamespaceList,
  formatInUse,
  inCapsuleLengthBytes,
} from "../../../src/sut/nvme/identify.ts";
import { image, linuxController } from "./linux-controller.ts";

const linuxControllerDecoded = {
  rab: 6,
  cmic: 0x0b,
  mdts: 0,
  version: 0x10300,
  oaes: 0x900,
  ctratt: 0x41,
  controllerType: 1,
  acl: 3,
  aerl: 3,
  frmw: 3,
  lpa: 7,
  elpe: 127,
  kas: 10,
  anatt: 10,
  anacap: 0x1f,
  anagrpmax: 128,
  nanagrpid: 128,
  sqes: 0x66,
  cqes: 0x44,
  maxcmd: 1024,
  nn: 1024,
  oncs: 0x0c,
  vwc: 1,
  nwpc: 1,
  sgls: 0x100001,
  mnan: 1024,
  ioccsz: 0x404,
  iorcsz: 1,
  icdoff: 0,
  msdbd: 1,
  psd0MaximumPower: 0x9c4,
};

describe("Identify Controller", () => {
  test("is read and written as the Linux target sends it", () => {
    expect(decodeControllerIdentity(image(4096, linuxController))).toMatchObject(linuxControllerDecoded);
    expect(encodeControllerIdentity(linuxControllerDecoded)).toEqual(image(4096, linuxController));
  });

  test("pads serial and model number with spaces and the NQN with NULs", () => {
    const encoded = encodeControllerIdentity({
      serialNumber: "42",
      modelNumber: "harrow",
      firmwareRevision: "1",
      subsystemNqn: "nqn.2024-01.test:sub1",
    });
    expect(encoded.toString("latin1", 4, 24)).toBe("42                  ");
    expect(encoded.toString("latin1", 64, 72)).toBe("1       ");
    expect(encoded.toString("latin1", 768, 791)).toBe("nqn.2024-01.test:sub1\0\0");
    expect(decodeControllerIdentity(encoded)).toMatchObject({
      serialNumber: "42",
      modelNumber: "harrow",
      subsystemNqn: "nqn.2024-01.test:sub1",
    });
  });

  test("gives the room for in-capsule data", () => {
    expect(inCapsuleLengthBytes(0x404)).toBe(16_384);
    expect(inCapsuleLengthBytes(0x104)).toBe(4096);
    expect(inCapsuleLengthBytes(4)).toBe(0);
    expect(inCapsuleLengthBytes(0)).toBe(0);
  });
});

describe("Identify Namespace", () => {
  const encoded = image(4096, {
    0: "00 00 20 00 00 00 00 00", // NSZE
    8: "00 00 20 00 00 00 00 00", // NCAP
    16: "00 10 00 00 00 00 00 00", // NUSE
    24: "12", // NSFEAT: atomic units and granularity count
    25: "01", // two formats
    26: "01", // the second is in use
    30: "01",
    33: "09", // zeros, also by write zeroes
    34: "07 00 07 00 00 00", // NAWUN, NAWUPF, NACWU
    46: "00 01", // NOIOB
    104: "00112233445566778899aabbccddeeff",
    128: "08 00 0c 00", // format 0: metadata
    132: "00 00 09 00", // format 1: 512 bytes
  });
  const decoded = {
    nsze: 0x200000n,
    ncap: 0x200000n,
    nuse: 0x1000n,
    nsfeat: 0x12,
    flbas: 1,
    nmic: 1,
    dlfeat: 9,
    nawun: 7,
    nawupf: 7,
    nacwu: 0,
    noiob: 256,
    nguid: "00112233445566778899aabbccddeeff",
    eui64: undefined,
    lbaFormats: [
      { metadataLengthBytes: 8, blockSizeShift: 12 },
      { metadataLengthBytes: 0, blockSizeShift: 9 },
    ],
  };

  test("is read and written as the specification lays it out", () => {
    expect(decodeNamespaceIdentity(encoded)).toMatchObject(decoded);
    expect(encodeNamespaceIdentity(decoded)).toEqual(encoded);
  });

  test("names the format in use, and none if the index points nowhere", () => {
    expect(formatInUse(decodeNamespaceIdentity(encoded))).toEqual({
      metadataLengthBytes: 0,
      blockSizeShift: 9,
    });
    const outside = Buffer.from(encoded);
    outside[26] = 0x22;
    expect(formatInUse(decodeNamespaceIdentity(outside))).toBeUndefined();
  });
});

describe("namespace descriptors", () => {
  const uuid = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
  test("are read and written as the Linux target sends them", () => {
    const captured = image(4096, { 0: "03 10 00 00 f81d4fae7dec11d0a76500a0c91e6bf6 04 01 00 00 00" });
    expect(decodeNamespaceDescriptors(captured)).toEqual({ uuid, commandSet: 0 });
    expect(encodeNamespaceDescriptors({ uuid, commandSet: 0 })).toEqual(captured);
  });

  test("hold NGUID and EUI64, pass over unknown types, and stop where a length does not fit", () => {
    const list = image(4096, {
      0: "01 08 00 00 0102030405060708  09 02 00 00 ffff  02 10 00 00 000102030405060708090a0b0c0d0e0f  03 ff",
    });
    expect(decodeNamespaceDescriptors(list.subarray(0, 42))).toEqual({
      eui64: "0102030405060708",
      nguid: "000102030405060708090a0b0c0d0e0f",
    });
  });
});

describe("namespace lists", () => {
  test("end with a zero or with the page", () => {
    expect(decodeNamespaceList(image(4096, { 0: "01000000 03000000 00000000 07000000" }))).toEqual([1, 3]);
    const full = Array.from({ length: 1024 }, (_, index) => index + 1);
    expect(decodeNamespaceList(encodeNamespaceList(full))).toEqual(full);
    expect(encodeNamespaceList([...full, 1025])).toHaveLength(4096);
  });
});

describe("limits of the NVM command set", () => {
  test("are read and written as the specification lays them out", () => {
    const encoded = image(4096, { 1: "03", 3: "10", 4: "00 00 01 00", 8: "00 00 00 00 01 00 00 00" });
    const limits = { vsl: 0, wzsl: 3, wusl: 0, dmrl: 16, dmrsl: 65_536, dmsl: 0x1_0000_0000n };
    expect(decodeCommandSetLimits(encoded)).toEqual(limits);
    expect(encodeCommandSetLimits(limits)).toEqual(encoded);
  });
});
