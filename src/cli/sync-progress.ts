/**
 * How far a copy is: a bar on a terminal, a line now and then elsewhere.
 *
 * @packageDocumentation
 */
import { formatBytes, formatDuration } from "../runner/config/units.ts";
import type { SyncProgress } from "../sut/sync/sync-snapshot.ts";

const terminalIntervalMs = 250;
const logIntervalMs = 10_000;
const barWidth = 24;

/** What it needs of a stream. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

export class SyncProgressBar {
  readonly #stream: ProgressStream;
  readonly #now: () => number;
  #stage: SyncProgress["stage"] | undefined;
  /** When the stage began, and where. */
  #began = { ms: 0, block: 0, bytes: 0 };
  #shownMs = 0;
  #width = 0;

  /** @param now - Milliseconds of a clock that never goes back. */
  constructor(stream: ProgressStream, now: () => number = () => performance.now()) {
    this.#stream = stream;
    this.#now = now;
  }

  update(progress: SyncProgress): void {
    const now = this.#now();
    const { isTTY = false } = this.#stream;
    if (progress.stage !== this.#stage) {
      this.#stage = progress.stage;
      this.#began = { ms: now, block: progress.doneTo, bytes: progress.bytes };
      this.#shownMs = isTTY ? Number.NEGATIVE_INFINITY : now;
    }
    if (now - this.#shownMs < (isTTY ? terminalIntervalMs : logIntervalMs)) return;
    this.#shownMs = now;
    const line = this.#text(progress, now);
    if (!isTTY) this.#stream.write(`${line}\n`);
    else {
      this.#stream.write(`\r${line.padEnd(this.#width)}`);
      this.#width = line.length;
    }
  }

  /** Leaves the terminal's line. */
  clear(): void {
    if (this.#width > 0) this.#stream.write(`\r${" ".repeat(this.#width)}\r`);
    this.#width = 0;
  }

  #text({ stage, doneTo, blockCount, bytes }: SyncProgress, now: number): string {
    const share = doneTo / blockCount;
    const elapsedMs = Math.max(1, now - this.#began.ms);
    const blocksPerMs = (doneTo - this.#began.block) / elapsedMs;
    const filled = Math.floor(share * barWidth);
    return [
      stage,
      ...(this.#stream.isTTY ? [`[${"#".repeat(filled).padEnd(barWidth, ".")}]`] : []),
      `${Math.floor(share * 100)} % of the volume`,
      formatBytes(bytes),
      `${formatBytes(Math.round(((bytes - this.#began.bytes) * 1000) / elapsedMs))}/s`,
      ...(blocksPerMs > 0 ? [`${formatDuration((blockCount - doneTo) / blocksPerMs)} left`] : []),
    ].join("  ");
  }
}
