/**
 * Volumes in memory to copy between, and what they hold.
 *
 * @packageDocumentation
 */
import { memoryService } from "../../../src/sut/memory.ts";
import type { BlockDevice, DiffPage, Outcome, VolumeService } from "../../../src/sut/port.ts";
import { replaced } from "../../../src/sut/replaced.ts";

export const blockBytes = 512;
export const blockCount = 1024;

export interface Scene {
  readonly service: VolumeService;
  readonly source: BlockDevice;
  readonly target: BlockDevice;
  /** Makes a snapshot of the source; returns its UUID. */
  snapshot(): Promise<string>;
}

export async function scene(options: { readonly diffPageRanges?: number } = {}): Promise<Scene> {
  const service = await memoryService(options);
  const create = async (name: string) => {
    const request = { name, sizeBytes: blockCount * blockBytes, sectorSizeBytes: blockBytes };
    return service.createVolume(request);
  };
  const { uuid } = await create("source");
  const source = await service.openVolume(uuid);
  const target = await service.openVolume((await create("target")).uuid);
  let snapshotCount = 0;
  const snapshot = async () =>
    (await service.createSnapshot({ name: `s${snapshotCount++}`, volumeUuid: uuid })).uuid;
  return { service, source, target, snapshot };
}

/** Fills blocks with one byte. */
export async function fill(
  device: BlockDevice,
  range: { readonly block: number; readonly blockCount: number },
  byte: number,
): Promise<void> {
  const from = new Uint8Array(range.blockCount * blockBytes).fill(byte);
  assertOk(await device.write({ ...range, from }));
}

export async function contentOf(device: BlockDevice): Promise<Uint8Array> {
  const into = new Uint8Array(device.blockCount * blockBytes);
  assertOk(await device.read({ block: 0, blockCount: device.blockCount, into }));
  return into;
}

export async function snapshotContent(service: VolumeService, uuid: string): Promise<Uint8Array> {
  await using device = await service.openSnapshot(uuid);
  return await contentOf(device);
}

/** The first block in which two volumes differ. */
export function firstDifference(one: Uint8Array, other: Uint8Array): number | undefined {
  if (Buffer.compare(one, other) === 0) return undefined;
  return Math.floor(one.findIndex((byte, index) => byte !== other[index]) / blockBytes);
}

/** The service with another diff. */
export function answering(
  service: VolumeService,
  diff: (signal: AbortSignal | undefined) => AsyncIterable<DiffPage>,
): VolumeService {
  return replaced(service, { diff: (_, options) => diff(options?.signal) });
}

export function assertOk(outcome: Outcome): void {
  if (outcome.kind !== "ok") throw new Error(outcome.message);
}
