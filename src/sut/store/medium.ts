/**
 * Where the bytes of chunks lie: an arena of slots of one size, over a medium.
 *
 * A slot has room for the 64 blocks of one chunk. Neither the arena nor the medium knows which blocks of a
 * slot mean anything: the bitmaps of the layers do, and a slot that is used again keeps its old bytes.
 *
 * @packageDocumentation
 */

/** Bytes of numbered slots. Errors are {@link StoreError}s of `port.ts`. */
export interface ChunkMedium {
  /** Fills `into` from the slot; the bytes were written before. */
  read(slot: number, offsetBytes: number, into: Uint8Array): void;
  write(slot: number, offsetBytes: number, from: Uint8Array): void;
  /** The slot's bytes are of no use any more. */
  release(slot: number): void;
  /** Resolves when all bytes written before the call are on stable media. */
  sync(): Promise<void>;
  close(): void;
}

/** The part of a bug on purpose that an arena has; see `bug.ts`. */
export interface ArenaBug {
  /** Gives a slot to write to; @returns its number. */
  allocate?(arena: Arena, proceed: () => number): number;
}

export class Arena {
  readonly blockSizeBytes: number;
  readonly medium: ChunkMedium;
  /** A bug on purpose, if the store was opened with one. */
  bug: ArenaBug | undefined;
  readonly #reuseNeedsCommit: boolean;
  readonly #free: number[];
  #freed: number[] = [];
  #slotCount: number;

  /**
   * @param options.reuseNeedsCommit - A freed slot is used again only after {@link recycle}: the metadata on
   *   stable media may still refer to it.
   * @param options.usedSlots - Slots in use, each once.
   */
  constructor(options: {
    readonly blockSizeBytes: number;
    readonly medium: ChunkMedium;
    readonly reuseNeedsCommit: boolean;
    readonly usedSlots?: ReadonlySet<number>;
  }) {
    this.blockSizeBytes = options.blockSizeBytes;
    this.medium = options.medium;
    this.#reuseNeedsCommit = options.reuseNeedsCommit;
    const used = options.usedSlots ?? new Set<number>();
    let slotCount = 0;
    for (const slot of used) slotCount = Math.max(slotCount, slot + 1);
    this.#slotCount = slotCount;
    this.#free = [];
    // Descending, so that the lowest slot is taken first.
    for (let slot = slotCount - 1; slot >= 0; slot--) if (!used.has(slot)) this.#free.push(slot);
  }

  allocate(): number {
    const proceed = (): number => this.#free.pop() ?? this.#slotCount++;
    return this.bug?.allocate === undefined ? proceed() : this.bug.allocate(this, proceed);
  }

  free(slot: number): void {
    if (this.#reuseNeedsCommit) {
      this.#freed.push(slot);
      return;
    }
    this.medium.release(slot);
    this.#free.push(slot);
  }

  /** Slots freed since the last call; to be handed to {@link recycle} when that is committed. */
  takeFreed(): readonly number[] {
    const freed = this.#freed;
    this.#freed = [];
    return freed;
  }

  recycle(slots: readonly number[]): void {
    for (const slot of slots) {
      this.medium.release(slot);
      this.#free.push(slot);
    }
  }
}
