/**
 * What was seen of the diffs of a server, where its documents leave a choice.
 *
 * Facts for a report, never a judgement: nothing is decided by them.
 *
 * @packageDocumentation
 */

/** Counts since the service was opened. */
export interface DiffFacts {
  readonly pages: number;
  /** Pages without a range that name a next page all the same. */
  readonly emptyPages: number;
  readonly ranges: number;
  /** Most ranges in one page. */
  readonly rangesPerPageMax: number;
  /** Longest bitmap in bytes; 8 is one chunk. */
  readonly bitmapBytesMax: number;
  /** Ranges whose `lbaEnd` is the last block that their bitmap has a bit for. */
  readonly lbaEndInclusive: number;
  /** Ranges whose `lbaEnd` is the block after that. */
  readonly lbaEndExclusive: number;
  /** Ranges whose `lbaEnd` is another, as at the end of a volume, or absent. */
  readonly lbaEndOther: number;
}

/** A range as it came; `lbaEnd` is 0 if it was absent. */
interface RangeWithEnd {
  readonly lbaStart: number;
  readonly lbaEnd: number;
  readonly bitmap: Uint8Array;
}

export class DiffFactsRecorder {
  readonly #facts: { -readonly [Key in keyof DiffFacts]: number } = {
    pages: 0,
    emptyPages: 0,
    ranges: 0,
    rangesPerPageMax: 0,
    bitmapBytesMax: 0,
    lbaEndInclusive: 0,
    lbaEndExclusive: 0,
    lbaEndOther: 0,
  };

  get facts(): DiffFacts {
    return { ...this.#facts };
  }

  note(page: { readonly lbaRanges: readonly RangeWithEnd[]; readonly nextOffsetLBA: number }): void {
    const facts = this.#facts;
    const { lbaRanges } = page;
    facts.pages += 1;
    if (lbaRanges.length === 0 && page.nextOffsetLBA !== 0) facts.emptyPages += 1;
    facts.ranges += lbaRanges.length;
    facts.rangesPerPageMax = Math.max(facts.rangesPerPageMax, lbaRanges.length);
    for (const { lbaStart, lbaEnd, bitmap } of lbaRanges) {
      facts.bitmapBytesMax = Math.max(facts.bitmapBytesMax, bitmap.length);
      const after = lbaStart + bitmap.length * 8;
      if (lbaEnd === after) facts.lbaEndExclusive += 1;
      else if (lbaEnd === after - 1) facts.lbaEndInclusive += 1;
      else facts.lbaEndOther += 1;
    }
  }
}
