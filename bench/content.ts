/**
 * How fast blocks are filled and checked, against memcpy and memcmp of as many bytes.
 *
 * Both rivals touch two buffers where the kernels touch one: in the large size that is an advantage of the
 * kernels, in the small one both fit the second-level cache. Buffers are those that a run uses: the kernels' own
 * memory, touched before anything is measured.
 *
 * @packageDocumentation
 */
import { type ContentKind, contentFormat, contentKinds, sectorBytes } from "../src/generators/content.ts";
import { type BlockRun, Kernel, RunKernel } from "../src/generators/kernel.ts";
import { type Bench, type BenchContext, type Comparison, compare, interleave, repeating } from "./harness.ts";

const blockBytes = 4096;
const sizes = [
  { label: "256 KiB", byteCount: 256 * 1024 },
  { label: "64 MiB", byteCount: 64 * 2 ** 20 },
];
const goal = { atLeast: 0.5 };

export const contentBench: Bench = {
  name: "content",
  summary: "inflating blocks against memcpy, verifying them against memcmp of equal buffers",
  run: measure,
};

async function measure({ signal, progress }: BenchContext): Promise<Comparison[]> {
  const byteCountMax = Math.max(...sizes.map(({ byteCount }) => byteCount));
  const kernel = new Kernel({ memoryBytes: 2 * byteCountMax + 2 ** 22 });
  const blockCountMax = byteCountMax / blockBytes;
  const own = kernel.allocate(byteCountMax);
  const other = kernel.allocate(byteCountMax);
  const verdicts = kernel.allocate(blockCountMax);
  const positions = kernel.allocateFloat64(blockCountMax);
  const rows: Comparison[] = [];
  for (const kind of [...contentKinds, "mix"] as const) {
    const run = new RunKernel(kernel, format(kind));
    for (const { label, byteCount } of sizes) {
      progress(`${kind}, ${label}`);
      const at: BlockRun = {
        volume: 0,
        block: 1000,
        blockCount: byteCount / blockBytes,
        sectorCount: blockBytes / sectorBytes,
      };
      const ownBytes = Buffer.from(kernel.buffer, own.address, byteCount);
      const otherBytes = Buffer.from(kernel.buffer, other.address, byteCount);
      const gibibytes = byteCount / 2 ** 30;
      let position = 1;
      positions.values.fill(position);
      run.inflate(at, own.address, position);
      otherBytes.set(ownBytes);
      const contenders = {
        memcmp: repeating(gibibytes, () => {
          if (ownBytes.compare(otherBytes) !== 0) throw new Error("memcmp was given buffers that differ");
        }),
        verify: repeating(gibibytes, () => {
          const different = run.verify(at, own.address, positions.address, verdicts.address);
          if (different !== 0) throw new Error(`${different} blocks differ from what was inflated`);
        }),
        inflate: repeating(gibibytes, () => run.inflate(at, other.address, ++position)),
        memcpy: repeating(gibibytes, () => otherBytes.set(ownBytes)),
      };
      const rates = await interleave(
        {
          ...contenders,
          memcmp: (forMs) => {
            // The contenders before left other content, or none, in the second buffer.
            otherBytes.set(ownBytes);
            return contenders.memcmp(forMs);
          },
        },
        { rounds: 7, sliceMs: 50, signal },
      );
      const common = { unit: "GiB/s", goal };
      rows.push(
        compare(rates, {
          ...common,
          what: `inflate ${kind}, ${label}`,
          name: "inflate",
          rival: "memcpy",
          rivalName: "memcpy",
        }),
        compare(rates, {
          ...common,
          what: `verify ${kind}, ${label}`,
          name: "verify",
          rival: "memcmp",
          rivalName: "memcmp",
        }),
      );
    }
  }
  return rows;
}

function format(kind: ContentKind | "mix") {
  // The mix is the default of a run's configuration.
  const weights =
    kind === "mix"
      ? { incompressible: 6, compressible: 1, text: 1 }
      : { incompressible: 0, compressible: 0, text: 0, [kind]: 1 };
  return contentFormat({ seed: 42n, order: "ascending", weights, compressionRatio: 2 });
}
