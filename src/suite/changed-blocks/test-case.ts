/**
 * A test of the suite: a name, what it shows, and what it does.
 *
 * @packageDocumentation
 */
import type { Workbench } from "./workbench.ts";

export interface SuiteTest {
  /** As it is published, in snake case. */
  readonly name: string;
  readonly phase: "sanity" | "edge cases" | "resilience";
  /** What is so if it passes, in half a sentence. */
  readonly shows: string;
  /** @throws {SuiteFailure} If something is wrong. */
  readonly run: (bench: Workbench) => Promise<void>;
}
