/**
 * One line of the text of a history: its words, each within its limits.
 *
 * Whether lines agree with each other and with the geometry is the business of `read-history.ts`.
 *
 * @packageDocumentation
 */

import { blockCountMax, volumeCountMax } from "../generators/streams.ts";
import type { BlockSpan } from "./block-selector.ts";
import { cloneVisitsMax } from "./clone-selector.ts";
import type { FaultStep } from "./fault-schedule.ts";
import { ltsCountMax } from "./history-limits.ts";
import { operationWords } from "./history-words.ts";
import { type OperationKind, operationsPerLtsMax } from "./operations.ts";
import { namePattern } from "./snapshot-names.ts";

/** Names of the lines at the top. */
const headKeys = [
  "seed",
  "block-size",
  "extent-blocks",
  "volume-blocks",
  "start-extents",
  "content",
  "depth",
] as const;
export type HeadKey = (typeof headKeys)[number];

/** Volume, and extent of it. */
export type ExtentPlace = readonly [number, number];

export interface OperationText {
  readonly operationId: number;
  readonly extent: ExtentPlace;
  readonly kind: OperationKind;
  /** Without blocks of a flush. */
  readonly span: BlockSpan;
  readonly batch: number;
}

/** What follows an lts, by names. */
export type StepText =
  | { readonly kind: "snapshot"; readonly name: string; readonly isHot: boolean }
  | { readonly kind: "deleteSnapshot" | "rollback" | "sync"; readonly name: string }
  | { readonly kind: "diff"; readonly from: string | undefined; readonly to: string }
  | { readonly kind: "clone"; readonly name: string; readonly snapshot: string }
  | { readonly kind: "checkClone" | "deleteClone"; readonly name: string }
  | { readonly kind: "resize"; readonly extents: number }
  | FaultStep;

export type HistoryLine =
  | { readonly kind: "head"; readonly key: HeadKey; readonly values: readonly string[] }
  | { readonly kind: "operation"; readonly lts: number; readonly operation: OperationText }
  | { readonly kind: "read"; readonly lts: number; readonly extent: ExtentPlace; readonly span: BlockSpan }
  | { readonly kind: "nothing"; readonly lts: number; readonly extent: ExtentPlace }
  | {
      readonly kind: "cloneOperation";
      readonly clone: string;
      readonly visit: number;
      readonly operation: OperationText;
    }
  | { readonly kind: "step"; readonly lts: number; readonly step: StepText };

/** A line that is not what it should be. */
export class LineProblem extends Error {}

const faultLimits = { cutMs: 60_000, slowMs: 10_000, slowLts: 1_000_000 } as const;
const batchMax = operationsPerLtsMax - 1;
const noBlocks: BlockSpan = { firstBlock: 0, blockCount: 0 };

/** Words of a line without its comment; none of an empty one. */
export function wordsOf(line: string): readonly string[] {
  const [text = ""] = line.split("#", 1);
  const trimmed = text.trim();
  return trimmed === "" ? [] : trimmed.split(/\s+/);
}

/** @throws {LineProblem} If the words are no line of a history. */
export function historyLine(all: readonly string[]): HistoryLine {
  const words = new Words(all);
  const first = words.next("a place such as 3.0, 'after', 'in' or a word of the head");
  const key = headKeys.find((one) => one === first);
  if (key !== undefined) return { kind: "head", key, values: words.rest() };
  const line = bodyLine(first, words);
  words.end();
  return line;
}

