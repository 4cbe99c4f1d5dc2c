import { describe, expect, test } from "vitest";
import { namespaceProperties } from "../../../src/sut/initiator/namespace-properties.ts";
import {
  decodeCommandSetLimits,
  decodeControllerIdentity,
  decodeNamespaceIdentity,
} from "../../../src/sut/nvme/identify.ts";
import { image } from "../nvme/linux-controller.ts";

const blocks1GiB = { 0: "00 00 20 00" };

/** Properties from bytes at their offsets in Identify Namespace, Identify Controller and CNS 06. */
function properties(
  namespace: Record<number, string>,
  controller: Record<number, string> = {},
  limits?: Record<number, string>,
) {
  return namespaceProperties(
    decodeNamespaceIdentity(image(4096, { 130: "09", ...namespace })),
    decodeControllerIdentity(image(4096, controller)),
    limits && decodeCommandSetLimits(image(4096, limits)),
    (blockSizeBytes) => 131_072 / blockSizeBytes,
  );
}

describe("namespace properties", () => {
  test("promise nothing that is not reported", () => {
    expect(properties(blocks1GiB)).toEqual({
      blockCount: 0x200000,
      capabilities: {
        blockSizeBytes: 512,
        transferBlocksMax: 256,
        atomicWriteBlocks: 1,
        atomicWriteBlocksPowerFail: 1,
        volatileWriteCache: false,
        deallocatedReads: "unreported",
        writeZeroes: false,
        deallocate: false,
        compare: false,
        compareAndWriteBlocksMax: 0,
      },
      boundaryBlocks: 0,
      writeZeroesBlocksMax: 256,
      deallocatesInWriteZeroes: false,
      rangesPerDeallocate: 256,
      rangeBlocksMax: 0xffff_ffff,
    });
  });

  test("name what the controller supports", () => {
    const { capabilities, deallocatesInWriteZeroes } = properties(
      { ...blocks1GiB, 33: "09" },
      { 520: "0d 00", 522: "01", 525: "01", 526: "07 00", 528: "03 00", 532: "01 00" },
    );
    expect(capabilities).toMatchObject({
      atomicWriteBlocks: 8,
      atomicWriteBlocksPowerFail: 4,
      volatileWriteCache: true,
      deallocatedReads: "zeros",
      writeZeroes: true,
      deallocate: true,
      compare: true,
      compareAndWriteBlocksMax: 2,
    });
    expect(deallocatesInWriteZeroes).toBe(true);
  });

  test("prefer the atomic units of the namespace, within what one command carries", () => {
    const controller = { 526: "07 00", 528: "03 00" };
    const own = { ...blocks1GiB, 24: "02", 34: "ff ff", 36: "0f 00" };
    expect(properties(own, controller).capabilities).toMatchObject({
      atomicWriteBlocks: 256,
      atomicWriteBlocksPowerFail: 16,
    });
    const bounded = properties({ ...own, 40: "3f 00", 44: "3f 00" }, controller).capabilities;
    expect(bounded).toMatchObject({ atomicWriteBlocks: 1, atomicWriteBlocksPowerFail: 1 });
  });

  test("keep to the limits of the NVM command set", () => {
    const limits = { 1: "03", 3: "10", 4: "00 10 00 00", 8: "00 40 00 00" };
    expect(properties(blocks1GiB, {}, limits)).toMatchObject({
      writeZeroesBlocksMax: 64,
      rangeBlocksMax: 4096,
      rangesPerDeallocate: 4, // 4 * 4096 blocks are the 16384 in all
    });
  });

  test("refuse formats that cannot be read", () => {
    expect(() => properties({ 130: "0a" })).toThrow("2^10 bytes with 0 bytes of metadata: 512 or 4096");
    expect(() => properties({ 128: "08 00 09" })).toThrow("2^9 bytes with 8 bytes of metadata");
    expect(() => properties({ 26: "0f" })).toThrow("ERR_UNSUPPORTED");
  });
});
