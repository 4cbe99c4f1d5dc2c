/**
 * Flips bits in a target's data, under its feet.
 *
 * @packageDocumentation
 */
import { open, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const blockBytes = 4096;

/**
 * Flips a bit of fill of one block after another, spread over the file of 4096-byte blocks, until told to stop: what
 * is flipped may be overwritten before anyone looks, so one would not do.
 */
export async function flipDataBytes(directory: string, signal: AbortSignal): Promise<void> {
  const path = join(directory, "blocks-4096");
  const block = Buffer.alloc(blockBytes);
  for (let number = 1; !signal.aborted; number++) {
    await sleep(100);
    const { size } = await stat(path).catch(() => ({ size: 0 }));
    if (size < 8 * 2 ** 20) continue;
    const file = await open(path, "r+");
    try {
      // Steps by the golden ratio come to every part of the file, and never to the same block.
      const start = Math.floor(((number * 0.618) % 1) * (size / blockBytes)) * blockBytes;
      await file.read(block, 0, blockBytes, start);
      if (block.every((byte) => byte === 0)) continue;
      await file.write(Buffer.of(block[1000]! ^ 1), 0, 1, start + 1000);
    } finally {
      await file.close();
    }
  }
}
