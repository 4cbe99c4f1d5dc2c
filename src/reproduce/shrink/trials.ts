/**
 * Whether a history fails, on a target that may not show it each time.
 *
 * Where the same run ends the same each time, one try tells. Elsewhere a sequential test decides (Wald, 1945) between
 * two rates: the wanted one, which is half of what the whole was found to fail at, and two fifths of that, or a tenth
 * of it if the whole fails nearly each time, so that few tries are enough. A history that fails at the wanted rate or more
 * often is taken with 95 %, one that fails at that part of it or less is refused with 99 %: it is better to keep an
 * operation too many than to go on with a failure by chance, for the next steps would start from it. Histories in
 * between may go either way; when there were as many tries as are allowed, what was seen to fail at the wanted rate is
 * taken.
 *
 * Where tries are dear, and the whole fails each time, what is smaller has to fail nearly each time as well: two tries
 * tell then.
 *
 * @packageDocumentation
 */
import type { Violation } from "../../model/violation.ts";
import type { Performable } from "./outline.ts";

/** How often something failed. */
export interface Tally {
  readonly failures: number;
  readonly tries: number;
}

const missedShare = 0.05;
const noiseShare = 0.01;
/** Of the wanted rate: what fails so seldom is refused. */
const refusedPart = { seldom: 2 / 5, often: 1 / 10 };
/** A wanted rate from which on something fails often. */
const oftenMin = 0.4;
/** The wanted rate is not below this: it would take too many tries to see it. */
const wantedMin = 0.05;
const failuresMin = 2;
/** Of something that fails each time, where tries are dear: two of them tell. */
const wantedOfDear = 0.8;
/** A try that takes so long is dear. */
const dearMs = 300;

/**
 * The rate at which a smaller history must fail, from what was seen of the whole.
 *
 * @param tryMs - How long a try takes.
 */
export function wantedRate({ failures, tries }: Tally, tryMs = 0): number {
  if (failures === tries && tryMs >= dearMs) return wantedOfDear;
  return Math.max(wantedMin, failures / tries / 2);
}

/** Adds up tries of one history until it is clear whether it fails often enough. */
export class SequentialTest {
  readonly #onFailure: number;
  readonly #onPass: number;
  readonly #triesMax: number;
  readonly #wanted: number;
  #evidence = 0;
  #failures = 0;
  #tries = 0;

  constructor({ wanted, triesMax }: { readonly wanted: number; readonly triesMax: number }) {
    const refused = wanted * (wanted < oftenMin ? refusedPart.seldom : refusedPart.often);
    this.#onFailure = Math.log(wanted / refused);
    this.#onPass = Math.log((1 - wanted) / (1 - refused));
    this.#triesMax = triesMax;
    this.#wanted = wanted;
  }

  /** @returns Whether it fails often enough, once that is clear. */
  add(hasFailed: boolean): boolean | undefined {
    this.#tries++;
    this.#failures += hasFailed ? 1 : 0;
    this.#evidence += hasFailed ? this.#onFailure : this.#onPass;
    if (this.#failures >= failuresMin && this.#evidence >= Math.log((1 - missedShare) / noiseShare))
      return true;
    const isHopeless = this.#evidence <= Math.log(missedShare / (1 - noiseShare));
    if (isHopeless) return false;
    if (this.#tries < this.#triesMax) return undefined;
    return this.#failures >= failuresMin && this.#failures / this.#tries >= this.#wanted;
  }
}

export interface TrialsOptions {
  /** Each call draws anew what is left to chance. */
  readonly perform: (candidate: Performable) => Promise<Violation | undefined>;
  readonly isRepeatable: boolean;
  /** Of one history. */
  readonly triesMax: number;
  readonly isOver: () => boolean;
}

export class Trials {
  readonly #options: TrialsOptions;

  constructor(options: TrialsOptions) {
    this.#options = options;
  }

  /** Whether a history fails at the rate that is wanted; the violation of the last try that failed. */
  async fails(candidate: Performable, wanted: number): Promise<Violation | undefined> {
    const { isRepeatable, isOver, triesMax, perform } = this.#options;
    if (isRepeatable) return perform(candidate);
    const test = new SequentialTest({ wanted, triesMax });
    let last: Violation | undefined;
    while (!isOver()) {
      const violation = await perform(candidate);
      if (isOver()) return undefined;
      last = violation ?? last;
      const verdict = test.add(violation !== undefined);
      if (verdict !== undefined) return verdict ? last : undefined;
    }
    return undefined;
  }

  /** How often a history fails in some tries; in fewer, if the work is over before. */
  async tally(
    candidate: Performable,
    triesMax: number,
    { isOver = this.#options.isOver, failuresMax = Number.POSITIVE_INFINITY } = {},
  ): Promise<Tally & { readonly violation: Violation | undefined }> {
    const { perform } = this.#options;
    let failures = 0;
    let tries = 0;
    let last: Violation | undefined;
    while (tries < triesMax && failures < failuresMax && !isOver()) {
      const violation = await perform(candidate);
      if (violation === undefined && isOver()) break;
      tries++;
      if (violation !== undefined) failures++;
      last = violation ?? last;
    }
    return { failures, tries, violation: last };
  }
}

/** Of the normal distribution, for 95 %. */
const z = 1.959964;

/** Where the rate lies, with a confidence of 95 % (Wilson, 1927). */
export function wilsonInterval({ failures, tries }: Tally): { readonly low: number; readonly high: number } {
  if (tries === 0) return { low: 0, high: 1 };
  const rate = failures / tries;
  const square = (z * z) / tries;
  const middle = (rate + square / 2) / (1 + square);
  const width = (z / (1 + square)) * Math.sqrt((rate * (1 - rate)) / tries + square / tries / 4);
  return { low: Math.max(0, middle - width), high: Math.min(1, middle + width) };
}

/** For people: how often something fails. */
export function rateText(tally: Tally): string {
  if (tally.tries === 0) return "no try, as time was up";
  const { low, high } = wilsonInterval(tally);
  const percent = (rate: number): string => String(Math.round(rate * 100));
  return `${tally.failures} of ${tally.tries} tries (${percent(low)} to ${percent(high)} %)`;
}
