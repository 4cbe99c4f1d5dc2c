import { describe, expect, test } from "vitest";
import { RangeKeeper } from "../../src/runner/exhibit.ts";

const blockSizeBytes = 4096;
const mostBlocks = (4 * 2 ** 20) / blockSizeBytes;

/** Blocks that hold their own numbers. */
function numbered(firstBlock: number, blockCount: number): Uint8Array {
  const bytes = new Uint8Array(blockCount * blockSizeBytes);
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < blockCount; index++) view.setUint32(index * blockSizeBytes, firstBlock + index);
  return bytes;
}

function numberOf(bytes: Uint8Array, index: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(index * blockSizeBytes);
}

describe("what was read with a wrong block", () => {
  test("is copied once for all wrong blocks, and not changed by what is read to its buffer later", () => {
    const bytes = numbered(3, 5);
    const keeper = new RangeKeeper({ firstBlock: 3, blockCount: 4, bytes }, blockSizeBytes);
    const one = keeper.around({ block: 4 });
    bytes.fill(0);
    const other = keeper.around({ block: 6 });
    expect(other.bytes).toBe(one.bytes);
    expect([one.firstBlock, one.block, other.block]).toEqual([3, 4, 6]);
    expect(one.bytes).toEqual(numbered(3, 4));
  });

  test.for([
    [0, 0],
    [1500, 1500 - mostBlocks / 2],
    [2999, 3000 - mostBlocks],
  ])("is kept around block %i of a long range from block %i on", ([block, first]) => {
    const keeper = new RangeKeeper(
      { firstBlock: 0, blockCount: 3000, bytes: numbered(0, 3000) },
      blockSizeBytes,
    );
    const { firstBlock, bytes } = keeper.around({ block: block! });
    expect([firstBlock, bytes.length]).toEqual([first, mostBlocks * blockSizeBytes]);
    expect(numberOf(bytes, block! - firstBlock)).toBe(block);
  });
});
