import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { BlockRange, DiffPage, DiffRange } from "../../../src/sut/port.ts";
import { diffRuns, runsOf } from "../../../src/sut/sync/diff-runs.ts";

const bytes = (...values: number[]) => Uint8Array.from(values);

async function* pagesOf(pages: readonly DiffPage[]): AsyncGenerator<DiffPage> {
  yield* pages;
}

async function runs(pages: readonly DiffPage[], bounds: Partial<Parameters<typeof diffRuns>[1]> = {}) {
  const found: BlockRange[] = [];
  const all = { firstBlock: 0, blockCount: 1024, runBlocksMax: 4096, ...bounds };
  for await (const run of diffRuns(pagesOf(pages), all, { pages: 0, ranges: 0 })) found.push(run);
  return found;
}

const page = (ranges: readonly DiffRange[], nextOffsetLba = 0, offsetLba = 0): DiffPage => ({
  ...{ offsetLba, ranges, nextOffsetLba },
});

describe("the runs of a bitmap", () => {
  test("start at the lowest bit of the first byte", () => {
    expect([...runsOf({ lbaStart: 64, bitmap: bytes(0b0000_0001) })]).toEqual([{ block: 64, blockCount: 1 }]);
    expect([
      ...runsOf({ lbaStart: 64, bitmap: bytes(0b1000_0110, 0xff, 0b0000_0001, 0, 0b0001_0000) }),
    ]).toEqual([
      { block: 65, blockCount: 2 },
      { block: 71, blockCount: 10 },
      { block: 100, blockCount: 1 },
    ]);
  });

  test("are the set bits, each once, and as long as can be", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 24 }), fc.nat(1000), (bitmap, lbaStart) => {
        const told = [...runsOf({ lbaStart, bitmap })];
        const blocks = told.flatMap(({ block, blockCount }) =>
          Array.from({ length: blockCount }, (_, index) => block + index),
        );
        const set = Array.from({ length: bitmap.length * 8 }, (_, bit) => bit)
          .filter((bit) => (bitmap[bit >> 3]! & (1 << (bit & 7))) !== 0)
          .map((bit) => lbaStart + bit);
        expect(blocks).toEqual(set);
        for (const [index, { block }] of told.entries())
          if (index > 0) expect(block).toBeGreaterThan(told[index - 1]!.block + told[index - 1]!.blockCount);
      }),
    );
  });
});

describe("the runs of a diff", () => {
  test("are joined across ranges and pages", async () => {
    const pages = [
      page(
        [
          { lbaStart: 0, bitmap: bytes(0xf0) },
          { lbaStart: 8, bitmap: bytes(0xff) },
        ],
        64,
      ),
      page([{ lbaStart: 64, bitmap: bytes(0x01) }], 0, 64),
    ];
    expect(await runs(pages)).toEqual([
      { block: 4, blockCount: 12 },
      { block: 64, blockCount: 1 },
    ]);
  });

  test("are no longer than they may be, and begin where they are to", async () => {
    const pages = [page([{ lbaStart: 0, bitmap: bytes(0xff, 0xff, 0x7f, 0x80) }])];
    expect(await runs(pages, { runBlocksMax: 10, firstBlock: 2 })).toEqual([
      { block: 2, blockCount: 10 },
      { block: 12, blockCount: 10 },
      { block: 22, blockCount: 1 },
      { block: 31, blockCount: 1 },
    ]);
  });

  test("come before the last page of a long one does", async () => {
    const never = new Promise<void>(() => {});
    const unending = async function* (): AsyncGenerator<DiffPage> {
      yield page([{ lbaStart: 0, bitmap: new Uint8Array(64).fill(0xff) }], 512);
      await never;
    };
    const bounds = { firstBlock: 0, blockCount: 1024, runBlocksMax: 256 };
    const told = diffRuns(unending(), bounds, { pages: 0, ranges: 0 });
    expect((await told.next()).value).toEqual({ block: 0, blockCount: 256 });
    expect((await told.next()).value).toEqual({ block: 256, blockCount: 256 });
  });

  const senseless: Record<string, readonly [pages: readonly DiffPage[], what: string]> = {
    "ranges that overlap": [
      [
        page([
          { lbaStart: 0, bitmap: bytes(1, 1) },
          { lbaStart: 8, bitmap: bytes(1) },
        ]),
      ],
      "a range at block 8 after one that reached to 16",
    ],
    "ranges that go back": [
      [
        page([
          { lbaStart: 64, bitmap: bytes(1) },
          { lbaStart: 0, bitmap: bytes(1) },
        ]),
      ],
      "a range at block 0 after one that reached to 72",
    ],
    "a range that no block number names": [
      [page([{ lbaStart: Number.NaN, bitmap: bytes(1) }])],
      "a range at block NaN",
    ],
    "a range without a bit": [[page([{ lbaStart: 0, bitmap: bytes() }])], "a bitmap of 0 bytes at block 0"],
    "a block beyond the volume": [
      [page([{ lbaStart: 1016, bitmap: bytes(0x80, 0x01) }])],
      "block 1024 of a snapshot that has 1024",
    ],
    "a next page where this one began": [
      [page([], 64), page([], 64, 64)],
      "block 64 as the start of the page after the one at 64",
    ],
    "a next page inside this one": [
      [page([{ lbaStart: 0, bitmap: new Uint8Array(16) }], 64)],
      "block 64 as the start of the page after the one at 0, which reached to 128",
    ],
    "a next page beyond the volume": [[page([], 1025)], "block 1025 as the start of the page after"],
    "a next page that never comes": [[page([], 64)], "a page at block 64 that never came"],
    "ranges after the last page": [
      [page([]), page([{ lbaStart: 0, bitmap: bytes(1) }])],
      "ranges after its last page",
    ],
  };
  test.for(Object.entries(senseless))("are refused of a diff that has %s", async ([, [pages, what]]) => {
    await expect(runs(pages)).rejects.toMatchObject({
      code: "ERR_BAD_ANSWER",
      message: expect.stringContaining(`the diff reports ${what}`),
    });
  });
});
