import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { digest } from "../../../src/sut/nvme/digest.ts";

describe("digest", () => {
  const ascending = Uint8Array.from({ length: 32 }, (_, index) => index);
  const vectors: Record<string, readonly [Uint8Array, number]> = {
    "the check string": [Buffer.from("123456789"), 0xe3069283],
    "32 zeros (RFC 3720)": [new Uint8Array(32), 0x8a9136aa],
    "32 ones (RFC 3720)": [new Uint8Array(32).fill(0xff), 0x62a8ab43],
    "0 to 31 (RFC 3720)": [ascending, 0x46dd794e],
    "31 to 0 (RFC 3720)": [ascending.toReversed(), 0x113fdb5c],
    "512 zeros": [new Uint8Array(512), 0x30fcedc0],
    "4096 zeros": [new Uint8Array(4096), 0x98f94189],
  };
  test.for(Object.entries(vectors))("is CRC-32C for %s", ([, [input, expected]]) => {
    expect(digest(input)).toBe(expected);
  });

  test("continues from the digest of what came before", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(), (input, split) => {
        const at = split % (input.length + 1);
        expect(digest(input.subarray(at), digest(input.subarray(0, at)))).toBe(digest(input));
      }),
    );
  });
});
