/**
 * What the bytes of a block say of themselves, sector by sector.
 *
 * Knows the content format and no history: `diagnosis.ts` sets this evidence against what the model expects.
 *
 * @packageDocumentation
 */
import {
  type ContentFormat,
  inflateSector,
  lineBytes,
  readHeader,
  readLine,
  type SectorAddress,
  sectorBytes,
} from "../generators/content.ts";

/** Where the content of a sector, or a piece of it, comes from. */
export interface Source {
  readonly vd: bigint;
  readonly address: SectorAddress;
}

export type SectorEvidence =
  | { readonly kind: "zeros" }
  /** Content of this run; `differingBits` from what its source wrote, first in byte `firstDifference`. */
  | {
      readonly kind: "ours";
      readonly source: Source;
      readonly differingBits: number;
      readonly firstDifference: number;
      /** 64-byte lines that another source wrote. */
      readonly strangeLines: readonly { readonly line: number; readonly source: Source }[];
    }
  | { readonly kind: "foreign"; readonly runId: bigint; readonly address: SectorAddress }
  | { readonly kind: "garbage" };

export function readEvidence(format: ContentFormat, block: Uint8Array): readonly SectorEvidence[] {
  const evidence: SectorEvidence[] = [];
  for (let at = 0; at < block.length; at += sectorBytes)
    evidence.push(readSector(format, block.subarray(at, at + sectorBytes)));
  return evidence;
}

/** Bits that differ between two equally long pieces, and the first byte that does (−1 if none). */
export function compareBits(
  a: Uint8Array,
  b: Uint8Array,
): { readonly count: number; readonly firstByte: number } {
  let count = 0;
  let firstByte = -1;
  for (let index = 0; index < a.length; index++) {
    let rest = a[index]! ^ b[index]!;
    if (rest !== 0 && firstByte < 0) firstByte = index;
    for (; rest !== 0; rest &= rest - 1) count++;
  }
  return { count, firstByte };
}

function readSector(format: ContentFormat, sector: Uint8Array): SectorEvidence {
  if (sector.every((byte) => byte === 0)) return { kind: "zeros" };
  const claim = readHeader(format, sector);
  if (claim !== undefined && claim.runId !== format.runId)
    return { kind: "foreign", runId: claim.runId, address: claim.address };
  const lines = readLines(format, sector);
  const source = claim ?? mostFrequent(lines.map(({ source: found }) => found));
  if (source === undefined) return { kind: "garbage" };
  const { vd, address } = source;
  const { count, firstByte } = compareBits(sector, inflateSector(format, vd, address));
  return {
    kind: "ours",
    source: { vd, address },
    differingBits: count,
    firstDifference: firstByte,
    strangeLines: lines.filter((line) => !sameSource(line.source, { vd, address })),
  };
}

function readLines(format: ContentFormat, sector: Uint8Array): { line: number; source: Source }[] {
  const lines: { line: number; source: Source }[] = [];
  for (let line = 1; line < sectorBytes / lineBytes; line++) {
    const source = readLine(format, sector.subarray(line * lineBytes, (line + 1) * lineBytes), line);
    if (source !== undefined) lines.push({ line, source });
  }
  return lines;
}

function mostFrequent(sources: readonly Source[]): Source | undefined {
  let best: Source | undefined;
  let bestCount = 0;
  for (const source of sources) {
    const count = sources.filter((other) => sameSource(source, other)).length;
    if (count > bestCount) [best, bestCount] = [source, count];
  }
  return best;
}

function sameSource(a: Source, b: Source): boolean {
  return (
    a.vd === b.vd &&
    a.address.volume === b.address.volume &&
    a.address.block === b.address.block &&
    a.address.sector === b.address.sector
  );
}
