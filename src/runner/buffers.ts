/**
 * I/O buffers of one size in the kernels' memory, taken and given back.
 *
 * @packageDocumentation
 */
import type { Kernel, Region } from "../generators/kernel.ts";

export class BufferPool {
  readonly #free: Region[];
  readonly #waiting: ((region: Region) => void)[] = [];

  constructor(
    kernel: Kernel,
    { count, byteLength }: { readonly count: number; readonly byteLength: number },
  ) {
    this.#free = Array.from({ length: count }, () => kernel.allocate(byteLength));
  }

  /** A free buffer, if there is one. */
  tryTake(): Region | undefined {
    return this.#free.pop();
  }

  /** Resolves when a buffer is free; callers are served in the order in which they came. */
  take(): Promise<Region> {
    const region = this.#free.pop();
    if (region !== undefined) return Promise.resolve(region);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  giveBack(region: Region): void {
    const next = this.#waiting.shift();
    if (next !== undefined) next(region);
    else this.#free.push(region);
  }
}
