import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PduSplitter } from "../../../src/gallery/wire/pdu-splitter.ts";
import type { Direction, WirePdu } from "../../../src/gallery/wire/wire-pdu.ts";
import { PduError } from "../../../src/sut/nvme/pdu.ts";
import { bytes, zeros } from "../../sut/nvme/bytes.ts";
import * as captures from "../../sut/nvme/captures.ts";
import { cut, digest, hostPdu, icReq, withDigests, write } from "./pdus.ts";

const plain = { headerDigest: false, dataDigest: false, alignmentBytes: 4 };
const digests = { headerDigest: true, dataDigest: true, alignmentBytes: 4 };

class Recorder {
  readonly pdus: WirePdu[] = [];
  /** Everything, understood or not, in order. */
  readonly all: Buffer[] = [];
  readonly splitter: PduSplitter;

  constructor(direction: Direction, wire: typeof plain | undefined) {
    this.splitter = new PduSplitter(direction, {
      onPdu: (pdu) => {
        this.pdus.push(pdu);
        this.all.push(pdu.bytes);
      },
      onUnknown: (unknown) => void this.all.push(unknown),
    });
    if (wire !== undefined) this.splitter.negotiated(wire);
  }
}

function refusal(recorder: Recorder, stream: Buffer): PduError {
  try {
    recorder.splitter.feed(stream);
  } catch (error) {
    if (error instanceof PduError) return error;
    throw error;
  }
  throw new Error("the stream was accepted");
}

describe("PduSplitter", () => {
  test("gives back every byte of any PDUs, wherever the stream is cut", () => {
    fc.assert(
      fc.property(
        fc.array(hostPdu, { maxLength: 12 }),
        fc.array(fc.nat(), { maxLength: 20 }),
        fc.nat({ max: 60 }),
        (pdus, places, missing) => {
          const whole = Buffer.concat(pdus);
          const stream = whole.subarray(0, Math.max(0, whole.length - missing));
          const recorder = new Recorder("toTarget", plain);
          for (const piece of cut(stream, places)) recorder.splitter.feed(piece);
          expect(Buffer.concat([...recorder.all, recorder.splitter.rest])).toEqual(stream);
          expect(recorder.all).toEqual(pdus.slice(0, recorder.all.length));
        },
      ),
    );
  });

  test("takes a stream byte by byte as it takes it whole", () => {
    const recorder = new Recorder("toTarget", plain);
    for (const byte of Buffer.concat([write, write])) recorder.splitter.feed(Buffer.of(byte));
    expect(recorder.pdus.map(({ bytes: whole }) => whole)).toEqual([write, write]);
  });

  test("finds command, CID and data of a write", () => {
    const recorder = new Recorder("toTarget", plain);
    recorder.splitter.feed(write);
    expect(recorder.pdus[0]).toMatchObject({ type: 4, cid: 0x21, opcode: 1, direction: "toTarget" });
    expect(recorder.pdus[0]!.data).toEqual(write.subarray(72));
  });

  test("finds the CID of captured data and completions, and the data between digests", () => {
    const payload = Buffer.alloc(4096, 3);
    const recorder = new Recorder("toHost", digests);
    recorder.splitter.feed(Buffer.concat([captures.c2hDataDigests, payload, digest(payload)]));
    recorder.splitter.feed(captures.responseDigest);
    expect(recorder.pdus.map(({ cid }) => cid)).toEqual([0x42, 0x62]);
    expect(recorder.pdus[0]!.data).toEqual(payload);
  });

  test("does not claim to understand a PDU whose header digest does not match", () => {
    const damaged = Buffer.from(captures.responseDigest);
    damaged[20]! ^= 1;
    const recorder = new Recorder("toHost", digests);
    recorder.splitter.feed(damaged);
    expect(recorder.pdus).toEqual([]);
    expect(recorder.all).toEqual([damaged]);
  });

  const impossible: Record<string, string> = {
    "longer than any PDU": "04 00 48 48  00 00 80 00",
    "almost 4 GiB long": "06 04 18 18  ff ff ff ff",
    "shorter than the common header": "05 00 18 00  07 00 00 00",
  };
  test.for(Object.entries(impossible))(
    "refuses a PDU that is %s as soon as its length is there",
    ([, header]) => {
      const recorder = new Recorder("toTarget", plain);
      const start = bytes(header);
      expect(refusal(recorder, start)).toMatchObject({
        fes: 1,
        fei: 4,
        offendingHeader: Uint8Array.from(start),
      });
      // Nothing beyond what had come was kept.
      expect(recorder.splitter.rest.length).toBe(8);
    },
  );

  test("takes no memory for data that has only been announced", () => {
    const before = process.memoryUsage().arrayBuffers;
    const splitters = Array.from({ length: 200 }, () => new Recorder("toTarget", plain).splitter);
    // H2CData of 4 MiB.
    for (const splitter of splitters) splitter.feed(bytes("06 04 18 18  18 00 40 00"));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 * 1024 * 1024);
  });

  test("refuses anything but connection initialization to begin with", () => {
    const recorder = new Recorder("toTarget", undefined);
    recorder.splitter.feed(icReq);
    expect(refusal(recorder, write)).toMatchObject({ fes: 2 });
    expect(
      refusal(new Recorder("toTarget", undefined), Buffer.from("GET / HTTP/1.1\r\n\r\n")),
    ).toBeInstanceOf(PduError);
    const unknown = bytes(`0a 00 08 00  0c 00 00 00 ${zeros(4)}`);
    expect(refusal(new Recorder("toTarget", undefined), unknown)).toMatchObject({ fes: 1, fei: 0 });
  });
});

describe("WirePdu", () => {
  test("has digests that fit after a change of header and data, and leaves the original as it was", () => {
    const original = withDigests(write);
    const recorder = new Recorder("toTarget", digests);
    recorder.splitter.feed(Buffer.from(original));
    const { pdus } = recorder;
    const changed = pdus[0]!.changed((view, data) => {
      view.setUint32(8 + 40, 99, true);
      data.fill(0x55);
    });
    const expected = Buffer.from(write);
    expected.writeUInt32LE(99, 48);
    expected.fill(0x55, 72);
    expect(changed.bytes).toEqual(withDigests(expected));
    expect(pdus[0]!.bytes).toEqual(original);
  });

  test("writes no digests where there were none", () => {
    const recorder = new Recorder("toTarget", plain);
    recorder.splitter.feed(write);
    const expected = Buffer.from(write);
    expected[87] = 0xff;
    expect(recorder.pdus[0]!.changed((_, data) => void (data[15] = 0xff)).bytes).toEqual(expected);
  });
});
