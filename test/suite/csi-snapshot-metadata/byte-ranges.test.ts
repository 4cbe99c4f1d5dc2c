import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  type ByteRange,
  joined,
  minus,
  roundedOut,
  since,
} from "../../../src/suite/csi-snapshot-metadata/byte-ranges.ts";

const range = fc.tuple(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 8 }));
const ranges = fc
  .array(range, { maxLength: 8 })
  .map((all) => all.map(([start, count]): ByteRange => ({ start, end: start + count })));

/** The same as a set of bytes, one by one. */
function bytesOf(all: readonly ByteRange[]): Set<number> {
  const bytes = new Set<number>();
  for (const { start, end } of all) for (let at = start; at < end; at++) bytes.add(at);
  return bytes;
}

const sorted = (bytes: Iterable<number>) => [...bytes].sort((a, b) => a - b);

test("ranges are the sets of bytes that they stand for", () => {
  fc.assert(
    fc.property(ranges, ranges, fc.integer({ min: 0, max: 70 }), (first, second, offset) => {
      const [a, b] = [bytesOf(first), bytesOf(second)];
      expect(sorted(bytesOf(joined(first)))).toEqual(sorted(a));
      expect(sorted(bytesOf(minus(joined(first), joined(second))))).toEqual(
        sorted([...a].filter((byte) => !b.has(byte))),
      );
      expect(sorted(bytesOf(since(joined(first), offset)))).toEqual(
        sorted([...a].filter((byte) => byte >= offset)),
      );
      const units = new Set([...a].map((byte) => Math.floor(byte / 4)));
      expect(new Set([...bytesOf(roundedOut(joined(first), 4))].map((byte) => Math.floor(byte / 4)))).toEqual(
        units,
      );
    }),
  );
});

test("joined ranges ascend, with gaps between them", () => {
  fc.assert(
    fc.property(ranges, (all) => {
      const found = joined(all);
      for (const [index, { start, end }] of found.entries()) {
        expect(end).toBeGreaterThan(start);
        if (index > 0) expect(start).toBeGreaterThan(found[index - 1]!.end);
      }
    }),
  );
});
