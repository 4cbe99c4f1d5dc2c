import { describe, expect, test } from "vitest";
import { adminOpcode, writeCdw, writeSgl, writeSqe } from "../../../src/sut/nvme/commands.ts";
import { writeCqe } from "../../../src/sut/nvme/completions.ts";
import { writeConnectSqe, writePropertyGetSqe, writePropertySetSqe } from "../../../src/sut/nvme/fabrics.ts";
import { encodeIcReq, encodeIcResp } from "../../../src/sut/nvme/initialization.ts";
import { plainWire, pduFlag, pduType, type WireFormat } from "../../../src/sut/nvme/pdu.ts";
import {
  dataOffsetBytes,
  encodeC2hData,
  encodeCapsuleCmd,
  encodeCapsuleResp,
  encodeH2cData,
  encodeR2t,
  encodeTermReq,
} from "../../../src/sut/nvme/pdu-encoding.ts";
import { Slab } from "../../../src/sut/nvme/slab.ts";
import { statusCode, statusField } from "../../../src/sut/nvme/status.ts";
import { bytes, zeros } from "./bytes.ts";
import * as captures from "./captures.ts";

const digests: WireFormat = { headerDigest: true, dataDigest: true, alignmentBytes: 4 };
const headerDigest: WireFormat = { headerDigest: true, dataDigest: false, alignmentBytes: 4 };
const at = 16;

/** What `write` puts at offset 16 of a slab that held something else before. */
function written(write: (slab: Slab) => number): string {
  const slab = new Slab(512);
  slab.bytes.fill(0xee);
  const length = write(slab);
  expect(slab.bytes.subarray(0, at).every((byte) => byte === 0xee)).toBe(true);
  expect(slab.bytes.subarray(at + length).every((byte) => byte === 0xee)).toBe(true);
  return slab.bytes.toString("hex", at, at + length);
}

const icReq = { hostAlignmentBytes: 4, r2tCountMax: 1 };
const connect = { qid: 0, sqsize: 31, keepAliveMs: 5000 };
const { connectInvalidHost, connectInvalidParameters } = statusCode;

const cases: Record<string, readonly [Buffer, (slab: Slab) => number]> = {
  ICReq: [
    captures.icReqPlain,
    (slab) => encodeIcReq(slab, at, { ...icReq, headerDigest: false, dataDigest: false }),
  ],
  "ICReq that asks for digests": [
    captures.icReqBothDigests,
    (slab) => encodeIcReq(slab, at, { ...icReq, headerDigest: true, dataDigest: true }),
  ],
  ICResp: [
    captures.icRespLinux,
    (slab) =>
      encodeIcResp(slab, at, {
        controllerAlignmentBytes: 4,
        headerDigest: false,
        dataDigest: false,
        h2cDataLengthMax: 0x400000,
      }),
  ],
  "admin Connect": [
    captures.connectAdmin,
    (slab) => {
      writeConnectSqe(slab, at + 8, 0, { ...connect, disablesSqFlowControl: false });
      return encodeCapsuleCmd(slab, at, plainWire, 1024);
    },
  ],
  "admin Connect with digests and without SQ flow control": [
    captures.connectAdminDigests,
    (slab) => {
      writeConnectSqe(slab, at + 8, 0, { ...connect, disablesSqFlowControl: true });
      return encodeCapsuleCmd(slab, at, digests, 1024);
    },
  ],
  "Property Get of CAP": [
    captures.propertyGetCap,
    (slab) => {
      writePropertyGetSqe(slab, at + 8, 1, 0, true);
      return encodeCapsuleCmd(slab, at, digests, 0);
    },
  ],
  "Property Set of CC": [
    captures.propertySetCc,
    (slab) => {
      writePropertySetSqe(slab, at, 0x1000, 0x14, 0x00460060);
      return 64;
    },
  ],
  "Identify of the controller": [
    captures.identifyControllerSqe,
    (slab) => {
      writeSqe(slab, at, adminOpcode.identify, 2, 0);
      writeSgl(slab, at, 0x5a, 4096);
      writeCdw(slab, at, 10, 1);
      return 64;
    },
  ],
  "answer to Property Get of CAP": [
    captures.capReply,
    (slab) => {
      writeCqe(slab, at + 8, 1, 0, 2, 0, 0x0f0003ff, 0x0820);
      return encodeCapsuleResp(slab, at, plainWire);
    },
  ],
  "completion of an async event request": [
    captures.asyncEventReply,
    (slab) => {
      writeCqe(slab, at + 8, 0x1f, 0, 0x17, 0, 0x00040002, 0);
      return encodeCapsuleResp(slab, at, plainWire);
    },
  ],
  "response with a header digest": [
    captures.responseDigest,
    (slab) => {
      writeCqe(slab, at + 8, 0x62, 0, 0, 1, 0, 0);
      return encodeCapsuleResp(slab, at, headerDigest);
    },
  ],
  "refusal of a host": [
    captures.hostRefused,
    (slab) => {
      writeCqe(slab, at + 8, 0, statusField(connectInvalidHost, true), 0, 0, 0x10200, 0);
      return encodeCapsuleResp(slab, at, plainWire);
    },
  ],
  "refusal of an unknown subsystem": [
    captures.subsystemUnknown,
    (slab) => {
      writeCqe(slab, at + 8, 0, statusField(connectInvalidParameters, true), 0, 0, 0x10100, 0);
      return encodeCapsuleResp(slab, at, plainWire);
    },
  ],
  R2T: [captures.r2t256KiB, (slab) => encodeR2t(slab, at, plainWire, 0x65, 5, 0, 262144)],
  H2CData: [captures.h2cData256KiB, (slab) => encodeH2cData(slab, at, plainWire, 0x65, 5, 0, 262144, true)],
  "C2HData with digests": [
    captures.c2hDataDigests,
    (slab) => encodeC2hData(slab, at, digests, 0x42, 0, 4096, pduFlag.last | pduFlag.success),
  ],
};

