/**
 * Words of messages.
 *
 * @packageDocumentation
 */

/** A number and its noun: `1 block`, `2 blocks`. For nouns whose plural only takes an s. */
export function counted(count: number, noun: string): string {
  return count === 1 ? `1 ${noun}` : `${count} ${noun}s`;
}
