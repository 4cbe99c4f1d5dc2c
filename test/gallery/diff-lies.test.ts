import { describe, expect, test } from "vitest";
import { definedBits, leavingOut, noBits, wholeChunk, zeroedBits } from "../../src/gallery/diff-lies.ts";
import { Choices } from "../../src/generators/choices.ts";
import { Layer } from "../../src/sut/store/layer.ts";
import { Arena } from "../../src/sut/store/medium.ts";
import { MemoryMedium } from "../../src/sut/store/memory-medium.ts";

const blockSizeBytes = 512;
const arena = new Arena({
  blockSizeBytes,
  medium: new MemoryMedium(64 * blockSizeBytes),
  reuseNeedsCommit: false,
});

function layerOn(parent: Layer | undefined): Layer {
  return new Layer({ id: 1, parent, arena, isTracked: false });
}

const chunk = { lbaStart: 64, low: 0x8000_000f, high: 0xf000_0001 };
const answer = { chunks: [{ lbaStart: 0, low: 1, high: 0 }, chunk], nextOffsetLba: 128 };

function strikes() {
  let count = 0;
  return {
    choices: new Choices(1n, 1n),
    struck: () => void count++,
    get count() {
      return count;
    },
  };
}

describe("blocks left out of a diff", () => {
  test("are missing, and all else is told as before", () => {
    const chance = strikes();
    const told = leavingOut(chance, answer, ({ lbaStart }) =>
      lbaStart === 64 ? { low: 0x8000_0001 | 0, high: 1 } : noBits,
    );
    expect(told).toEqual({
      chunks: [
        { lbaStart: 0, low: 1, high: 0 },
        { lbaStart: 64, low: 0xe, high: 0xf000_0000 },
      ],
      nextOffsetLba: 128,
    });
    expect(chance.count).toBe(1);
  });

  test("take their chunk with them if nothing is left of it", () => {
    const told = leavingOut(strikes(), answer, () => wholeChunk);
    expect(told).toEqual({ chunks: [], nextOffsetLba: 128 });
  });

  test("are no strike if none of them would have been told", () => {
    const chance = strikes();
    expect(leavingOut(chance, answer, () => ({ low: 0x10, high: 2 }))).toEqual(answer);
    expect(chance.count).toBe(0);
  });
});

describe("what layers say of a chunk", () => {
  test("is zeroed only where the newest layer that knows a block has it so", () => {
    const below = layerOn(undefined);
    below.zero(64, 4);
    const above = layerOn(below);
    above.write(65, 1, new Uint8Array(blockSizeBytes));
    above.zero(127, 1);
    expect(zeroedBits([above, below], chunk)).toEqual({ low: 0b1101, high: 0x8000_0000 | 0 });
    expect(zeroedBits([above], chunk)).toEqual({ low: 0, high: 0x8000_0000 | 0 });
    expect(definedBits(above, chunk)).toEqual({ low: 0b10, high: 0x8000_0000 | 0 });
    expect(definedBits(above, { ...chunk, lbaStart: 0 })).toEqual(noBits);
  });
});
