/**
 * Commands that people are to copy into a shell.
 *
 * @packageDocumentation
 */

/** Words as one line of a POSIX shell, each of them taken for one word and as it is. */
export function shellWords(words: readonly string[]): string {
  return words.map(quoted).join(" ");
}

function quoted(word: string): string {
  return /^[\w./:=+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
