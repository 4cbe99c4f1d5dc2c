/**
 * The flags do not fit together.
 *
 * @packageDocumentation
 */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
