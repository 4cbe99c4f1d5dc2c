/**
 * Which operations are on stable media, and which a crash of the target may drop.
 *
 * With a volatile write cache, an operation is durable if it was written with FUA, or had completed when a flush was
 * submitted that has completed (NVM Express NVM Command Set Specification, Flush and Force Unit Access). Without
 * one, a completed operation is durable.
 *
 * @packageDocumentation
 */

/** An operation that had completed and was not durable. */
export interface VolatileOperation {
  readonly position: number;
  readonly submitted: number;
  readonly completed: number;
}

export class DurabilityLog {
  readonly hasVolatileCache: boolean;
  /** By volume, by completion. */
  readonly #volatile = new Map<number, VolatileOperation[]>();
  #isSuspended = false;
  #suspendedAt = Number.POSITIVE_INFINITY;

  /** @param options.hasVolatileCache - What the namespaces say (VWC). */
  constructor({ hasVolatileCache }: { readonly hasVolatileCache: boolean }) {
    this.hasVolatileCache = hasVolatileCache;
  }

  /** Operations of a volume that a crash may drop. */
  volatileCount(volume: number): number {
    return this.#volatile.get(volume)?.length ?? 0;
  }

  /** All that a crash may drop now. */
  atStake(): readonly VolatileOperation[] {
    return [...this.#volatile.values()].flat();
  }

  completed(volume: number, operation: VolatileOperation, { isFua }: { readonly isFua: boolean }): void {
    if (!this.hasVolatileCache || isFua) return;
    const list = this.#volatile.get(volume);
    if (list === undefined) this.#volatile.set(volume, [operation]);
    else list.push(operation);
  }

  /** A flush of a volume has completed: what had completed when it was submitted is durable. */
  flushed(volume: number, submittedEvent: number): void {
    const list = this.#volatile.get(volume);
    if (list === undefined || this.#isSuspended) return;
    const left = list.filter(({ completed }) => completed >= submittedEvent);
    if (left.length === 0) this.#volatile.delete(volume);
    else this.#volatile.set(volume, left);
  }

  /**
   * From now on flushes make nothing durable, until {@link crashed}: the target may be down before they are told.
   *
   * @param lastEvent - What completes after it may have been done before the crash or after it; nothing, if left out.
   */
  suspend(lastEvent = Number.POSITIVE_INFINITY): void {
    this.#isSuspended = true;
    this.#suspendedAt = lastEvent;
  }

  /** A volume was put back to a snapshot, which is durable: nothing of before is at stake any more. */
  forget(volume: number): void {
    this.#volatile.delete(volume);
  }

  /**
   * The target crashed: what it may have dropped, of all volumes. What is left afterwards is on stable media, unless
   * it was done after the crash.
   */
  crashed(): readonly VolatileOperation[] {
    const lost = this.atStake();
    for (const [volume, operations] of this.#volatile) {
      const left = operations.filter(({ completed }) => completed > this.#suspendedAt);
      if (left.length === 0) this.#volatile.delete(volume);
      else this.#volatile.set(volume, left);
    }
    this.#isSuspended = false;
    this.#suspendedAt = Number.POSITIVE_INFINITY;
    return lost;
  }
}
