/**
 * What of a volume is in a volatile write cache: versions of blocks that a crash may take back, block by block.
 *
 * @packageDocumentation
 */
import type { Choices } from "../../generators/choices.ts";
import type { BlockDevice } from "../../sut/port.ts";

/** Who wrote a version, and when that had completed. */
export interface Writer {
  /** Number of the completion; infinite before. */
  completed: number;
}

interface Version {
  readonly bytes: Uint8Array;
  readonly writer: Writer;
}

/** Older ones are taken to be on stable media, or gone. */
const versionsMax = 6;
const before: Writer = { completed: 0 };

export class JitteryCache {
  readonly #device: BlockDevice;
  /** By block, oldest first; the first is on stable media. */
  readonly #versions = new Map<number, Version[]>();
  /** The latest version that became durable by flush or FUA, and what was on stable media before. */
  #promoted: { readonly block: number; readonly bytes: Uint8Array } | undefined;

  constructor(device: BlockDevice) {
    this.#device = device;
  }

  /** To be called before a block is changed. */
  changes(block: number, blockCount: number): void {
    for (let one = block; one < block + blockCount; one++)
      if (!this.#versions.has(one)) this.#versions.set(one, [{ bytes: this.#read(one), writer: before }]);
  }

  /** To be called after it was. */
  changed(block: number, blockCount: number, writer: Writer): void {
    for (let one = block; one < block + blockCount; one++) {
      const versions = this.#versions.get(one)!;
      versions.push({ bytes: this.#read(one), writer });
      if (versions.length > versionsMax) versions.splice(1, 1);
    }
  }

  /** A flush has completed that was sent when completions up to this number had been given. */
  flushed(completed: number): void {
    for (const block of this.#versions.keys())
      this.#promote(block, (writer) => writer.completed <= completed);
  }

  /** A write with FUA has completed. */
  written(block: number, blockCount: number, by: Writer): void {
    for (let one = block; one < block + blockCount; one++) this.#promote(one, (writer) => writer === by);
  }

  /** Nothing is volatile any more: the volume was put back to a snapshot. */
  clear(): void {
    this.#versions.clear();
    this.#promoted = undefined;
  }

  /**
   * Takes back what is not durable, or not.
   *
   * @param options.forgets - Takes back a durable block as well.
   */
  crash(choices: Choices, { forgets = false }: { readonly forgets?: boolean } = {}): void {
    for (const [block, versions] of this.#versions)
      this.#write(block, versions[choices.below(versions.length)]!.bytes);
    this.#versions.clear();
    if (forgets && this.#promoted !== undefined) this.#write(this.#promoted.block, this.#promoted.bytes);
    this.#promoted = undefined;
  }

  #promote(block: number, isDurable: (writer: Writer) => boolean): void {
    const versions = this.#versions.get(block);
    if (versions === undefined) return;
    const last = versions.findLastIndex(({ writer }) => writer !== before && isDurable(writer));
    if (last < 0) return;
    if (last === versions.length - 1) {
      this.#versions.delete(block);
      this.#promoted = { block, bytes: versions[0]!.bytes };
      return;
    }
    versions.splice(0, last);
    versions[0] = { bytes: versions[0]!.bytes, writer: before };
  }

  #read(block: number): Uint8Array {
    const into = new Uint8Array(this.#device.capabilities.blockSizeBytes);
    // A device in memory has done it when it returns.
    void this.#device.read({ block, blockCount: 1, into });
    return into;
  }

  #write(block: number, bytes: Uint8Array): void {
    if (Buffer.compare(bytes, this.#read(block)) === 0) return;
    if (bytes.every((byte) => byte === 0)) void this.#device.writeZeroes({ block, blockCount: 1 });
    else void this.#device.write({ block, blockCount: 1, from: bytes });
  }
}
