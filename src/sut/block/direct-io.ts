/**
 * O_DIRECT from buffers that lie anywhere.
 *
 * Devices take memory that starts at a multiple of some number of bytes (`queue/dma_alignment`), up to a logical
 * block. WebAssembly memory does; where else a buffer of JavaScript lies is not to be seen, and the kernel refuses
 * a bad one with EINVAL. Such buffers go by way of aligned ones, at the price of a copy.
 *
 * @packageDocumentation
 */
import { pageAligned } from "./aligned-memory.ts";
import { type ByteRange, type DescriptorIo, type IoResult, pieceBytesMax } from "./descriptor-io.ts";
import { abortFailure } from "./errno.ts";

type Settled = IoResult | Promise<IoResult>;
type Signal = AbortSignal | undefined;

export class DirectIo implements DescriptorIo {
  readonly isOneStep: boolean;
  readonly #inner: DescriptorIo;
  /** Refused before. */
  readonly #unaligned = new WeakSet<ArrayBufferLike>();
  /** Aligned, of {@link pieceBytesMax} each; as many as were ever needed at once. */
  readonly #free: Uint8Array[] = [];

  constructor(inner: DescriptorIo) {
    this.#inner = inner;
    this.isOneStep = inner.isOneStep;
  }

  read(into: Uint8Array, position: number, signal: Signal): Settled {
    return this.#tried(
      into,
      () => this.#inner.read(into, position, signal),
      () => this.#readPieces(into, position, signal),
    );
  }

  write(from: Uint8Array, position: number, isDurable: boolean, signal: Signal): Settled {
    return this.#tried(
      from,
      () => this.#inner.write(from, position, isDurable, signal),
      () => this.#writePieces(from, position, isDurable, signal),
    );
  }

  writeZeros(range: ByteRange, signal: Signal): Settled {
    return this.#inner.writeZeros(range, signal);
  }

  #tried({ buffer }: Uint8Array, straight: () => Settled, pieces: () => Iterator<Settled>): Settled {
    if (this.#unaligned.has(buffer)) return inTurn(pieces());
    const again = (result: IoResult): Settled => {
      if (result?.code !== "ERR_INVALID_REQUEST" || result.doneBytes > 0) return result;
      this.#unaligned.add(buffer);
      return inTurn(pieces());
    };
    const result = straight();
    return result instanceof Promise ? result.then(again) : again(result);
  }

  *#readPieces(into: Uint8Array, position: number, signal: Signal): Generator<Settled> {
    const aligned = this.#free.pop() ?? pageAligned(pieceBytesMax);
    try {
      for (let at = 0; at < into.length; at += pieceBytesMax) {
        if (at > 0 && signal?.aborted === true) yield abortFailure(at);
        const piece = aligned.subarray(0, Math.min(pieceBytesMax, into.length - at));
        yield after(at, this.#inner.read(piece, position + at, signal));
        into.set(piece, at);
      }
    } finally {
      this.#free.push(aligned);
    }
  }

  *#writePieces(from: Uint8Array, position: number, isDurable: boolean, signal: Signal): Generator<Settled> {
    const aligned = this.#free.pop() ?? pageAligned(pieceBytesMax);
    try {
      for (let at = 0; at < from.length; at += pieceBytesMax) {
        if (at > 0 && signal?.aborted === true) yield abortFailure(at);
        const piece = aligned.subarray(0, Math.min(pieceBytesMax, from.length - at));
        piece.set(from.subarray(at, at + piece.length));
        yield after(at, this.#inner.write(piece, position + at, isDurable, signal));
      }
    } finally {
      this.#free.push(aligned);
    }
  }
}

/** A failure after so many bytes of the request. */
function after(doneBytes: number, result: Settled): Settled {
  if (result instanceof Promise) return result.then((later) => after(doneBytes, later));
  return result === undefined ? undefined : { ...result, doneBytes: doneBytes + result.doneBytes };
}

/** One after another until one fails, in one step if each is. */
function inTurn(steps: Iterator<Settled>): Settled {
  for (let step = steps.next(); step.done !== true; step = steps.next()) {
    const result = step.value;
    if (result instanceof Promise)
      return result.then((failure) => (failure === undefined ? inTurn(steps) : stopped(steps, failure)));
    if (result !== undefined) return stopped(steps, result);
  }
  return undefined;
}

function stopped(steps: Iterator<Settled>, failure: IoResult): IoResult {
  steps.return?.();
  return failure;
}
