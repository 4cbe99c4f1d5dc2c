/**
 * Looks for the smallest history that still fails: takes parts out, and makes what is left simpler, until nothing goes.
 *
 * Parts go in chunks: all of a kind, halves, quarters, down to single ones (delta debugging, Zeller and Hildebrandt,
 * 2002); first whole extents, then lts, operations, reads; then blocks and kinds are made simpler; then what follows
 * an lts; then the space is made smaller. It goes round until a round changes nothing, so that in the end no single
 * part can be left out. Whether a history fails is for the caller to say: nothing here performs anything.
 *
 * @packageDocumentation
 */
import { createHash } from "node:crypto";
import type { Violation } from "../../model/violation.ts";
import type { BlockSpan } from "../../selectors/block-selector.ts";
import type { HistoryPlan } from "../../selectors/history-builder.ts";
import type { Operation } from "../../selectors/operations.ts";
import type { WrittenVisit } from "../../selectors/written-history.ts";
import { isIdle, type Outline, type Performable, performable, replaced, without } from "./outline.ts";
import { shorterSpans, simplerOperations } from "./simpler.ts";
import { smallerSpaces } from "./smaller-space.ts";

/** A history that fails, and how. */
export interface Failing extends Performable {
  readonly violation: Violation;
}

export interface SearchOptions {
  /** Whether a history fails as it should, and how; what it says once `isOver` holds does not count. */
  readonly fails: (candidate: Performable) => Promise<Violation | undefined>;
  readonly isOver: () => boolean;
  /** Told of each smaller one that fails. */
  readonly onSmaller?: (failing: Failing) => void;
  /** Keys of histories that were found not to fail: none of them is asked about again. Is added to. */
  readonly passed?: Set<string>;
  /** Leaves volumes and extents as they are. */
  readonly isSpaceKept?: boolean;
}

/** What stands for a history among those that were tried. */
export function keyOf(text: string): string {
  return createHash("sha256").update(text).digest("base64url").slice(0, 16);
}

/** @returns The smallest found; the one given, if none is smaller. */
export async function smallest(found: Failing, options: SearchOptions): Promise<Failing> {
  const search = new Search(found, options);
  await search.run();
  return search.best;
}

/** Parts that steps are divided into at first. */
const coarseParts = 16;
/** lts in flight together that are tried, the simplest first; none is one lts after another. */
const depths: readonly (number | undefined)[] = [undefined, 2, 4];

class Search {
  best: Failing;
  #outline: Outline;
  #isCompact = true;
  readonly #options: SearchOptions;
  readonly #passed: Set<string>;

  constructor(found: Failing, options: SearchOptions) {
    this.best = found;
    this.#outline = found.plan;
    this.#options = options;
    this.#passed = options.passed ?? new Set();
  }

  async run(): Promise<void> {
    await this.#fewerInFlight();
    await this.#compact();
    for (let before = ""; before !== this.best.text && !this.#options.isOver(); ) {
      before = this.best.text;
      await this.#minimize(byExtent);
      await this.#minimize(byVisit);
      await this.#compact();
      // What is asked of a control plane takes the longest: most of it goes before single operations are looked at.
      await this.#minimize(steps, coarseParts);
      await this.#minimize(({ visits }) => visits.flatMap(({ operations }) => operations.map(alone)));
      await this.#minimize(({ visits }) => visits.flatMap(({ reads }) => reads?.map(alone) ?? []));
      await this.#simplify();
      await this.#minimize(steps);
      await this.#minimize(({ clones }) =>
        [...clones.values()].flat().flatMap(({ operations }) => operations.map(alone)),
      );
      await this.#minimize(({ visits }) => visits.filter(isIdle).map(alone));
      await this.#joinSteps();
      await this.#tidy();
      if (this.#options.isSpaceKept !== true) await this.#shrinkSpace();
      await this.#fewerInFlight();
    }
  }

  /** Takes an outline for the best if it is another history, is one at all, and fails. */
  async #take(outline: Outline): Promise<boolean> {
    const { isOver, fails, onSmaller } = this.#options;
    if (isOver()) return false;
    const candidate = performable(outline);
    if (candidate === undefined || candidate.text === this.best.text) return false;
    const key = keyOf(candidate.text);
    if (this.#passed.has(key)) return false;
    const violation = await fails(candidate);
    if (isOver()) return false;
    if (violation === undefined) {
      this.#passed.add(key);
      return false;
    }
    this.#outline = outline;
    this.best = { ...candidate, violation };
    onSmaller?.(this.best);
    return true;
  }

