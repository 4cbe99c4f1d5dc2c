import { describe, expect, test } from "vitest";
import { contentFormat, inflateBlock } from "../../src/generators/content.ts";
import { claim, findContent, OccupiedVolumeError } from "../../src/runner/guard.ts";
import { memoryService } from "../../src/sut/memory.ts";

const blockCount = 4096;

async function volume() {
  const service = await memoryService();
  const { uuid } = await service.createVolume({
    name: "v",
    sizeBytes: blockCount * 4096,
    sectorSizeBytes: 4096,
  });
  return service.openVolume(uuid);
}

/** Marks that tools of others leave, by offset, as their own documentation has them. */
const marks: Record<string, [number, string]> = {
  "a GUID partition table": [512, "EFI PART"],
  "a boot sector or partition table": [510, "\x55\xaa"],
  "an ext2, ext3 or ext4 file system": [1080, "\x53\xef"],
  "an XFS file system": [0, "XFSB"],
  "a btrfs file system": [65_600, "_BHRfS_M"],
  "an LVM physical volume": [512, "LABELONE"],
  "a LUKS container": [0, "LUKS\xba\xbe"],
  "a swap area": [4086, "SWAPSPACE2"],
};

describe("the guard of volumes", () => {
  test.for(Object.entries(marks))("refuses a volume that holds %s", async ([what, [offset, mark]]) => {
    const device = await volume();
    const from = new Uint8Array(32 * 4096);
    from.set(
      [...mark].map((character) => character.charCodeAt(0)),
      offset,
    );
    await device.write({ block: 0, blockCount: 32, from });
    await expect(claim(device, { overwrite: false })).rejects.toThrow(
      `holds ${what} at block 0; harrow would destroy it`,
    );
    await expect(claim(device, { overwrite: false })).rejects.toBeInstanceOf(OccupiedVolumeError);
  });

  test("refuses a volume that holds another run's data, at its end too", async () => {
    const device = await volume();
    const format = contentFormat({
      seed: 1n,
      order: "descending",
      weights: { incompressible: 1, compressible: 0, text: 0 },
      compressionRatio: 1,
    });
    const block = blockCount - 1;
    await device.write({
      block,
      blockCount: 1,
      from: inflateBlock(format, { vd: 7n, volume: 0, block, sectorCount: 8 }),
    });
    expect(await findContent(device)).toMatch(/^data of a run of harrow at block \d+$/);
  });

  test("takes a volume of zeros, and leaves it alone", async () => {
    const device = await volume();
    await claim(device, { overwrite: false });
    expect(await findContent(device)).toBeUndefined();
  });

  test("clears all of a volume that may be overwritten, also where it did not look", async () => {
    const device = await volume();
    await device.write({ block: 1234, blockCount: 1, from: new Uint8Array(4096).fill(9) });
    await device.write({ block: 0, blockCount: 1, from: new Uint8Array(4096).fill(9) });
    await claim(device, { overwrite: true });
    const into = new Uint8Array(4096).fill(1);
    await device.read({ block: 1234, blockCount: 1, into });
    expect(into.every((byte) => byte === 0)).toBe(true);
  });
});
