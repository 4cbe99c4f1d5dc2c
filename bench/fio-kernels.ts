/**
 * harrow's kernels over its block device, without the workload, the tracker and the checkers of a run.
 *
 * Writes a file in random order, reads it back, proves every block: what a run can cost at the very least, so that
 * the difference is what the runner costs.
 *
 * @packageDocumentation
 */
import { contentFormat, sectorBytes } from "../src/generators/content.ts";
import type { RunKernel } from "../src/generators/kernel.ts";
import type { BlockDevice, Outcome } from "../src/sut/port.ts";
import { blockBytes, cpuSecondsSince, type SideRequest, type SideResult, zeroFile } from "./fio-file.ts";

const readBytes = 2 ** 20;
/** Purposes of draws from the kernel's streams; any numbers, here alone. */
const purposes = { order: 1 };

/** Writes as many random blocks as there are, some of them again and some never. */
export async function measureKernels({
  path,
  fileBytes,
  io,
  direct,
  depth,
}: SideRequest): Promise<SideResult> {
  const { openBlockDevice, Kernel, RunKernel } = await loadBuilt();
  zeroFile(path, fileBytes);
  await using device = await openBlockDevice({ path, blockSizeBytes: blockBytes, io, direct });
  const { blockCount } = device;
  const kernel = new Kernel({ memoryBytes: blockCount * 8 + depth * readBytes + 2 ** 22 });
  const run = new RunKernel(
    kernel,
    contentFormat({
      seed: 42n,
      order: "ascending",
      weights: { incompressible: 1, compressible: 0, text: 0 },
      compressionRatio: 2,
    }),
  );
  const positions = kernel.allocateFloat64(blockCount);
  const start = process.cpuUsage();
  await write(device, run, { order: drawn(run, blockCount), depth, positions: positions.values });
  await verify(device, run, { depth, positions });
  return {
    bytesWritten: blockCount * blockBytes,
    bytesProven: positions.values.reduce((sum, position) => sum + (position > 0 ? blockBytes : 0), 0),
    cpuSeconds: cpuSecondsSince(start),
  };
}

async function write(
  device: BlockDevice,
  run: RunKernel,
  {
    order,
    depth,
    positions,
  }: { readonly order: Uint32Array; readonly depth: number; readonly positions: Float64Array },
): Promise<void> {
  let next = 0;
  const busy = new Set<number>();
  const lane = async () => {
    const { address, bytes } = run.kernel.allocate(blockBytes);
    while (next < order.length) {
      const block = order[next]!;
      const position = ++next;
      // Two writes of one block in flight would leave either: the later one is given up, as a run would wait.
      if (depth > 1 && busy.has(block)) continue;
      if (depth > 1) busy.add(block);
      positions[block] = position;
      run.inflate(
        { volume: 0, block, blockCount: 1, sectorCount: blockBytes / sectorBytes },
        address,
        position,
      );
      assertOk(await device.write({ block, blockCount: 1, from: bytes }));
      if (depth > 1) busy.delete(block);
    }
  };
  await Promise.all(Array.from({ length: depth }, lane));
}

async function verify(
  device: BlockDevice,
  run: RunKernel,
  {
    depth,
    positions,
  }: {
    readonly depth: number;
    readonly positions: { readonly address: number; readonly values: Float64Array };
  },
): Promise<void> {
  const stride = readBytes / blockBytes;
  let next = 0;
  const lane = async () => {
    const { address, bytes } = run.kernel.allocate(readBytes);
    const verdicts = run.kernel.allocate(stride).address;
    while (next < device.blockCount) {
      const block = next;
      const blockCount = Math.min(stride, device.blockCount - block);
      next += blockCount;
      assertOk(await device.read({ block, blockCount, into: bytes.subarray(0, blockCount * blockBytes) }));
      const at = { volume: 0, block, blockCount, sectorCount: blockBytes / sectorBytes };
      const different = run.verify(at, address, positions.address + block * 8, verdicts);
      if (different > 0)
        throw new Error(`${different} of ${blockCount} blocks at ${block} are not as written`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(depth, 8) }, lane));
}

function drawn(run: RunKernel, blockCount: number): Uint32Array {
  return Uint32Array.from({ length: blockCount }, (_, index) =>
    run.draw(index + 1, purposes.order, 0, blockCount),
  );
}

/** @throws {Error} If harrow was not built. */
async function loadBuilt() {
  const built = new URL("../dist/", import.meta.url);
  const block: typeof import("../src/sut/block/open.ts") = await import(
    new URL("sut/block/open.js", built).href
  );
  const kernel: typeof import("../src/generators/kernel.ts") = await import(
    new URL("generators/kernel.js", built).href
  );
  return { openBlockDevice: block.openBlockDevice, Kernel: kernel.Kernel, RunKernel: kernel.RunKernel };
}

function assertOk(outcome: Outcome): void {
  if (outcome.kind !== "ok") throw new Error(`${outcome.kind}: ${outcome.code}, ${outcome.message}`);
}