function bodyLine(first: string, words: Words): HistoryLine {
  if (first === "after") {
    const lts = words.number("the lts that it follows", { min: 0, max: ltsCountMax - 1 });
    return { kind: "step", lts, step: stepOf(words) };
  }
  if (first === "in") {
    const clone = words.name("the name of a clone");
    const place = words.next("a place in the clone such as 0.0");
    const [visit, operationId] = placeOf(place, { max: cloneVisitsMax - 1, what: "visit" });
    if (operationId === undefined)
      throw new LineProblem(`expected a place in the clone such as 0.0, got ${quoted(place)}`);
    return { kind: "cloneOperation", clone, visit, operation: operationOf(operationId, words) };
  }
  const [lts, operationId] = placeOf(first, { max: ltsCountMax - 1, what: "lts" });
  if (operationId !== undefined)
    return { kind: "operation", lts, operation: operationOf(operationId, words) };
  const extent = words.extent();
  const what = words.next("'read' or 'nothing'");
  if (what === "read") return { kind: "read", lts, extent, span: words.blocks() };
  if (what === "nothing") return { kind: "nothing", lts, extent };
  throw new LineProblem(
    operationWords.has(what)
      ? `${what} needs a place with an operation number, such as ${lts}.0`
      : `expected 'read' or 'nothing', got ${quoted(what)}`,
  );
}

/** `lts.operation`, or the lts alone. */
function placeOf(
  word: string,
  { max, what }: { readonly max: number; readonly what: string },
): readonly [number, number | undefined] {
  const [, first, operation] = /^(\d+)(?:\.(\d+))?$/.exec(word) ?? [];
  if (first === undefined)
    throw new LineProblem(
      `expected a place such as 3.0, 'after', 'in' or a word of the head, got ${quoted(word)}`,
    );
  const number = numberOf(first, what, { min: 0, max });
  if (operation === undefined) return [number, undefined];
  return [number, numberOf(operation, "operation", { min: 0, max: operationsPerLtsMax - 1 })];
}

function operationOf(operationId: number, words: Words): OperationText {
  const extent = words.extent();
  const word = words.next("an operation");
  const kind = operationWords.get(word);
  if (kind === undefined)
    throw new LineProblem(
      word === "read"
        ? "a read has the lts alone for a place, without an operation number"
        : `expected an operation (${[...operationWords.keys()].join(", ")}), got ${quoted(word)}`,
    );
  const span = kind === "flush" ? noBlocks : words.blocks();
  const hasBatch = words.tryTake("batch");
  const batch = hasBatch ? words.number("the batch", { min: 0, max: batchMax }) : 0;
  return { operationId, extent, kind, span, batch };
}

function stepOf(words: Words): StepText {
  const word = words.next("a step");
  const step = Object.hasOwn(steps, word) ? steps[word] : undefined;
  if (step === undefined)
    throw new LineProblem(`expected a step (${Object.keys(steps).join(", ")}), got ${quoted(word)}`);
  return step(words);
}

const steps: Readonly<Record<string, (words: Words) => StepText>> = {
  snapshot: (words) => {
    const name = words.name("the name of a snapshot");
    const isHot = !words.tryTake("at");
    if (!isHot) words.expect("rest");
    return { kind: "snapshot", name, isHot };
  },
  "delete-snapshot": (words) => ({ kind: "deleteSnapshot", name: words.name("the name of a snapshot") }),
  diff: (words) => {
    const from = words.tryTake("-") ? undefined : words.name("the name of the base, or -");
    return { kind: "diff", from, to: words.name("the name of a snapshot") };
  },
  sync: (words) => ({ kind: "sync", name: words.name("the name of a snapshot") }),
  clone: (words) => {
    const name = words.name("the name of a clone");
    words.expect("of");
    return { kind: "clone", name, snapshot: words.name("the name of a snapshot") };
  },
  "check-clone": (words) => ({ kind: "checkClone", name: words.name("the name of a clone") }),
  "delete-clone": (words) => ({ kind: "deleteClone", name: words.name("the name of a clone") }),
  rollback: (words) => ({ kind: "rollback", name: words.name("the name of a snapshot") }),
  resize: (words) => ({
    kind: "resize",
    extents: words.number("how many extents each volume is to have", { min: 1, max: blockCountMax }),
  }),
  crash: () => ({ kind: "crash" }),
  "reset-connections": () => ({ kind: "resetConnections" }),
  "cut-connections": (words) => ({
    kind: "cutConnections",
    durationMs: words.milliseconds(faultLimits.cutMs),
  }),
  slow: (words) => {
    const delayMs = words.milliseconds(faultLimits.slowMs);
    words.expect("for");
    const ltsCount = words.number("how many lts", { min: 1, max: faultLimits.slowLts });
    words.expect("lts");
    return { kind: "slow", delayMs, ltsCount };
  },
};