describe("PDU encoding", () => {
  test.for(Object.entries(cases))("writes the captured %s", ([, [expected, write]]) => {
    expect(written(write)).toBe(expected.toString("hex"));
  });

  test("puts data at the first multiple of the alignment behind header and digest", () => {
    expect(dataOffsetBytes(24, plainWire)).toBe(24);
    expect(dataOffsetBytes(24, digests)).toBe(28);
    expect(dataOffsetBytes(24, { ...digests, alignmentBytes: 16 })).toBe(32);
    expect(dataOffsetBytes(72, { ...plainWire, alignmentBytes: 64 })).toBe(128);
    expect(dataOffsetBytes(24, { ...plainWire, alignmentBytes: 24 })).toBe(24);
  });

  test("fills the padding with zeros and counts it in PDO and PLEN", () => {
    const wire = { ...plainWire, alignmentBytes: 32 };
    expect(written((slab) => encodeC2hData(slab, at, wire, 7, 0, 512, pduFlag.last))).toBe(
      bytes(`
        07 04 18 20      ; PDO 32
        20 02 00 00      ; PLEN 32 + 512
        07 00 00 00  00 00 00 00  00 02 00 00  00 00 00 00
        ${zeros(8)}      ; padding`).toString("hex"),
    );
  });

  test("says in a TermReq what was wrong and attaches the header", () => {
    const offendingHeader = captures.r2t256KiB;
    expect(
      written((slab) => encodeTermReq(slab, at, pduType.h2cTermReq, { fes: 1, fei: 4, offendingHeader })),
    ).toBe(
      bytes(`
        02 00 18 00      ; H2CTermReq
        30 00 00 00      ; PLEN 24 + 24
        01 00            ; FES 1
        04 00 00 00      ; FEI: byte 4
        ${zeros(10)}
        ${offendingHeader.toString("hex")}`).toString("hex"),
    );
  });

  test("never sends a TermReq without data, and never one beyond 152 bytes", () => {
    const error = (length: number) => ({ fes: 2, fei: 0, offendingHeader: new Uint8Array(length) });
    expect(written((slab) => encodeTermReq(slab, at, pduType.c2hTermReq, error(0)))).toHaveLength(2 * 48);
    expect(written((slab) => encodeTermReq(slab, at, pduType.c2hTermReq, error(400)))).toHaveLength(2 * 152);
  });
});
