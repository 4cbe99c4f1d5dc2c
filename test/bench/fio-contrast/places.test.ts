import { describe, expect, test } from "vitest";
import { parseTrace, type TracedWrite } from "../../../bench/fio-contrast/injector.ts";
import { writesAt } from "../../../bench/fio-contrast/places.ts";

const blockBytes = 512;
const space = { blockBytes, fileBytes: 8 * blockBytes };

describe("writesAt", () => {
  test("sorts writes by what came before and comes after on their blocks and the block behind", () => {
    const trace = [
      write(0, 8), // 0: clears the file, and ends where it ends
      write(1, 2), // 1: all of it and block 3 are written again
      write(2, 1), // 2: nothing comes after it here, but on block 3
      write(3, 1), // 3: not again, and neither is block 4
      write(1, 1), // 4: not again, and neither is block 2
      write(5, 2), // 5: block 5 is written again, block 6 is not
      write(5, 1), // 6: not again, and neither is block 6
    ];
    expect(writesAt("overwritten", trace, space)).toEqual([1]);
    expect(writesAt("newest", trace, space)).toEqual([3, 4, 6]);
    expect(writesAt("partly-overwritten", trace, space)).toEqual([5]);
    expect(writesAt("first", trace, space)).toEqual([]);
  });

  test("takes as first versions what is written once", () => {
    const trace = [write(0, 1), write(2, 2), write(6, 1), write(4, 1)];
    // The block behind write 1 is written by write 3.
    expect(writesAt("first", trace, space)).toEqual([0, 2, 3]);
    expect(writesAt("newest", trace, space)).toEqual([]);
  });

  test("leaves out zeros, and a write behind which there is no block", () => {
    const trace = [{ ...write(0, 2), isZeros: true }, write(7, 1), write(3, 1)];
    expect(writesAt("first", trace, space)).toEqual([2]);
  });
});

describe("parseTrace", () => {
  test("reads what the injector appends", () => {
    const log = "write 0 4096 512 data\nwrite 1 0 1024 zeros\nstruck 1 torn\n";
    expect(parseTrace(log)).toEqual({
      writes: [
        { offset: 4096, lengthBytes: 512, isZeros: false },
        { offset: 0, lengthBytes: 1024, isZeros: true },
      ],
      struckAt: 1,
    });
  });

  test("refuses a log in which two processes counted", () => {
    expect(() => parseTrace("write 0 0 512 data\nwrite 0 512 512 data\n")).toThrow("not expected there");
  });
});

function write(block: number, blockCount: number): TracedWrite {
  return { offset: block * blockBytes, lengthBytes: blockCount * blockBytes, isZeros: false };
}
