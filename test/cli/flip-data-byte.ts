/**
 * Flips one bit in the middle of a target's data, under its feet, once there is some.
 *
 * @packageDocumentation
 */
import { open, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** A byte of fill of the first block that holds data, of the file of 4096-byte blocks. */
export async function flipDataByte(directory: string): Promise<void> {
  const path = join(directory, "blocks-4096");
  const block = Buffer.alloc(4096);
  for (let tries = 0; tries < 200; tries++) {
    await sleep(50);
    const { size } = await stat(path).catch(() => ({ size: 0 }));
    if (size < 8 * 2 ** 20) continue;
    const file = await open(path, "r+");
    try {
      for (let offset = 0; offset < size; offset += block.length) {
        await file.read(block, 0, block.length, offset);
        if (block.every((byte) => byte === 0)) continue;
        const at = offset + 1000;
        await file.write(Buffer.of(block[1000]! ^ 1), 0, 1, at);
        return;
      }
    } finally {
      await file.close();
    }
  }
  throw new Error(`no data came to ${path}`);
}
