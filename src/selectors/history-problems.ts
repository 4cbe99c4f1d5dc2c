/**
 * What is wrong with the text of a history, so far.
 *
 * @packageDocumentation
 */
import { HistoryError } from "./history-error.ts";
import { LineProblem } from "./history-line.ts";

/** Problems told at once; what is wrong beyond them is told when they are mended. */
const problemsMax = 20;
/** Longest text of one problem. */
const problemLengthMax = 400;

export class HistoryProblems {
  readonly #found: { readonly line: number; readonly problem: string }[] = [];

  get count(): number {
    return this.#found.length;
  }

  /** As many as are told. */
  get isFull(): boolean {
    return this.#found.length >= problemsMax;
  }

  add(line: number, problem: string): void {
    if (this.isFull) return;
    const text = problem.length > problemLengthMax ? `${problem.slice(0, problemLengthMax)}…` : problem;
    this.#found.push({ line, problem: text });
  }

  /** @returns What was read, or `undefined` if it is a problem of that line. */
  attempt<Value>(line: number, read: () => Value): Value | undefined {
    try {
      return read();
    } catch (error) {
      if (error instanceof HistoryError) this.add(line, error.problem);
      else if (error instanceof LineProblem) this.add(line, error.message);
      else throw error;
      return undefined;
    }
  }

  /** In the order of their lines, as `name:line: problem`. */
  told(name: string): readonly string[] {
    const sorted = [...this.#found].sort((a, b) => a.line - b.line);
    return sorted.map(({ line, problem }) => `${name}:${line}: ${problem}`);
  }
}
