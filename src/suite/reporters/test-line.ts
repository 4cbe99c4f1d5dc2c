/**
 * What the reporters for people have in common: words and colours of results, and a line that turns while a test runs.
 *
 * @packageDocumentation
 */
import type { ReporterOptions, SuiteResult } from "../report.ts";

type Kind = SuiteResult["kind"];

export const words: Readonly<Record<Kind, string>> = { pass: "PASS", fail: "FAIL", skip: "SKIP" };
const colours: Readonly<Record<Kind, number>> = { pass: 32, fail: 31, skip: 33 };

/** The last line of the output; nothing is drawn where that is no terminal. */
export class TestLine {
  readonly #write: ReporterOptions["write"];
  readonly #isTerminal: boolean;
  #timer: NodeJS.Timeout | undefined;

  constructor({ write, isTerminal }: Pick<ReporterOptions, "write" | "isTerminal">) {
    this.#write = write;
    this.#isTerminal = isTerminal;
  }

  coloured(kind: Kind, text: string): string {
    return this.#isTerminal ? `\u001b[${colours[kind]}m${text}\u001b[0m` : text;
  }

  /** Draws one of the frames after the other, until it is cleared. */
  turn(frames: readonly string[], everyMs: number): void {
    if (!this.#isTerminal) return;
    let turn = 0;
    const draw = () => {
      this.#write(`\r\u001b[2K${frames[turn++ % frames.length]}`);
    };
    draw();
    this.#timer = setInterval(draw, everyMs);
    this.#timer.unref();
  }

  clear(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#isTerminal) this.#write("\r\u001b[2K");
  }
}
