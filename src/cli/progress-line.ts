/**
 * Where a run is, in one line: rewritten in place on a terminal, now and then elsewhere.
 *
 * @packageDocumentation
 */
import { formatBytes, formatDuration } from "../runner/config/units.ts";
import type { Run } from "../runner/run.ts";
import type { Progress } from "../runner/runner.ts";

const terminalIntervalMs = 250;
const logIntervalMs = 10_000;

export class ProgressLine {
  readonly #stream: NodeJS.WriteStream;
  readonly #run: Run;
  #shownMs = Number.NEGATIVE_INFINITY;
  #width = 0;

  constructor(stream: NodeJS.WriteStream, run: Run) {
    this.#stream = stream;
    this.#run = run;
  }

  update(progress: Progress): void {
    const interval = this.#stream.isTTY ? terminalIntervalMs : logIntervalMs;
    if (progress.elapsedMs - this.#shownMs < interval) return;
    this.#shownMs = progress.elapsedMs;
    const line = this.#text(progress);
    if (!this.#stream.isTTY) this.#stream.write(`${line}\n`);
    else {
      this.#stream.write(`\r${line.padEnd(this.#width)}`);
      this.#width = line.length;
    }
  }

  /** Leaves the terminal's line. */
  clear(): void {
    if (this.#stream.isTTY && this.#width > 0) this.#stream.write(`\r${" ".repeat(this.#width)}\r`);
    this.#width = 0;
  }

  #text({ lts, phase, elapsedMs, snapshotsAlive }: Progress): string {
    const { operationCount, bytesWritten, diffsProven } = this.#run.ledger.totals;
    const perSecond = Math.round((operationCount * 1000) / Math.max(1, elapsedMs));
    return [
      formatDuration(elapsedMs),
      phase === "running" ? `lts ${lts.toLocaleString("en")}` : phase,
      `${Math.floor(this.#run.ledger.provenShare() * 100)} % proven`,
      `${perSecond.toLocaleString("en")} op/s`,
      `${formatBytes(bytesWritten)} written`,
      `${snapshotsAlive} snapshots`,
      `${diffsProven} diffs`,
    ].join("  ");
  }
}
