import { inflateBlock } from "../../generators/content.ts";
import { Kernel } from "../../generators/kernel.ts";
import { rng } from "../../generators/pcg.ts";
import { valueStream } from "../../generators/streams.ts";
import { workloadShape } from "../../runner/workload-shape.ts";
import { effectOf, positionOf } from "../../selectors/operations.ts";
import { Workload } from "../../selectors/workload.ts";
import { oneOf, strikesOf } from "../chances.ts";
import type { PortMutant } from "../mutant.ts";
import { afterWrites } from "../port-lies.ts";

/** Further in the history than any run of the gallery comes. */
const farLts = 100_000;
const kernelBytes = 8 * 2 ** 20;

/** Now and then a block holds what this run would write to it long after its end: what a longer run has left there. */
export const fromTheFuture: PortMutant = {
  level: "port",
  setting: "memory",
  config: { checks: { all: { every: 10 } } },
  service: (service, scene) => {
    const strikes = strikesOf(scene, { count: 3, apart: { min: 150, max: 200 } });
    const workload = new Workload(
      new Kernel({ memoryBytes: kernelBytes }),
      scene.seed,
      workloadShape(scene.config),
    );
    return afterWrites(service, scene.clock, async ({ volume: { log, alter } }) => {
      if (!strikes.isDue()) return;
      const block = oneOf(scene, log.dataBlocks);
      if (block === undefined) return;
      strikes.strike();
      const from = contentOf(workload, block, nextWrite(workload, block));
      await alter((device) => device.write({ block, blockCount: 1, from }));
    });
  },
};

/** The first position from far on at which data is written to a block of volume 0. */
function nextWrite(workload: Workload, block: number): number {
  const { geometry, window } = workload;
  const pd = geometry.pdOf(0, block);
  const onExtent = block - geometry.extent(pd).firstBlock;
  for (let lts = window.nextLts(window.lastLts(pd, farLts)!); ; lts = window.nextLts(lts)) {
    const operation = workload.operationOn(lts, onExtent);
    if (operation !== undefined && effectOf(operation.kind) === "data")
      return positionOf(lts, operation.operationId);
  }
}

function contentOf({ run: { format }, geometry }: Workload, block: number, position: number): Uint8Array {
  const vd = rng(format.seed, BigInt(position), valueStream(0, block));
  return inflateBlock(format, { vd, volume: 0, block, sectorCount: geometry.sectorsPerBlock });
}
