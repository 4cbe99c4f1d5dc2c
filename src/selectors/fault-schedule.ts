/**
 * When the target is troubled, and how.
 *
 * Fault k of a kind, from 1, follows the lts k·every + jitter(k), with a jitter below every / 2. Kinds know
 * nothing of each other, so several may follow one lts, in the order of {@link FaultStep}.
 *
 * @packageDocumentation
 */
import type { RunKernel } from "../generators/kernel.ts";
import { purposes } from "../generators/streams.ts";
import { drawRange, type Range } from "./draws.ts";

/** lts between two faults of a kind, on average; 0 has none. */
export interface FaultOptions {
  readonly crash?: { readonly every: number };
  readonly resetConnections?: { readonly every: number };
  readonly cutConnections?: { readonly every: number; readonly durationMs: Range };
  /** `ltsCount` is at most half of `every`, so that two never overlap. */
  readonly slow?: { readonly every: number; readonly delayMs: Range; readonly ltsCount: Range };
}

export type FaultStep =
  /** The target loses what it need not have kept, and comes back. */
  | { readonly kind: "crash" }
  /** Every connection is closed once. */
  | { readonly kind: "resetConnections" }
  /** Every connection is closed, and none is accepted for a while. */
  | { readonly kind: "cutConnections"; readonly durationMs: number }
  /** Answers are late during the next `ltsCount` lts. */
  | { readonly kind: "slow"; readonly delayMs: number; readonly ltsCount: number };

const faultKinds: ReadonlySet<string> = new Set([
  "crash",
  "resetConnections",
  "cutConnections",
  "slow",
] satisfies FaultStep["kind"][]);

/** Faults alone may follow a resize of the same lts. */
export function isFaultStep(step: { readonly kind: string }): boolean {
  return faultKinds.has(step.kind);
}

/** Streams of jitter and sizes; part of the format of a history. */
const streams = { crash: 0, resetConnections: 1, cutConnections: 2, slow: 3, slowLts: 4 } as const;

export class FaultSchedule {
  readonly #run: RunKernel;
  readonly #options: FaultOptions;

  constructor(run: RunKernel, options: FaultOptions = {}) {
    const { slow } = options;
    if (slow !== undefined && slow.every > 0 && slow.ltsCount.max > slow.every / 2)
      throw new RangeError(
        `slow for up to ${slow.ltsCount.max} lts, every ${slow.every}: expected at most half of that`,
      );
    this.#run = run;
    this.#options = options;
  }

  stepsAfter(lts: number): readonly FaultStep[] {
    const { crash, resetConnections, cutConnections, slow } = this.#options;
    const steps: FaultStep[] = [];
    if (crash !== undefined && this.#numberAfter(lts, crash.every, streams.crash) !== undefined)
      steps.push({ kind: "crash" });
    if (
      resetConnections !== undefined &&
      this.#numberAfter(lts, resetConnections.every, streams.resetConnections) !== undefined
    )
      steps.push({ kind: "resetConnections" });
    if (cutConnections !== undefined) {
      const number = this.#numberAfter(lts, cutConnections.every, streams.cutConnections);
      if (number !== undefined)
        steps.push({
          kind: "cutConnections",
          durationMs: this.#size(number, streams.cutConnections, cutConnections.durationMs),
        });
    }
    if (slow !== undefined) {
      const number = this.#numberAfter(lts, slow.every, streams.slow);
      if (number !== undefined)
        steps.push({
          kind: "slow",
          delayMs: this.#size(number, streams.slow, slow.delayMs),
          ltsCount: this.#size(number, streams.slowLts, slow.ltsCount),
        });
    }
    return steps;
  }

  /** The number of the fault that follows an lts, if one does. */
  #numberAfter(lts: number, every: number, stream: number): number | undefined {
    if (every === 0 || lts < every) return undefined;
    const number = Math.floor(lts / every);
    const jitter = this.#run.draw(number + 1, purposes.faultJitter, stream, Math.max(1, every >> 1));
    return number * every + jitter === lts ? number : undefined;
  }

  #size(number: number, index: number, range: Range): number {
    return drawRange(this.#run, { position: number + 1, purpose: purposes.faultSize, index }, range);
  }
}
