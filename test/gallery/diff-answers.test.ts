import { describe, expect, test } from "vitest";
import { tellingOtherRanges } from "../../src/gallery/diff-answers.ts";
import { Choices } from "../../src/generators/choices.ts";
import type { DiffRange } from "../../src/sut/port.ts";

/** An answer as the service gives it: blocks 3 and 130. */
const page = {
  lbaRanges: [
    { lbaEnd: "64", dataBitMap: "CAAAAAAAAAA=" },
    { lbaStart: "128", lbaEnd: "192", dataBitMap: "BAAAAAAAAAA=" },
  ],
};

function lying(alter: (ranges: readonly DiffRange[]) => readonly DiffRange[] | undefined) {
  let struckCount = 0;
  const chance = { choices: new Choices(7n, 1n), struck: () => void struckCount++ };
  const { diff } = tellingOtherRanges(chance, alter);
  const ask = (snapshotUuid: string, document: unknown = page, query = "") =>
    diff!(document, { snapshotUuid, baseSnapshotUuid: undefined, query: new URLSearchParams(query) });
  return { ask, struckCount: () => struckCount };
}

/** 64-bit integers are text, as the service writes them. */
const reversed = {
  lbaRanges: [
    { lbaStart: "128", lbaEnd: "192", dataBitMap: "BAAAAAAAAAA=" },
    { lbaStart: "0", lbaEnd: "64", dataBitMap: "CAAAAAAAAAA=" },
  ],
};

describe("a service that tells other ranges", () => {
  test("lies about three diffs, and about each of them the same way whenever it is asked", () => {
    const { ask, struckCount } = lying((ranges) => ranges.toReversed());
    const questions = Array.from({ length: 20 }, (_, index) => String(index));
    const first = questions.map((question) => ask(question));
    const second = questions.map((question) => ask(question));
    expect(second).toEqual(first);
    expect(first.filter((answer) => answer !== undefined)).toEqual([reversed, reversed, reversed]);
    expect(struckCount()).toBe(6);
  });

  test("does not touch an answer of several pages", () => {
    const { ask, struckCount } = lying((ranges) => ranges.toReversed());
    for (let index = 0; index < 20; index++) {
      expect(ask(String(index), { ...page, nextOffsetLBA: "192" })).toBeUndefined();
      expect(ask(String(index), page, "offsetLBA=192")).toBeUndefined();
    }
    expect(struckCount()).toBe(0);
  });

  test("does not strike where there is no way to lie", () => {
    const { ask, struckCount } = lying(() => undefined);
    for (let index = 0; index < 20; index++) expect(ask(String(index))).toBeUndefined();
    expect(struckCount()).toBe(0);
  });
});
