/**
 * Targets in memory for tests of histories: honest ones, and ones that lie as a plan tells them.
 *
 * @packageDocumentation
 */
import type { Violation } from "../../src/model/violation.ts";
import type { Config } from "../../src/runner/config/schema.ts";
import { performHistory, planConfig } from "../../src/runner/perform-history.ts";
import type { RunResult } from "../../src/runner/runner.ts";
import type { Target, TargetVolume } from "../../src/runner/target.ts";
import type { HistoryPlan } from "../../src/selectors/history-builder.ts";
import { type DeviceFaults, withServiceFaults } from "../../src/sut/faults.ts";
import { memoryService } from "../../src/sut/memory.ts";

/** Opens volumes in memory that fit a configuration, whatever target it names; each has faults of its own. */
export async function openMemory(
  { geometry }: Config,
  {
    faultsOf,
    startBytes = geometry.volumeSize,
  }: { readonly faultsOf?: () => DeviceFaults; readonly startBytes?: number } = {},
): Promise<Target> {
  const plain = await memoryService();
  const service = faultsOf === undefined ? plain : withServiceFaults(plain, { volume: faultsOf });
  const volumes: TargetVolume[] = [];
  for (let index = 0; index < geometry.volumes; index++) {
    const { uuid } = await service.createVolume({
      name: `v${index}`,
      sizeBytes: startBytes,
      sectorSizeBytes: geometry.blockSize,
    });
    volumes.push({ uuid, device: await service.openVolume(uuid), isCreated: true });
  }
  return {
    ...{ description: "volumes in memory", service, volumes },
    ...{ failure: undefined, faults: undefined, isLasting: false },
    keep: () => {},
    [Symbol.asyncDispose]: async () => service[Symbol.asyncDispose](),
  };
}

export async function performed(plan: HistoryPlan, faultsOf?: () => DeviceFaults): Promise<RunResult> {
  const config = planConfig(plan, { target: { kind: "memory" } });
  const { extentBlocks, blockSizeBytes } = plan.geometry;
  await using target = await openMemory(config, {
    startBytes: plan.startExtents[0]! * extentBlocks * blockSizeBytes,
    ...(faultsOf === undefined ? {} : { faultsOf }),
  });
  const log = { info: () => {}, warn: () => {} };
  const { signal } = new AbortController();
  return await performHistory({ plan, config, name: "test", log, signal, target });
}

/** What is wrong with a history on volumes that lie; the first violation, if any. */
export async function violationOf(
  plan: HistoryPlan,
  faultsOf?: () => DeviceFaults,
): Promise<Violation | undefined> {
  return (await performed(plan, faultsOf)).violations[0];
}

/** Drops the write that is the third to a volume, and every third after it. */
export function losingWrites(): DeviceFaults {
  let count = 0;
  return { write: () => (++count % 3 === 0 ? { kind: "drop" } : undefined) };
}
