/**
 * A volume store of plain memory for tests of the target: namespaces, changes on demand, flushes on demand.
 *
 * Volumes and snapshots are left out: the target knows namespaces only.
 */
import type { Namespace, StoreChange, StoreError, VolumeStore } from "../../../src/sut/store/port.ts";

export class FakeNamespace implements Namespace {
  readonly nsid: number;
  readonly uuid: string;
  readonly blockSizeBytes: number;
  allocatedBlockCount = 5;
  bytes: Buffer;
  flushCount = 0;
  /** Thrown by the next data call. */
  failure: StoreError | undefined;
  /** While set, flushes wait for {@link settleFlushes}. */
  holdsFlushes = false;
  readonly #held: { resolve: () => void; reject: (error: Error) => void }[] = [];

  constructor(nsid: number, uuid: string, blockSizeBytes: number, blockCount: number) {
    this.nsid = nsid;
    this.uuid = uuid;
    this.blockSizeBytes = blockSizeBytes;
    this.bytes = Buffer.alloc(blockCount * blockSizeBytes);
  }

  get blockCount(): number {
    return this.bytes.length / this.blockSizeBytes;
  }

  read(block: number, blockCount: number, into: Uint8Array): void {
    this.#check(block, blockCount, into.length);
    into.set(this.bytes.subarray(block * this.blockSizeBytes, (block + blockCount) * this.blockSizeBytes));
  }

  write(block: number, blockCount: number, from: Uint8Array): void {
    this.#check(block, blockCount, from.length);
    this.bytes.set(from, block * this.blockSizeBytes);
  }

  zero(block: number, blockCount: number): void {
    this.#check(block, blockCount, blockCount * this.blockSizeBytes);
    this.bytes.fill(0, block * this.blockSizeBytes, (block + blockCount) * this.blockSizeBytes);
  }

  flush(): Promise<void> {
    this.flushCount++;
    if (!this.holdsFlushes) return Promise.resolve();
    return new Promise((resolve, reject) => this.#held.push({ resolve, reject }));
  }

  settleFlushes(error?: Error): void {
    for (const { resolve, reject } of this.#held.splice(0)) {
      if (error === undefined) resolve();
      else reject(error);
    }
  }

  #check(block: number, blockCount: number, lengthBytes: number): void {
    const { failure } = this;
    this.failure = undefined;
    if (failure !== undefined) throw failure;
    if (!Number.isSafeInteger(block) || block < 0 || block + blockCount > this.blockCount) {
      throw new Error(
        `the target let ${blockCount} blocks at ${block} pass, the volume has ${this.blockCount}`,
      );
    }
    if (lengthBytes !== blockCount * this.blockSizeBytes) {
      throw new Error(`the target passed ${lengthBytes} bytes for ${blockCount} blocks`);
    }
  }
}

export class FakeStore {
  readonly all = new Map<number, FakeNamespace>();
  readonly #listeners = new Set<(change: StoreChange) => void>();

  /** @param blockSizes - One namespace of 1024 blocks for each, with NSIDs from 1. */
  constructor(blockSizes: readonly number[] = [512]) {
    for (const [index, blockSizeBytes] of blockSizes.entries()) this.add(index + 1, blockSizeBytes);
  }

  get namespaces(): readonly FakeNamespace[] {
    return [...this.all.values()].sort((a, b) => a.nsid - b.nsid);
  }

  get listenerCount(): number {
    return this.#listeners.size;
  }

  namespace(nsid: number): FakeNamespace | undefined {
    return this.all.get(nsid);
  }

  add(nsid: number, blockSizeBytes = 512): FakeNamespace {
    const uuid = `00112233-4455-6677-8899-aabbccdd${nsid.toString(16).padStart(4, "0")}`;
    const namespace = new FakeNamespace(nsid, uuid, blockSizeBytes, 1024);
    this.all.set(nsid, namespace);
    this.#emit({ kind: "namespace-added", nsid });
    return namespace;
  }

  remove(nsid: number): void {
    this.all.delete(nsid);
    this.#emit({ kind: "namespace-removed", nsid });
  }

  resize(nsid: number, blockCount: number): void {
    const namespace = this.all.get(nsid)!;
    const bytes = Buffer.alloc(blockCount * namespace.blockSizeBytes);
    namespace.bytes.copy(bytes);
    namespace.bytes = bytes;
    this.#emit({ kind: "namespace-resized", nsid });
  }

  onChange(listener: (change: StoreChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** As the port that the target takes. */
  get port(): VolumeStore {
    return this as unknown as VolumeStore;
  }

  #emit(change: StoreChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}
