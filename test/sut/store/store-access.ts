/**
 * Short ways to a store for its tests.
 *
 * @packageDocumentation
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { Namespace, StoredVolume, VolumeStore } from "../../../src/sut/store/port.ts";

/** A directory that goes with the test. */
export function temporaryDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), "harrow-store-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

export function namespaceOf(store: VolumeStore, volume: StoredVolume): Namespace {
  const namespace = store.namespace(volume.nsid);
  if (namespace === undefined) throw new Error(`no namespace ${volume.nsid}`);
  return namespace;
}

export function readAll(namespace: Namespace): Uint8Array {
  const bytes = new Uint8Array(namespace.blockCount * namespace.blockSizeBytes).fill(0xee);
  namespace.read(0, namespace.blockCount, bytes);
  return bytes;
}

/** Reads a snapshot through a clone that is deleted again. */
export async function readSnapshot(store: VolumeStore, snapshotUuid: string): Promise<Uint8Array> {
  const clone = await store.createVolume({
    name: `reader-of-${snapshotUuid}`,
    sizeBytes: 4096,
    blockSizeBytes: 4096,
    sourceSnapshotUuid: snapshotUuid,
  });
  const bytes = readAll(namespaceOf(store, clone));
  await store.deleteVolume(clone.uuid);
  return bytes;
}

/** All blocks of a diff, from pages of at most `chunkCountMax` chunks. */
export function changedBlocks(
  store: VolumeStore,
  request: {
    readonly snapshotUuid: string;
    readonly baseSnapshotUuid?: string;
    readonly offsetLba?: number;
    readonly chunkCountMax?: number;
  },
): readonly number[] {
  const blocks: number[] = [];
  let offsetLba = request.offsetLba ?? 0;
  do {
    const page = store.changedChunks({ ...request, offsetLba, chunkCountMax: request.chunkCountMax ?? 1000 });
    for (const { lbaStart, low, high } of page.chunks) {
      const bits = (BigInt(high) << 32n) | BigInt(low);
      for (let bit = 0; bit < 64; bit++) if ((bits >> BigInt(bit)) & 1n) blocks.push(lbaStart + bit);
    }
    if (page.nextOffsetLba !== 0 && page.nextOffsetLba <= offsetLba)
      throw new Error("the diff does not advance");
    offsetLba = page.nextOffsetLba;
  } while (offsetLba !== 0);
  return blocks;
}
