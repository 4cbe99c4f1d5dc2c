import { deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type ContentFormat,
  type ContentKind,
  contentFormat,
  contentKinds,
  inflateBlock,
  inflateSector,
  isStamped,
  kindOf,
  readHeader,
  readLine,
} from "../../src/generators/content.ts";
import { Kernel, RunKernel } from "../../src/generators/kernel.ts";
import { rng } from "../../src/generators/pcg.ts";
import { valueStream } from "../../src/generators/streams.ts";

const only = (kind: ContentKind) => ({ incompressible: 0, compressible: 0, text: 0, [kind]: 1 });
const mixed = { incompressible: 2, compressible: 1, text: 1 };
const format = (
  weights: Record<ContentKind, number>,
  order: "ascending" | "descending" = "ascending",
): ContentFormat => contentFormat({ seed: 42n, order, weights, compressionRatio: 2 });

const vdArb = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const addressArb = fc.record({
  volume: fc.integer({ min: 0, max: 4095 }),
  block: fc.oneof(fc.integer({ min: 0, max: 2 ** 30 }), fc.constantFrom(0, 2 ** 32, 2 ** 44 - 1)),
  sector: fc.integer({ min: 0, max: 7 }),
});

describe("the content of a sector", () => {
  test.for(contentKinds)("is its descriptor big-endian, run, address and tag, then fill (%s)", (kind) => {
    const bytes = inflateSector(format(only(kind)), 0x0102030405060708n, { volume: 5, block: 9, sector: 3 });
    expect([...bytes.subarray(0, 8)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    // block 9 << 20 | volume 5 << 8 | sector 3, little-endian.
    expect([...bytes.subarray(16, 24)]).toEqual([0x03, 0x05, 0x90, 0, 0, 0, 0, 0]);
    expect(bytes[24]).toBe(contentKinds.indexOf(kind));
  });

  test.for(contentKinds)("deflates to the descriptor and address that it was inflated from (%s)", (kind) => {
    const f = format(only(kind));
    fc.assert(
      fc.property(vdArb, addressArb, (vd, address) => {
        const sector = inflateSector(f, vd, address);
        expect(readHeader(f, sector)).toEqual({ vd, runId: f.runId, address, kind });
        expect(isStamped(sector)).toBe(true);
      }),
    );
  });

  test.for(contentKinds)("names its source in each of its 64-byte lines alone (%s)", (kind) => {
    const f = format(only(kind));
    fc.assert(
      fc.property(vdArb, addressArb, fc.integer({ min: 1, max: 7 }), (vd, address, line) => {
        const sector = inflateSector(f, vd, address);
        expect(readLine(f, sector.subarray(line * 64, line * 64 + 64), line)).toEqual({ vd, address });
      }),
      { numRuns: 100 },
    );
  });

  test.for([
    ["ascending", 1],
    ["descending", -1],
  ] as const)("sorts under memcmp as its descriptor (%s)", ([order, sign]) => {
    const f = format(mixed, order);
    fc.assert(
      fc.property(vdArb, vdArb, addressArb, (a, b, address) => {
        const bytes = Buffer.compare(inflateSector(f, a, address), inflateSector(f, b, address));
        expect(bytes).toBe(sign * (a < b ? -1 : a > b ? 1 : 0) + 0);
        expect(readHeader(f, inflateSector(f, a, address))?.vd).toBe(a);
      }),
    );
  });

  test("is never zeros, and zeros are no header", () => {
    expect(isStamped(new Uint8Array(512))).toBe(false);
    expect(readHeader(format(mixed), new Uint8Array(512))).toBeUndefined();
  });

  test("loses its header to any flipped bit of it", () => {
    const f = format(mixed);
    fc.assert(
      fc.property(vdArb, addressArb, fc.integer({ min: 0, max: 255 }), (vd, address, bit) => {
        const sector = inflateSector(f, vd, address);
        sector[bit >> 3]! ^= 1 << (bit & 7);
        expect(readHeader(f, sector)).toBeUndefined();
      }),
      { numRuns: 500 },
    );
  });

  test("shares no 64-byte line with another version, block, sector, volume or run", () => {
    const seen = new Set<string>();
    let lines = 0;
    const other = contentFormat({ seed: 43n, order: "ascending", weights: mixed, compressionRatio: 2 });
    for (const f of [format(only("incompressible")), other])
      for (let vd = 0n; vd < 5n; vd++)
        for (const volume of [0, 1])
          for (const block of [0, 1, 2 ** 32])
            for (let sector = 0; sector < 8; sector++) {
              const bytes = inflateSector(f, vd, { volume, block, sector });
              for (let at = 0; at < 512; at += 64, lines++)
                seen.add(Buffer.from(bytes.subarray(at, at + 64)).toString("latin1"));
            }
    // Lines of repeated key are the same within a compressible sector, and only there.
    const compressibleSectors =
      [...Array(5).keys()].filter((vd) => kindOf(other, BigInt(vd)) === 1).length * 2 * 3 * 8;
    expect(lines - seen.size).toBeLessThanOrEqual(compressibleSectors * 4);
  });

  test.for([
    ["incompressible", 2, 0.99, 1.05],
    ["compressible", 2, 1.7, 2.3],
    ["compressible", 4, 3.3, 4.7],
    ["text", 2, 1.5, 2.5],
  ] as const)("compresses as its kind says: %s, ratio %d", ([kind, compressionRatio, least, most]) => {
    const f = contentFormat({ seed: 1n, order: "ascending", weights: only(kind), compressionRatio });
    const blocks = Buffer.concat(
      Array.from({ length: 64 }, (_, block) =>
        inflateBlock(f, { vd: rng(1n, 1n, valueStream(0, block)), volume: 0, block, sectorCount: 8 }),
      ),
    );
    const ratio = blocks.length / deflateRawSync(blocks, { level: 9 }).length;
    expect(ratio).toBeGreaterThan(least);
    expect(ratio).toBeLessThan(most);
  });

  test("has the kinds in the proportion of their weights, and none of weight zero", () => {
    const f = format({ incompressible: 6, compressible: 0, text: 2 });
    const counts = [0, 0, 0];
    for (let i = 0; i < 4000; i++) counts[kindOf(f, rng(7n, BigInt(i + 1), 1n))]!++;
    expect(counts[1]).toBe(0);
    expect(counts[2]! / 4000).toBeGreaterThan(0.22);
    expect(counts[2]! / 4000).toBeLessThan(0.28);
  });
});

describe("the content kernels", () => {
  const kernel = new Kernel({ memoryBytes: 8 * 2 ** 20 });
  const blockCount = 16;
  const data = kernel.allocate(blockCount * 4096);
  const positions = kernel.allocateFloat64(blockCount);
  const verdicts = kernel.allocate(blockCount);
  const classes = kernel.allocate(blockCount);
  const vds = kernel.allocateUint64(blockCount);
  const found = kernel.allocateUint64(blockCount);
  const positionArb = fc.oneof(
    fc.integer({ min: 1, max: 1 << 20 }),
    fc.constantFrom(1, 2 ** 32, Number.MAX_SAFE_INTEGER),
  );
  const atArb = fc.record({
    volume: fc.integer({ min: 0, max: 4095 }),
    block: fc.oneof(
      fc.integer({ min: 0, max: 2 ** 40 }),
      fc.constantFrom(0, 2 ** 32 - 3, 2 ** 44 - blockCount),
    ),
    blockCount: fc.integer({ min: 1, max: blockCount }),
    sectorCount: fc.constantFrom(1, 8),
  });

  test.for(["ascending", "descending"] as const)("inflate the bytes of the reference (%s)", (order) => {
    const f = format(mixed, order);
    const run = new RunKernel(kernel, f);
    fc.assert(
      fc.property(atArb, positionArb, (at, position) => {
        run.inflate(at, data.address, position);
        const blockBytes = at.sectorCount * 512;
        for (let k = 0; k < at.blockCount; k++) {
          const block = at.block + k;
          const vd = rng(f.seed, BigInt(position), valueStream(at.volume, block));
          const expected = inflateBlock(f, { vd, volume: at.volume, block, sectorCount: at.sectorCount });
          expect(Buffer.compare(data.bytes.subarray(k * blockBytes, (k + 1) * blockBytes), expected)).toBe(0);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("verify what they inflated, block by block, and see any flipped bit", () => {
    const run = new RunKernel(kernel, format(mixed));
    fc.assert(
      fc.property(
        atArb,
        fc.array(positionArb, { minLength: blockCount, maxLength: blockCount }),
        fc.nat(),
        (at, list, where) => {
          const blockBytes = at.sectorCount * 512;
          data.bytes.fill(0);
          for (let k = 0; k < at.blockCount; k++) {
            // Every fifth block was never written, every seventh made zero.
            positions.values[k] = k % 5 === 4 ? 0 : k % 7 === 6 ? -list[k]! : list[k]!;
            if (positions.values[k]! > 0)
              run.inflate(
                { ...at, block: at.block + k, blockCount: 1 },
                data.address + k * blockBytes,
                list[k]!,
              );
          }
          expect(run.verify(at, data.address, positions.address, verdicts.address)).toBe(0);
          const bit = where % (at.blockCount * blockBytes * 8);
          data.bytes[bit >> 3]! ^= 1 << (bit & 7);
          expect(run.verify(at, data.address, positions.address, verdicts.address)).toBe(1);
          expect(verdicts.bytes.subarray(0, at.blockCount).indexOf(1)).toBe(Math.floor(bit / 8 / blockBytes));
        },
      ),
      { numRuns: 200 },
    );
  });

  test("deflate a block to the position that wrote it, and only at its own address", () => {
    const run = new RunKernel(kernel, format(mixed));
    fc.assert(
      fc.property(atArb, positionArb, (at, position) => {
        run.inflate(at, data.address, position);
        run.values({ ...at }, fillPositions(position), vds.address);
        const expected = vds.values.slice(0, at.blockCount);
        run.deflate(at, data.address, {
          classes: classes.address,
          vds: vds.address,
          positions: found.address,
        });
        for (let k = 0; k < at.blockCount; k++) {
          expect(classes.bytes[k]).toBe(1);
          expect(vds.values[k]).toBe(expected[k]);
          expect(found.values[k]).toBe(BigInt(position));
        }
        const elsewhere = { ...at, block: at.block === 0 ? 1 : at.block - 1 };
        run.deflate(elsewhere, data.address, {
          classes: classes.address,
          vds: vds.address,
          positions: found.address,
        });
        expect([...classes.bytes.subarray(0, at.blockCount)]).toEqual(Array(at.blockCount).fill(2));
      }),
      { numRuns: 60 },
    );
  });

  function fillPositions(position: number): number {
    positions.values.fill(position);
    return positions.address;
  }

  test("draw within the bound, from every part of it", () => {
    const run = new RunKernel(kernel, format(mixed));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), positionArb, (bound, position) => {
        const drawn = run.draw(position, 3, 0, bound);
        const value = rng(42n, BigInt(position), 3n << 57n);
        expect(BigInt(drawn)).toBe((value * BigInt(bound)) >> 64n);
      }),
    );
    const counts = new Array<number>(10).fill(0);
    for (let position = 1; position <= 10_000; position++) counts[run.draw(position, 4, 1, 10)]!++;
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
  });
});
