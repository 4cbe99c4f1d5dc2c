/**
 * Keeps harrow off volumes that hold something: a file system, a partition table, another run's data.
 *
 * @packageDocumentation
 */
import { isStamped, sectorBytes } from "../generators/content.ts";
import type { BlockDevice } from "../sut/port.ts";
import { expectOk } from "./target-failure.ts";

/** The volume holds something, and the configuration does not say that it may be overwritten. */
export class OccupiedVolumeError extends Error {
  override readonly name = "OccupiedVolumeError";
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
  const { blockSizeBytes } = device.capabilities;
  const blockCount = Math.min(probeBytes / blockSizeBytes, device.blockCount);
  const lastStart = device.blockCount - blockCount;
  const into = new Uint8Array(blockCount * blockSizeBytes);
  for (let probe = 0; probe <= probeCount; probe++) {
    const block = Math.floor((lastStart * probe) / probeCount);
    expectOk(
      await device.read({ block, blockCount, into }),
      `looking at block ${block} of ${device.identity.name}`,
    );
    const found = contentOf(into, block === 0);
    if (found !== undefined) return `${found} at block ${block}`;
    if (lastStart === 0) break;
  }
  return undefined;
}

/**
 * Makes sure that a volume may be used, and reads as zeros throughout.
 *
 * @throws {OccupiedVolumeError} If it holds something and `overwrite` is false.
 */
export async function claim(
  device: BlockDevice,
  { overwrite }: { readonly overwrite: boolean },
): Promise<void> {
  const found = await findContent(device);
  if (found !== undefined && !overwrite)
    throw new OccupiedVolumeError(
      `${device.identity.name} holds ${found}; harrow would destroy it. Set overwrite: true if that is wanted, or use an empty volume`,
    );
  if (overwrite) await zero(device);
}

async function zero(device: BlockDevice): Promise<void> {
  // A deallocation may cover 2^32 − 1 blocks; smaller steps keep each command well inside its deadline.
  const stepBlocks = 2 ** 30 / device.capabilities.blockSizeBytes;
  const { deallocatedReads } = device.capabilities;
  for (let block = 0; block < device.blockCount; block += stepBlocks) {
    const range = { block, blockCount: Math.min(stepBlocks, device.blockCount - block) };
    const outcome =
      deallocatedReads === "zeros"
        ? await device.deallocate({ ranges: [range] })
        : await device.writeZeroes(range);
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
