/**
 * A test of the contract: a name, the sentence that it holds a driver to, and what it needs.
 *
 * @packageDocumentation
 */
import type { Bench } from "./bench.ts";

/** What a test cannot do without. */
export type Need = "snapshot" | "two snapshots" | "hooks" | "deleting" | "growing";

export interface ContractTest {
  /** In snake case. */
  readonly name: string;
  readonly group: "messages" | "paging" | "resume" | "refusals" | "content" | "time";
  /** What holds for a driver that passes. */
  readonly title: string;
  readonly needs: readonly Need[];
  /** @throws {ContractFailure | ServiceError} If it does not hold. */
  readonly run: (bench: Bench) => Promise<void>;
}

/** The driver broke the contract; the message says what, and at which offset. */
export class ContractFailure extends Error {
  override readonly name = "ContractFailure";
}
