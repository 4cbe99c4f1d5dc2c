import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { brokenContract, reportedBlocks } from "../../../src/model/diff-contract.ts";
import { diffPages } from "../../../src/sut/csi/diff-pages.ts";
import type { BlockMetadataType, BlockTuple } from "../../../src/sut/csi/messages.ts";
import type { DiffPage } from "../../../src/sut/port.ts";

const block = 512;

async function pagesOf(
  messages: readonly (readonly BlockTuple[])[],
  { offsetLba = 0, blockCount = 100_000, type = "VARIABLE_LENGTH" as BlockMetadataType } = {},
): Promise<DiffPage[]> {
  async function* stream() {
    for (const tuples of messages) yield { type, capacityBytes: 0, tuples };
  }
  const pages = [];
  const geometry = { blockSizeBytes: block, blockCount, offsetLba, where: "test" };
  for await (const page of diffPages(stream(), geometry)) pages.push(page);
  return pages;
}

const at = (first: number, count: number): BlockTuple => ({
  byteOffset: first * block,
  sizeBytes: count * block,
});
const broken = (pages: readonly DiffPage[], blockCount = 100_000) => brokenContract(pages, blockCount, 64);

describe("the pages of a CSI diff", () => {
  test("report exactly the blocks of ordered tuples, however they are cut into messages", async () => {
    const runs = fc.array(fc.tuple(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 1, max: 400 })), {
      maxLength: 60,
    });
    await fc.assert(
      fc.asyncProperty(runs, fc.integer({ min: 1, max: 9 }), async (gaps, perMessage) => {
        const expected: number[] = [];
        const tuples: BlockTuple[] = [];
        let next = 0;
        for (const [gap, count] of gaps) {
          tuples.push(at(next + gap, count));
          for (let index = 0; index < count; index++) expected.push(next + gap + index);
          next += gap + count;
        }
        const messages = [];
        for (let index = 0; index < tuples.length; index += perMessage)
          messages.push(tuples.slice(index, index + perMessage));
        const pages = await pagesOf(messages);
        expect([...reportedBlocks(pages).blocks()]).toEqual(expected);
        expect(broken(pages)).toBeUndefined();
      }),
      { numRuns: 60 },
    );
  });

  test("lead on from one to the next where there are many ranges", async () => {
    const tuples = Array.from({ length: 1500 }, (_, index) => at(index * 64, 1));
    const pages = await pagesOf([tuples]);
    expect(pages.length).toBeGreaterThan(3);
    expect(broken(pages)).toBeUndefined();
    expect(reportedBlocks(pages).size).toBe(1500);
  });

  test.for<[string, readonly BlockTuple[], RegExp]>([
    ["out of order", [at(640, 1), at(0, 1)], /out of order/],
    ["out of order within a chunk", [at(5, 1), at(3, 1)], /out of order/],
    ["over one another", [at(0, 10), at(9, 3)], /overlap/],
    ["beyond the volume", [at(99_999, 2)], /beyond the volume/],
    ["far beyond the volume", [at(2 ** 40, 2 ** 40)], /beyond the volume/],
  ])("leave tuples %s to be found by whoever judges them", async ([, tuples, text]) => {
    expect(broken(await pagesOf([tuples]))?.summary).toMatch(text);
  });

  test("take no memory for a tuple that is larger than the volume", async () => {
    const pages = await pagesOf([[at(0, 2 ** 40)]], { blockCount: 1000 });
    expect(reportedBlocks(pages).size).toBe(1064);
  });

  test("leave out what a first tuple has before the offset, which it may", async () => {
    const pages = await pagesOf([[at(0, 1000)]], { offsetLba: 130 });
    expect([...reportedBlocks(pages).blocks()][0]).toBe(128);
    expect(broken(pages)).toBeUndefined();
  });

  test("tell of a whole block where a tuple covers a part of it", async () => {
    const pages = await pagesOf([
      [
        { byteOffset: 100, sizeBytes: 50 },
        { byteOffset: 200, sizeBytes: 400 },
      ],
    ]);
    expect([...reportedBlocks(pages).blocks()]).toEqual([0, 1]);
    expect(broken(pages)).toBeUndefined();
  });

  test.for<[string, BlockTuple]>([
    ["starts before the volume", { byteOffset: -512, sizeBytes: 1024 }],
    ["has no bytes", { byteOffset: 0, sizeBytes: 0 }],
    ["has less than none", { byteOffset: 512, sizeBytes: -512 }],
    ["ends where no number is exact", { byteOffset: 2 ** 53 - 512, sizeBytes: 1024 }],
  ])("cannot be made of a tuple that %s", async ([, tuple]) => {
    await expect(pagesOf([[tuple]])).rejects.toMatchObject({ code: "ERR_BAD_ANSWER" });
  });

  test("cannot be made of an unknown type", async () => {
    await expect(pagesOf([[]], { type: "UNKNOWN" })).rejects.toThrow(/UNKNOWN/);
  });
});
