/**
 * Operations on one extent of a history that is being written.
 *
 * @packageDocumentation
 */
import { lineOfCaller } from "./history-error.ts";
import type { OperationKind } from "./operations.ts";

/** Which blocks of the extent; what is left out is drawn. */
export interface Where {
  /** First block, from 0. */
  readonly block?: number;
  readonly blocks?: number;
}

/** An operation that still has to be given its place. */
export interface Wish extends Where {
  readonly kind: "read" | OperationKind;
  /** Of 4 KiB, only a part. */
  readonly isUpdate?: boolean;
  /** Where it was asked for. */
  readonly line: string;
}

export interface GroupOrder {
  /** All of them at one lts, in flight together; else each at its own, one after another. */
  readonly isSimultaneous: boolean;
  readonly isShuffled: boolean;
}

/** Asks for operations; {@link OperationGroup.finish} makes them part of the history, and goes back to it. */
export class OperationGroup<Builder> {
  /** Where it was begun. */
  readonly line: string;
  readonly #add: (wishes: readonly Wish[], order: GroupOrder) => Builder;
  readonly #wishes: Wish[] = [];
  #isSimultaneous = false;
  #isShuffled = false;

  constructor(line: string, add: (wishes: readonly Wish[], order: GroupOrder) => Builder) {
    this.line = line;
    this.#add = add;
  }

  get isEmpty(): boolean {
    return this.#wishes.length === 0;
  }

  /** All operations at one lts, in flight together. They must not touch the same block. */
  simultaneously(): this {
    this.#isSimultaneous = true;
    return this;
  }

  /** Each operation at an lts of its own, after the one before has completed; so it is if nothing is said. */
  sequentially(): this {
    this.#isSimultaneous = false;
    return this;
  }

  /** In an order that the seed decides. */
  randomOrder(): this {
    this.#isShuffled = true;
    return this;
  }

  /** In the order in which they are written here; so it is if nothing is said. */
  strictOrder(): this {
    this.#isShuffled = false;
    return this;
  }

  write(where: Where = {}): this {
    return this.#wish("write", where, 1);
  }

  writes(count: number, where: Where = {}): this {
    return this.#wish("write", where, count);
  }

  /** A write that is durable when it completes. */
  writeFua(where: Where = {}): this {
    return this.#wish("writeFua", where, 1);
  }

  /** Writes a part of 4 KiB: some of eight blocks of 512 bytes, or one block of 4096. */
  update(where: Where = {}): this {
    return this.#wish("write", where, 1, true);
  }

  updates(count: number): this {
    return this.#wish("write", {}, count, true);
  }

  writeZeroes(where: Where = {}): this {
    return this.#wish("writeZeroes", where, 1);
  }

  deallocate(where: Where = {}): this {
    return this.#wish("deallocate", where, 1);
  }

  deallocates(count: number): this {
    return this.#wish("deallocate", {}, count);
  }

  deallocateRange(block: number, blocks: number): this {
    return this.#wish("deallocate", { block, blocks }, 1);
  }

  /** From a block, drawn if left out, to the end of the extent. */
  deallocateTail(block?: number): this {
    return this.#wish("deallocateTail", block === undefined ? {} : { block }, 1);
  }

  deallocateExtent(): this {
    return this.#wish("deallocateExtent", {}, 1);
  }

  /** Fused; the compare is to hold. */
  compareAndWrite(where: Where = {}): this {
    return this.#wish("compareAndWrite", where, 1);
  }

  flush(): this {
    return this.#wish("flush", {}, 1);
  }

  read(where: Where = {}): this {
    return this.#wish("read", where, 1);
  }

  reads(count: number): this {
    return this.#wish("read", {}, count);
  }

  readRange(block: number, blocks: number): this {
    return this.#wish("read", { block, blocks }, 1);
  }

  /** From a block, drawn if left out, to the end of the extent. */
  readTail(block?: number): this {
    return this.#wish(
      "read",
      { ...(block === undefined ? {} : { block }), blocks: Number.POSITIVE_INFINITY },
      1,
    );
  }

  readExtent(): this {
    return this.#wish("read", { block: 0, blocks: Number.POSITIVE_INFINITY }, 1);
  }

  /** Makes them part of the history. */
  finish(): Builder {
    return this.#add(this.#wishes.splice(0), {
      isSimultaneous: this.#isSimultaneous,
      isShuffled: this.#isShuffled,
    });
  }

  #wish(kind: Wish["kind"], where: Where, count: number, isUpdate = false): this {
    const line = lineOfCaller();
    for (let index = 0; index < count; index++)
      this.#wishes.push({ kind, ...where, ...(isUpdate ? { isUpdate } : {}), line });
    return this;
  }
}
