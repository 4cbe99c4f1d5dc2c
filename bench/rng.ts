/**
 * Numbers of random positions, and positions of random numbers, a second.
 *
 * Rivals: the same functions in BigInt, and Harry's in Java (bit by bit, O(64) each). Java is not run here: its
 * published rates and the rate of a multiply-add chain on the core they were measured on are carried to this core
 * by the chain's rate here, measured in the same rounds.
 *
 * @packageDocumentation
 */
import { Kernel } from "../src/generators/kernel.ts";
import { rng, rngInverse } from "../src/generators/pcg.ts";
import { type Bench, type BenchContext, type Comparison, compare, interleave, repeating } from "./harness.ts";
import { multiplyAddChain } from "./multiply-add-chain.ts";

/** Millions a second, all on one core. */
const java = { rngAt: 8.8, positionOf: 2.7, multiplyAdd: 550 };
const seed = 0x5eedn;
const stream = 12345n;
const batch = 8192;
/** BigInt is so slow that a part of the batch is enough. */
const bigintBatch = 64;
const chainSteps = 100_000;
const goal = { atLeast: 3 };

export const rngBench: Bench = {
  name: "rng",
  summary: "numbers by position and positions by number (random 64 bits), against BigInt and Harry's Java",
  run: measure,
};

async function measure({ signal, progress }: BenchContext): Promise<Comparison[]> {
  const kernel = new Kernel({ memoryBytes: 2 ** 20 });
  const inputs = kernel.allocateUint64(batch);
  const outputs = kernel.allocateUint64(batch);
  for (let k = 0; k < batch; k++) inputs.values[k] = rng(1n, BigInt(k + 1), 1n);
  const chain = multiplyAddChain();
  let x = 1n;
  progress("kernels, BigInt and multiply-add chain");
  const rates = await interleave(
    {
      rngAt: repeating(batch / 1e6, () =>
        kernel.exports.rngBatch(seed, stream, inputs.address, outputs.address, batch),
      ),
      positionOf: repeating(batch / 1e6, () =>
        kernel.exports.rngInverseBatch(seed, stream, inputs.address, outputs.address, batch),
      ),
      bigintRngAt: repeating(bigintBatch / 1e6, () => {
        for (let k = 0; k < bigintBatch; k++) outputs.values[k] = rng(seed, inputs.values[k]!, stream);
      }),
      bigintPositionOf: repeating(bigintBatch / 1e6, () => {
        for (let k = 0; k < bigintBatch; k++) outputs.values[k] = rngInverse(seed, inputs.values[k]!, stream);
      }),
      multiplyAdd: repeating(chainSteps / 1e6, () => {
        x = chain(x, chainSteps);
      }),
    },
    { rounds: 9, sliceMs: 100, signal },
  );
  const what = {
    rngAt: "rngBatch",
    positionOf: "rngInverseBatch",
  } as const;
  const unit = "M/s";
  const scaled = (name: "rngAt" | "positionOf") =>
    compare(rates, {
      what: what[name],
      name,
      rival: "Harry's Java, scaled",
      rivalName: "multiplyAdd",
      rivalScale: java[name] / java.multiplyAdd,
      unit,
      goal,
    });
  return [
    scaled("rngAt"),
    scaled("positionOf"),
    compare(rates, { what: what.rngAt, name: "rngAt", rival: "BigInt", rivalName: "bigintRngAt", unit }),
    compare(rates, {
      what: what.positionOf,
      name: "positionOf",
      rival: "BigInt",
      rivalName: "bigintPositionOf",
      unit,
    }),
    compare(rates, {
      what: "rngBatch",
      name: "rngAt",
      rival: "one multiply-add",
      rivalName: "multiplyAdd",
      unit,
    }),
  ];
}
