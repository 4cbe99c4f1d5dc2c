/**
 * What version n of the crash test's volume does; shared by the process that is killed and by the test.
 *
 * @packageDocumentation
 */

export const blockSizeBytes = 4096;
export const blockCount = 1000;

export interface CrashOperation {
  readonly kind: "write" | "zero";
  readonly block: number;
  readonly blockCount: number;
}

export function operationOf(version: number): CrashOperation {
  let mixed = Math.imul(version, 0x9e3779b1);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x85ebca6b) >>> 0;
  const kind = mixed % 8 === 0 ? "zero" : "write";
  const block = (mixed >>> 3) % blockCount;
  return { kind, block, blockCount: Math.min(1 + ((mixed >>> 20) % 5), blockCount - block) };
}
