/**
 * Whether what was asked of the volumes completes, and in time.
 *
 * Two limits. An adapter that has time-outs says itself that a command had none too few: then its outcome is unknown,
 * and the run goes on. Whatever has not settled long after that never will, and the run ends instead of waiting for
 * it. Either is a fault, unless the target was put to trouble; but nothing is waited for without end.
 *
 * Operations cost nothing here: a coarse tick notes the number of the latest event, and by the number of its own
 * submission an operation finds the tick before which it was submitted. Time is counted in ticks, so a process that
 * stood still calls nobody late. Nothing ticks while nothing is under way.
 *
 * Calls of the control plane have time limits of their own, and are not watched.
 *
 * @packageDocumentation
 */
import type { Tracker } from "../model/tracker.ts";
import type { OperationReference, Violation } from "../model/violation.ts";
import { operationAt } from "../selectors/operations.ts";
import type { History } from "../selectors/history.ts";
import type { Clock } from "../sut/clock.ts";
import type { BlockDevice, BlockRange, Outcome } from "../sut/port.ts";
import type { Config } from "./config/schema.ts";
import { formatDuration } from "./config/units.ts";
import { TargetFailure } from "./target-failure.ts";

/** A command that is no operation of the history, such as a write to a clone. */
export interface Command {
  readonly kind: string;
  readonly device: BlockDevice;
  /** The volume that it works on, or that its device comes from. */
  readonly volume: number;
  readonly block: number;
  /** 0 for a flush. */
  readonly blockCount: number;
}

export interface LivenessOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly tracker: Tracker;
  readonly workload: History;
  /** Time-outs are put down to trouble that was asked for. */
  readonly isExcused: boolean;
  readonly report: (violation: Violation) => void;
}

const tickMsMin = 10;
const tickMsMax = 1000;
/** Ticks in the shorter limit, unless they would be too short. */
const ticksPerLimit = 16;
/** Ticks in the longer limit, at most: so many are remembered. */
const ticksMax = 4096;

/** What did not complete, and for how long. */
interface Late {
  readonly what: string;
  readonly ms: number;
  readonly place: Pick<Violation, "volume" | "block" | "blockCount" | "operations">;
}

/** A command under way, and the tick after which it was sent. */
interface Sent {
  readonly command: Command;
  readonly tick: number;
}

export class Liveness {
  /** Rejects when something is given up that did not complete: the run can not go on. */
  readonly stuck: Promise<never>;
  readonly #options: LivenessOptions;
  readonly #commandTimeoutMs: number | undefined;
  readonly #limitMs: number;
  readonly #tickMs: number;
  readonly #limitTicks: number;
  /** The tracker's latest event as of each of the last ticks; a ring. */
  readonly #events: Float64Array;
  readonly #sent = new Set<Sent>();
  #tick = 0;
  #handle: unknown;
  #isTicking = false;
  #isStopped = false;
  /** When something that was late was reported last, in ticks. */
  #reportedTick = Number.NEGATIVE_INFINITY;
  #giveUp: (reason: TargetFailure) => void = () => {};

