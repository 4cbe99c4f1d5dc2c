/**
 * A snapshot that a run has taken, as it has to be found again: by a run that goes on, and in a failure folder.
 *
 * @packageDocumentation
 */

export interface KeptSnapshot {
  /** Its number in the history. */
  readonly snapshot: number;
  readonly isAlive: boolean;
  /** On the target, by volume. */
  readonly volumes: readonly { readonly uuid: string; readonly name: string }[];
}
