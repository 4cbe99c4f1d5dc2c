/**
 * How much a history that is written may hold: all of it is kept in memory, and every diff is compared.
 *
 * @packageDocumentation
 */

/** Each is visited. */
export const ltsCountMax = 100_000;
export const stepsMax = 10_000;
export const snapshotsMax = 1000;
export const clonesMax = 1000;
