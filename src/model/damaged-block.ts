/**
 * Names what is wrong with a block whose sectors disagree, or differ from what their source wrote.
 *
 * What lies in the block decides, and of the model only which version was expected. Blocks that are whole, and only
 * of the wrong version or at the wrong place, are the business of `diagnosis.ts`.
 *
 * @packageDocumentation
 */
import { inflateBlock, lineBytes, sectorBytes } from "../generators/content.ts";
import { rng } from "../generators/pcg.ts";
import { valueStream } from "../generators/streams.ts";
import type { History } from "../selectors/history.ts";
import { compareBits, type SectorEvidence, type Source } from "./block-evidence.ts";
import { addressText, originOf, stateText } from "./origin.ts";
import type { FaultClass } from "./violation.ts";

/** What is said of a block. */
export interface Finding {
  readonly class: FaultClass;
  readonly summary: string;
  readonly observed: string;
  readonly position?: number;
  /** State of an operation that is missing though the one observed can not be there without it. */
  readonly missing?: number;
}

export interface DamagedBlock {
  readonly workload: History;
  readonly volume: number;
  /** Of the volume. */
  readonly block: number;
  /** The state that it should show. */
  readonly expected: number;
  readonly bytes: Uint8Array;
}

type Place = Pick<DamagedBlock, "volume" | "block">;
type OursEvidence = Extract<SectorEvidence, { kind: "ours" }>;

/** At most so many differing bits in a block are called flips of it; more are garbage. */
const flippedBitsMax = 256;
/** The same where zeros are expected, which anything sparse is near to. */
const flippedInZerosMax = flippedBitsMax / 8;
const sectorBits = sectorBytes * 8;

/** @param evidence - Of the block's sectors, by number. */
export function damageOf(evidence: readonly SectorEvidence[], damaged: DamagedBlock): Finding {
  return (
    strangeLine(evidence) ??
    flippedBits(damaged) ??
    shifted(evidence, damaged) ??
    inPieces(evidence, damaged) ??
    withoutSource(damaged)
  );
}

/** Pieces of another block lie within a sector. */
function strangeLine(evidence: readonly SectorEvidence[]): Finding | undefined {
  for (const [sector, found] of evidence.entries()) {
    const strange = found.kind === "ours" ? found.strangeLines[0] : undefined;
    if (strange !== undefined)
      return {
        class: "mixed",
        summary: `${lineBytes} bytes at byte ${sector * sectorBytes + strange.line * lineBytes} belong to ${addressText(strange.source.address)}`,
        observed: `pieces of another block in sector ${sector}`,
      };
  }
  return undefined;
}

/** A few bits differ from what is expected, and nothing else. */
function flippedBits({ workload, volume, block, expected, bytes }: DamagedBlock): Finding | undefined {
  const { format } = workload.run;
  const reference =
    expected > 0
      ? inflateBlock(format, {
          vd: rng(format.seed, BigInt(expected), valueStream(volume, block)),
          volume,
          block,
          sectorCount: bytes.length / sectorBytes,
        })
      : new Uint8Array(bytes.length);
  const { count, firstByte } = compareBits(bytes, reference);
  if (count > (expected > 0 ? flippedBitsMax : flippedInZerosMax)) return undefined;
  const bit = 31 - Math.clz32((bytes[firstByte]! ^ reference[firstByte]!) & 0xff);
  return {
    class: "bit-flip",
    summary:
      count === 1
        ? `bit ${bit} of byte ${firstByte} is flipped, all else is right`
        : `${count} bits are flipped, the first in byte ${firstByte}, all else is right`,
    observed: `byte ${firstByte} is ${hex(bytes[firstByte]!)}, expected ${hex(reference[firstByte]!)}`,
  };
}

