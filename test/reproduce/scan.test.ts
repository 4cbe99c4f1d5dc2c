import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ScanReport, wrongCount } from "../../src/reproduce/scan/scan.ts";
import { ltsOf } from "../../src/selectors/operations.ts";
import { Geometry } from "../../src/selectors/geometry.ts";
import type { WorkloadShape } from "../../src/selectors/workload.ts";
import type { Outcome } from "../../src/sut/port.ts";
import { Image, otherFormat, workloadOf } from "./scan-image.ts";
import { smallShape } from "../support/workloads.ts";

const shapeOf = (
  blockSizeBytes: 512 | 4096,
  volumeBlocks: readonly number[] = [5 * 64 + 24],
): WorkloadShape => ({
  ...smallShape,
  geometry: new Geometry({ blockSizeBytes, volumeBlocks, extentBlocks: 64 }),
});

const historyArb = fc.record({
  seed: fc.bigInt({ min: 0n, max: 50n }),
  lts: fc.integer({ min: 12, max: 150 }),
  blockSize: fc.constantFrom<(512 | 4096)[]>(512, 4096),
});

const imageOf = ({ seed, lts, blockSize }: { seed: bigint; lts: number; blockSize: 512 | 4096 }) =>
  new Image(workloadOf(seed, shapeOf(blockSize)), lts);

/** Without what is right. */
function wrongOf({ findings }: ScanReport) {
  return findings.flatMap(({ block, blockCount, class: name, staleBy, from }) =>
    Array.from({ length: blockCount }, (_, index) => ({
      block: block + index,
      class: name,
      ...(staleBy === undefined ? {} : { staleBy }),
      ...(from === undefined ? {} : { from: { ...from, block: from.block + index } }),
    })),
  );
}

const looksLike = (state: number): number => Math.max(0, state);

/** Damages a block in a known way, and says what a scan should make of it; not every block can have every damage. */
const damages: Record<
  string,
  (image: Image, block: number, draw: number, shape: WorkloadShape) => object | undefined
> = {
  old(image, block, draw) {
    const versions = image.versions[block]!;
    const state = versions[draw % versions.length]!;
    const due = versions[0]!;
    if (looksLike(state) === looksLike(due)) return undefined;
    image.put(block, state);
    const staleBy = versions.findIndex((one) => looksLike(one) === looksLike(state));
    return { class: state <= 0 ? "zeroed" : due <= 0 ? "resurrected" : "stale", staleBy };
  },
  misplaced(image, block, draw) {
    const from = draw % image.blockCount;
    const state = image.versions[from]!.find((one) => one > 0);
    if (from === block || state === undefined) return undefined;
    image.put(block, state, from);
    return { class: "misplaced", from: { volume: 0, block: from } };
  },
  "of another volume": (image, block, draw) => {
    image.put(block, 1 + (draw % 1000), block, 7);
    return { class: "misplaced", from: { volume: 7, block } };
  },
  foreign(image, block, draw, shape) {
    const order = draw % 2 === 0 ? "ascending" : "descending";
    const format = otherFormat(1000n, { ...shape, content: { ...shape.content, order } });
    image.of(block).set(image.contentOf(block, 1 + (draw % 1000), 0, { format }));
    return { class: "foreign", from: { volume: 0, block } };
  },
  torn(image, block, draw) {
    const versions = image.versions[block]!;
    const state = versions[draw % versions.length]!;
    const sectors = image.of(block).length / 512;
    if (looksLike(state) === looksLike(versions[0]!) || sectors === 1) return undefined;
    image.of(block).set(image.contentOf(block, state).subarray(0, (1 + (draw % (sectors - 1))) * 512));
    return { class: "torn" };
  },
  flipped(image, block, draw) {
    const bytes = image.of(block);
    for (let bit = 0; bit <= draw % 5; bit++) {
      const at = (draw + bit * 7919) % (bytes.length * 8);
      bytes[at >> 3]! ^= 1 << (at & 7);
    }
    return { class: "bit-flip" };
  },
  garbage(image, block, draw) {
    const bytes = image.of(block);
    for (let at = 0, state = draw | 1; at < bytes.length; at++) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      bytes[at] = state >>> 24;
    }
    return { class: "garbage" };
  },
  "text of somebody": (image, block, draw) => {
    const text = "<html><body>nothing of ours, over and over again</body></html>\n";
    for (const at of image.of(block).keys()) image.of(block)[at] = text.charCodeAt((at + draw) % text.length);
    return { class: "garbage" };
  },
};

