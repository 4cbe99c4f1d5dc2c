import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { digest } from "../../../src/sut/nvme/digest.ts";
import { type PduHandler, PduReader } from "../../../src/sut/nvme/framing.ts";
import type { DataLimits } from "../../../src/sut/nvme/header-check.ts";
import { decodeIcReq, decodeIcResp } from "../../../src/sut/nvme/initialization.ts";
import { PduError, type PduHeader, plainWire, type WireFormat } from "../../../src/sut/nvme/pdu.ts";
import { bytes, zeros } from "./bytes.ts";
import * as captures from "./captures.ts";

const limits: DataLimits = { inCapsuleLengthMax: 8192, transferLengthMax: 262_144 };
const digests: WireFormat = { headerDigest: true, dataDigest: true, alignmentBytes: 4 };

/** Keeps what it is told, with data copied to buffers of its own. */
class Recorder implements PduHandler {
  readonly events: string[] = [];
  readonly payloads: Buffer[] = [];

  onHeader(header: PduHeader): void {
    this.events.push(`header ${header.type} data ${header.dataLengthBytes}`);
    if (header.dataLengthBytes === 0) return;
    header.destination = Buffer.alloc(header.dataLengthBytes + 3, 0xaa);
    header.destinationOffset = 3;
  }

  onPdu(header: PduHeader, isDataIntact: boolean): void {
    const fields = Buffer.from(header.bytes.subarray(8, header.hlen)).toString("hex");
    this.events.push(`pdu ${header.type} flags ${header.flags} ${fields} ${isDataIntact}`);
    if (header.destination !== undefined) this.payloads.push(Buffer.from(header.destination));
  }
}

function reader(
  role: "host" | "controller",
  wire: WireFormat | undefined,
  recorder = new Recorder(),
): PduReader {
  const made = new PduReader(recorder, { role, limits });
  if (wire !== undefined) made.negotiated(wire, limits);
  return made;
}

/** The error that a stream ends with. */
function refusal(role: "host" | "controller", wire: WireFormat | undefined, stream: Uint8Array): PduError {
  try {
    reader(role, wire).feed(stream);
  } catch (error) {
    if (error instanceof PduError) return error;
    throw error;
  }
  throw new Error("the stream was accepted");
}

const payload = Buffer.from(Array.from({ length: 4096 }, (_, index) => (index * 7) & 0xff));
const payloadDigest = Buffer.alloc(4);
payloadDigest.writeUInt32LE(digest(payload));

