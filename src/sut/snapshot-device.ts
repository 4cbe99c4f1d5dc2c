/**
 * A snapshot opened for reading, through a clone that goes away with it.
 *
 * The service cannot attach a snapshot itself. Commands that would write are refused here: the clone could
 * take them, but it would no longer hold what the snapshot holds.
 *
 * @packageDocumentation
 */

import type { BlockDevice, BlockRange, CallOptions, Outcome } from "./port.ts";

const readOnly: Outcome = {
  kind: "failed",
  code: "ERR_INVALID_REQUEST",
  message: "a snapshot is open for reading only; clone it to write",
};

export class SnapshotDevice implements BlockDevice {
  readonly #clone: BlockDevice;
  readonly #removeClone: () => Promise<void>;
  #disposal: Promise<void> | undefined;

  constructor(clone: BlockDevice, removeClone: () => Promise<void>) {
    this.#clone = clone;
    this.#removeClone = removeClone;
  }

  get identity() {
    return this.#clone.identity;
  }

  get capabilities() {
    return this.#clone.capabilities;
  }

  get blockCount() {
    return this.#clone.blockCount;
  }

  read(request: BlockRange & { readonly into: Uint8Array }, options?: CallOptions): Promise<Outcome> {
    return this.#clone.read(request, options);
  }

  compare(request: BlockRange & { readonly expected: Uint8Array }, options?: CallOptions): Promise<Outcome> {
    return this.#clone.compare(request, options);
  }

  flush(options?: CallOptions): Promise<Outcome> {
    return this.#clone.flush(options);
  }

  async write(): Promise<Outcome> {
    return readOnly;
  }

  async writeZeroes(): Promise<Outcome> {
    return readOnly;
  }

  async deallocate(): Promise<Outcome> {
    return readOnly;
  }

  async compareAndWrite(): Promise<Outcome> {
    return readOnly;
  }

  /** Closes and deletes the clone. @throws {ServiceError} If the clone stays behind. */
  [Symbol.asyncDispose](): Promise<void> {
    return (this.#disposal ??= this.#dispose());
  }

  async #dispose(): Promise<void> {
    try {
      await this.#clone[Symbol.asyncDispose]();
    } finally {
      await this.#removeClone();
    }
  }
}
