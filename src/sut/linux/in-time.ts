/**
 * Asking a host what there is, after a call whose answer was lost: until it can be asked again.
 *
 * @packageDocumentation
 */
import { type Clock, delay } from "../clock.ts";
import { ServiceError } from "../port.ts";

export interface Patience {
  readonly clock: Clock;
  /** How long to go on asking. */
  readonly waitTimeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** Whether asking again may help after such an error; any other is thrown. */
  readonly isPassing: (error: ServiceError) => boolean;
}

const pauseMsMin = 250;
const pauseMsMax = 2000;

/** The answer, or `undefined` if there is none in time, or nobody waits for it any more. */
export async function inTime<Answer>(
  ask: () => Promise<Answer>,
  { clock, waitTimeoutMs, signal, isPassing }: Patience,
): Promise<Answer | undefined> {
  const deadlineMs = clock.now() + waitTimeoutMs;
  for (let pauseMs = pauseMsMin; ; pauseMs = Math.min(2 * pauseMs, pauseMsMax)) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof ServiceError && isPassing(error))) throw error;
      if (signal?.aborted || clock.now() + pauseMs > deadlineMs) return undefined;
    }
    await delay(clock, pauseMs, signal).catch(() => {});
  }
}
