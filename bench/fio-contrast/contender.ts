/**
 * What is put to a fault, and what it says of it.
 *
 * @packageDocumentation
 */

/** The file that all contenders write to, from zeros. Small, so that blocks are written again and again. */
export const space = { blockBytes: 4096, fileBytes: 4 * 2 ** 20 } as const;
/** What each contender writes, about: four times the file. */
export const bytesWritten = 4 * space.fileBytes;
/** Longest write of those that mix sizes, from one block on. */
export const lengthBytesMax = 16 * space.blockBytes;

export interface Contender {
  /** Heads a column. */
  readonly name: string;
  /** One sentence: what is run. */
  readonly summary: string;
  run(request: ContenderRequest): Promise<Finding>;
}

interface ContenderRequest {
  readonly path: string;
  readonly seed: number;
  /** What traces and strikes its writes. */
  readonly environment: NodeJS.ProcessEnv;
  /** For files of its own. */
  readonly folder: string;
  readonly signal: AbortSignal;
}

/** What it called the fault; `undefined` if it saw none, and ended as if all were well. */
type Finding = string | undefined;
