/**
 * Whole runs on volumes in memory, with faults put in the way.
 *
 * @packageDocumentation
 */
import type { Violation } from "../../src/model/violation.ts";
import { parseConfig } from "../../src/runner/config/load.ts";
import { Run } from "../../src/runner/run.ts";
import { type RunResult, performRun } from "../../src/runner/runner.ts";
import type { Target } from "../../src/runner/target.ts";
import { type ServiceFaults, withServiceFaults } from "../../src/sut/faults.ts";
import { memoryService } from "../../src/sut/memory.ts";
import type { VolumeService } from "../../src/sut/port.ts";

/** A few MiB, all of it written again and again, with snapshots and every check. */
export const smallConfig = `
geometry: { volumeSize: 4MiB, extentSize: 256KiB }
window: { size: 4, slideAfterRepeats: 3 }
operations: { blocks: { min: 1, max: 16 } }
snapshots: { every: 40, keep: 3, far: 1/2, withoutBase: 1/2, deletedBase: 1/2 }
checks:
  recent: { every: 5, extents: 3 }
  sample: { every: 20, extents: 3 }
  snapshots: { extents: all }
  diffs: { precision: exact }
runner: { kind: sequential, lts: 300, stopAfterViolations: 100 }
target: { kind: memory }
`;

export interface MemoryRunOptions {
  readonly seed?: bigint;
  readonly config?: string;
  readonly faults?: ServiceFaults;
  readonly wrap?: (service: VolumeService) => VolumeService;
  readonly signal?: AbortSignal;
  /** Bytes that the volumes hold when the run comes to them, and whether it made them itself. */
  readonly leftover?: { readonly block: number; readonly bytes: Uint8Array };
  readonly isCreated?: boolean;
  readonly onLts?: (lts: number) => void;
}

export async function memoryRun(
  options: MemoryRunOptions = {},
): Promise<RunResult & { readonly warnings: readonly string[] }> {
  const config = parseConfig(options.config ?? smallConfig, "test");
  const plain = await memoryService({ diffPageRanges: 3 });
  const faulty = withServiceFaults(plain, options.faults ?? {});
  const service = options.wrap?.(faulty) ?? faulty;
  const { volumes: count, volumeSize, blockSize } = config.geometry;
  const volumes = [];
  for (let index = 0; index < count; index++) {
    const { uuid } = await service.createVolume({
      name: `v${index}`,
      sizeBytes: volumeSize,
      sectorSizeBytes: blockSize,
    });
    const device = await service.openVolume(uuid);
    if (options.leftover !== undefined) {
      const { block, bytes: from } = options.leftover;
      await device.write({ block, blockCount: from.length / blockSize, from });
    }
    volumes.push({ uuid, device, isCreated: options.isCreated ?? true });
  }
  const target: Target = {
    description: "memory",
    service,
    volumes,
    failure: undefined,
    faults: undefined,
    isLasting: false,
    keep: () => {},
    [Symbol.asyncDispose]: async () => service[Symbol.asyncDispose](),
  };
  const warnings: string[] = [];
  const violations: Violation[] = [];
  const run = new Run({
    config,
    seed: options.seed ?? 11n,
    name: "harrow-test",
    target,
    log: { info: () => {}, warn: (message) => warnings.push(message) },
    signal: options.signal ?? new AbortController().signal,
    onViolation: (violation) => violations.push(violation),
  });
  const result = await performRun(run, {
    onProgress: ({ lts }) => options.onLts?.(lts),
  });
  await target[Symbol.asyncDispose]();
  return { ...result, warnings };
}
