/**
 * What reads have shown of operations in doubt, for good: whether each happened, block by block.
 *
 * @packageDocumentation
 */

/** On one block of the volume an operation happened, or never did. */
export interface Decision {
  readonly position: number;
  readonly block: number;
  readonly happened: boolean;
}

export class Decisions {
  /** By position, then by block; no position without a block. */
  readonly #happened = new Map<number, Map<number, boolean>>();

  /** Absent while it is open. */
  get(position: number, block: number): boolean | undefined {
    return this.#happened.size === 0 ? undefined : this.#happened.get(position)?.get(block);
  }

  set({ position, block, happened }: Decision): void {
    const ofPosition = this.#happened.get(position);
    if (ofPosition === undefined) this.#happened.set(position, new Map([[block, happened]]));
    else ofPosition.set(block, happened);
  }

  delete(position: number, block: number): void {
    const ofPosition = this.#happened.get(position);
    if (ofPosition?.delete(block) === true && ofPosition.size === 0) this.#happened.delete(position);
  }

  /** Those on an operation; a list of its own, so that they may be deleted meanwhile. */
  of(position: number): readonly Decision[] {
    const ofPosition = this.#happened.get(position);
    return ofPosition === undefined
      ? []
      : Array.from(ofPosition, ([block, happened]) => ({ position, block, happened }));
  }

  /** All of them. */
  *[Symbol.iterator](): Generator<Decision> {
    for (const position of [...this.#happened.keys()]) yield* this.of(position);
  }
}
