/**
 * Which extent an lts visits: a window that slides over the sequence of extents.
 *
 * Slide s covers the positions s to s + w − 1, each visited r times in turns, and takes S = w·r steps:
 *
 *   visit j of position p in slide s is at lts = s·S + j·w + (p − s),   0 ≤ j < r
 *
 * A position is in the window for w slides (fewer at the very start), then rests until the sequence comes round:
 * past the last extent, position N + i visits extent i again, as its next generation. Everything is worked out
 * from the lts; nothing is remembered. As w ≤ N no extent is twice in one window.
 *
 * @packageDocumentation
 */
import { type Permutation, permutation } from "../generators/permutation.ts";
import { choiceStream, purposes } from "../generators/streams.ts";

export interface WindowOptions {
  readonly seed: bigint;
  readonly extentCount: number;
  /** Positions in the window, 1 to extentCount. */
  readonly windowSize: number;
  /** Times that each position of a window is visited before it slides. */
  readonly slideAfterRepeats: number;
}

export class ExtentWindow {
  readonly #extentCount: number;
  readonly #w: number;
  readonly #r: number;
  readonly #slideSteps: number;
  readonly #order: Permutation;

  constructor({ seed, extentCount, windowSize, slideAfterRepeats }: WindowOptions) {
    if (!(windowSize >= 1 && windowSize <= extentCount))
      throw new RangeError(`a window of ${windowSize} does not fit ${extentCount} extents`);
    if (slideAfterRepeats < 1)
      throw new RangeError(`slideAfterRepeats is ${slideAfterRepeats}: expected 1 or more`);
    this.#extentCount = extentCount;
    this.#w = windowSize;
    this.#r = slideAfterRepeats;
    this.#slideSteps = windowSize * slideAfterRepeats;
    this.#order = permutation(extentCount, { seed, stream: choiceStream(purposes.extentOrder) });
  }

  /** Positions in the window. */
  get windowSize(): number {
    return this.#w;
  }

  /** The extent visited at an lts. */
  pd(lts: number): number {
    return this.#order.at(this.#position(lts) % this.#extentCount);
  }

  /** Position in the sequence of extents, 0 to extentCount − 1. */
  pid(lts: number): number {
    return this.#position(lts) % this.#extentCount;
  }

  /** How often the sequence has come round at this visit. */
  generation(lts: number): number {
    return Math.floor(this.#position(lts) / this.#extentCount);
  }

  /** First visit of an extent, in its first generation. */
  firstLts(pd: number): number {
    return this.#firstOf(this.#order.positionOf(pd));
  }

  /** Last visit of an extent at or before an lts, which may be −1; `undefined` if there was none yet. */
  lastLts(pd: number, ltsMax: number): number | undefined {
    if (ltsMax < 0) return undefined;
    const pid = this.#order.positionOf(pd);
    const newest = this.#newestPosition(ltsMax);
    if (pid > newest) return undefined;
    const position = newest - ((newest - pid) % this.#extentCount);
    const slide = Math.min(position, Math.floor(ltsMax / this.#slideSteps));
    const turn = Math.floor((ltsMax - slide * this.#slideSteps - (position - slide)) / this.#w);
    // The position's turn in this slide may not have come yet.
    if (turn < 0) return this.#at(position, slide - 1, this.#r - 1);
    return this.#at(position, slide, Math.min(turn, this.#r - 1));
  }

  /** The visit after this one of the same extent; in the next generation, if this was the last of its own. */
  nextLts(lts: number): number {
    const slide = Math.floor(lts / this.#slideSteps);
    const position = this.#position(lts);
    const turn = Math.floor((lts % this.#slideSteps) / this.#w);
    if (turn + 1 < this.#r) return lts + this.#w;
    if (slide + 1 <= position) return this.#at(position, slide + 1, 0);
    return this.#firstOf(position + this.#extentCount);
  }

  /** The visit before this one of the same extent; `undefined` if this is its first. */
  prevLts(lts: number): number | undefined {
    const slide = Math.floor(lts / this.#slideSteps);
    const position = this.#position(lts);
    const turn = Math.floor((lts % this.#slideSteps) / this.#w);
    if (turn > 0) return lts - this.#w;
    if (slide - 1 >= Math.max(0, position - this.#w + 1)) return this.#at(position, slide - 1, this.#r - 1);
    if (position < this.#extentCount) return undefined;
    const before = position - this.#extentCount;
    return this.#at(before, before, this.#r - 1);
  }

  /** How many different extents the visits 0 to lts have reached; 0 for a negative lts. */
  reachedCount(lts: number): number {
    return lts < 0 ? 0 : Math.min(this.#extentCount, this.#newestPosition(lts) + 1);
  }

  /** The extent that was reached as number `index`, from 0. */
  reachedPd(index: number): number {
    return this.#order.at(index);
  }

  /** The extent at a place, 0 to windowSize − 1, of the window that stands at an lts; it may be reached only later. */
  pdInWindow(lts: number, place: number): number {
    return this.#order.at((Math.floor(lts / this.#slideSteps) + place) % this.#extentCount);
  }

  /** Unbounded position: slides plus place in the window. */
  #position(lts: number): number {
    return Math.floor(lts / this.#slideSteps) + (lts % this.#w);
  }

  #at(position: number, slide: number, turn: number): number {
    return slide * this.#slideSteps + turn * this.#w + (position - slide);
  }

  #firstOf(position: number): number {
    return this.#at(position, Math.max(0, position - this.#w + 1), 0);
  }

  /** The highest position with a visit at or before an lts ≥ 0. */
  #newestPosition(lts: number): number {
    const slide = Math.floor(lts / this.#slideSteps);
    const step = lts % this.#slideSteps;
    if (step >= this.#w - 1) return slide + this.#w - 1;
    return slide === 0 ? step : slide + this.#w - 2;
  }
}
