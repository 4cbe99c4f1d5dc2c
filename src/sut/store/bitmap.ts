/**
 * Bitmaps of one chunk: 64 bits in two words, each kept as a signed 32-bit integer.
 *
 * Bit i of the low word stands for block i of the chunk, bit i of the high word for block 32 + i. Signed
 * words stay small integers in V8; unsigned ones above 2^31 would each be a heap object.
 *
 * @packageDocumentation
 */

/** Low word of the bitmap of blocks `from` to `past - 1`, both in [0, 64]. */
export function rangeLow(from: number, past: number): number {
  return wordRange(from, Math.min(past, 32));
}

/** High word of the bitmap of blocks `from` to `past - 1`, both in [0, 64]. */
export function rangeHigh(from: number, past: number): number {
  return wordRange(Math.max(from - 32, 0), past - 32);
}

/** First set bit at or after `from`, or 64. */
export function nextSet(low: number, high: number, from: number): number {
  if (from < 32) {
    const word = low & (-1 << from);
    if (word !== 0) return trailingZeros(word);
    return high === 0 ? 64 : 32 + trailingZeros(high);
  }
  if (from >= 64) return 64;
  const word = high & (-1 << (from - 32));
  return word === 0 ? 64 : 32 + trailingZeros(word);
}

/** First clear bit at or after `from`, or 64. */
export function nextClear(low: number, high: number, from: number): number {
  return nextSet(~low, ~high, from);
}

/** Number of set bits. */
export function bitCount(low: number, high: number): number {
  return wordBitCount(low) + wordBitCount(high);
}

function wordRange(from: number, past: number): number {
  if (past <= from) return 0;
  const width = past - from;
  return width === 32 ? -1 : ((1 << width) - 1) << from;
}

function trailingZeros(word: number): number {
  return 31 - Math.clz32(word & -word);
}

function wordBitCount(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
