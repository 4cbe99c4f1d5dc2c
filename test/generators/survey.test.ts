import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { contentFormat } from "../../src/generators/content.ts";
import { Kernel, RunKernel, surveyCodes } from "../../src/generators/kernel.ts";

const weights = { incompressible: 2, compressible: 1, text: 1 };
const formatOf = (seed: bigint, order: "ascending" | "descending" = "ascending") =>
  contentFormat({ seed, order, weights, compressionRatio: 2 });

describe("the survey kernel", () => {
  const kernel = new Kernel({ memoryBytes: 4 * 2 ** 20 });
  const blockCount = 8;
  const data = kernel.allocate(blockCount * 4096);
  const codes = kernel.allocateFloat64(blockCount);
  const details = kernel.allocateUint64(2 * blockCount);
  const numbers = new Float64Array(kernel.buffer, details.address, 2 * blockCount);
  const out = { codes: codes.address, details: details.address };
  const runs = {
    ascending: new RunKernel(kernel, formatOf(42n)),
    descending: new RunKernel(kernel, formatOf(42n, "descending")),
  };
  const foreign = {
    ascending: new RunKernel(kernel, formatOf(43n)),
    descending: new RunKernel(kernel, formatOf(43n, "descending")),
  };
  const orderArb = fc.constantFrom<("ascending" | "descending")[]>("ascending", "descending");
  const atArb = fc.record({
    volume: fc.integer({ min: 0, max: 4095 }),
    block: fc.oneof(
      fc.integer({ min: 0, max: 2 ** 40 }),
      fc.constantFrom(0, 2 ** 32 - 3, 2 ** 44 - 2 * blockCount),
    ),
    blockCount: fc.integer({ min: 1, max: blockCount }),
    sectorCount: fc.constantFrom(1, 8),
  });
  const positionArb = fc.oneof(
    fc.integer({ min: 1, max: 1 << 20 }),
    fc.constantFrom(1, 2 ** 32, Number.MAX_SAFE_INTEGER),
  );

  test("gives each whole block the position that wrote it, zeros 0, and counts what is not zeros", () => {
    fc.assert(
      fc.property(
        atArb,
        orderArb,
        fc.array(positionArb, { minLength: 8, maxLength: 8 }),
        (at, order, positions) => {
          const blockBytes = at.sectorCount * 512;
          data.bytes.fill(0);
          const expected: number[] = [];
          for (let k = 0; k < at.blockCount; k++) {
            expected.push(k % 3 === 2 ? 0 : positions[k]!);
            if (k % 3 !== 2)
              runs[order].inflate(
                { ...at, block: at.block + k, blockCount: 1 },
                data.address + k * blockBytes,
                positions[k]!,
              );
          }
          const filled = runs[order].survey(at, data.address, out);
          expect([...codes.values.subarray(0, at.blockCount)]).toEqual(expected);
          expect(filled).toBe(expected.filter((one) => one > 0).length);
        },
      ),
      { numRuns: 200 },
    );
  });

  test("gives a whole block that lies elsewhere the address and position that it was written for", () => {
    fc.assert(
      fc.property(
        atArb,
        orderArb,
        positionArb,
        fc.integer({ min: 1, max: 8 }),
        (at, order, position, distance) => {
          runs[order].inflate(at, data.address, position);
          const there = { ...at, block: at.block + distance };
          runs[order].survey(there, data.address, out);
          for (let k = 0; k < at.blockCount; k++) {
            expect(codes.values[k]).toBe(surveyCodes.misplaced);
            expect(details.values[2 * k]).toBe((BigInt(at.block + k) << 20n) | (BigInt(at.volume) << 8n));
            expect(numbers[2 * k + 1]).toBe(position);
          }
        },
      ),
      { numRuns: 100 },
    );
  });

  test("names the run of a foreign block, whichever way that sorts its sectors", () => {
    fc.assert(
      fc.property(atArb, orderArb, orderArb, positionArb, (at, order, theirs, position) => {
        foreign[theirs].inflate(at, data.address, position);
        runs[order].survey(at, data.address, out);
        for (let k = 0; k < at.blockCount; k++) {
          expect(codes.values[k]).toBe(surveyCodes.foreign);
          expect(details.values[2 * k + 1]).toBe(foreign[theirs].format.runId);
        }
      }),
      { numRuns: 100 },
    );
  });

  test("calls this run's own content foreign to itself if it sorts the other way round", () => {
    const at = { volume: 0, block: 5, blockCount: 1, sectorCount: 8 };
    runs.descending.inflate(at, data.address, 7);
    runs.ascending.survey(at, data.address, out);
    expect(codes.values[0]).toBe(surveyCodes.foreign);
    expect(details.values[1]).toBe(runs.ascending.format.runId);
  });

  test("calls a block damaged whose source can still be told from a line of it, and garbage if from none", () => {
    fc.assert(
      fc.property(
        positionArb,
        fc.integer({ min: 0, max: 63 }),
        fc.infiniteStream(fc.integer({ min: 0, max: 255 })),
        (position, line, random) => {
          const at = { volume: 3, block: 77, blockCount: 1, sectorCount: 8 };
          runs.ascending.inflate(at, data.address, position);
          const kept = data.bytes.slice(line * 64, line * 64 + 64);
          for (let index = 0; index < 4096; index++) data.bytes[index] = random.next().value as number;
          runs.ascending.survey(at, data.address, out);
          expect(codes.values[0]).toBe(surveyCodes.garbage);
          data.bytes.set(kept, line * 64);
          runs.ascending.survey(at, data.address, out);
          expect(codes.values[0]).toBe(surveyCodes.damaged);
        },
      ),
      { numRuns: 100 },
    );
  });

  test("takes a few bits in a block of zeros for damage, and many for garbage", () => {
    const at = { volume: 0, block: 0, blockCount: 1, sectorCount: 8 };
    data.bytes.fill(0);
    for (let bit = 0; bit < 33; bit++) {
      data.bytes[bit * 100]! |= 1;
      runs.ascending.survey(at, data.address, out);
      expect(codes.values[0]).toBe(bit < 32 ? surveyCodes.damaged : surveyCodes.garbage);
    }
  });

  test("calls a value strange whose position no operation can have", () => {
    const at = { volume: 0, block: 0, blockCount: 1, sectorCount: 8 };
    // Positions are counted from 1, and below 2^53: the number at 0 is in every stream.
    runs.ascending.inflate(at, data.address, 0);
    runs.ascending.survey(at, data.address, out);
    expect(codes.values[0]).toBe(surveyCodes.strange);
  });
});
