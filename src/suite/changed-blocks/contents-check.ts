/**
 * Compares what devices hold with the model, piece by piece, and counts it all up in a digest.
 *
 * @packageDocumentation
 */
import { createHash } from "node:crypto";
import type { BlockDevice, BlockRange } from "../../sut/port.ts";
import type { BlockVersions } from "./block-versions.ts";
import { type Content, transferBytes } from "./content.ts";
import { rangeText } from "./layout.ts";
import { SuiteFailure } from "./suite-failure.ts";
import { expectOk, piecesOf } from "./transfers.ts";

/** Pieces that are read ahead of the one that is looked at. */
const piecesAhead = 4;

export interface ContentsCheck {
  readonly device: BlockDevice;
  /** For people: which device it is. */
  readonly what: string;
  readonly range: BlockRange;
  readonly versions: BlockVersions;
  readonly content: Content;
  readonly signal: AbortSignal;
}

/**
 * @returns The sha256 of the range.
 * @throws {SuiteFailure} With the first block that does not hold its version, and what it is called.
 */
export async function checkContents(check: ContentsCheck): Promise<string> {
  const { device, what, range, versions, content, signal } = check;
  const hash = createHash("sha256");
  const pieces = [...piecesOf(range, transferBytes / content.blockSizeBytes)];
  const reads: Promise<void>[] = [];
  const bytesOf = (index: number) =>
    content.buffers[index % piecesAhead]!.bytes.subarray(
      0,
      pieces[index]!.blockCount * content.blockSizeBytes,
    );
  const begin = (index: number): void => {
    const piece = pieces[index];
    if (piece === undefined) return;
    const reading = device
      .read({ ...piece, into: bytesOf(index) }, { signal })
      .then((outcome) => expectOk(outcome, `reading ${rangeText(piece)} of ${what}`));
    // Looked at in its turn.
    reading.catch(() => undefined);
    reads[index] = reading;
  };
  for (let index = 0; index < piecesAhead; index++) begin(index);
  try {
    for (const [index, piece] of pieces.entries()) {
      signal.throwIfAborted();
      await reads[index];
      const wrong = content.firstWrong(piece, content.buffers[index % piecesAhead]!, versions);
      if (wrong !== undefined)
        throw new SuiteFailure(`${what}: ${wrong.text}`, { faultClass: wrong.class, block: wrong.block });
      hash.update(bytesOf(index));
      begin(index + piecesAhead);
    }
  } finally {
    // The buffers are in use until then.
    await Promise.allSettled(reads);
  }
  return hash.digest("hex");
}
