/**
 * Callers that wait for the next association, each until its own signal fires.
 *
 * I/O does not wait here but in `request-fifo.ts`, which has deadlines.
 *
 * @packageDocumentation
 */
import type { Association } from "./association.ts";
import type { Loss } from "./command-slot.ts";
import { abortedError, ControllerError } from "./errors.ts";

export class AssociationWaiters {
  readonly #waiters = new Set<{
    readonly resolve: (association: Association) => void;
    readonly reject: (error: unknown) => void;
  }>();

  /**
   * Resolves with the next association.
   *
   * @throws {ControllerError} `ERR_ABORTED` if `signal` fires first, or why there will be no association.
   */
  wait(signal: AbortSignal | undefined): Promise<Association> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(abortedError("waiting for a connection", signal));
        return;
      }
      const onAbort = () => {
        this.#waiters.delete(waiter);
        reject(abortedError("waiting for a connection", signal!));
      };
      const waiter = {
        resolve: (association: Association) => {
          signal?.removeEventListener("abort", onAbort);
          resolve(association);
        },
        reject: (error: unknown) => {
          signal?.removeEventListener("abort", onAbort);
          reject(error);
        },
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#waiters.add(waiter);
    });
  }

  /** Hands an association to all that wait. */
  resolve(association: Association): void {
    for (const waiter of this.#waiters) waiter.resolve(association);
    this.#waiters.clear();
  }

  /** Tells all that wait that there will be no association any more. */
  reject(end: Loss): void {
    for (const waiter of this.#waiters) waiter.reject(new ControllerError(end.code, end.message, end));
    this.#waiters.clear();
  }
}
