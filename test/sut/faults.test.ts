/**
 * Fault plans, each seen through the memory adapter.
 *
 * @packageDocumentation
 */
import { expect, onTestFinished, test } from "vitest";
import {
  addRanges,
  type DeviceFaults,
  diffPageFault,
  dropRanges,
  joinFaults,
  type ServiceFaults,
  shiftRanges,
  withDeviceFaults,
  withServiceFaults,
} from "../../src/sut/faults.ts";
import { memoryService } from "../../src/sut/memory.ts";
import type { BlockDevice } from "../../src/sut/port.ts";

const sectorSizeBytes = 512;

async function openedVolume(faults: ServiceFaults) {
  const service = withServiceFaults(await memoryService(), faults);
  onTestFinished(() => Promise.resolve(service[Symbol.asyncDispose]()));
  const volume = await service.createVolume({ name: "v", sizeBytes: 256 * sectorSizeBytes, sectorSizeBytes });
  return { service, volume, device: await service.openVolume(volume.uuid) };
}

async function faultyDevice(faults: DeviceFaults): Promise<BlockDevice> {
  return withDeviceFaults((await openedVolume({})).device, faults);
}

async function write(device: BlockDevice, block: number, byte: number): Promise<void> {
  const from = new Uint8Array(sectorSizeBytes).fill(byte);
  expect(await device.write({ block, blockCount: 1, from })).toEqual({ kind: "ok" });
}

async function read(device: BlockDevice, block: number): Promise<Uint8Array> {
  const into = new Uint8Array(sectorSizeBytes);
  expect(await device.read({ block, blockCount: 1, into })).toEqual({ kind: "ok" });
  return into;
}

test("passes everything on without a plan", async () => {
  const device = await faultyDevice({});
  await write(device, 3, 7);
  expect((await read(device, 3))[0]).toBe(7);
  await device.writeZeroes({ block: 3, blockCount: 1 });
  expect((await read(device, 3))[0]).toBe(0);
});

test("alters the bytes of a read, by every plan that is joined", async () => {
  const flip: DeviceFaults = { read: (_range, bytes) => void (bytes[5]! ^= 0x10) };
  const set: DeviceFaults = { read: ({ block }, bytes) => void (bytes[6] = block) };
  const device = await faultyDevice(joinFaults(flip, set));
  expect([...(await read(device, 9)).subarray(4, 8)]).toEqual([0, 0x10, 9, 0]);
});

test("drops a write and claims success", async () => {
  const device = await faultyDevice({ write: ({ block }) => (block === 3 ? { kind: "drop" } : undefined) });
  await write(device, 3, 7);
  await write(device, 4, 7);
  expect([(await read(device, 3))[0], (await read(device, 4))[0]]).toEqual([0, 7]);
});

test("redirects a write, and loses what falls off the end", async () => {
  const device = await faultyDevice({ write: ({ block }) => ({ kind: "redirect", block: block + 155 }) });
  const from = new Uint8Array(2 * sectorSizeBytes).fill(7);
  expect(await device.write({ block: 100, blockCount: 2, from })).toEqual({ kind: "ok" });
  expect([(await read(device, 100))[0], (await read(device, 255))[0]]).toEqual([0, 7]);
});

test("tears a write at any byte", async () => {
  let isTorn = false;
  const device = await faultyDevice({
    write: () => (isTorn ? { kind: "tear", lengthBytes: 100 } : undefined),
  });
  await write(device, 0, 1);
  isTorn = true;
  await write(device, 0, 2);
  expect((await read(device, 0)).indexOf(1)).toBe(100);
});

test("alters a copy of what is written, and leaves the writer's bytes alone", async () => {
  const device = await faultyDevice({
    write: () => ({ kind: "alter", alter: (bytes) => void (bytes[5]! ^= 0x10) }),
  });
  const from = new Uint8Array(sectorSizeBytes).fill(7);
  expect(await device.write({ block: 3, blockCount: 1, from })).toEqual({ kind: "ok" });
  expect([...(await read(device, 3)).subarray(4, 7)]).toEqual([7, 0x17, 7]);
  expect(from.every((byte) => byte === 7)).toBe(true);
});

test("spoils the write of a compare-and-write, not the comparison", async () => {
  const device = await faultyDevice({ write: () => ({ kind: "drop" }) });
  const range = { block: 0, blockCount: 1, from: new Uint8Array(sectorSizeBytes).fill(1) };
  const zeros = new Uint8Array(sectorSizeBytes);
  expect(await device.compareAndWrite({ ...range, expected: zeros })).toEqual({ kind: "ok" });
  expect(await device.compareAndWrite({ ...range, expected: range.from })).toMatchObject({ kind: "failed" });
  expect((await read(device, 0))[0]).toBe(0);
});

test("drops zeroings and deallocations", async () => {
  const device = await faultyDevice({ dropsZeroes: ({ block }) => block < 2 });
  for (const block of [0, 1, 2]) await write(device, block, 7);
  await device.writeZeroes({ block: 0, blockCount: 1 });
  await device.deallocate({ ranges: [1, 2].map((block) => ({ block, blockCount: 1 })) });
  expect([(await read(device, 0))[0], (await read(device, 1))[0], (await read(device, 2))[0]]).toEqual([
    7, 7, 0,
  ]);
});

test("drops, adds and shifts the ranges of a diff, in the order given", async () => {
  const added = { lbaStart: 128, bitmap: new Uint8Array(8).fill(1) };
  const { service, volume, device } = await openedVolume({
    diffPage: diffPageFault(
      dropRanges(({ lbaStart }) => lbaStart === 64),
      addRanges(added),
      shiftRanges(64),
    ),
  });
  for (const block of [0, 64, 192]) await write(device, block, 1);
  const { uuid: snapshotUuid } = await service.createSnapshot({ name: "s", volumeUuid: volume.uuid });
  for await (const page of service.diff({ snapshotUuid })) {
    expect(page.ranges.map(({ lbaStart }) => lbaStart)).toEqual([64, 192, 256]);
    expect(page.ranges[1]!.bitmap).toEqual(added.bitmap);
  }
});

test("spoils the devices of one volume or snapshot alone", async () => {
  const ones: DeviceFaults = { read: (_range, bytes) => void bytes.fill(1) };
  let spoiledUuid = "";
  const { service, volume, device } = await openedVolume({
    volume: () => undefined,
    snapshot: (uuid) => (uuid === spoiledUuid ? ones : undefined),
  });
  const first = await service.createSnapshot({ name: "a", volumeUuid: volume.uuid });
  const second = await service.createSnapshot({ name: "b", volumeUuid: volume.uuid });
  spoiledUuid = second.uuid;
  await using good = await service.openSnapshot(first.uuid);
  await using bad = await service.openSnapshot(second.uuid);
  expect([(await read(device, 0))[0], (await read(good, 0))[0], (await read(bad, 0))[0]]).toEqual([0, 0, 1]);
});
