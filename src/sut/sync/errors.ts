/**
 * What can go wrong with a copy, beside what the service itself refuses.
 *
 * @packageDocumentation
 */

/** What was copied is not what the target holds now. */
export class SyncMismatchError extends Error {
  override readonly name = "SyncMismatchError";
}

/** A device did not read, write or flush. */
export class SyncTransferError extends Error {
  override readonly name = "SyncTransferError";
}

/** The snapshot can not be copied to this target; nothing was written. */
export class SyncFitError extends Error {
  override readonly name = "SyncFitError";
}
