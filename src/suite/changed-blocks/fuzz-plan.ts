/**
 * The cases of `--fuzz`: steps drawn from a seed, around the places where diffs go wrong.
 *
 * A case is a plan and nothing else, so that steps can be left out of it and what is left is still a case.
 *
 * @packageDocumentation
 */
import { Choices } from "../../generators/choices.ts";
import type { BlockRange } from "../../sut/port.ts";
import type { Zeroing } from "./zeroing.ts";

export type CaseStep =
  | { readonly kind: "write"; readonly ranges: readonly BlockRange[] }
  | { readonly kind: "zero"; readonly by: Zeroing; readonly ranges: readonly BlockRange[] }
  | { readonly kind: "snapshot"; readonly label: string }
  /** Also from an offset on, if there is one. */
  | { readonly kind: "diff"; readonly of: string; readonly base?: string; readonly offset?: number }
  /** Twice, with the same answer. */
  | { readonly kind: "repeat"; readonly of: string; readonly base: string }
  /** By the diff against what the target holds. */
  | { readonly kind: "sync"; readonly to: string }
  | { readonly kind: "delete"; readonly label: string }
  /** Of a base that was deleted. */
  | { readonly kind: "refusal"; readonly of: string; readonly base: string };

export interface CasePlan {
  readonly seed: bigint;
  /** Of the volumes. */
  readonly blockCount: number;
  readonly steps: readonly CaseStep[];
}

export interface PlanSpace {
  readonly seed: bigint;
  /** Blocks reported with one bitmap. */
  readonly chunkBlocks: number;
  /** Size of the volumes; one is drawn if it is not given. */
  readonly blockCount?: number;
}

/** Draws of cases have nothing to do with those of other purposes. */
const caseStream = 7n;
const snapshotsMax = 6;
const changesMax = 4;
/** Sizes of volumes that are drawn, in chunks. */
const volumeChunks = { min: 2, max: 240 };
/** How many chunks in a row are written in one block each: answers long enough for a second page. */
const combChunks = [3, 17, 33, 99, 100, 101, 140] as const;
/** Share of changes that make zeros, in percent. */
const zeroPercent = 30;
const zeroings: readonly Zeroing[] = ["write", "writeZeroes", "deallocate"];

/** The same for a seed each time. */
export function drawCase({ seed, chunkBlocks, blockCount: given }: PlanSpace): CasePlan {
  const draw = new Draws(new Choices(seed, caseStream), chunkBlocks, given);
  const { blockCount } = draw;
  const steps: CaseStep[] = draw.changes();
  const labels: string[] = [];
  const count = 1 + draw.below(snapshotsMax);
  for (let index = 0; index <= count; index++) {
    if (index > 0) steps.push(...draw.changes());
    labels.push(`s${index}`);
    steps.push({ kind: "snapshot", label: `s${index}` });
  }
  // What is written after the last snapshot must be in no diff.
  steps.push(...draw.changes());
  const last = labels.length - 1;
  for (const [index, label] of labels.entries()) {
    if (index > 0) steps.push({ kind: "diff", of: label, base: labels[draw.below(index)]! });
    if (draw.below(3) === 0) steps.push({ kind: "diff", of: label, offset: draw.place() });
  }
  const [of, base] = [labels[last]!, labels[draw.below(last)]!];
  steps.push({ kind: "diff", of, base, offset: draw.place() }, { kind: "repeat", of, base });
  const hops = labels.filter((_, index) => index === last || draw.below(2) === 0);
  steps.push(...hops.map((to): CaseStep => ({ kind: "sync", to })));
  const gone = labels[draw.below(last)]!;
  steps.push({ kind: "delete", label: gone }, { kind: "refusal", of, base: gone });
  // Across what was deleted, the answer is as before.
  const left = labels.slice(0, -1).filter((label) => label !== gone);
  for (const label of left) steps.push({ kind: "diff", of, base: label });
  steps.push({ kind: "diff", of });
  return { seed, blockCount, steps };
}

class Draws {
  readonly blockCount: number;
  readonly #choices: Choices;
  readonly #chunkBlocks: number;
  readonly #taken: BlockRange[] = [];

  constructor(choices: Choices, chunkBlocks: number, blockCount: number | undefined) {
    this.#choices = choices;
    this.#chunkBlocks = chunkBlocks;
    const { min, max } = volumeChunks;
    // Volumes rarely end with a chunk.
    const chunks = min + choices.below(max - min + 1);
    const drawn = chunks * chunkBlocks + choices.below(2) * choices.below(chunkBlocks);
    this.blockCount = blockCount ?? drawn;
  }

  below(bound: number): number {
    return this.#choices.below(bound);
  }

  changes(): CaseStep[] {
    return Array.from({ length: this.below(changesMax + 1) }, () => this.#change());
  }

  /** A block near an edge of a chunk, of the volume, or of what was touched; or any block. */
  place(): number {
    const chunk = this.#chunkBlocks;
    const edges = [0, 1, chunk / 2 - 1, chunk / 2, chunk - 2, chunk - 1];
    const edge = edges[this.below(edges.length)]!;
    const before = this.#taken[this.below(Math.max(1, this.#taken.length))];
    const kinds: readonly (() => number)[] = [
      () => this.below(Math.ceil(this.blockCount / chunk)) * chunk + edge,
      () => edge,
      () => this.blockCount - 1 - edge,
      () => (before === undefined ? edge : before.block + this.below(before.blockCount)),
      () => (before === undefined ? edge : before.block + before.blockCount),
      () => this.below(this.blockCount),
    ];
    const block = kinds[this.below(kinds.length)]!();
    return Math.min(Math.max(0, block), this.blockCount - 1);
  }

  #change(): CaseStep {
    const ranges = this.below(6) === 0 ? this.#comb() : [this.#range()];
    this.#taken.push(...ranges.slice(0, 2));
    if (this.below(100) >= zeroPercent) return { kind: "write", ranges };
    return { kind: "zero", by: zeroings[this.below(zeroings.length)]!, ranges };
  }

  #range(): BlockRange {
    const chunk = this.#chunkBlocks;
    const lengths = [1, 2, 7, chunk / 2, chunk - 1, chunk, chunk + 1, 2 * chunk + 1, 5 * chunk];
    const block = this.place();
    const blockCount = Math.min(lengths[this.below(lengths.length)]!, this.blockCount - block);
    return { block, blockCount };
  }

  #comb(): readonly BlockRange[] {
    const chunk = this.#chunkBlocks;
    const chunks = Math.floor(this.blockCount / chunk);
    const count = Math.min(chunks, combChunks[this.below(combChunks.length)]!);
    const first = this.below(chunks - count + 1);
    const offset = this.below(chunk);
    return Array.from({ length: count }, (_, index) => ({
      block: (first + index) * chunk + offset,
      blockCount: 1,
    }));
  }
}
