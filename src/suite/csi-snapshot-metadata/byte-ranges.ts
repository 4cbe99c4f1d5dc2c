/**
 * Sets of bytes as ranges: drivers report what they like, at any granularity.
 *
 * @packageDocumentation
 */
import type { BlockTuple } from "../../sut/csi/messages.ts";

/** Bytes from `start` up to, not including, `end`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** Ascending, with gaps between them, none empty. */
export type ByteRanges = readonly ByteRange[];

export function rangesOf(tuples: readonly BlockTuple[]): ByteRanges {
  return joined(
    tuples.map(({ byteOffset, sizeBytes }) => ({ start: byteOffset, end: byteOffset + sizeBytes })),
  );
}

/** Puts ranges in order, and those together that touch or overlap. */
export function joined(ranges: readonly ByteRange[]): ByteRanges {
  const found: { start: number; end: number }[] = [];
  for (const { start, end } of [...ranges].sort((a, b) => a.start - b.start)) {
    if (end <= start) continue;
    const last = found.at(-1);
    if (last !== undefined && start <= last.end) last.end = Math.max(last.end, end);
    else found.push({ start, end });
  }
  return found;
}

/** What the first has and the second has not. */
export function minus(from: ByteRanges, taken: ByteRanges): ByteRanges {
  const left: ByteRange[] = [];
  let index = 0;
  for (const { start, end } of from) {
    let at = start;
    while (index < taken.length && taken[index]!.end <= at) index++;
    for (let other = index; other < taken.length && taken[other]!.start < end; other++) {
      if (taken[other]!.start > at) left.push({ start: at, end: taken[other]!.start });
      at = Math.max(at, taken[other]!.end);
    }
    if (at < end) left.push({ start: at, end });
  }
  return left;
}

/** The part that is not before `start`. */
export function since(ranges: ByteRanges, start: number): ByteRanges {
  return ranges
    .filter(({ end }) => end > start)
    .map((range) => ({ start: Math.max(range.start, start), end: range.end }));
}

/** Every range widened to whole units. */
export function roundedOut(ranges: ByteRanges, unitBytes: number): ByteRanges {
  return joined(
    ranges.map(({ start, end }) => ({
      start: Math.floor(start / unitBytes) * unitBytes,
      end: Math.ceil(end / unitBytes) * unitBytes,
    })),
  );
}

/** The first few, as a person reads them. */
export function rangesText(ranges: ByteRanges): string {
  const named = ranges.slice(0, 3).map(({ start, end }) => `${start} to ${end - 1}`);
  const rest = ranges.length - named.length;
  const bytes = ranges.reduce((sum, { start, end }) => sum + end - start, 0);
  return `bytes ${named.join(", ")}${rest > 0 ? ` and ${rest} more ranges` : ""} (${bytes} bytes)`;
}