describe("PduReader", () => {
  test("hands out a captured C2HData with its data where the handler wants it", () => {
    const recorder = new Recorder();
    reader("host", digests, recorder).feed(Buffer.concat([captures.c2hDataDigests, payload, payloadDigest]));
    expect(recorder.events).toEqual([
      "header 7 data 4096",
      "pdu 7 flags 15 42000000000000000010000000000000 true",
    ]);
    expect(recorder.payloads).toEqual([Buffer.concat([Buffer.alloc(3, 0xaa), payload])]);
  });

  test("reports a data digest that does not match and goes on", () => {
    const recorder = new Recorder();
    const stream = [captures.c2hDataDigests, payload, Buffer.alloc(4), captures.responseDigest];
    reader("host", digests, recorder).feed(Buffer.concat(stream));
    expect(recorder.events.filter((event) => event.startsWith("pdu"))).toEqual([
      "pdu 7 flags 15 42000000000000000010000000000000 false",
      "pdu 5 flags 1 00000000000000000000010062000000 true",
    ]);
  });

  test("skips padding in front of the data", () => {
    const recorder = new Recorder();
    const padded = bytes(`
      07 04 18 20  24 00 00 00  07 00 00 00  00 00 00 00  04 00 00 00  00 00 00 00
      ff ff ff ff ff ff ff ff  ; padding, whatever it holds
      01 02 03 04`);
    reader("host", plainWire, recorder).feed(padded);
    expect(recorder.payloads).toEqual([bytes("aa aa aa 01 02 03 04")]);
  });

  test("takes a command capsule with and without in-capsule data", () => {
    const recorder = new Recorder();
    const stream = [captures.connectAdminDigests, payload.subarray(0, 1024), Buffer.alloc(4)];
    reader("controller", digests, recorder).feed(Buffer.concat([...stream, captures.propertyGetCap]));
    expect(recorder.events.filter((event) => event.startsWith("header"))).toEqual([
      "header 4 data 1024",
      "header 4 data 0",
    ]);
  });

  test("drops data that has no destination, and still checks its digest", () => {
    const seen: boolean[] = [];
    const dropping = new PduReader(
      { onHeader: () => {}, onPdu: (_, isDataIntact) => void seen.push(isDataIntact) },
      { role: "host", limits },
    );
    dropping.negotiated(digests, limits);
    const stream = [captures.c2hDataDigests, payload, payloadDigest];
    dropping.feed(Buffer.concat([...stream, captures.c2hDataDigests, payload, Buffer.alloc(4)]));
    expect(seen).toEqual([true, false]);
    expect(dropping.isInsidePdu).toBe(false);
  });

  test("reads nothing more once it is stopped", () => {
    let count = 0;
    const stopping = new PduReader(
      {
        onHeader: () => {},
        onPdu: () => {
          count += 1;
          stopping.stop();
        },
      },
      { role: "host", limits },
    );
    stopping.negotiated(plainWire, limits);
    stopping.feed(Buffer.concat([captures.capReply, captures.capReply]));
    expect(count).toBe(1);
  });

  test("applies what was negotiated from the next PDU on, also within a chunk", () => {
    const events: number[] = [];
    const negotiating = new PduReader(
      {
        onHeader: () => {},
        onPdu: (header) => {
          events.push(header.type);
          if (header.type === 1) negotiating.negotiated(digests, limits);
        },
      },
      { role: "host", limits },
    );
    negotiating.feed(Buffer.concat([captures.icRespLinux, captures.responseDigest]));
    expect(events).toEqual([1, 5]);
  });

  test("agrees with itself however the stream is cut", () => {
    const hostStream = Buffer.concat([
      captures.responseDigest,
      captures.c2hDataDigests,
      payload,
      payloadDigest,
      captures.responseDigest,
      captures.c2hDataDigests,
      payload,
      Buffer.alloc(4),
    ]);
    const whole = new Recorder();
    reader("host", digests, whole).feed(hostStream);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 20 }), (sizes) => {
        const split = new Recorder();
        const fed = reader("host", digests, split);
        // A chunk is overwritten once it has been fed, as a socket's static buffer is.
        for (let at = 0, turn = 0; at < hostStream.length; turn++) {
          const end = Math.min(hostStream.length, at + sizes[turn % sizes.length]!);
          const chunk = Buffer.from(hostStream.subarray(at, end));
          fed.feed(chunk);
          chunk.fill(0x5a);
          at = end;
        }
        expect(split).toEqual(whole);
        expect(fed.isInsidePdu).toBe(false);
      }),
      { examples: [[[1]], [[3]], [[7, 8]], [[24, 4, 4096]]] },
    );
  });

  test("ignores the data digest flag of a capsule without data, which some hosts set", () => {
    const recorder = new Recorder();
    const capsule = Buffer.alloc(72);
    capsule.set([4, 2, 72, 0, 72, 0, 0, 0]);
    reader("controller", { ...plainWire, dataDigest: true }, recorder).feed(capsule);
    expect(recorder.events[0]).toBe("header 4 data 0");
  });

  test("reads the fatal error status and the attached header of a TermReq, before or after initialization", () => {
    const termReq = bytes(`
      03 00 18 00  20 00 00 00
      05 00            ; FES 5
      0c 00 00 00      ; FEI 12
      ${zeros(10)}
      04 00 48 48  48 04 00 00`);
    for (const wire of [undefined, digests]) {
      const seen: number[] = [];
      const made = new PduReader(
        {
          onHeader: () => {},
          onPdu: (header) => void seen.push(header.fatalErrorStatus, header.fatalErrorInformation),
        },
        { role: "host", limits },
      );
      if (wire !== undefined) made.negotiated(wire, limits);
      made.feed(termReq);
      expect(seen).toEqual([5, 12]);
    }
  });
});

