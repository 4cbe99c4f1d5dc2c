/**
 * Performs a failed run again, from its start and on a target of its own each time, and counts how often it fails so.
 *
 * @packageDocumentation
 */
import type { Violation } from "../model/violation.ts";
import type { RunResult } from "../runner/runner.ts";
import { type AgainOptions, type Case, type Likeness, likeIn, performAgain } from "./again.ts";

/** How a try ended: with the same failure, with another one, without any, or without an answer. */
export interface Try {
  readonly outcome: "again" | "otherwise" | "consistent" | "undecided";
  /** The one that is the same, or the first of the others. */
  readonly violation: Violation | undefined;
  /** Why there is no answer, if there is none. */
  readonly why: string | undefined;
  /** Of what was to be done; equal for equal histories. */
  readonly historyDigest: string | undefined;
}

export interface AfreshOptions extends Omit<AgainOptions, "attempt"> {
  readonly tries: number;
  readonly onTry?: (number: number, one: Try) => void;
}

/** @returns Fewer tries than were asked for if it was interrupted. */
export async function afresh(
  what: Case,
  like: Likeness,
  { tries, onTry, ...options }: AfreshOptions,
): Promise<readonly Try[]> {
  const done: Try[] = [];
  for (let attempt = 0; attempt < tries && !options.signal.aborted; attempt++) {
    const one = await attemptOf(what, like, { ...options, attempt });
    if (options.signal.aborted && one.outcome !== "again") break;
    done.push(one);
    onTry?.(attempt, one);
  }
  return done;
}

async function attemptOf(what: Case, like: Likeness, options: AgainOptions): Promise<Try> {
  let result: RunResult;
  try {
    result = await performAgain(what, options);
  } catch (error) {
    // A target that could not be opened, or stalled, says nothing about the failure.
    const why = error instanceof Error ? error.message : String(error);
    return { outcome: "undecided", violation: undefined, why, historyDigest: undefined };
  }
  const { verdict, violations, targetFailure, crash, historyDigest } = result;
  const same = likeIn(result, like);
  const violation = same ?? violations[0];
  return {
    outcome: same !== undefined ? "again" : verdict === "violation" ? "otherwise" : verdict,
    violation,
    why: verdict === "undecided" ? (targetFailure ?? crash?.message ?? "operations failed") : undefined,
    historyDigest,
  };
}