/** Words of a line, one after another. */
class Words {
  readonly #words: readonly string[];
  #at = 0;

  constructor(words: readonly string[]) {
    this.#words = words;
  }

  next(what: string): string {
    const word = this.#words[this.#at++];
    if (word === undefined) throw new LineProblem(`expected ${what}, got the end of the line`);
    return word;
  }

  /** The words that are left. */
  rest(): readonly string[] {
    return this.#words.slice(this.#at);
  }

  tryTake(word: string): boolean {
    if (this.#words[this.#at] !== word) return false;
    this.#at++;
    return true;
  }

  expect(word: string): void {
    const next = this.next(`'${word}'`);
    if (next !== word) throw new LineProblem(`expected '${word}', got ${quoted(next)}`);
  }

  name(what: string): string {
    const word = this.next(what);
    if (!namePattern.test(word))
      throw new LineProblem(
        `expected ${what}: letters, digits, '.', '_' and '-', at most 64; got ${quoted(word)}`,
      );
    return word;
  }

  number(what: string, limits: Limits): number {
    return numberOf(this.next(what), what, limits);
  }

  /** More than none: what lasts no time is no trouble. */
  milliseconds(max: number): number {
    const word = this.next("milliseconds such as 50ms");
    const [, digits] = /^(\d+)ms$/.exec(word) ?? [];
    if (digits === undefined)
      throw new LineProblem(`expected milliseconds such as 50ms, got ${quoted(word)}`);
    return numberOf(digits, "milliseconds", { min: 1, max });
  }

  extent(): ExtentPlace {
    const word = this.next("an extent such as 0/3");
    const [, volume, extent] = /^(\d+)\/(\d+)$/.exec(word) ?? [];
    if (volume === undefined || extent === undefined)
      throw new LineProblem(`expected an extent as volume/extent, such as 0/3, got ${quoted(word)}`);
    return [
      numberOf(volume, "the volume", { min: 0, max: volumeCountMax - 1 }),
      numberOf(extent, "the extent", { min: 0, max: blockCountMax - 1 }),
    ];
  }

  blocks(): BlockSpan {
    const word = this.next("blocks such as 3 or 3..5");
    const [, first, last = first] = /^(\d+)(?:\.\.(\d+))?$/.exec(word) ?? [];
    if (first === undefined || last === undefined)
      throw new LineProblem(`expected blocks such as 3 or 3..5, got ${quoted(word)}`);
    const limits = { min: 0, max: blockCountMax - 1 };
    const firstBlock = numberOf(first, "a block", limits);
    const lastBlock = numberOf(last, "a block", limits);
    if (lastBlock < firstBlock) throw new LineProblem(`blocks ${word}: the last comes before the first`);
    return { firstBlock, blockCount: lastBlock - firstBlock + 1 };
  }

  end(): void {
    const word = this.#words[this.#at];
    if (word !== undefined) throw new LineProblem(`expected the end of the line, got ${quoted(word)}`);
  }
}

export interface Limits {
  readonly min: number;
  readonly max: number;
}

/** @throws {LineProblem} If the word is no whole number within the limits. */
export function numberOf(word: string, what: string, { min, max }: Limits): number {
  const value = /^\d{1,16}$/.test(word) ? Number(word) : Number.NaN;
  if (!(value >= min && value <= max))
    throw new LineProblem(`${what}: expected a whole number from ${min} to ${max}, got ${quoted(word)}`);
  return value;
}

/** A word as it can be shown. */
export function quoted(word: string): string {
  return JSON.stringify(word.length > 40 ? `${word.slice(0, 40)}…` : word);
}