/** Every sector is undamaged content of a place so many sectors away. */
function shifted(evidence: readonly SectorEvidence[], own: Place): Finding | undefined {
  const [first] = evidence;
  if (first?.kind !== "ours") return undefined;
  const distanceOf = (found: SectorEvidence, sector: number): number | undefined => {
    if (found.kind !== "ours" || found.differingBits > 0 || found.source.address.volume !== own.volume)
      return undefined;
    const { address } = found.source;
    return (address.block - own.block) * evidence.length + address.sector - sector;
  };
  const distance = distanceOf(first, 0);
  if (distance === undefined || distance === 0) return undefined;
  if (!evidence.every((found, sector) => distanceOf(found, sector) === distance)) return undefined;
  const { address } = first.source;
  return {
    class: "misdirected",
    summary: `the content lies ${Math.abs(distance)} sectors too ${distance > 0 ? "low" : "high"}: sector 0 holds what belongs to ${addressText(address)}, sector ${address.sector}`,
    observed: "whole sectors in the wrong place",
  };
}

/** Every sector has a source, but not the same one; or would have, but for a few bits. */
function inPieces(evidence: readonly SectorEvidence[], damaged: DamagedBlock): Finding | undefined {
  const groups = sectorGroups(evidence, damaged);
  const observed = groups.map((group) => `${sectorsText(group)}: ${group.text ?? "damaged"}`).join("; ");
  if (groups.every(({ text }) => text !== undefined)) {
    const strange = evidence.find((found) => isOfOtherBlock(found, damaged));
    return strange === undefined
      ? { class: "torn", summary: "the sectors of the block are of different versions", observed }
      : {
          class: "mixed",
          summary: `whole sectors of ${addressText(strange.source.address)} are among those of the block`,
          observed,
        };
  }
  const bits = evidence.reduce(
    (sum, found) => sum + (found.kind === "ours" ? found.differingBits : sectorBits),
    0,
  );
  if (bits > flippedBitsMax) return undefined;
  return { class: "bit-flip", summary: `${bits} bits of an old version are flipped as well`, observed };
}

function withoutSource({ expected, bytes }: DamagedBlock): Finding {
  const observed = `${Array.from(bytes.subarray(0, 16), hex).join(" ")} …`;
  return expected === 0
    ? {
        class: "extra-data",
        summary: "there is data where no operation of this run ever wrote",
        observed,
      }
    : { class: "garbage", summary: "the bytes are nothing that this run wrote", observed };
}

interface SectorGroup {
  readonly from: number;
  to: number;
  readonly text: string | undefined;
}

/** Runs of sectors with one and the same undamaged source; a run without text has none. */
function sectorGroups(evidence: readonly SectorEvidence[], damaged: DamagedBlock): readonly SectorGroup[] {
  const groups: SectorGroup[] = [];
  for (const [sector, found] of evidence.entries()) {
    const text = sectorText(found, sector, damaged);
    const last = groups.at(-1);
    if (last !== undefined && last.text === text) last.to = sector;
    else groups.push({ from: sector, to: sector, text });
  }
  return groups;
}

function sectorText(found: SectorEvidence, sector: number, damaged: DamagedBlock): string | undefined {
  if (found.kind === "zeros") return "zeros";
  if (!isUndamaged(found)) return undefined;
  const { workload } = damaged;
  const { address } = found.source;
  const position = originOf(found.source, workload);
  const what = position === undefined ? "a value of no operation" : stateText(position, workload);
  const isOwn = isAt(damaged, found.source) && address.sector === sector;
  return isOwn ? what : `${what}, of ${addressText(address)}, sector ${address.sector}`;
}

/** Whether a sector is the undamaged content of another block. */
function isOfOtherBlock(found: SectorEvidence, own: Place): found is OursEvidence {
  return isUndamaged(found) && !isAt(own, found.source);
}

function isUndamaged(found: SectorEvidence): found is OursEvidence {
  return found.kind === "ours" && found.differingBits === 0;
}

function isAt({ volume, block }: Place, { address }: Source): boolean {
  return address.volume === volume && address.block === block;
}

function sectorsText({ from, to }: SectorGroup): string {
  return from === to ? `sector ${from}` : `sectors ${from} to ${to}`;
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}
