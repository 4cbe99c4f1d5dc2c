/**
 * Whole runs on volumes in memory, with faults put in the way.
 *
 * @packageDocumentation
 */
import type { Violation } from "../../src/model/violation.ts";
import { parseConfig } from "../../src/runner/config/load.ts";
import { Run } from "../../src/runner/run.ts";
import { performRun, type RunResult } from "../../src/runner/runner.ts";
import type { Target, TargetVolume } from "../../src/runner/target.ts";
import { workloadShape } from "../../src/runner/workload-shape.ts";
import { SizeSchedule } from "../../src/selectors/size-schedule.ts";
import { type Clock, systemClock } from "../../src/sut/clock.ts";
import { type ServiceFaults, withServiceFaults } from "../../src/sut/faults.ts";
import { memoryService } from "../../src/sut/memory.ts";
import type { VolumeService } from "../../src/sut/port.ts";
import type { TargetFaults } from "../../src/sut/target-faults.ts";
import { JitteryClock } from "../../src/gallery/jittery/clock.ts";
import { type JitteryOptions, JitteryTarget } from "../../src/gallery/jittery/target.ts";

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
  /** What is laid over the service, jitter included. */
  readonly wrap?: (service: VolumeService, clock: Clock) => VolumeService;
  readonly wrapFaults?: (faults: TargetFaults, service: VolumeService) => TargetFaults;
  /** Whatever is asked takes effect at random instants of a clock that waits for nobody. */
  readonly jitter?: JitteryOptions & { readonly turnsMax?: number };
  readonly signal?: AbortSignal;
  /** Bytes that the volumes hold when the run comes to them, and whether it made them itself. */
  readonly leftover?: { readonly block: number; readonly bytes: Uint8Array };
  readonly isCreated?: boolean;
  readonly onLts?: (lts: number) => void;
  readonly clock?: Clock;
}

export interface MemoryRunResult extends RunResult {
  readonly warnings: readonly string[];
  /** On the run's clock, at the end. */
  readonly now: number;
}

/** @throws {Error} If a jittery run comes to a stand. */
export async function memoryRun(options: MemoryRunOptions = {}): Promise<MemoryRunResult> {
  const config = parseConfig(options.config ?? smallConfig, "test");
  const seed = options.seed ?? 11n;
  const plain = withServiceFaults(await memoryService({ diffPageRanges: 3 }), options.faults ?? {});
  const { jitter } = options;
  const jittery = jitter === undefined ? undefined : new JitteryClock({ seed, ...jitter });
  const clock = jittery ?? options.clock ?? systemClock;
  const shaken = jittery === undefined ? undefined : new JitteryTarget(plain, jittery, jitter);
  const service = options.wrap?.(shaken?.service ?? plain, clock) ?? shaken?.service ?? plain;
  const { volumes: count, blockSize } = config.geometry;
  const { geometry, growth } = workloadShape(config);
  const sizes = new SizeSchedule(geometry, growth);
  const create = async (name: string, volume: number) => {
    const sizeBytes = sizes.blockCountAt(volume, 0) * blockSize;
    const { uuid } = await service.createVolume({ name, sizeBytes, sectorSizeBytes: blockSize });
    return { uuid, device: await service.openVolume(uuid) };
  };
  const volumes: TargetVolume[] = [];
  for (let index = 0; index < count; index++) {
    const { uuid, device } = await create(`v${index}`, index);
    if (options.leftover !== undefined) {
      const { block, bytes: from } = options.leftover;
      await device.write({ block, blockCount: from.length / blockSize, from });
    }
    const volume = { uuid, device, isCreated: options.isCreated ?? true };
    if (config.checks.secondVolume) {
      const second = await create(`v${index}-second`, index);
      volumes.push({ ...volume, second: second.device, secondUuid: second.uuid });
    } else volumes.push(volume);
  }
  const faults = shaken?.faults;
  const target: Target = {
    description: "memory",
    service,
    volumes,
    failure: undefined,
    faults: faults === undefined ? undefined : (options.wrapFaults?.(faults, service) ?? faults),
    isLasting: false,
    keep: () => {},
    [Symbol.asyncDispose]: async () => service[Symbol.asyncDispose](),
  };
  const warnings: string[] = [];
  const violations: Violation[] = [];
  const run = new Run({
    config,
    seed,
    name: "harrow-test",
    target,
    log: { info: () => {}, warn: (message) => warnings.push(message) },
    signal: options.signal ?? new AbortController().signal,
    onViolation: (violation) => violations.push(violation),
    clock,
  });
  try {
    const performed = performRun(run, { onProgress: ({ lts }) => options.onLts?.(lts) });
    const result = await (jittery === undefined ? performed : Promise.race([performed, jittery.stalled]));
    return { ...result, warnings, now: clock.now() };
  } finally {
    jittery?.stop();
    await target[Symbol.asyncDispose]();
  }
}
