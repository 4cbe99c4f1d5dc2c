/**
 * The target, or the way to it, failed: no fault of the data, and no bug of ours.
 *
 * @packageDocumentation
 */
import type { Outcome } from "../sut/port.ts";

export class TargetFailure extends Error {
  override readonly name = "TargetFailure";
}

/** Throws unless an outcome is `ok`. */
export function expectOk(outcome: Outcome, what: string): void {
  if (outcome.kind !== "ok") throw new TargetFailure(`${what}: ${outcomeText(outcome)}`);
}

export function outcomeText(outcome: Outcome): string {
  switch (outcome.kind) {
    case "ok":
      return "ok";
    case "failed":
      return `refused (${outcome.code}): ${outcome.message}`;
    case "unknown":
      return `outcome unknown (${outcome.code}): ${outcome.message}`;
  }
}
