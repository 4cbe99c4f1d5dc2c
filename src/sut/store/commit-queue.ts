/**
 * Group commit: many callers that wait for stable media share one pass.
 *
 * @packageDocumentation
 */
import { StoreError } from "./port.ts";

/** Longest time that a change waits for a commit that nobody asked for. */
const backgroundCommitMs = 1000;

export class CommitQueue {
  readonly #commit: () => Promise<void>;
  readonly #runsInBackground: boolean;
  #isDirty = false;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #failure: StoreError | undefined;

  /**
   * @param options.commit - Makes durable what is dirty at the moment of the call. After it failed once,
   *   nothing is committed any more: what the medium holds is not known.
   */
  constructor(options: { readonly commit: () => Promise<void>; readonly runsInBackground: boolean }) {
    this.#commit = options.commit;
    this.#runsInBackground = options.runsInBackground;
  }

  /** Notes that there is something to commit. */
  touch(): void {
    if (this.#isDirty) return;
    this.#isDirty = true;
    if (!this.#runsInBackground || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      // Whoever asks next is told of the failure.
      this.commit().catch(() => {});
    }, backgroundCommitMs);
    this.#timer.unref();
  }

  /** Resolves when all changes made before the call are durable. */
  commit(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    // A commit that is running began after the last change.
    if (!this.#isDirty) return this.#running ?? Promise.resolve();
    if (this.#running === undefined) return this.#start();
    this.#next ??= this.#running.then(() => {
      this.#next = undefined;
      return this.commit();
    });
    return this.#next;
  }

  /** Refuses all further commits: the state in memory is no longer fit for stable media. */
  fail(cause: unknown): StoreError {
    this.#failure ??= new StoreError(
      "ERR_IO",
      `the store has failed and keeps nothing from now on: ${(cause as Error).message}; restart it`,
      { cause },
    );
    return this.#failure;
  }

  /** Commits what is left and ends the background commits. */
  async close(): Promise<void> {
    try {
      await this.commit();
    } finally {
      clearTimeout(this.#timer);
      this.#timer = undefined;
    }
  }

  #start(): Promise<void> {
    this.#isDirty = false;
    this.#running = this.#commit().then(
      () => {
        this.#running = undefined;
      },
      (cause: unknown) => {
        this.#running = undefined;
        throw this.fail(cause);
      },
    );
    return this.#running;
  }
}
