/**
 * What the command line tells of a failure that was brought about, or judged, again.
 *
 * @packageDocumentation
 */

/** What came of one way to reproduce a failure. */
export interface Report {
  readonly way: string;
  /** Whether something is wrong; undecided if nobody can tell. */
  readonly outcome: "violation" | "consistent" | "undecided";
  /** For people: lines of text. */
  readonly lines: readonly string[];
  readonly json: object;
}
