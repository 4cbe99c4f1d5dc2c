/**
 * Work that takes long without waiting for anything, done in turns: between them others come by, and it can be
 * stopped.
 *
 * @packageDocumentation
 */
import { setImmediate as nextTurn } from "node:timers/promises";

/** Work that yields wherever it may be left alone for a while; often, and cheaply. */
export type Turns<Result> = Generator<undefined, Result, undefined>;

/** How long a turn is, about. */
const turnMs = 20;
/** So many steps of work are done before it looks at the clock. */
const stepsPerLook = 256;

/** @throws What the signal was aborted with. */
export async function inTurns<Result>(work: Turns<Result>, signal: AbortSignal | undefined): Promise<Result> {
  let since = performance.now();
  for (let steps = 1; ; steps++) {
    const { done, value } = work.next();
    if (done === true) return value;
    if (steps % stepsPerLook !== 0 || performance.now() - since < turnMs) continue;
    await nextTurn();
    signal?.throwIfAborted();
    since = performance.now();
  }
}

/** Does it in one turn, however long that takes. */
export function atOnce<Result>(work: Turns<Result>): Result {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
  }
}
