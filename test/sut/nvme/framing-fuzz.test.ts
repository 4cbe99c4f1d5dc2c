import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PduReader } from "../../../src/sut/nvme/framing.ts";
import { PduError, type PduHeader, plainWire } from "../../../src/sut/nvme/pdu.ts";
import * as captures from "./captures.ts";

const limits = { inCapsuleLengthMax: 4096, transferLengthMax: 4096 };
const digests = { headerDigest: true, dataDigest: true, alignmentBytes: 4 };

const streams = [
  captures.icRespLinux,
  captures.capReply,
  captures.responseDigest,
  captures.r2t256KiB,
  Buffer.concat([captures.c2hDataDigests, Buffer.alloc(4096), Buffer.from("8941f998", "hex")]),
  captures.icReqPlain,
  Buffer.concat([captures.connectAdmin, Buffer.alloc(1024)]),
  captures.propertyGetCap,
];

/** Counts what it is handed; every PDU must respect the limits, whatever the bytes say. */
function feedAll(stream: Uint8Array, role: "host" | "controller", mode: number): "ended" | "refused" {
  const scratch = new Uint8Array(4096);
  const reader = new PduReader(
    {
      onHeader: (header: PduHeader) => {
        if (header.dataLengthBytes > 4096) throw new Error("data beyond the limit was announced as fine");
        header.destination = header.dataLengthBytes > 0 ? scratch : undefined;
      },
      onPdu: () => {},
    },
    { role, limits },
  );
  if (mode === 1) reader.negotiated(plainWire, limits);
  if (mode === 2) reader.negotiated(digests, limits);
  try {
    reader.feed(stream);
    return "ended";
  } catch (error) {
    if (error instanceof PduError && error.fes >= 1 && error.fes <= 6) return "refused";
    throw error;
  }
}

describe("PduReader fed with garbage", () => {
  // Seeded here: the whole point is the number of cases, and each is cheap.
  test("ends 60000 mutated captures with acceptance or a PduError", () => {
    let state = 0x5eed;
    const draw = (bound: number) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 0x1_0000_0000) * bound);
    };
    const verdicts = { ended: 0, refused: 0 };
    for (let turn = 0; turn < 60_000; turn++) {
      const stream = Buffer.from(streams[draw(streams.length)]!.subarray(0, 200));
      const changes = 1 + draw(4);
      for (let i = 0; i < changes; i++) stream[draw(draw(2) === 0 ? 8 : stream.length)] = draw(256);
      const end = draw(4) === 0 ? draw(stream.length) : stream.length;
      const role = draw(2) === 0 ? "host" : "controller";
      verdicts[feedAll(stream.subarray(0, end), role, draw(3))] += 1;
    }
    expect(verdicts.refused).toBeGreaterThan(1000);
    expect(verdicts.ended).toBeGreaterThan(1000);
  });

  test("ends 40000 streams of arbitrary bytes with acceptance or a PduError", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 48 }),
        fc.constantFrom("host" as const, "controller" as const),
        fc.nat(2),
        (stream, role, mode) => {
          feedAll(stream, role, mode);
        },
      ),
      { numRuns: 40_000 },
    );
  });
});