  constructor(options: LivenessOptions) {
    this.#options = options;
    const { target, checks } = options.config;
    this.#commandTimeoutMs = "commandTimeout" in target ? target.commandTimeout : undefined;
    this.#limitMs = checks.livenessLimit;
    const shorter = Math.min(this.#commandTimeoutMs ?? Number.POSITIVE_INFINITY, this.#limitMs);
    this.#tickMs = Math.max(
      tickMsMin,
      Math.min(tickMsMax, Math.floor(shorter / ticksPerLimit)),
      Math.ceil(this.#limitMs / ticksMax),
    );
    // One more, for what was sent just after a tick.
    this.#limitTicks = Math.ceil(this.#limitMs / this.#tickMs) + 1;
    this.#events = new Float64Array(this.#limitTicks + 1);
    this.stuck = new Promise((_, reject) => {
      this.#giveUp = reject;
    });
    this.stuck.catch(() => {});
  }

  /** To be called with each operation that is submitted. */
  submitted(): void {
    if (!this.#isTicking) this.#schedule();
  }

  /** To be told of each outcome of an operation that is unknown. */
  inDoubt(position: number, outcome: Outcome): void {
    if (!isTimeout(outcome)) return;
    this.#timedOut(this.#operation(position), outcome);
  }

  /** Passes on the outcome of a command, and watches over it meanwhile. */
  async watch(command: Command, outcome: Promise<Outcome>): Promise<Outcome> {
    const sent: Sent = { command, tick: this.#tick };
    this.#sent.add(sent);
    this.submitted();
    try {
      const settled = await outcome;
      if (isTimeout(settled)) this.#timedOut(this.#command(sent), settled);
      return settled;
    } finally {
      this.#sent.delete(sent);
    }
  }

  /** Reads, as a command that is watched over. */
  read(
    device: BlockDevice,
    volume: number,
    request: BlockRange & { readonly into: Uint8Array },
  ): Promise<Outcome> {
    const { block, blockCount } = request;
    return this.watch({ kind: "read", device, volume, block, blockCount }, device.read(request));
  }

  /** Settles as some work does, unless something that it may wait for is given up. */
  unlessStuck<Result>(work: Promise<Result>): Promise<Result> {
    return Promise.race([work, this.stuck]);
  }

  /** Ends with the run. */
  stop(): void {
    this.#isStopped = true;
    this.#options.clock.clearTimeout(this.#handle);
  }

  #schedule(): void {
    if (this.#isStopped) return;
    this.#isTicking = true;
    this.#handle = this.#options.clock.setTimeout(() => this.#onTick(), this.#tickMs);
  }

  #onTick(): void {
    const { tracker } = this.#options;
    this.#isTicking = false;
    if (tracker.inFlightCount === 0 && this.#sent.size === 0) return;
    this.#tick++;
    this.#events[this.#tick % this.#events.length] = tracker.lastEvent;
    const oldest = this.#oldest();
    if (oldest !== undefined && this.#ticksOf(oldest) >= this.#limitTicks) this.#end(oldest);
    else this.#schedule();
  }

  /** The operation or command that has been under way for longest: a position, or what was sent. */
  #oldest(): number | Sent | undefined {
    let oldest: number | Sent | undefined;
    let [ticks, submittedMin] = [-1, Number.POSITIVE_INFINITY];
    for (const { position, outcome, submitted } of this.#options.tracker.recentTimes()) {
      if (outcome !== "inFlight" || submitted >= submittedMin) continue;
      submittedMin = submitted;
      oldest = position;
    }
    if (oldest !== undefined) ticks = this.#ticksOf(oldest);
    for (const sent of this.#sent) {
      if (this.#ticksOf(sent) <= ticks) continue;
      ticks = this.#ticksOf(sent);
      oldest = sent;
    }
    return oldest;
  }

  /** Ticks since something was sent. */
  #ticksOf(late: number | Sent): number {
    if (typeof late !== "number") return this.#tick - late.tick;
    const submitted = this.#options.tracker.timesOf(late)?.submitted ?? Number.POSITIVE_INFINITY;
    const remembered = Math.min(this.#tick, this.#events.length);
    let ticks = 0;
    while (ticks < remembered && this.#events[(this.#tick - ticks) % this.#events.length]! >= submitted)
      ticks++;
    return ticks;
  }

  /**
   * The adapter says that there was no completion in time. With one command a connection is given up, and all others
   * on it: what has not taken long itself is only reported if nothing else explains it.
   */
  #timedOut(late: Late, { kind, code, message }: Extract<Outcome, { kind: "unknown" }>): void {
    const limitMs = this.#commandTimeoutMs;
    const isLong = ({ ms }: Pick<Late, "ms">): boolean => limitMs === undefined || ms >= (limitMs * 3) / 4;
    const isItself = isLong(late);
    if (!isItself) {
      const oldest = this.#oldest();
      if (oldest !== undefined && isLong({ ms: this.#ticksOf(oldest) * this.#tickMs })) return;
      if (this.#tick - this.#reportedTick <= 1) return;
    }
    this.#report(late, {
      summary: isItself
        ? `${late.what} did not complete in time`
        : `the target did not answer in time, and ${late.what} was given up with the connection`,
      expected:
        limitMs === undefined
          ? "a completion"
          : `a completion within ${durationText(limitMs)} (target.commandTimeout)`,
      observed: `none in ${durationText(late.ms)}, and the outcome is ${kind} (${code}: ${message})`,
    });
  }

  /** Nothing has settled for so long that nobody waits for it any more. */
  #end(oldest: number | Sent): void {
    this.#isStopped = true;
    const late = typeof oldest === "number" ? this.#operation(oldest) : this.#command(oldest);
    const others = this.#options.tracker.inFlightCount + this.#sent.size - 1;
    const limit = `${durationText(this.#limitMs)} (checks.livenessLimit)`;
    const beside = others === 0 ? "" : `; ${others} more ${others === 1 ? "is" : "are"} under way`;
    this.#report(late, {
      summary: `${late.what} has not completed, and is not waited for any more${beside}`,
      expected: `an outcome, whatever it is, within ${limit}`,
      observed: `none in ${durationText(late.ms)}`,
    });
    this.#giveUp(
      new TargetFailure(`${late.what} has not completed within ${limit}: the run can not go on without it`),
    );
  }

  #report(late: Late, words: Pick<Violation, "summary" | "expected" | "observed">): void {
    const { config, isExcused, tracker, report } = this.#options;
    if (!config.checks.liveness || isExcused) return;
    this.#reportedTick = this.#tick;
    report({
      rule: "liveness",
      class: "no-completion",
      ...words,
      ...late.place,
      ltsMax: tracker.ltsStartedMax,
    });
  }

  #operation(position: number): Late {
    const { workload } = this.#options;
    const { lts, operationId } = operationAt(position);
    const { extent, operation } = workload.operationOf(position)!;
    const { kind, blockCount } = operation;
    const block = extent.firstBlock + operation.firstBlock;
    const reference: OperationReference = { lts, operationId, kind, block, blockCount, role: "observed" };
    return {
      what: `${kind}${blocksText(blockCount, block)} of volume ${extent.volume}`,
      ms: this.#ticksOf(position) * this.#tickMs,
      place: { volume: extent.volume, block, blockCount, operations: [reference] },
    };
  }

  #command(sent: Sent): Late {
    const { kind, device, volume, block, blockCount } = sent.command;
    return {
      what: `${kind}${blocksText(blockCount, block)} of ${device.identity.name}`,
      ms: this.#ticksOf(sent) * this.#tickMs,
      place: { volume, block, blockCount, operations: [] },
    };
  }
}

function isTimeout(outcome: Outcome): outcome is Extract<Outcome, { kind: "unknown" }> {
  return outcome.kind === "unknown" && outcome.code === "ERR_TIMEOUT";
}

function blocksText(blockCount: number, block: number): string {
  if (blockCount === 0) return "";
  return ` of ${blockCount} ${blockCount === 1 ? "block" : "blocks"} at ${block}`;
}

/** Short limits are told in full. */
function durationText(ms: number): string {
  return ms < 10_000 ? `${ms} ms` : formatDuration(ms);
}
