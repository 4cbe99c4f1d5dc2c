/**
 * A target that was opened for one run, with the clock of that run.
 *
 * @packageDocumentation
 */
import type { Clock } from "../sut/clock.ts";
import type { Target } from "./target.ts";

export interface Stage extends AsyncDisposable {
  readonly target: Target;
  readonly clock: Clock;
  /** Rejects when nothing can happen any more; absent where time does not depend on the run. */
  readonly stalled: Promise<never> | undefined;
}