describe("a scan as of an lts", () => {
  test("finds every block of a volume as due, if nothing is wrong with it", async () => {
    await fc.assert(
      fc.asyncProperty(historyArb, async (history) => {
        const image = imageOf(history);
        const { lts } = history;
        const report = await image.scan({ lts });
        expect(wrongOf(report)).toEqual([]);
        const data = image.versions.filter(([state]) => state! > 0).length;
        expect(report.counts).toMatchObject({ latest: data, zeros: image.blockCount - data });
      }),
      { numRuns: 40 },
    );
  });

  test("classifies damage of every kind exactly as it was done", async () => {
    const damageArb = fc.record({
      kind: fc.constantFrom(...Object.keys(damages)),
      block: fc.nat({ max: 5 * 64 + 23 }),
      draw: fc.nat({ max: 2 ** 30 }),
    });
    const damagesArb = fc.uniqueArray(damageArb, {
      selector: ({ block }) => block,
      minLength: 1,
      maxLength: 40,
    });
    await fc.assert(
      fc.asyncProperty(historyArb, damagesArb, async (history, list) => {
        const image = imageOf(history);
        const { lts, blockSize } = history;
        const expected = list.flatMap(({ kind, block, draw }) => {
          const wrong = damages[kind]!(image, block, draw, shapeOf(blockSize));
          return wrong === undefined ? [] : [{ block, ...wrong }];
        });
        expected.sort((a, b) => a.block - b.block);
        const report = await image.scan({ lts });
        expect(wrongOf(report)).toEqual(expected);
        expect(wrongCount(report)).toBe(expected.length);
      }),
      { numRuns: 80 },
    );
  });

  test("leaves old data in deallocated blocks alone where the namespace promises nothing of them", async () => {
    const image = new Image(workloadOf(3n, shapeOf(4096)), 100);
    const isDeallocated = (state: number): boolean =>
      state < 0 && image.workload.operationOf(state)!.operation.kind.startsWith("deallocate");
    const block = image.versions.findIndex(([newest, next]) => isDeallocated(newest!) && next! > 0);
    image.put(block, image.versions[block]![1]!);
    expect(wrongOf(await image.scan({ lts: 100 }))).toEqual([{ block, class: "resurrected", staleBy: 1 }]);
    const history = workloadOf(3n, shapeOf(4096));
    const report = await image.scan({ history, lts: 100, deallocatedReads: "unreported" });
    expect(report).toMatchObject({ findings: [], counts: { open: 1 } });
  });

  test("calls what came later newer than that", async () => {
    const lts = 60;
    const image = new Image(workloadOf(3n, shapeOf(4096)), 90);
    const report = await image.scan({ lts });
    for (const [block, versions] of image.versions.entries()) {
      const isAhead = versions[0]! > 0 && ltsOf(versions[0]!) > lts;
      const found = wrongOf(report).find((one) => one.block === block);
      expect(found?.class === "ahead").toBe(isAhead);
    }
    expect(report.counts.ahead).toBeGreaterThan(0);
  });
});

