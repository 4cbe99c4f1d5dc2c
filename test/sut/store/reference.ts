/**
 * A naive thin volume store: whole copies, sets of touched blocks, and nothing ever merged.
 *
 * @packageDocumentation
 */

/** What was touched between two cuts. */
interface Epoch {
  readonly parent: Epoch | undefined;
  readonly touched: Set<number>;
}

export interface ReferenceSnapshot {
  readonly volume: ReferenceVolume;
  readonly epoch: Epoch;
  readonly blockCount: number;
  /** Value by block; what is absent reads as zeros. */
  readonly content: ReadonlyMap<number, number>;
}

export class ReferenceVolume {
  readonly blockSizeBytes: number;
  blockCount: number;
  #content: Map<number, number>;
  #epoch: Epoch;

  constructor(blockSizeBytes: number, blockCount: number, source?: ReferenceSnapshot) {
    this.blockSizeBytes = blockSizeBytes;
    this.blockCount = blockCount;
    this.#content = new Map(source?.content);
    this.#epoch = { parent: source?.epoch, touched: new Set() };
  }

  get content(): ReadonlyMap<number, number> {
    return this.#content;
  }

  write(block: number, blockCount: number, value: number): void {
    for (let at = block; at < block + blockCount; at++) {
      this.#content.set(at, value);
      this.#epoch.touched.add(at);
    }
  }

  zero(block: number, blockCount: number): void {
    for (let at = block; at < block + blockCount; at++) {
      this.#content.delete(at);
      this.#epoch.touched.add(at);
    }
  }

  resize(blockCount: number): void {
    for (const block of [...this.#content.keys()]) if (block >= blockCount) this.zero(block, 1);
    this.blockCount = blockCount;
  }

  snapshot(): ReferenceSnapshot {
    const { blockCount } = this;
    const snapshot = { volume: this, epoch: this.#epoch, blockCount, content: new Map(this.#content) };
    this.#epoch = { parent: this.#epoch, touched: new Set() };
    return snapshot;
  }

  rollback(snapshot: ReferenceSnapshot): void {
    this.#content = new Map(snapshot.content);
    this.blockCount = snapshot.blockCount;
    this.#epoch = { parent: snapshot.epoch, touched: new Set() };
  }
}

/** Blocks touched between two snapshots, or ever; ascending. */
export function touchedBetween(
  base: ReferenceSnapshot | undefined,
  snapshot: ReferenceSnapshot,
): readonly number[] {
  const chain = epochs(snapshot);
  const baseChain = base === undefined ? [] : epochs(base);
  const touched = new Set<number>();
  for (const epoch of chain) if (!baseChain.includes(epoch)) for (const at of epoch.touched) touched.add(at);
  for (const epoch of baseChain) if (!chain.includes(epoch)) for (const at of epoch.touched) touched.add(at);
  return [...touched].filter((block) => block < snapshot.blockCount).sort((a, b) => a - b);
}

function epochs(snapshot: ReferenceSnapshot): readonly Epoch[] {
  const chain: Epoch[] = [];
  for (let at: Epoch | undefined = snapshot.epoch; at !== undefined; at = at.parent) chain.push(at);
  return chain;
}

/** The bytes of a volume: each block filled with its value, as little-endian 32-bit words. */
export function bytesOf(
  content: ReadonlyMap<number, number>,
  shape: { readonly blockSizeBytes: number; readonly blockCount: number },
): Uint8Array {
  const words = new Uint32Array((shape.blockSizeBytes * shape.blockCount) / 4);
  const wordsPerBlock = shape.blockSizeBytes / 4;
  for (const [block, value] of content) {
    words.fill(value, block * wordsPerBlock, (block + 1) * wordsPerBlock);
  }
  return new Uint8Array(words.buffer);
}
