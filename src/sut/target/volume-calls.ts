/**
 * Data calls to the namespaces of the store: ranges checked before, errors turned into status codes after.
 *
 * A function returns the status to fail the command with, or `undefined` if all is well.
 *
 * @packageDocumentation
 */
import { readDeallocateRange } from "../nvme/commands.ts";
import { type StatusCode, statusCode } from "../nvme/status.ts";
import type { Namespace } from "../store/port.ts";
import type { TargetConfiguration } from "./options.ts";
import type { SlabPool } from "./outbox.ts";
import { statusOfStoreError } from "./statuses.ts";

export class VolumeCalls {
  /** Since the start, for the SMART log. */
  readonly statistics = { readCommands: 0, writeCommands: 0, readBytes: 0, writtenBytes: 0 };
  readonly #configuration: TargetConfiguration;
  readonly #scratchPool: SlabPool;

  /** @param scratchPool - Slabs as long as the longest transfer. */
  constructor(configuration: TargetConfiguration, scratchPool: SlabPool) {
    this.#configuration = configuration;
    this.#scratchPool = scratchPool;
  }

  namespace(nsid: number): Namespace | undefined {
    return this.#configuration.store.namespace(nsid);
  }

  /** Bounds of a command without data. `block` may be anything; near 2^64 it is rounded, and out of range. */
  rangeProblem(namespace: Namespace | undefined, block: number, blockCount: number): StatusCode | undefined {
    if (namespace === undefined) return statusCode.invalidNamespace;
    return block + blockCount > namespace.blockCount ? statusCode.lbaOutOfRange : undefined;
  }

  /** Bounds of a command that transfers its blocks: also MDTS. */
  transferProblem(
    namespace: Namespace | undefined,
    block: number,
    blockCount: number,
  ): StatusCode | undefined {
    const problem = this.rangeProblem(namespace, block, blockCount);
    if (problem !== undefined) return problem;
    const lengthBytes = blockCount * namespace!.blockSizeBytes;
    return lengthBytes > this.#configuration.transferLengthMax ? statusCode.invalidField : undefined;
  }

  read(namespace: Namespace, block: number, blockCount: number, into: Uint8Array): StatusCode | undefined {
    try {
      namespace.read(block, blockCount, into);
    } catch (error) {
      return this.statusOf(error, "read", namespace);
    }
    this.statistics.readBytes += into.length;
    return undefined;
  }

  write(namespace: Namespace, block: number, blockCount: number, from: Uint8Array): StatusCode | undefined {
    try {
      namespace.write(block, blockCount, from);
    } catch (error) {
      return this.statusOf(error, "write", namespace);
    }
    this.statistics.writeCommands++;
    this.statistics.writtenBytes += from.length;
    return undefined;
  }

  zero(namespace: Namespace, block: number, blockCount: number): StatusCode | undefined {
    try {
      namespace.zero(block, blockCount);
    } catch (error) {
      return this.statusOf(error, "write", namespace);
    }
    return undefined;
  }

  compare(
    namespace: Namespace,
    block: number,
    blockCount: number,
    expected: Uint8Array,
  ): StatusCode | undefined {
    const scratch = this.#scratchPool.take();
    try {
      const actual = scratch.bytes.subarray(0, expected.length);
      namespace.read(block, blockCount, actual);
      return actual.equals(expected) ? undefined : statusCode.compareFailure;
    } catch (error) {
      return this.statusOf(error, "read", namespace);
    } finally {
      this.#scratchPool.give(scratch);
    }
  }

  /** Deallocates the ranges of a Dataset Management list, all of them or, if one is out of range, none. */
  deallocate(namespace: Namespace, ranges: DataView, rangeCount: number): StatusCode | undefined {
    for (let index = 0; index < rangeCount; index++) {
      const { block, blockCount } = readDeallocateRange(ranges, 0, index);
      const problem = this.rangeProblem(namespace, block, blockCount);
      if (problem !== undefined) return problem;
    }
    for (let index = 0; index < rangeCount; index++) {
      const { block, blockCount } = readDeallocateRange(ranges, 0, index);
      const problem = blockCount === 0 ? undefined : this.zero(namespace, block, blockCount);
      if (problem !== undefined) return problem;
    }
    return undefined;
  }

  /** Every acknowledged write of every namespace reaches stable media. */
  async flushAll(): Promise<void> {
    await Promise.all(this.#configuration.store.namespaces.map((namespace) => namespace.flush()));
  }

  /** Words an error of the store for the host, and reports it in full. */
  statusOf(error: unknown, direction: "read" | "write", namespace: Namespace | undefined): StatusCode {
    const where = namespace === undefined ? "a flush" : `namespace ${namespace.nsid} (${namespace.uuid})`;
    this.#configuration.log.warn(`${direction} of ${where} failed: ${String(error)}`);
    return statusOfStoreError(error, direction);
  }
}
