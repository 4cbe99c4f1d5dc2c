/**
 * What comes of judging a violation of a dump again.
 *
 * @packageDocumentation
 */
import type { Violation } from "../../model/violation.ts";
import type { Likeness } from "../again.ts";

/**
 * - `again`: the same rule breaks, by the same class.
 * - `different`: something else is wrong.
 * - `right`: nothing is.
 * - `not-kept`: what it was can not be asked any more.
 */
export type JudgementVerdict = "again" | "different" | "right" | "not-kept";

export interface Judgement {
  readonly violation: Violation;
  readonly verdict: JudgementVerdict;
  /** For people: what was looked at, what it shows, and what that says. */
  readonly text: string;
  /** What is wrong now; absent if nothing is, or nobody can tell. */
  readonly found?: Violation;
}

/** All violations of a dump, judged in one way. */
export interface Judged {
  /** For people: what was looked at. */
  readonly description: string;
  /** In the order of the dump; fewer if it was interrupted. */
  readonly judgements: readonly Judgement[];
}

export function isAlike(one: Likeness, other: Likeness): boolean {
  return one.rule === other.rule && one.class === other.class;
}

/** The verdict on a violation for which `found` is wrong now. */
export function compared(violation: Violation, found: Violation | undefined, text: string): Judgement {
  if (found === undefined) return { violation, verdict: "right", text };
  return { violation, verdict: isAlike(found, violation) ? "again" : "different", text, found };
}

export function notKept(violation: Violation, text: string): Judgement {
  return { violation, verdict: "not-kept", text };
}

/** A finding, for people. */
export function findingText({ class: name, rule, summary }: Violation): string {
  return `${name} (rule ${rule}): ${summary}`;
}
