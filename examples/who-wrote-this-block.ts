/**
 * A block names its writer: from the bytes alone back to the operation, with nothing looked up.
 *
 *   npx tsx examples/who-wrote-this-block.ts
 */
import { Geometry, Kernel, operationAt, Workload } from "../src/index.ts";

const geometry = new Geometry({ blockSizeBytes: 4096, volumeBlocks: [4096], extentBlocks: 256 });
const kernel = new Kernel();
const workload = new Workload(kernel, 42n, {
  geometry,
  window: { windowSize: 4, slideAfterRepeats: 2 },
  operations: {
    batches: { min: 1, max: 1 },
    operationsPerBatch: { min: 1, max: 4 },
    blocksPerOperation: { min: 1, max: 16 },
    weights: {
      write: 1,
      writeFua: 0,
      writeZeroes: 0,
      deallocate: 0,
      deallocateTail: 0,
      deallocateExtent: 0,
      flush: 0,
    },
    edgeBlocks: [64],
  },
  control: {
    every: 0,
    keep: 1,
    far: { numerator: 0, denominator: 1 },
    withoutBase: { numerator: 0, denominator: 1 },
    deletedBase: { numerator: 0, denominator: 1 },
  },
  content: {
    order: "ascending",
    weights: { incompressible: 1, compressible: 0, text: 0 },
    compressionRatio: 2,
  },
});

// Any lts will do: what happens there is computed, not remembered.
const lts = 1_234_567_890;
const { extent, operations } = workload.visit(lts);
const [operation] = operations;
if (operation === undefined) throw new Error("this lts has no operation");
const block = extent.firstBlock + operation.firstBlock;

const buffer = kernel.allocate(4096);
const at = { volume: extent.volume, block, blockCount: 1, sectorCount: 8 };
workload.run.inflate(at, buffer.address, lts * 256 + operation.operationId + 1);

const out = {
  classes: kernel.allocate(1),
  vds: kernel.allocateUint64(1),
  positions: kernel.allocateUint64(1),
};
workload.run.deflate(at, buffer.address, {
  classes: out.classes.address,
  vds: out.vds.address,
  positions: out.positions.address,
});
const found = operationAt(Number(out.positions.values[0]));
console.log(`block ${block} holds descriptor ${out.vds.values[0]?.toString(16)}`);
console.log(`which lts ${found.lts}, operation ${found.operationId} wrote`);
if (found.lts !== lts || found.operationId !== operation.operationId) process.exit(1);
