/**
 * What is written to a clone in a history that is being written.
 *
 * @packageDocumentation
 */
import { cloneVisitsMax } from "./clone-selector.ts";
import { HistoryError, lineOfCaller } from "./history-error.ts";
import type { Where, Wish } from "./operation-group.ts";

/** Asks for operations on extents of a clone: all at once, on at most four extents, no block twice. */
export class CloneWriter {
  readonly #extentCount: number;
  readonly #wishes = new Map<number, Wish[]>();

  constructor(extentCount: number) {
    this.#extentCount = extentCount;
  }

  /** By number of the extent, in the order in which they were first asked for. */
  get wishes(): ReadonlyMap<number, readonly Wish[]> {
    return this.#wishes;
  }

  /** @param extent - From 0, as of the volumes when the snapshot was taken. */
  write(extent: number, where: Where = {}): this {
    return this.#wish("write", extent, where);
  }

  writeZeroes(extent: number, where: Where = {}): this {
    return this.#wish("writeZeroes", extent, where);
  }

  deallocate(extent: number, where: Where = {}): this {
    return this.#wish("deallocate", extent, where);
  }

  #wish(kind: Wish["kind"], extent: number, where: Where): this {
    const line = lineOfCaller();
    if (!(Number.isInteger(extent) && extent >= 0 && extent < this.#extentCount))
      throw new HistoryError(`extent ${extent}: there are ${this.#extentCount}, numbered from 0`, line);
    const wishes = this.#wishes.get(extent);
    if (wishes === undefined && this.#wishes.size === cloneVisitsMax)
      throw new HistoryError(`a clone is written to on at most ${cloneVisitsMax} extents`, line);
    const wish = { kind, ...where, line };
    if (wishes === undefined) this.#wishes.set(extent, [wish]);
    else wishes.push(wish);
    return this;
  }
}
