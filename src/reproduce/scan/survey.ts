/**
 * Reads a range of a device in large pieces, several at a time, and notes what each block holds.
 *
 * The bytes are looked at where they were read to, by one kernel call a piece; no history is asked.
 *
 * @packageDocumentation
 */
import { sectorBytes } from "../../generators/content.ts";
import { type Region, type RunKernel, surveyCodes } from "../../generators/kernel.ts";
import { outcomeText, TargetFailure } from "../../runner/target-failure.ts";
import type { BlockDevice, BlockRange, OutcomeCode } from "../../sut/port.ts";
import { codes, type FoundBlocks } from "./found-blocks.ts";

/** All of a block device that is needed to look at it: nothing can be written. */
export type ReadableDevice = Pick<BlockDevice, "identity" | "capabilities" | "blockCount" | "read">;

const pieceBytes = 2 ** 20;
const piecesInFlight = 4;
/** Of the kernels' memory, for a {@link Surveyor}. */
export const surveyorBytes = (pieceBytes + 24 * (pieceBytes / sectorBytes) + 2 ** 14) * piecesInFlight;
/** Blocks that can not be read, before the device is given up. */
const unreadableMax = 2 ** 16;
/** Tries of a read whose connection was lost, or that took too long. */
const triesMax = 3;

interface Piece {
  readonly bytes: Region;
  readonly codes: { readonly address: number; readonly values: Float64Array };
  /** Two words of 8 bytes a block. */
  readonly details: {
    readonly address: number;
    readonly words: BigUint64Array;
    readonly numbers: Float64Array;
  };
}

export interface SurveyOptions {
  /** The volume that the blocks should be of. */
  readonly volume: number;
  readonly signal: AbortSignal;
  readonly onRead?: (blocksRead: number) => void;
}

export class Surveyor {
  readonly #device: ReadableDevice;
  readonly #run: RunKernel;
  readonly #pieces: readonly Piece[];
  readonly #blockBytes: number;
  #unreadableCount = 0;

  /** Takes {@link surveyorBytes} of the kernels' memory, for good. */
  constructor(device: ReadableDevice, run: RunKernel) {
    this.#device = device;
    this.#run = run;
    this.#blockBytes = device.capabilities.blockSizeBytes;
    const blockCount = pieceBytes / this.#blockBytes;
    const { kernel } = run;
    this.#pieces = Array.from({ length: piecesInFlight }, () => {
      const details = kernel.allocateUint64(2 * blockCount);
      return {
        bytes: kernel.allocate(pieceBytes),
        codes: kernel.allocateFloat64(blockCount),
        details: {
          address: details.address,
          words: details.values,
          numbers: new Float64Array(kernel.buffer, details.address, 2 * blockCount),
        },
      };
    });
  }

  /**
   * Reads all blocks of a table, and fills it. What a medium error keeps from being read is noted block by block.
   *
   * @throws {TargetFailure} If the device fails otherwise, or everywhere.
   * @throws The signal's reason.
   */
  async survey(found: FoundBlocks, { volume, signal, onRead }: SurveyOptions): Promise<void> {
    const end = found.firstBlock + found.blockCount;
    const step = pieceBytes / this.#blockBytes;
    let next = found.firstBlock;
    let blocksRead = 0;
    let failure: unknown;
    const work = async (piece: Piece): Promise<void> => {
      while (next < end && failure === undefined) {
        const range = { block: next, blockCount: Math.min(step, end - next) };
        next += range.blockCount;
        const unreadable = await this.#read(range, piece, signal);
        this.#note(range, piece, { found, volume });
        for (const block of unreadable) found.put(block, codes.unreadable);
        onRead?.((blocksRead += range.blockCount));
      }
    };
    // All of them end before anyone is told: none may read into memory that the next caller uses.
    await Promise.all(
      this.#pieces.map((piece) => work(piece).catch((error: unknown) => (failure ??= error))),
    );
    if (failure !== undefined) throw failure;
  }

  /** @returns Blocks that can not be read. */
  async #read(range: BlockRange, piece: Piece, signal: AbortSignal): Promise<readonly number[]> {
    const isRead = await this.#tryRead(range, piece.bytes.bytes, signal);
    if (isRead) return [];
    const unreadable: number[] = [];
    for (let index = 0; index < range.blockCount; index++) {
      const one = { block: range.block + index, blockCount: 1 };
      const into = piece.bytes.bytes.subarray(index * this.#blockBytes);
      if (await this.#tryRead(one, into, signal)) continue;
      into.fill(0, 0, this.#blockBytes);
      unreadable.push(one.block);
      if (++this.#unreadableCount > unreadableMax)
        throw new TargetFailure(
          `${this.#device.identity.name}: more than ${unreadableMax} blocks can not be read, the last of them block ${one.block}: given up`,
        );
    }
    return unreadable;
  }

  /** @returns Whether the medium gave all blocks. */
  async #tryRead(range: BlockRange, memory: Uint8Array, signal: AbortSignal): Promise<boolean> {
    const into = memory.subarray(0, range.blockCount * this.#blockBytes);
    for (let tries = 1; ; tries++) {
      signal.throwIfAborted();
      const outcome = await this.#device.read({ ...range, into }, { signal });
      if (outcome.kind === "ok") return true;
      signal.throwIfAborted();
      if (mediumCodes.has(outcome.code)) return false;
      if (tries === triesMax || !passingCodes.has(outcome.code))
        throw new TargetFailure(
          `reading ${range.blockCount} blocks at ${range.block}: ${outcomeText(outcome)}`,
        );
    }
  }

  #note(
    { block, blockCount }: BlockRange,
    { bytes, codes: own, details }: Piece,
    { found, volume }: { readonly found: FoundBlocks; readonly volume: number },
  ): void {
    const blockBytes = this.#blockBytes;
    const filled = this.#run.survey(
      { volume, block, blockCount, sectorCount: blockBytes / sectorBytes },
      bytes.address,
      { codes: own.address, details: details.address },
    );
    if (filled === 0) return;
    found.codes.set(own.values.subarray(0, blockCount), block - found.firstBlock);
    for (let index = 0; index < blockCount; index++) {
      const code = own.values[index]!;
      if (code >= 0) continue;
      const at = block + index;
      switch (code) {
        case surveyCodes.damaged:
          found.putDamaged(at, bytes.bytes.subarray(index * blockBytes, (index + 1) * blockBytes));
          break;
        case surveyCodes.misplaced: {
          const position = details.numbers[2 * index + 1]!;
          found.putMarked(at, {
            kind: "misplaced",
            ...addressOf(details.words[2 * index]!, at),
            position: position > 0 ? position : undefined,
          });
          break;
        }
        case surveyCodes.foreign:
          found.putMarked(at, {
            kind: "foreign",
            ...addressOf(details.words[2 * index]!, at),
            runId: details.words[2 * index + 1]!,
          });
          break;
        default:
      }
    }
  }
}

/** What a medium error looks like; anything else is no matter of single blocks. */
const mediumCodes: ReadonlySet<OutcomeCode> = new Set(["ERR_MEDIA", "ERR_TARGET"]);
const passingCodes: ReadonlySet<OutcomeCode> = new Set(["ERR_TIMEOUT", "ERR_CONNECTION_LOST"]);

/** Address of a sector, as in `../../generators/content.ts`. */
function addressOf(packed: bigint, block: number): { readonly volume: number; readonly distance: number } {
  return { volume: Number((packed >> 8n) & 0xfffn), distance: Number(packed >> 20n) - block };
}
