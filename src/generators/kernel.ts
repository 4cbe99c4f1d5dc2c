/**
 * The WebAssembly kernels and the memory that they work on.
 *
 * One linear memory of fixed size holds every I/O buffer, so that what was read is verified where it lies. It
 * never grows, so views of it stay valid; the pages are the operating system's until they are touched.
 *
 * @packageDocumentation
 */
import { readFileSync } from "node:fs";
import type { ContentFormat } from "./content.ts";

/** The part of the WebAssembly API that is used here; Node's own types leave it to the DOM's. */
declare const WebAssembly: {
  readonly Memory: new (limits: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
};

const pageBytes = 65536;
const contextBytes = 4096;
const contextKinds = 64;
const contextTables = 512;

interface Exports {
  readonly heapBase: { readonly value: number };
  initialise(): void;
  rngAt(seed: bigint, i: bigint, stream: bigint): bigint;
  rngPositionOf(seed: bigint, value: bigint, stream: bigint): bigint;
  rngBatch(seed: bigint, stream: bigint, positions: number, out: number, count: number): void;
  rngInverseBatch(seed: bigint, stream: bigint, values: number, out: number, count: number): void;
  drawBelow(context: number, position: number, purpose: number, index: number, bound: number): number;
  values(context: number, volume: number, block: number, count: number, positions: number, out: number): void;
  inflate(
    context: number,
    target: number,
    sectorCount: number,
    volume: number,
    block: number,
    count: number,
    position: number,
  ): void;
  verify(
    context: number,
    source: number,
    sectorCount: number,
    volume: number,
    block: number,
    count: number,
    positions: number,
    verdicts: number,
  ): number;
  deflate(
    context: number,
    source: number,
    sectorCount: number,
    volume: number,
    block: number,
    count: number,
    classes: number,
    vds: number,
    positions: number,
  ): void;
  survey(
    context: number,
    source: number,
    sectorCount: number,
    volume: number,
    block: number,
    count: number,
    codes: number,
    details: number,
  ): number;
}

/** What {@link RunKernel.survey} says of a block that is neither zeros nor a whole one in its own place. */
export const surveyCodes = {
  /** Some of it may be told apart: damaged, torn, shifted. */
  damaged: -1,
  /** Nothing of it is of this run, nor has it the header of any other. */
  garbage: -2,
  /** Whole and in its place, but of a position that no operation can have. */
  strange: -3,
  /** Whole, but another block's. */
  misplaced: -4,
  /** Another run's, or this one's with sectors that sort the other way round. */
  foreign: -5,
} as const;

/** A piece of the kernels' memory, with the views that callers need. */
export interface Region {
  /** Byte offset in the linear memory. */
  readonly address: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** The module, compiled once per process. */
let compiled: object | undefined;

export class Kernel {
  readonly buffer: ArrayBuffer;
  readonly exports: Exports;
  #free: number;
  readonly #end: number;

  /**
   * @param memoryBytes - Size of the linear memory; an upper bound on all buffers together, not memory used.
   * @throws {Error} If the kernels were not built.
   */
  constructor({ memoryBytes = 256 * 2 ** 20 }: { readonly memoryBytes?: number } = {}) {
    const pages = Math.ceil(memoryBytes / pageBytes);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.buffer = memory.buffer;
    compiled ??= new WebAssembly.Module(readModule());
    this.exports = new WebAssembly.Instance(compiled, {
      env: { memory, abort: () => {} },
    }).exports as Exports;
    this.exports.initialise();
    this.#free = alignUp(this.exports.heapBase.value, 4096);
    this.#end = pages * pageBytes;
  }

  /** Takes memory, zeroed, for good: regions are made at start-up and used again and again. */
  allocate(byteCount: number, alignment = 4096): Region {
    const address = alignUp(this.#free, alignment);
    if (address + byteCount > this.#end)
      throw new RangeError(
        `the kernels' memory of ${this.#end} bytes has no room for ${byteCount} more: use smaller extents or fewer operations in flight`,
      );
    this.#free = address + byteCount;
    return { address, bytes: new Uint8Array(this.buffer, address, byteCount) };
  }

  allocateFloat64(count: number): { readonly address: number; readonly values: Float64Array<ArrayBuffer> } {
    const { address } = this.allocate(count * 8, 16);
    return { address, values: new Float64Array(this.buffer, address, count) };
  }

  allocateUint64(count: number): { readonly address: number; readonly values: BigUint64Array<ArrayBuffer> } {
    const { address } = this.allocate(count * 8, 16);
    return { address, values: new BigUint64Array(this.buffer, address, count) };
  }
}

/** A run's content and choices: the kernels bound to a {@link ContentFormat}. */
export class RunKernel {
  readonly kernel: Kernel;
  readonly format: ContentFormat;
  readonly #context: number;

  constructor(kernel: Kernel, format: ContentFormat) {
    this.kernel = kernel;
    this.format = format;
    const { address, bytes } = kernel.allocate(contextBytes);
    this.#context = address;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    view.setBigUint64(0, format.seed, true);
    view.setBigUint64(8, format.runId, true);
    view.setBigUint64(16, format.valueKey, true);
    view.setBigUint64(24, format.addressKey, true);
    view.setBigUint64(32, format.orderMask, true);
    bytes.set(format.kindSlots, contextKinds);
    for (const [kind, table] of format.tables.entries())
      bytes.set(table, contextTables + kind * table.length);
  }

  /**
   * Draws from [0, bound).
   *
   * @param position - Position in the stream, 1 to 2^53 − 1; number 0 would be the same in every stream.
   * @param bound - 1 to 2^53; the bias is below bound / 2^64.
   */
  draw(position: number, purpose: number, index: number, bound: number): number {
    return this.kernel.exports.drawBelow(this.#context, position, purpose, index, bound);
  }

  /** Value descriptors of consecutive blocks at `positions` (f64 each), into `out` (u64 each). */
  values(at: { volume: number; block: number; blockCount: number }, positions: number, out: number): void {
    this.kernel.exports.values(this.#context, at.volume, at.block, at.blockCount, positions, out);
  }

  /** Fills `target` with consecutive blocks, all written at `position`. */
  inflate(at: BlockRun, target: number, position: number): void {
    this.kernel.exports.inflate(
      this.#context,
      target,
      at.sectorCount,
      at.volume,
      at.block,
      at.blockCount,
      position,
    );
  }

  /**
   * Compares `source` with what `positions` says: p > 0 written at p, else zeros. One byte a block into
   * `verdicts`: 0 equal, 1 different.
   *
   * @returns How many blocks differ.
   */
  verify(at: BlockRun, source: number, positions: number, verdicts: number): number {
    return this.kernel.exports.verify(
      this.#context,
      source,
      at.sectorCount,
      at.volume,
      at.block,
      at.blockCount,
      positions,
      verdicts,
    );
  }

  /**
   * Reads what blocks say of themselves: a class each into `classes` (0 zeros, 1 a whole block of this run at
   * its own address, 2 anything else), and for class 1 descriptor and position, u64 each.
   */
  deflate(at: BlockRun, source: number, out: { classes: number; vds: number; positions: number }): void {
    this.kernel.exports.deflate(
      this.#context,
      source,
      at.sectorCount,
      at.volume,
      at.block,
      at.blockCount,
      out.classes,
      out.vds,
      out.positions,
    );
  }

  /**
   * Names what blocks hold: one f64 each into `codes`, above 0 the position that wrote a whole block in its own
   * place, 0 for zeros, else one of `surveyCodes`. Of misplaced and foreign blocks two words of 8 bytes each
   * into `details`: the address that they claim (u64: block << 20 | volume << 8), then for a misplaced one its
   * position there (f64, or `surveyCodes.strange`), for a foreign one its run (u64).
   *
   * @returns How many blocks are not zeros.
   */
  survey(at: BlockRun, source: number, out: { codes: number; details: number }): number {
    return this.kernel.exports.survey(
      this.#context,
      source,
      at.sectorCount,
      at.volume,
      at.block,
      at.blockCount,
      out.codes,
      out.details,
    );
  }
}

/** Consecutive blocks of one volume. */
export interface BlockRun {
  readonly volume: number;
  readonly block: number;
  readonly blockCount: number;
  /** Sectors of 512 bytes per block. */
  readonly sectorCount: number;
}

function readModule(): Uint8Array<ArrayBuffer> {
  const url = new URL("../../wasm/kernels.wasm", import.meta.url);
  try {
    return readFileSync(url);
  } catch (cause) {
    throw new Error(`the kernels are not built: ${url.pathname} is missing; run "npm run build:kernels"`, {
      cause,
    });
  }
}

function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}
