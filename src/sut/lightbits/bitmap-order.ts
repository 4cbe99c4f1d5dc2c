/**
 * In which order the bits of `dataBitMap` stand for blocks: a convention, and a way to find out a server's.
 *
 * The API says that a range carries a 64-bit map per chunk, and not how its 8 bytes are ordered. `little` is
 * what the port wants and the embedded target sends; a server that does otherwise is read with its own order.
 *
 * @packageDocumentation
 */

import { randomUUID } from "node:crypto";
import {
  type BlockDevice,
  type CallOptions,
  type DiffRange,
  ServiceError,
  type VolumeService,
} from "../port.ts";

/**
 * Where block `lbaStart + i` has its bit, for i in 0 to 63 of a chunk:
 *
 * - `little`: byte i / 8, bit i % 8, as in a little-endian 64-bit number;
 * - `big`: byte 7 - i / 8, bit i % 8, as in a big-endian one;
 * - `msb-first`: byte i / 8, bit 7 - i % 8, as in a string of bits.
 */
export type BitmapOrder = "little" | "big" | "msb-first";

const bitmapOrders: readonly BitmapOrder[] = ["little", "big", "msb-first"];

/**
 * A bitmap as the port wants it.
 *
 * @param bitmap - Of any length; of `big` the last bytes, if fewer than 8, are a shorter number.
 * @returns The same bytes if they are in order already.
 */
export function inPortOrder(bitmap: Uint8Array, order: BitmapOrder): Uint8Array {
  if (order === "little") return bitmap;
  if (order === "msb-first") return bitmap.map(reversedBits);
  const ordered = Uint8Array.from(bitmap);
  for (let start = 0; start < ordered.length; start += 8) ordered.subarray(start, start + 8).reverse();
  return ordered;
}

function reversedBits(byte: number): number {
  let reversed = 0;
  for (let bit = 0; bit < 8; bit++) reversed |= ((byte >> bit) & 1) << (7 - bit);
  return reversed;
}

/**
 * The order in which ranges report exactly one block.
 *
 * @param ranges - As they came.
 * @returns `undefined` if there is none, or more than one.
 */
export function bitmapOrderOf(ranges: readonly DiffRange[], lba: number): BitmapOrder | undefined {
  const fitting = bitmapOrders.filter((order) => {
    const blocks = ranges.flatMap(({ lbaStart, bitmap }) => blocksIn(lbaStart, inPortOrder(bitmap, order)));
    return blocks.length === 1 && blocks[0] === lba;
  });
  return fitting.length === 1 ? fitting[0] : undefined;
}

function blocksIn(lbaStart: number, bitmap: Uint8Array): number[] {
  const blocks: number[] = [];
  for (const [byte, bits] of bitmap.entries())
    for (let bit = 0; bit < 8; bit++) if ((bits >> bit) & 1) blocks.push(lbaStart + 8 * byte + bit);
  return blocks;
}

/**
 * Finds out a server's order: writes one block between two snapshots and looks at the diff.
 *
 * The block gets its old content back, and the snapshots are deleted, whatever happens. Nobody else may write to
 * the volume meanwhile.
 *
 * @param service - Reads bitmaps as they come, that is in the order `little`.
 * @param probe.chunk - Chunk of 64 blocks whose second block is written; 0 if absent.
 * @throws {ServiceError} `ERR_BAD_ANSWER` if the diff reports that block in none of the orders.
 */
export async function probeBitmapOrder(
  service: VolumeService,
  { volumeUuid, chunk = 0 }: { readonly volumeUuid: string; readonly chunk?: number },
  options?: CallOptions,
): Promise<BitmapOrder> {
  // The second block is the first that all three orders put elsewhere.
  const lba = chunk * 64 + 1;
  const made: string[] = [];
  const snapshot = async () => {
    const name = `harrow-probe-${randomUUID()}`;
    const { uuid } = await service.createSnapshot({ name, volumeUuid }, options);
    made.push(uuid);
    return uuid;
  };
  try {
    await using device = await service.openVolume(volumeUuid, options);
    const old = await readBlock(device, lba, options);
    const baseSnapshotUuid = await snapshot();
    let snapshotUuid: string;
    try {
      await writeBlock(
        device,
        lba,
        old.map((byte) => byte ^ 0xff),
        options,
      );
      snapshotUuid = await snapshot();
    } finally {
      await writeBlock(device, lba, old);
    }
    const ranges: DiffRange[] = [];
    for await (const page of service.diff({ snapshotUuid, baseSnapshotUuid }, options)) {
      ranges.push(...page.ranges);
      if (ranges.length > rangesShownMax) break;
    }
    const order = bitmapOrderOf(ranges, lba);
    if (order !== undefined) return order;
    throw new ServiceError(
      "ERR_BAD_ANSWER",
      `one write of block ${lba} is reported in none of the orders ${bitmapOrders.join(", ")}: ${shown(ranges)}`,
    );
  } finally {
    for (const uuid of made) await service.deleteSnapshot(uuid);
  }
}

const rangesShownMax = 4;

function shown(ranges: readonly DiffRange[]): string {
  if (ranges.length === 0) return "no range at all";
  const texts = ranges
    .slice(0, rangesShownMax)
    .map(
      ({ lbaStart, bitmap }) =>
        `${lbaStart}: ${Buffer.from(bitmap.subarray(0, 16)).toString("hex")}${bitmap.length > 16 ? "…" : ""}`,
    );
  return texts.join(", ") + (ranges.length > rangesShownMax ? " and more" : "");
}

async function readBlock(
  device: BlockDevice,
  block: number,
  options: CallOptions | undefined,
): Promise<Uint8Array> {
  const into = new Uint8Array(device.capabilities.blockSizeBytes);
  const outcome = await device.read({ block, blockCount: 1, into }, options);
  if (outcome.kind !== "ok")
    throw new ServiceError("ERR_TARGET", `reading block ${block} for a probe: ${outcome.message}`);
  return into;
}

async function writeBlock(
  device: BlockDevice,
  block: number,
  from: Uint8Array,
  options?: CallOptions,
): Promise<void> {
  const outcome = await device.write({ block, blockCount: 1, from, fua: true }, options);
  if (outcome.kind !== "ok")
    throw new ServiceError("ERR_TARGET", `writing block ${block} for a probe: ${outcome.message}`);
}