describe("a scan that knows nothing but the seed", () => {
  test("finds how far the run had come, and nothing wrong", async () => {
    await fc.assert(
      fc.asyncProperty(historyArb, async (history) => {
        const image = imageOf(history);
        const { lts } = history;
        const report = await image.scan();
        expect(wrongOf(report)).toEqual([]);
        const newest = Math.max(
          -1,
          ...image.versions.flatMap(([state]) => (state! > 0 ? [ltsOf(state!)] : [])),
        );
        expect(report).toMatchObject({ lts: newest, ltsFrom: "content" });
        expect(newest).toBeLessThanOrEqual(lts);
      }),
      { numRuns: 60 },
    );
  });

  test("never takes what may have been in flight, or never begun, for wrong", async () => {
    const depth = 4;
    await fc.assert(
      fc.asyncProperty(
        historyArb,
        fc.array(fc.boolean(), { minLength: 344, maxLength: 344 }),
        async (history, isLost) => {
          const image = imageOf(history);
          const { lts } = history;
          // Of the last lts before a crash some operations took effect on some blocks.
          for (const [block, versions] of image.versions.entries())
            if (isLost[block] && ltsOf(versions[0]!) > lts - depth) image.put(block, versions[1]!);
          const report = await image.scan({ depth });
          expect(wrongOf(report)).toEqual([]);
        },
      ),
      { numRuns: 40 },
    );
  });

  test("calls a block stale whose newer versions are older than what may have been in flight", async () => {
    const image = new Image(workloadOf(3n, shapeOf(4096)), 100);
    const stale = image.versions.findIndex(
      ([newest, next, third]) =>
        newest! > 0 && next! > 0 && third! > 0 && ltsOf(newest!) < 80 && newest !== next,
    );
    image.put(stale, image.versions[stale]![2]!);
    const report = await image.scan({ depth: 4 });
    expect(wrongOf(report)).toEqual([{ block: stale, class: "stale", staleBy: 2 }]);
    expect(report.staleBy).toEqual([[2, 1]]);
    expect(report.findings[0]!.text).toMatch(
      /^data of lts \d+, operation \d+ \(write.*2 versions behind; due is data of lts/,
    );
  });

  test("takes a volume that was never written for what it is", async () => {
    const image = new Image(workloadOf(1n, shapeOf(4096)), -1);
    const report = await image.scan();
    expect(report).toMatchObject({ lts: -1, counts: { zeros: image.blockCount } });
    expect(wrongCount(report)).toBe(0);
  });

  test("finds out which volume it is", async () => {
    const workload = workloadOf(5n, shapeOf(4096, [256, 256, 256]));
    for (const volume of [0, 1, 2]) {
      const report = await new Image(workload, 200, volume).scan({
        history: workloadOf(5n, shapeOf(4096, [256, 256, 256])),
      });
      expect(report).toMatchObject({ volume, volumeFrom: "content" });
      expect(wrongOf(report)).toEqual([]);
    }
    const empty = await new Image(workloadOf(5n, shapeOf(4096, [256, 256, 256])), -1).scan();
    expect(empty).toMatchObject({ volume: 0, volumeFrom: "nothing" });
  });

  test("finds a volume of another seed foreign, and says of which run", async () => {
    const image = new Image(workloadOf(1n, shapeOf(4096)), 120);
    const report = await image.scan({ history: workloadOf(2n, shapeOf(4096)) });
    const data = image.versions.filter(([state]) => state! > 0).length;
    expect(report.counts).toMatchObject({ foreign: data, zeros: image.blockCount - data, latest: 0 });
    expect(report.foreignRuns).toEqual([image.workload.run.format.runId]);
  });
});

describe("a scan of what does not fit", () => {
  const shape = shapeOf(4096);

  test("counts blocks that the device can not read, each by itself, and classifies all others", async () => {
    const image = new Image(workloadOf(3n, shape), 100);
    const unreadable: Outcome = { kind: "failed", code: "ERR_MEDIA", message: "unrecovered read error" };
    for (const block of [7, 8, 200]) image.outcomes.set(block, unreadable);
    const report = await image.scan({ lts: 100 });
    expect(wrongOf(report)).toEqual([7, 8, 200].map((block) => ({ block, class: "unreadable" })));
    expect(wrongCount(report)).toBe(0);
  });

  test("fails with the device, and does not take it for bad blocks", async () => {
    const image = new Image(workloadOf(3n, shape), 100);
    image.outcomes.set(9, { kind: "unknown", code: "ERR_CONNECTION_LOST", message: "gone" });
    await expect(image.scan()).rejects.toThrow(
      /^reading 256 blocks at 0: outcome unknown \(ERR_CONNECTION_LOST\): gone$/,
    );
  });

  test("ends when it is told to", async () => {
    const image = new Image(workloadOf(3n, shape), 100);
    await expect(image.scan({ signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
  });

  test("looks at what there is of a device that is too small, and at no more than the volume", async () => {
    const small = new Image(workloadOf(3n, shape), 100);
    small.blockCount = 300;
    expect(await small.scan({ lts: 100 })).toMatchObject({
      blockCount: 300,
      volumeBlocks: 344,
      findings: [],
    });
    const large = new Image(workloadOf(3n, shape), 100);
    large.blockCount = 1000;
    expect(await large.scan({ lts: 100 })).toMatchObject({
      blockCount: 344,
      deviceBlocks: 1000,
      findings: [],
    });
  });

  test("looks at the blocks that are asked for alone", async () => {
    const image = new Image(workloadOf(3n, shape), 100);
    for (const block of [69, 70, 200, 201]) image.of(block).fill(0xee);
    const report = await image.scan({ lts: 100, blocks: { block: 70, blockCount: 131 } });
    expect(wrongOf(report)).toEqual([70, 200].map((block) => ({ block, class: "garbage" })));
    const again = image.scan({ history: workloadOf(3n, shape), blocks: { block: 300, blockCount: 45 } });
    await expect(again).rejects.toThrow("blocks 300 to 344: there are 344, numbered from 0");
  });

  test("refuses blocks of another size, a volume that is not there, and more blocks than it can note", async () => {
    const image = new Image(workloadOf(3n, shape), 100);
    await expect(image.scan({ history: workloadOf(3n, shapeOf(512)) })).rejects.toThrow(
      "image has blocks of 4096 bytes, the configuration says 512 (geometry.blockSize)",
    );
    await expect(image.scan({ volume: 1 })).rejects.toThrow(
      "volume 1: the configuration has 1, numbered from 0",
    );
    const huge = workloadOf(3n, {
      ...shape,
      geometry: new Geometry({ blockSizeBytes: 4096, volumeBlocks: [2 ** 30], extentBlocks: 64 }),
    });
    image.blockCount = 2 ** 30;
    await expect(image.scan({ history: huge })).rejects.toThrow(
      /^1073741824 blocks: at most 268435456 can be/,
    );
  });

  test("looks closely at so many damaged blocks only, and counts the rest", async () => {
    const many = shapeOf(512, [6000]);
    const image = new Image(workloadOf(3n, many), 2000);
    for (let block = 0; block < 6000; block++) image.of(block)[100]! ^= 1;
    const report = await image.scan({ lts: 2000 });
    expect(report.counts).toMatchObject({ "bit-flip": 4096, damaged: 1904 });
  });
});

describe("findings", () => {
  test("are joined where neighbours are wrong in the same way, and counted beyond the limit", async () => {
    const image = new Image(workloadOf(3n, shapeOf(4096)), 100);
    for (const block of [10, 11, 12, 20, 30]) image.of(block).fill(0xee);
    const report = await image.scan({ lts: 100, limit: 2 });
    expect(report.findings).toMatchObject([
      { block: 10, blockCount: 3, class: "garbage" },
      { block: 20, blockCount: 1, class: "garbage" },
    ]);
    expect(report.findingCount).toBe(3);
    expect(report.counts.garbage).toBe(5);
  });

  test("show in the map, of many blocks the worst", async () => {
    const image = new Image(workloadOf(3n, shapeOf(512, [6000])), 2000);
    image.of(4001).fill(0xee);
    const { map } = await image.scan({ lts: 2000 });
    expect(map.blocksPerCell).toBe(3);
    expect(map.rows.join("")).toHaveLength(2000);
    expect(map.rows.join("").indexOf("g")).toBe(Math.floor(4001 / 3));
    expect(map.rows[0]).toHaveLength(64);
  });
});
