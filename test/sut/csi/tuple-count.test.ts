import * as fc from "fast-check";
import { expect, test } from "vitest";
import { countTuples } from "../../../src/sut/csi/tuple-count.ts";
import { encode } from "./raw-server.ts";

const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String);

test("counts what a message holds, whatever its numbers are", () => {
  const messages = fc.record({
    block_metadata_type: fc.constantFrom(0, 1, 2),
    volume_capacity_bytes: int64,
    block_metadata: fc.array(fc.record({ byte_offset: int64, size_bytes: int64 })),
  });
  fc.assert(
    fc.property(messages, (message) => {
      expect(countTuples(encode(message))).toBe(message.block_metadata.length);
    }),
  );
});

test("passes over fields that it does not know", () => {
  // Fields 5 to 8: varint, 8 bytes, 3 bytes of a text, 4 bytes; then a tuple.
  const bytes = [0x28, 0x96, 1, 0x31, 1, 2, 3, 4, 5, 6, 7, 8, 0x3a, 3, 97, 98, 99, 0x45, 1, 2, 3, 4, 0x1a, 0];
  expect(countTuples(Uint8Array.from(bytes))).toBe(1);
});

test("ends with any bytes, and says if they are no message", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      const count = countTuples(bytes);
      expect(count === undefined || count <= bytes.length / 2).toBe(true);
    }),
  );
  for (const bytes of [[0x1a], [0x1a, 5, 0], [0xff], [0x0b], Array<number>(11).fill(0x80)])
    expect(countTuples(Uint8Array.from(bytes))).toBeUndefined();
});
