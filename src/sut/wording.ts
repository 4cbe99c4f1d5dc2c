/**
 * Words of messages.
 *
 * @packageDocumentation
 */

/** A number and its noun: `1 block`, `2 blocks`. For nouns whose plural only takes an s. */
export function counted(count: number, noun: string): string {
  return count === 1 ? `1 ${noun}` : `${count} ${noun}s`;
}

/** Text of the other side without control characters, and not too long. */
export function printable(text: string, charactersMax: number): string {
  const clean = text.slice(0, charactersMax + 1).replace(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]+/gu, " ");
  return clean.length > charactersMax ? `${clean.slice(0, charactersMax)}…` : clean;
}
