/**
 * Keeps harrow off volumes that hold something: a file system, a partition table, another run's data.
 *
 * @packageDocumentation
 */
import { isStamped, sectorBytes } from "../generators/content.ts";
import type { BlockDevice, BlockRange } from "../sut/port.ts";
import { expectOk, TargetFailure } from "./target-failure.ts";

/** The volume holds something, and the configuration does not say that it may be overwritten. */
export class OccupiedVolumeError extends Error {
  override readonly name = "OccupiedVolumeError";

  constructor(device: BlockDevice, found: string) {
    super(
      `${device.identity.name} holds ${found}; harrow would destroy it. Set overwrite: true if that is wanted, or use an empty volume`,
    );
  }
}

interface Signature {
  readonly what: string;
  readonly offset: number;
  readonly bytes: string;
}

/** Where others put their marks, from the start of the volume. */
const signatures: readonly Signature[] = [
  { what: "a GUID partition table", offset: 512, bytes: "EFI PART" },
  { what: "a GUID partition table", offset: 4096, bytes: "EFI PART" },
  { what: "a boot sector or partition table", offset: 510, bytes: "\x55\xaa" },
  { what: "an ext2, ext3 or ext4 file system", offset: 1080, bytes: "\x53\xef" },
  { what: "an XFS file system", offset: 0, bytes: "XFSB" },
  { what: "a btrfs file system", offset: 65_600, bytes: "_BHRfS_M" },
  { what: "an F2FS file system", offset: 1024, bytes: "\x10\x20\xf5\xf2" },
  { what: "an LVM physical volume", offset: 512, bytes: "LABELONE" },
  { what: "a LUKS container", offset: 0, bytes: "LUKS\xba\xbe" },
  { what: "a Linux RAID member", offset: 4096, bytes: "\xfc\x4e\x2b\xa9" },
  { what: "a swap area", offset: 4086, bytes: "SWAPSPACE2" },
  { what: "a bcache device", offset: 4120, bytes: "\xc6\x85\x73\xf6\x4e\x1a\x45\xca" },
];

const probeBytes = 128 * 1024;
/** Places looked at beside the start, spread evenly, the last at the end. */
const probeCount = 64;

/** What a volume holds at the places looked at, in a few words; `undefined` if all of them are zeros. */
export async function findContent(device: BlockDevice): Promise<string | undefined> {
  const blockCount = Math.min(probeBytes / device.capabilities.blockSizeBytes, device.blockCount);
  const lastStart = device.blockCount - blockCount;
  for (let probe = 0; probe <= probeCount; probe++) {
    const block = Math.floor((lastStart * probe) / probeCount);
    const found = await findContentIn(device, { block, blockCount });
    if (found !== undefined) return found;
    if (lastStart === 0) break;
  }
  return undefined;
}

/** What some blocks of a volume hold, in a few words; `undefined` if zeros. */
export async function findContentIn(
  device: Pick<BlockDevice, "identity" | "capabilities" | "read">,
  { block, blockCount }: BlockRange,
): Promise<string | undefined> {
  const into = new Uint8Array(blockCount * device.capabilities.blockSizeBytes);
  expectOk(
    await device.read({ block, blockCount, into }),
    `looking at block ${block} of ${device.identity.name}`,
  );
  const found = contentOf(into, block === 0);
  return found === undefined ? undefined : `${found} at block ${block}`;
}

/**
 * Looks whether a volume may be used, at places spread over it; clears it first if it may be overwritten.
 *
 * Each extent is looked at again, whole, before it is first written to.
 *
 * @throws {OccupiedVolumeError} If it holds something, and `overwrite` is false or clearing left it there.
 */
export async function claim(
  device: BlockDevice,
  { overwrite }: { readonly overwrite: boolean },
): Promise<void> {
  if (overwrite) await zero(device);
  const found = await findContent(device);
  if (found === undefined) return;
  if (overwrite)
    throw new TargetFailure(`${device.identity.name} still holds ${found}, after all of it was cleared`);
  throw new OccupiedVolumeError(device, found);
}

async function zero(device: BlockDevice): Promise<void> {
  // Deallocate is advice that a target may ignore; Write Zeroes is an order.
  const { writeZeroes, blockSizeBytes } = device.capabilities;
  // Steps keep each command well inside its deadline.
  const stepBlocks = 2 ** 30 / blockSizeBytes;
  for (let block = 0; block < device.blockCount; block += stepBlocks) {
    const range = { block, blockCount: Math.min(stepBlocks, device.blockCount - block) };
    const outcome = writeZeroes
      ? await device.writeZeroes({ ...range, deallocate: true })
      : await device.deallocate({ ranges: [range] });
    expectOk(outcome, `clearing ${range.blockCount} blocks at ${block} of ${device.identity.name}`);
  }
}

function contentOf(bytes: Uint8Array, isStart: boolean): string | undefined {
  if (isStart) {
    const signature = signatures.find(({ offset, bytes: mark }) => holds(bytes, offset, mark));
    if (signature !== undefined) return signature.what;
  }
  for (let at = 0; at + sectorBytes <= bytes.length; at += sectorBytes)
    if (isStamped(bytes.subarray(at, at + sectorBytes))) return "data of a run of harrow";
  return bytes.some((byte) => byte !== 0) ? "data" : undefined;
}

function holds(bytes: Uint8Array, offset: number, mark: string): boolean {
  return Array.from(mark).every((character, index) => bytes[offset + index] === character.charCodeAt(0));
}
