/**
 * A walk along a chain of snapshots, which two tests do at different lengths.
 *
 * @packageDocumentation
 */
import { expectAbout } from "./bounds.ts";
import { expectReported } from "./diff-judge.ts";
import { megabytes } from "./layout.ts";
import type { Workbench } from "./workbench.ts";

export interface ChainWalk {
  /** In MiB, as the length of each region. */
  readonly at: number;
  readonly length: number;
  readonly rounds: number;
  /** Of the bytes copied, as a share of those written. */
  readonly tolerance: number;
}

/**
 * Writes region after region with a snapshot after each, then copies each step by its own diff.
 *
 * @throws {SuiteFailure} If a step, or all of them, copy too much or too little, or the target is wrong at the end.
 */
export async function walkChain(
  bench: Workbench,
  { at, rounds, length, tolerance }: ChainWalk,
): Promise<void> {
  const { layout } = bench;
  const regions = Array.from({ length: rounds }, (_, index) => layout.region(at + index * length, length));
  const chain = [await bench.snapshot("s0")];
  for (const [index, region] of regions.entries()) {
    await bench.write(region);
    chain.push(await bench.snapshot(`s${index + 1}`));
  }
  let copied = 0;
  let written = 0;
  for (const [index, region] of regions.entries()) {
    const { bytesCopied, answer } = await bench.sync(chain[index + 1]!, chain[index]);
    expectReported(answer, region);
    expectAbout(`step ${index + 1}`, bytesCopied, layout.bytesOf(region), tolerance);
    copied += bytesCopied;
    written += layout.bytesOf(region);
  }
  expectAbout("all steps", copied, written, tolerance);
  bench.note(`${rounds} steps: ${megabytes(copied)} copied of ${megabytes(written)} written`);
  await bench.expectCopied(chain.at(-1)!, ...regions);
}