describe("PduReader refuses", () => {
  const c2h = (head: string) =>
    bytes(`${head}  07 00 00 00  00 00 00 00  00 02 00 00  00 00 00 00 ${zeros(512)}`);
  const rows: Record<
    string,
    readonly ["host" | "controller", WireFormat | undefined, Buffer, { fes: number; fei: number }]
  > = {
    "an unknown type": ["host", plainWire, bytes("08 00 18 00 18 00 00 00"), { fes: 1, fei: 0 }],
    "a PDU of the other direction": ["host", plainWire, captures.h2cData256KiB, { fes: 1, fei: 0 }],
    "a response as a controller": ["controller", plainWire, captures.capReply, { fes: 1, fei: 0 }],
    "a capsule before initialization": ["controller", undefined, captures.connectAdmin, { fes: 2, fei: 0 }],
    "a second ICReq": ["controller", plainWire, captures.icReqPlain, { fes: 2, fei: 0 }],
    "a missing header digest": ["host", digests, captures.capReply, { fes: 1, fei: 1 }],
    "an unexpected header digest": ["host", plainWire, captures.responseDigest, { fes: 1, fei: 1 }],
    "a missing data digest": [
      "host",
      { ...plainWire, dataDigest: true },
      c2h("07 04 18 18 18 02 00 00"),
      { fes: 1, fei: 1 },
    ],
    "SUCCESS without LAST": ["host", plainWire, c2h("07 08 18 18 18 02 00 00"), { fes: 1, fei: 1 }],
    "a wrong HLEN": ["host", plainWire, bytes("05 00 19 00 18 00 00 00"), { fes: 1, fei: 2 }],
    "data inside of the header": ["host", plainWire, c2h("07 04 18 14 18 02 00 00"), { fes: 1, fei: 3 }],
    "data at an odd offset": ["host", plainWire, c2h("07 04 18 19 19 02 00 00"), { fes: 1, fei: 3 }],
    "a PLEN shorter than the header": [
      "host",
      plainWire,
      bytes("05 00 18 00 17 00 00 00"),
      { fes: 1, fei: 4 },
    ],
    "a response with data": ["host", plainWire, bytes("05 00 18 00 1c 00 00 00"), { fes: 1, fei: 4 }],
    "C2HData without data": ["host", plainWire, c2h("07 04 18 18 18 00 00 00"), { fes: 1, fei: 4 }],
    "a PDO behind the end": [
      "host",
      plainWire,
      c2h("07 04 18 20 18 02 00 00").fill(0x1c, 4, 5).fill(0, 5, 6),
      { fes: 1, fei: 4 },
    ],
    "a TermReq beyond 152 bytes": ["host", plainWire, bytes("03 00 18 00 99 00 00 00"), { fes: 1, fei: 4 }],
    "a DATAL that PLEN contradicts": ["host", plainWire, c2h("07 04 18 18 1c 02 00 00"), { fes: 1, fei: 16 }],
    "4 GiB of data": ["host", plainWire, bytes("07 04 18 18 ff ff ff ff"), { fes: 5, fei: 0 }],
    "4 GiB in a capsule": ["controller", plainWire, bytes("04 00 48 48 ff ff ff ff"), { fes: 5, fei: 0 }],
    "a wrong header digest": [
      "host",
      digests,
      Buffer.from(captures.responseDigest).fill(1, 24),
      { fes: 3, fei: 0x01010101 },
    ],
  };
  test.for(Object.entries(rows))("%s", ([, [role, wire, stream, expected]]) => {
    const error = refusal(role, wire, stream);
    expect({ fes: error.fes, fei: error.fei }).toEqual(expected);
    expect(error.offendingHeader.length).toBeGreaterThanOrEqual(8);
    expect(Buffer.from(error.offendingHeader)).toEqual(stream.subarray(0, error.offendingHeader.length));
  });

  test("what its handler refuses, and attaches the header", () => {
    const refusing = new PduReader(
      {
        onHeader: () => {
          throw new PduError(4, 0, "no such command");
        },
        onPdu: () => {},
      },
      { role: "host", limits },
    );
    refusing.negotiated(plainWire, limits);
    expect(() => refusing.feed(captures.r2t256KiB)).toThrow("no such command");
    expect(() => refusing.feed(captures.r2t256KiB)).not.toThrow();
  });

  test("a destination that is too small for the data", () => {
    const cramped = new PduReader(
      {
        onHeader: (header) => {
          header.destination = new Uint8Array(4095);
        },
        onPdu: () => {},
      },
      { role: "host", limits },
    );
    cramped.negotiated(digests, limits);
    expect(() => cramped.feed(captures.c2hDataDigests)).toThrow(RangeError);
  });
});

describe("connection initialization", () => {
  /** Feeds one PDU and returns what `decode` makes of it. */
  function decoded<T>(role: "host" | "controller", pdu: Uint8Array, decode: (header: PduHeader) => T): T {
    let result: T | undefined;
    const made = new PduReader(
      { onHeader: () => {}, onPdu: (header) => void (result = decode(header)) },
      { role, limits },
    );
    made.feed(pdu);
    return result!;
  }

  test("reads the captured ICReq and ICResp", () => {
    expect(decoded("controller", captures.icReqBothDigests, decodeIcReq)).toEqual({
      hostAlignmentBytes: 4,
      headerDigest: true,
      dataDigest: true,
      r2tCountMax: 1,
    });
    expect(decoded("host", captures.icRespLinux, decodeIcResp)).toEqual({
      controllerAlignmentBytes: 4,
      headerDigest: false,
      dataDigest: false,
      h2cDataLengthMax: 4_194_304,
    });
  });

  const changed = (offset: number, ...values: number[]) => {
    const pdu = Buffer.from(captures.icRespLinux);
    pdu.set(values, offset);
    return pdu;
  };
  const rows: Record<string, readonly [Buffer, number]> = {
    "another PDU format version": [changed(8, 1), 8],
    "an alignment beyond 128 bytes": [changed(10, 32), 10],
    "a MAXH2CDATA of 0": [changed(12, 0, 0, 0, 0), 12],
    "a MAXH2CDATA of 4098": [changed(12, 2, 16, 0, 0), 12],
  };
  test.for(Object.entries(rows))("refuses %s", ([, [pdu, fei]]) => {
    expect(() => decoded("host", pdu, decodeIcResp)).toThrow(
      expect.objectContaining({ name: "PduError", fes: 1, fei }),
    );
  });
});