  /**
   * Takes out groups of parts: chunks of them, from the end, then smaller chunks, then single groups until none goes.
   *
   * @param partsMax - Chunks are not made smaller than so many make up all.
   */
  async #minimize(
    groupsOf: (outline: Outline) => readonly (readonly object[])[],
    partsMax = Number.POSITIVE_INFINITY,
  ): Promise<void> {
    const groups = [...groupsOf(this.#outline)];
    const sizeMin = groups.length / partsMax;
    for (let size = groups.length; size > sizeMin; ) {
      let isSmaller = false;
      for (let end = groups.length; end > 0; end -= size) {
        if (this.#options.isOver()) return;
        const first = Math.max(0, end - size);
        const gone = new Set(groups.slice(first, end).flat());
        if (!(await this.#take(without(this.#outline, gone, this.#isCompact)))) continue;
        groups.splice(first, end - first);
        isSmaller = true;
      }
      if (size === 1 && !isSmaller) return;
      size = Math.min(Math.ceil(size / 2), groups.length);
    }
  }

  /** lts one after another, or fewer in flight together. */
  async #fewerInFlight(): Promise<void> {
    const { depth } = this.#outline;
    if (depth === undefined) return;
    for (const fewer of depths) {
      if (fewer !== undefined && fewer >= depth) return;
      const { depth: _, ...rest } = this.#outline;
      if (await this.#take(fewer === undefined ? rest : { ...rest, depth: fewer })) return;
    }
  }

  /** Leaves out lts at which nothing is done; if it needs them, they stay when others go. */
  async #compact(): Promise<void> {
    if (!this.#outline.visits.some(isIdle)) return;
    this.#isCompact = await this.#take(without(this.#outline, new Set(), true));
  }

  /** Makes operations and reads simpler: all at once, then each as far as it goes. */
  async #simplify(): Promise<void> {
    for (const simpler of [plainest, shortest, halved]) await this.#simplifyAll(simpler);
    for (const visit of this.#outline.visits) await this.#unbatch(visit);
    const all: readonly { readonly pd: number; readonly operations: readonly Operation[] }[] = [
      ...this.#outline.visits,
      ...[...this.#outline.clones.values()].flat(),
    ];
    for (const { pd, operations } of all)
      for (const operation of operations)
        await this.#simplifyOne(operation, (one) => simplerOperations(one, this.#focus(pd)));
    for (const { pd, reads = [] } of this.#outline.visits)
      for (const read of reads)
        await this.#simplifyOne(read, (one) =>
          shorterSpans(one, this.#focus(read.pd ?? pd)).map((span) => ({ ...one, ...span })),
        );
  }

  async #simplifyAll(simpler: (part: Operation | BlockSpan, focus: readonly number[]) => object | undefined) {
    const changes = new Map<object, object>();
    const { visits, clones } = this.#outline;
    for (const { pd, operations } of [...visits, ...[...clones.values()].flat()])
      for (const operation of operations) {
        const changed = simpler(operation, this.#focus(pd));
        if (changed !== undefined) changes.set(operation, changed);
      }
    for (const { pd, reads = [] } of visits)
      for (const read of reads) {
        const changed = simpler(read, this.#focus(read.pd ?? pd));
        if (changed !== undefined) changes.set(read, changed);
      }
    if (changes.size > 0) await this.#take(replaced(this.#outline, changes));
  }

  async #simplifyOne<Part extends object>(
    part: Part,
    simplerOf: (part: Part) => readonly Part[],
  ): Promise<void> {
    for (let current: Part | undefined = part; current !== undefined; ) {
      let next: Part | undefined;
      for (const simpler of simplerOf(current)) {
        if (this.#options.isOver()) return;
        if (!(await this.#take(replaced(this.#outline, new Map([[current, simpler]]))))) continue;
        next = simpler;
        break;
      }
      current = next;
    }
  }

  /** All operations of an lts in flight together. */
  async #unbatch({ operations }: WrittenVisit): Promise<void> {
    const later = operations.filter(({ batch }) => batch > 0);
    if (later.length === 0) return;
    const changes = new Map(later.map((operation) => [operation, { ...operation, batch: 0 }]));
    await this.#take(replaced(this.#outline, changes));
  }

  /** What follows an lts at which nothing is done follows the one before. */
  async #joinSteps(): Promise<void> {
    for (let lts = this.#outline.visits.length - 1; lts > 0; lts--) {
      const { visits } = this.#outline;
      const { operations, reads = [], steps = [] } = visits[lts]!;
      if (operations.length + reads.length > 0) continue;
      const before = visits[lts - 1]!;
      const joined = { ...before, steps: [...(before.steps ?? []), ...steps] };
      await this.#take({
        ...this.#outline,
        visits: [...visits.slice(0, lts - 1), joined, ...visits.slice(lts + 1)],
      });
    }
  }

  /** Numbers operations and batches without gaps, and fills blocks with what is simplest to tell apart. */
  async #tidy(): Promise<void> {
    const { visits, clones } = this.#outline;
    const tidied = {
      visits: visits.map((visit) => ({ ...visit, operations: renumbered(visit.operations) })),
      clones: new Map(
        [...clones].map(([clone, all]) => [
          clone,
          all.map((visit) => ({ ...visit, operations: renumbered(visit.operations) })),
        ]),
      ),
    };
    await this.#take({ ...this.#outline, ...tidied });
    if (this.#options.isSpaceKept !== true) await this.#take({ ...this.#outline, content: "incompressible" });
  }

  async #shrinkSpace(): Promise<void> {
    for (let isSmaller = true; isSmaller && !this.#options.isOver(); ) {
      isSmaller = false;
      for (const outline of smallerSpaces(this.#outline)) if ((isSmaller = await this.#take(outline))) break;
    }
  }

  /** Blocks of an extent that the failure is about, counted from its start. */
  #focus(pd: number): readonly number[] {
    const { volume, block, operations } = this.best.violation;
    const { volume: own, firstBlock, blockCount } = this.#outline.geometry.extent(pd);
    if (own !== volume) return [];
    const blocks = [block, ...operations.map((operation) => operation.block)];
    return [...new Set(blocks)]
      .map((one) => one - firstBlock)
      .filter((one) => one >= 0 && one < blockCount)
      .slice(0, 3);
  }
}

function alone(part: object): readonly object[] {
  return [part];
}

function partsOf({ operations, reads = [] }: WrittenVisit): readonly object[] {
  return [...operations, ...reads];
}

function steps({ visits }: Outline): readonly (readonly object[])[] {
  return visits.flatMap((visit) => visit.steps?.map(alone) ?? []);
}

function byVisit({ visits }: Outline): readonly (readonly object[])[] {
  return visits.map(partsOf).filter((parts) => parts.length > 0);
}

/** All that is done to an extent; those first that have the least done to them. */
function byExtent({ visits }: Outline): readonly (readonly object[])[] {
  const byPd = new Map<number, object[]>();
  const add = (pd: number, part: object): void => {
    const parts = byPd.get(pd);
    if (parts === undefined) byPd.set(pd, [part]);
    else parts.push(part);
  };
  for (const { pd, operations, reads = [] } of visits) {
    for (const operation of operations) add(pd, operation);
    for (const read of reads) add(read.pd ?? pd, read);
  }
  return [...byPd.values()].sort((a, b) => b.length - a.length);
}

function isOperation(part: Operation | BlockSpan): part is Operation {
  return "kind" in part;
}

/** The same blocks, by the plainest kind. */
function plainest(part: Operation | BlockSpan): object | undefined {
  if (!isOperation(part)) return undefined;
  return simplerOperations(part).findLast(
    ({ kind, blockCount }) => kind !== part.kind && blockCount === part.blockCount,
  );
}

/** One block. */
function shortest(part: Operation | BlockSpan, focus: readonly number[]): object | undefined {
  const [span] = isWhole(part) ? [] : shorterSpans(part, focus);
  return span === undefined ? undefined : { ...part, ...span };
}

/** The first half, or the one that the failure is about. */
function halved(part: Operation | BlockSpan, focus: readonly number[]): object | undefined {
  if (isWhole(part) || part.blockCount < 2) return undefined;
  const half = Math.ceil(part.blockCount / 2);
  const isSecond = focus.some(
    (block) => block >= part.firstBlock + half && block < part.firstBlock + part.blockCount,
  );
  return isSecond
    ? { ...part, firstBlock: part.firstBlock + part.blockCount - half, blockCount: half }
    : { ...part, blockCount: half };
}

function isWhole(part: Operation | BlockSpan): boolean {
  return isOperation(part) && (part.kind === "deallocateTail" || part.kind === "deallocateExtent");
}

function renumbered(operations: readonly Operation[]): readonly Operation[] {
  const batches = [...new Set(operations.map(({ batch }) => batch))].sort((a, b) => a - b);
  return operations.map((operation, operationId) => ({
    ...operation,
    operationId,
    batch: batches.indexOf(operation.batch),
  }));
}

/** What `smallest` begins with. */
export function failingOf(plan: HistoryPlan, violation: Violation): Failing | undefined {
  const candidate = performable(plan);
  return candidate === undefined ? undefined : { ...candidate, violation };
}
