import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type BitmapOrder,
  bitmapOrderOf,
  inPortOrder,
  probeBitmapOrder,
} from "../../../src/sut/lightbits/bitmap-order.ts";
import { memoryService } from "../../../src/sut/memory.ts";
import type { VolumeService } from "../../../src/sut/port.ts";
import { replaced } from "../../../src/sut/replaced.ts";

const orders: BitmapOrder[] = ["little", "big", "msb-first"];
const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex, "hex"));

describe("inPortOrder", () => {
  // One block of a chunk, then its upper half, as each convention writes them.
  test.for([
    ["little", "0200000000000000", "00000000ffffffff"],
    ["big", "0000000000000002", "ffffffff00000000"],
    ["msb-first", "4000000000000000", "00000000ffffffff"],
  ] as const)("reads block 1 and blocks 32 to 63 as %s has them", ([order, one, half]) => {
    expect(inPortOrder(bytes(one), order)).toEqual(bytes("0200000000000000"));
    expect(inPortOrder(bytes(half), order)).toEqual(bytes("00000000ffffffff"));
  });

  test("is undone by itself, and leaves what it was given alone, at any length", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.constantFrom(...orders), (bitmap, order) => {
        const before = bitmap.slice();
        expect(inPortOrder(inPortOrder(bitmap, order), order)).toEqual(before);
        expect(bitmap).toEqual(before);
      }),
    );
  });

  test("takes each 64 bits of a longer bitmap for a chunk of their own", () => {
    expect(inPortOrder(bytes("00000000000000020000000000000080"), "big")).toEqual(
      bytes("02000000000000008000000000000000"),
    );
  });
});

describe("bitmapOrderOf", () => {
  test.for([
    ["0200000000000000", "little"],
    ["0000000000000002", "big"],
    ["4000000000000000", "msb-first"],
    ["0000000000000040", undefined],
    ["0600000000000000", undefined],
    ["", undefined],
  ] as const)("tells of %s that it is %s", ([hex, order]) => {
    expect(bitmapOrderOf([{ lbaStart: 640, bitmap: bytes(hex) }], 641)).toBe(order);
  });
});

describe("probeBitmapOrder", () => {
  /** A service that hands out its bitmaps in another order. */
  function inOrder(service: VolumeService, order: BitmapOrder): VolumeService {
    const diff: VolumeService["diff"] = async function* (request, options) {
      for await (const page of service.diff(request, options)) {
        const ranges = page.ranges.map(({ lbaStart, bitmap }) => ({
          lbaStart,
          bitmap: inPortOrder(bitmap, order),
        }));
        yield { ...page, ranges };
      }
    };
    return replaced(service, { diff });
  }

  test.for(orders)("finds out %s by one write, which it takes back", async (order) => {
    await using service = await memoryService();
    const { uuid } = await service.createVolume({ name: "v", sizeBytes: 2 ** 20, sectorSizeBytes: 4096 });
    await using device = await service.openVolume(uuid);
    const old = new Uint8Array(4096).fill(7);
    await device.write({ block: 65, blockCount: 1, from: old });
    const probed = await probeBitmapOrder(inOrder(service, order), { volumeUuid: uuid, chunk: 1 });
    expect(probed).toBe(order);
    const into = new Uint8Array(4096);
    await device.read({ block: 65, blockCount: 1, into });
    expect(into).toEqual(old);
    expect(await service.listSnapshots()).toEqual([]);
  });

  test("says what was reported if it is in no order, and cleans up all the same", async () => {
    await using service = await memoryService();
    const { uuid } = await service.createVolume({ name: "v", sizeBytes: 2 ** 20, sectorSizeBytes: 4096 });
    const silent = replaced(service, { async *diff() {} });
    await expect(probeBitmapOrder(silent, { volumeUuid: uuid })).rejects.toMatchObject({
      code: "ERR_BAD_ANSWER",
      message: expect.stringMatching(/block 1 .*no range at all/),
    });
    expect(await service.listSnapshots()).toEqual([]);
  });
});
