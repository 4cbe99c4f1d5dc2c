/**
 * A target from a service of one's own: anything that can make volumes as the ports of `sut/port.ts` have them.
 *
 * @packageDocumentation
 */
import { SizeSchedule } from "../selectors/size-schedule.ts";
import type { VolumeService } from "../sut/port.ts";
import type { TargetFaults } from "../sut/target-faults.ts";
import type { Config } from "./config/schema.ts";
import type { Target, TargetVolume } from "./target.ts";
import { workloadShape } from "./workload-shape.ts";

export interface ServiceTargetOptions {
  readonly service: VolumeService;
  /** Says how many volumes of which size there are to be. */
  readonly config: Config;
  /** What the volumes are called, with a number; `harrow` if left out. */
  readonly name?: string;
  /** For people; "a service" if left out. */
  readonly description?: string;
  /** The way to put it to trouble; it can not be if left out. */
  readonly faults?: TargetFaults;
}

/** Creates and opens the volumes of a configuration; disposing the target disposes the service. */
export async function serviceTarget({
  service,
  config,
  name = "harrow",
  description = "a service",
  faults,
}: ServiceTargetOptions): Promise<Target> {
  return {
    description,
    service,
    volumes: await createVolumes(service, config, name),
    failure: undefined,
    faults,
    isLasting: false,
    keep: () => {},
    [Symbol.asyncDispose]: async () => service[Symbol.asyncDispose](),
  };
}

async function createVolumes(
  service: VolumeService,
  config: Config,
  name: string,
): Promise<readonly TargetVolume[]> {
  const { geometry, growth } = workloadShape(config);
  const sizes = new SizeSchedule(geometry, growth);
  const create = async (volume: number, suffix: string) => {
    const sizeBytes = sizes.blockCountAt(volume, 0) * config.geometry.blockSize;
    const { uuid } = await service.createVolume({
      name: `${name}-v${volume}${suffix}`,
      sizeBytes,
      sectorSizeBytes: config.geometry.blockSize,
    });
    return { uuid, device: await service.openVolume(uuid) };
  };
  const volumes: TargetVolume[] = [];
  for (let volume = 0; volume < config.geometry.volumes; volume++) {
    const first = { ...(await create(volume, "")), isCreated: true };
    if (config.checks.secondVolume) {
      const second = await create(volume, "-second");
      volumes.push({ ...first, second: second.device, secondUuid: second.uuid });
    } else volumes.push(first);
  }
  return volumes;
}
