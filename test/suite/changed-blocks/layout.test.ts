import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BlockVersions } from "../../../src/suite/changed-blocks/block-versions.ts";
import { Layout } from "../../../src/suite/changed-blocks/layout.ts";

const published = { blockSizeBytes: 4096, unitBlocks: 64, offsetBytes: 0, scale: 1 };

describe("the layout", () => {
  test("has the published places at scale 1", () => {
    const layout = new Layout(published);
    // 200 to 250 MB, and LBA 250,880, which is 980 MB.
    expect(layout.region(200, 50)).toEqual({ block: 51_200, blockCount: 12_800, name: "200–250 MB" });
    expect(layout.region(980, 1).block).toBe(250_880);
    const places = layout.places({ at: 400, length: 1, stride: 10, count: 10 });
    expect(places).toHaveLength(10);
    expect(places.at(-1)?.name).toBe("490–491 MB");
    expect(layout.gap(places[0]!, places[1]!)).toMatchObject({ name: "401–410 MB" });
    expect(layout.places({ at: 1020, length: 1, stride: 3, count: 100 }).at(-1)?.name).toBe("1317–1318 MB");
    expect(layout.blockCount * 4096).toBe(1776 * 2 ** 20);
  });

  test("keeps neighbours side by side, and whole units, at every scale and offset", () => {
    const scales = fc.double({ min: 0.025, max: 1, noNaN: true });
    fc.assert(
      fc.property(scales, fc.nat(2 ** 30), fc.nat(150), (scale, offsetBytes, at) => {
        const layout = new Layout({ ...published, scale, offsetBytes });
        const [first, second] = [layout.region(at * 10, 10), layout.region(at * 10 + 10, 15)];
        expect(first.block + first.blockCount).toBe(second.block);
        for (const { block, blockCount } of [first, second]) {
          expect([block % 64, blockCount % 64, blockCount > 0]).toEqual([0, 0, true]);
          expect(block * 4096).toBeGreaterThanOrEqual(offsetBytes);
        }
        const places = layout.places({ at: 400, length: 1, stride: 3, count: 100 });
        for (const [index, place] of places.slice(1).entries())
          expect(layout.gap(places[index]!, place).blockCount).toBeGreaterThanOrEqual(64);
      }),
    );
  });
});

describe("versions of blocks", () => {
  const ranges = fc.record({ block: fc.nat(9_000), blockCount: fc.integer({ min: 1, max: 5_000 }) });
  const changes = fc.array(fc.tuple(ranges, fc.constantFrom(1, 2, 3, -1, -2)), { maxLength: 6 });
  const size = 15_000;

  test("are those of an array, also of states that were frozen before", () => {
    fc.assert(
      fc.property(changes, changes, fc.constantFrom(0, Number.NaN), (before, after, first) => {
        const versions = new BlockVersions(first);
        const plain = new Float64Array(size).fill(first);
        const apply = (some: typeof before): void => {
          for (const [range, version] of some) {
            versions.set(range, version);
            plain.fill(version, range.block, range.block + range.blockCount);
          }
        };
        apply(before);
        const frozen = versions.freeze();
        const then = plain.slice();
        apply(after);
        expect(all(versions)).toEqual(plain);
        expect(all(frozen)).toEqual(then);
        const differing = [...versions.differingFrom(frozen).blocks()];
        const expected = [...plain.keys()].filter(
          (block) =>
            plain[block] !== then[block] &&
            !Number.isNaN(plain[block]) &&
            (plain[block]! > 0 || then[block]! > 0),
        );
        expect(differing).toEqual(expected);
        const copy = new BlockVersions(first);
        copy.copy({ block: 0, blockCount: size }, versions);
        expect(all(copy)).toEqual(plain);
      }),
      { numRuns: 25 },
    );
  });

  test("count zeros as zeros, whoever made them", () => {
    const [one, other] = [new BlockVersions(0), new BlockVersions(0)];
    one.set({ block: 5, blockCount: 2 }, -1);
    other.set({ block: 6, blockCount: 2 }, -2);
    expect([...one.differingFrom(other).blocks()]).toEqual([]);
    other.set({ block: 6, blockCount: 1 }, 3);
    expect([...one.differingFrom(other).blocks()]).toEqual([6]);
    expect([...other.written().blocks()]).toEqual([6]);
  });

  function all(versions: BlockVersions): Float64Array {
    const read = new Float64Array(size);
    versions.read(0, read);
    return read;
  }
});
