/**
 * The in-process adapter, through the ports alone.
 *
 * @packageDocumentation
 */
import { describe, expect, onTestFinished, test } from "vitest";
import { memoryService } from "../../src/sut/memory.ts";
import type { BlockDevice, DiffPage, VolumeService } from "../../src/sut/port.ts";

const sectorSizeBytes = 512;
const blocks = (blockCount: number, byte: number): Uint8Array =>
  new Uint8Array(blockCount * sectorSizeBytes).fill(byte);

async function openedVolume(options?: { readonly diffPageRanges?: number }) {
  const service = await memoryService(options);
  onTestFinished(() => Promise.resolve(service[Symbol.asyncDispose]()));
  const volume = await service.createVolume({
    name: "v",
    sizeBytes: 1000 * sectorSizeBytes,
    sectorSizeBytes,
  });
  return { service, volume, device: await service.openVolume(volume.uuid) };
}

async function byteAt(device: BlockDevice, block: number): Promise<number> {
  const into = blocks(1, 0xee);
  expect(await device.read({ block, blockCount: 1, into })).toEqual({ kind: "ok" });
  return into[0]!;
}

async function pagesOf(service: VolumeService, request: Parameters<VolumeService["diff"]>[0]) {
  const pages: DiffPage[] = [];
  for await (const page of service.diff(request)) pages.push(page);
  return pages;
}

describe("the device in memory", () => {
  test("reads what was written, and zeros where nothing was or where it was taken back", async () => {
    const { device } = await openedVolume();
    expect(device.blockCount).toBe(1000);
    await device.write({ block: 10, blockCount: 3, from: blocks(3, 7), fua: true });
    await device.writeZeroes({ block: 11, blockCount: 1 });
    await device.deallocate({ ranges: [{ block: 12, blockCount: 1 }] });
    expect(await Promise.all([9, 10, 11, 12].map((block) => byteAt(device, block)))).toEqual([0, 7, 0, 0]);
    expect(await device.flush()).toEqual({ kind: "ok" });
  });

  test("compares, and writes only if the blocks are those expected", async () => {
    const { device } = await openedVolume();
    const range = { block: 5, blockCount: 1 };
    expect(await device.compare({ ...range, expected: blocks(1, 0) })).toEqual({ kind: "ok" });
    const refused = await device.compareAndWrite({ ...range, expected: blocks(1, 1), from: blocks(1, 2) });
    expect(refused).toMatchObject({ kind: "failed", code: "ERR_COMPARE_FAILED" });
    expect(await byteAt(device, 5)).toBe(0);
    await device.compareAndWrite({ ...range, expected: blocks(1, 0), from: blocks(1, 2) });
    expect(await byteAt(device, 5)).toBe(2);
  });

  test("refuses with certainty what it cannot do", async () => {
    const { service, device, volume } = await openedVolume();
    const outcomes = [
      await device.writeZeroes({ block: 999, blockCount: 2 }),
      await device.write({ block: 0, blockCount: 2, from: blocks(1, 0) }),
      await device.flush({ signal: AbortSignal.abort() }),
    ];
    await service.deleteVolume(volume.uuid);
    outcomes.push(await device.writeZeroes({ block: 0, blockCount: 1 }), await device.flush());
    await device[Symbol.asyncDispose]();
    outcomes.push(await device.flush());
    expect(outcomes.map((outcome) => (outcome.kind === "failed" ? outcome.code : outcome.kind))).toEqual([
      "ERR_OUT_OF_RANGE",
      "ERR_INVALID_REQUEST",
      "ERR_ABORTED",
      "ERR_NAMESPACE_GONE",
      "ERR_NAMESPACE_GONE",
      "ERR_CLOSED",
    ]);
  });
});

describe("the service in memory", () => {
  test("opens a snapshot as it was, and takes its clone away with the device", async () => {
    const { service, volume, device } = await openedVolume();
    await device.write({ block: 1, blockCount: 1, from: blocks(1, 1) });
    const snapshot = await service.createSnapshot({ name: "s", volumeUuid: volume.uuid });
    await device.write({ block: 1, blockCount: 1, from: blocks(1, 2) });
    const opened = await service.openSnapshot(snapshot.uuid);
    expect(await byteAt(opened, 1)).toBe(1);
    expect(await service.listVolumes()).toHaveLength(2);
    await opened[Symbol.asyncDispose]();
    await opened[Symbol.asyncDispose]();
    expect(await service.listVolumes()).toHaveLength(1);
    await service.rollbackVolume({ volumeUuid: volume.uuid, snapshotUuid: snapshot.uuid });
    expect(await byteAt(device, 1)).toBe(1);
    const clone = await service.cloneSnapshot({ name: "c", snapshotUuid: snapshot.uuid });
    expect(clone).toMatchObject({ sizeBytes: volume.sizeBytes, sourceSnapshotUuid: snapshot.uuid });
  });

  test("gives diffs in pages of ranges, bit i of byte j for block lbaStart + 8 j + i", async () => {
    const { service, volume, device } = await openedVolume({ diffPageRanges: 2 });
    for (const block of [1, 64 + 15, 64 + 40, 999]) {
      await device.write({ block, blockCount: 1, from: blocks(1, 1) });
    }
    const { uuid: snapshotUuid } = await service.createSnapshot({ name: "s", volumeUuid: volume.uuid });
    expect(await pagesOf(service, { snapshotUuid })).toEqual([
      {
        offsetLba: 0,
        ranges: [
          { lbaStart: 0, bitmap: Uint8Array.of(0b10, 0, 0, 0, 0, 0, 0, 0) },
          { lbaStart: 64, bitmap: Uint8Array.of(0, 0x80, 0, 0, 0, 1, 0, 0) },
        ],
        nextOffsetLba: 960,
      },
      {
        offsetLba: 960,
        ranges: [{ lbaStart: 960, bitmap: Uint8Array.of(0, 0, 0, 0, 0x80, 0, 0, 0) }],
        nextOffsetLba: 0,
      },
    ]);
  });

  test("names why it refuses", async () => {
    const { service, volume } = await openedVolume();
    const snapshot = await service.createSnapshot({ name: "s", volumeUuid: volume.uuid });
    const codeOf = async (call: Promise<unknown>): Promise<unknown> =>
      call.then(
        () => "resolved",
        (error: { readonly code: string }) => error.code,
      );
    const snapshotUuid = snapshot.uuid;
    expect([
      await codeOf(service.getVolume("00000000-0000-0000-0000-000000000000")),
      await codeOf(service.createVolume({ name: "v", sizeBytes: 4096, sectorSizeBytes })),
      await codeOf(service.createVolume({ name: "w", sizeBytes: 1, sectorSizeBytes })),
      await codeOf(pagesOf(service, { snapshotUuid, baseSnapshotUuid: snapshotUuid })),
      await codeOf(service.deleteVolume(volume.uuid, { signal: AbortSignal.abort() })),
    ]).toEqual([
      "ERR_NOT_FOUND",
      "ERR_CONFLICT",
      "ERR_INVALID_REQUEST",
      "ERR_INVALID_REQUEST",
      "ERR_ABORTED",
    ]);
  });
});
