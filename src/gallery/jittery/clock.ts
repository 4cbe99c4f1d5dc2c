/**
 * A clock of turns for things that happen at random instants: deterministic from a seed, and without waiting.
 *
 * One millisecond is one turn. Whenever all promises have settled that can, time jumps to the next callback. When
 * there is none left, and nothing begins in {@link quietTurns} turns of the event loop, whoever waits waits for ever:
 * {@link JitteryClock.stalled} says so.
 *
 * @packageDocumentation
 */
import { Choices } from "../../generators/choices.ts";
import type { Clock } from "../../sut/clock.ts";

interface Task {
  readonly due: number;
  readonly callback: () => void;
}

const quietTurns = 200;
const jitterStream = 77n;

export class JitteryClock implements Clock {
  readonly choices: Choices;
  /** Rejects when nothing is left that could happen, until {@link stop}. */
  readonly stalled: Promise<never>;
  readonly #turnsMax: number;
  #reject: (error: Error) => void = () => {};
  #now = 0;
  #tasks: Task[] = [];
  #isPumping = false;
  #isStopped = false;
  #quiet = 0;

  /** @param options.turnsMax - Longest delay of {@link soon}, in turns. */
  constructor({ seed, turnsMax = 12 }: { readonly seed: bigint; readonly turnsMax?: number }) {
    this.choices = new Choices(seed, jitterStream);
    this.#turnsMax = turnsMax;
    this.stalled = new Promise((_, reject) => {
      this.#reject = reject;
    });
    this.stalled.catch(() => {});
  }

  now(): number {
    return this.#now;
  }

  setTimeout(callback: () => void, delayMs: number): Task {
    const task = { due: this.#now + Math.max(1, delayMs), callback };
    let [low, high] = [0, this.#tasks.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#tasks[middle]!.due <= task.due) low = middle + 1;
      else high = middle;
    }
    this.#tasks.splice(low, 0, task);
    this.#pump();
    return task;
  }

  clearTimeout(handle: unknown): void {
    const index = this.#tasks.indexOf(handle as Task);
    if (index >= 0) this.#tasks.splice(index, 1);
  }

  /** Calls back after 1 to `turnsMax` turns, most often after few. */
  soon(callback: () => void, turnsMax: number = this.#turnsMax): void {
    const { choices } = this;
    this.setTimeout(callback, 1 + Math.min(choices.below(turnsMax), choices.below(turnsMax)));
  }

  /** Resolves as {@link soon} calls back. */
  pause(turnsMax: number = this.#turnsMax): Promise<void> {
    return new Promise((resolve) => this.soon(resolve, turnsMax));
  }

  stop(): void {
    this.#isStopped = true;
  }

  #pump(): void {
    this.#quiet = 0;
    if (this.#isPumping) return;
    this.#isPumping = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    const next = this.#tasks[0];
    if (next === undefined) {
      this.#isPumping = false;
      if (this.#isStopped) return;
      if (this.#quiet++ > quietTurns) {
        this.#reject(new Error(`at turn ${this.#now} nothing is under way any more: someone waits for ever`));
        return;
      }
      this.#isPumping = true;
    } else {
      this.#now = Math.max(this.#now, next.due);
      this.#tasks.shift();
      next.callback();
    }
    setImmediate(() => this.#turn());
  }
}
