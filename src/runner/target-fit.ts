/**
 * Whether a namespace can carry what a configuration asks for.
 *
 * @packageDocumentation
 */
import type { BlockDevice } from "../sut/port.ts";
import { ConfigError } from "./config/load.ts";
import type { Config } from "./config/schema.ts";
import { formatBytes } from "./config/units.ts";

/**
 * What the namespace is and promises must carry what the configuration asks for.
 *
 * @param name - What to call it.
 * @param sizeBytes - As large as it must be at least.
 * @throws {ConfigError} With all that does not fit.
 */
export function checkFit(
  { geometry, operations }: Config,
  name: string,
  device: BlockDevice,
  sizeBytes: number,
): void {
  const { capabilities } = device;
  const problems: string[] = [];
  if (capabilities.blockSizeBytes !== geometry.blockSize)
    problems.push(
      `geometry.blockSize is ${geometry.blockSize}, but ${name} has blocks of ${capabilities.blockSizeBytes} bytes`,
    );
  const deviceBytes = device.blockCount * capabilities.blockSizeBytes;
  if (deviceBytes < sizeBytes)
    problems.push(
      `geometry asks for ${formatBytes(sizeBytes)}, but ${name} has only ${formatBytes(deviceBytes)}`,
    );
  const { weights, compareAndWriteBlocksMax } = operations;
  const { deallocate, deallocateTail, deallocateExtent, writeZeroes, compareAndWrite, compareAndWriteMiss } =
    weights;
  if (deallocate + deallocateTail + deallocateExtent > 0) {
    const wanted = "set the weights deallocate, deallocateTail and deallocateExtent to 0";
    if (!capabilities.deallocate) problems.push(`${name} can not deallocate (ONCS): ${wanted}`);
    else if (capabilities.deallocatedReads === "ones")
      problems.push(
        `deallocated blocks of ${name} read as ones (DLFEAT), which harrow can not check: ${wanted}`,
      );
  }
  if (writeZeroes > 0 && !capabilities.writeZeroes)
    problems.push(`${name} has no Write Zeroes command (ONCS): set the weight writeZeroes to 0`);
  if (
    compareAndWrite + compareAndWriteMiss > 0 &&
    capabilities.compareAndWriteBlocksMax < compareAndWriteBlocksMax
  )
    problems.push(
      capabilities.compareAndWriteBlocksMax === 0
        ? `${name} has no fused compare-and-write (FUSES): set the weights compareAndWrite and compareAndWriteMiss to 0`
        : `operations.compareAndWriteBlocksMax is ${compareAndWriteBlocksMax}, but ${name} takes ${capabilities.compareAndWriteBlocksMax} (ACWU)`,
    );
  if (problems.length > 0) throw new ConfigError(problems);
}
