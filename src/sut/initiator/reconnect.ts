/**
 * When to try again after an association was lost, and which attempts are worth a line in the log.
 *
 * @packageDocumentation
 */
export interface ReconnectPolicy {
  /** Wait before the first attempt; it doubles with every further one, up to `delayMsMax`. */
  readonly delayMsMin: number;
  readonly delayMsMax: number;
  /** Attempts after one loss; 0 for none. */
  readonly attemptsMax: number;
  /** 0 (inclusive) to 1: spreads hosts that lost the same target. */
  readonly random: () => number;
}

export const reconnectPolicyDefault: ReconnectPolicy = {
  delayMsMin: 200,
  delayMsMax: 5_000,
  attemptsMax: 60,
  random: Math.random,
};

/** Wait before attempt 1, 2, ...: between half and all of the backed-off delay. */
export function reconnectDelayMs(policy: ReconnectPolicy, attempt: number): number {
  const delayMs = Math.min(policy.delayMsMax, policy.delayMsMin * 2 ** (attempt - 1));
  return delayMs * (0.5 + policy.random() / 2);
}

/** Of the failed attempts 1, 2, ... those that are a power of two are told: a long outage is a few lines. */
export function isTold(attempt: number): boolean {
  return Number.isInteger(Math.log2(attempt));
}
