/**
 * A device whose transfers are made up, for what no real file does when it is asked.
 *
 * @packageDocumentation
 */
import { mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { DescriptorIo } from "../../../src/sut/block/descriptor-io.ts";
import { FileDevice } from "../../../src/sut/block/device.ts";
import { RangeCommands } from "../../../src/sut/block/range-commands.ts";
import { Zeroing } from "../../../src/sut/block/zeroing.ts";

/** Does nothing, at once. */
export const inert: DescriptorIo = {
  isOneStep: true,
  read: () => undefined,
  write: () => undefined,
  writeZeros: () => undefined,
};

/** A device whose flushes really go to a file. */
export function deviceOver(io: DescriptorIo, { direct = false } = {}): FileDevice {
  const folder = mkdtempSync(join(tmpdir(), "harrow-block-"));
  const plain = openSync(join(folder, "file"), "w+");
  const commands = new RangeCommands(plain);
  const device = new FileDevice({
    path: "file",
    identity: { name: "file", uuid: undefined, nsid: undefined },
    lastingId: "file",
    ...{ descriptors: { plain, durable: plain }, io, commands },
    zeroing: new Zeroing({
      ...{ zeroesBy: "writes", io, commands, descriptor: plain },
      ...{ isBlockDevice: false, isDirect: direct, writesZeroes: true },
    }),
    blockSizeBytes: 512,
    blockCount: () => 8,
    bufferAlignment: 1,
    ...{ isCached: !direct, volatileWriteCache: true, deallocate: true, deallocatedReads: "zeros" },
  });
  onTestFinished(async () => {
    await device[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });
  return device;
}
