/**
 * What the bytes of a block say of who wrote them, in words, and whether they are a value that the block may hold.
 *
 * @packageDocumentation
 */
import { readEvidence, type SectorEvidence, type Source } from "../model/block-evidence.ts";
import { addressText, originOf } from "../model/origin.ts";
import type { Violation } from "../model/violation.ts";
import { operationAt } from "../selectors/operations.ts";
import { type CandidateValue, stateName } from "./explain-candidates.ts";
import type { BlockPlace } from "./explain-operations.ts";
import type { ExplainSource } from "./explain-source.ts";

/** What was found in a block. */
export interface Found {
  /** One for each stretch of sectors that say the same. */
  readonly stretches: readonly FoundStretch[];
}

interface FoundStretch {
  readonly firstSector: number;
  readonly sectorCount: number;
  /** What the bytes are. */
  readonly what: string;
  /** Whether that may be there, and why; absent where the bytes name nobody. */
  readonly verdict: string | undefined;
}

/** What was seen of a block. */
export interface Seen {
  readonly bytes: Uint8Array;
  /** All values that the block ever had, allowed or not. */
  readonly values: readonly CandidateValue[];
  /** What was made of it. */
  readonly violation: Violation | undefined;
}

export function foundIn(source: ExplainSource, place: BlockPlace, { bytes, values, violation }: Seen): Found {
  const { format } = source.history.run;
  const stretches: FoundStretch[] = [];
  for (const [sector, evidence] of readEvidence(format, bytes).entries()) {
    const said = saidBy(source, place, sector, evidence, values);
    const last = stretches.at(-1);
    if (last?.what === said.what)
      stretches[stretches.length - 1] = { ...last, sectorCount: last.sectorCount + 1 };
    else stretches.push({ firstSector: sector, sectorCount: 1, ...said });
  }
  // Bytes that are right by themselves are wrong for a reason that lies elsewhere.
  const isByItself = stretches.every(({ verdict }) => verdict?.startsWith("allowed") === true);
  if (!isByItself || violation === undefined) return { stretches };
  const but = `; and yet: ${violation.summary}`;
  return { stretches: stretches.map((one) => ({ ...one, verdict: `${one.verdict}${but}` })) };
}

function saidBy(
  source: ExplainSource,
  place: BlockPlace,
  sector: number,
  evidence: SectorEvidence,
  values: readonly CandidateValue[],
): Pick<FoundStretch, "what" | "verdict"> {
  switch (evidence.kind) {
    case "zeros":
      return { what: "zeros", verdict: zerosVerdict(values) };
    case "foreign":
      return {
        what: `content of another run, ${evidence.runId.toString(16)}, of ${addressText(evidence.address)}`,
        verdict: "no operation of this run wrote it",
      };
    case "garbage":
      return { what: "nothing that any run of harrow writes", verdict: undefined };
    case "ours":
      return oursSaid(source, place, sector, evidence, values);
  }
}

function oursSaid(
  { history, ltsEnd }: ExplainSource,
  place: BlockPlace,
  sector: number,
  { source, differingBits, firstDifference, strangeLines }: Extract<SectorEvidence, { kind: "ours" }>,
  values: readonly CandidateValue[],
): Pick<FoundStretch, "what" | "verdict"> {
  const position = originOf(source, history);
  const isHere = isOf(place, source);
  const writer = position === undefined ? "no operation of this history" : `operation ${stateName(position)}`;
  const parts = [`data of ${writer}`];
  if (!isHere) parts.push(`of ${addressText(source.address)}`);
  if (source.address.sector !== sector) parts.push(`its sector ${source.address.sector}`);
  if (strangeLines.length > 0) parts.push(`with ${strangeLines.length} lines of 64 bytes of others`);
  else if (differingBits > 0)
    parts.push(
      `but for ${differingBits} ${differingBits === 1 ? "bit" : "bits"}, first in byte ${firstDifference}`,
    );
  const value = values.find(({ state }) => state === position);
  const isClones = source.address.volume >= history.geometry.volumeBlocks.length;
  if (isClones)
    return {
      what: `content that a clone was given, of block ${source.address.block}`,
      verdict: "it belongs to a clone alone",
    };
  const verdict = !isHere
    ? "it belongs to another block"
    : value === undefined
      ? position !== undefined && operationAt(position).lts > ltsEnd
        ? "the run has not come so far: an earlier run of the same seed left it"
        : "no operation on this block wrote such a value"
      : verdictOn(value);
  return { what: parts.join(", "), verdict };
}

function isOf({ volume, block }: BlockPlace, { address }: Source): boolean {
  return address.volume === volume && address.block === block;
}

function verdictOn({ isAllowed, why }: CandidateValue): string {
  return isAllowed ? `allowed: ${why}` : `excluded: ${why}`;
}

/** Zeros name nobody: any that is allowed will do, and otherwise the newest says why they are not. */
function zerosVerdict(values: readonly CandidateValue[]): string {
  const zeros = values.filter(({ state }) => state <= 0);
  const allowed = zeros.find(({ isAllowed }) => isAllowed);
  const value = allowed ?? zeros[0];
  if (value === undefined) return "no operation made them";
  const whose = value.state === 0 ? "of before the first write" : `of ${stateName(value.state)}`;
  return `${verdictOn(value)} (${whose})`;
}
