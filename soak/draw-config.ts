/**
 * The configuration of one soak run, drawn from its seed: small volumes on which everything meets, and every kind
 * of trouble.
 *
 * @packageDocumentation
 */
import { stringify } from "yaml";
import { Choices } from "../src/generators/choices.ts";

const stream = 7n;

export interface DrawnConfig {
  readonly yaml: string;
  /** How long after its start each process of harrow but the last is killed, ms. */
  readonly kills: readonly number[];
}

export function drawConfig({
  seed,
  lts,
  directory,
}: {
  readonly seed: number;
  readonly lts: number;
  readonly directory: string;
}): DrawnConfig {
  const choices = new Choices(BigInt(seed), stream);
  const one = <Item>(items: readonly Item[]): Item => items[choices.below(items.length)]!;
  const isSecond = choices.below(6) === 0;
  const crash = { crash: { every: Math.max(20, Math.floor(lts / one([2, 3, 5]))) } };
  const config = {
    seed,
    geometry: {
      volumes: one([1, 1, 2]),
      volumeSize: one(["8MiB", "32MiB"]),
      blockSize: one([4096, 4096, 512]),
      extentSize: one(["64KiB", "256KiB"]),
      ...(choices.below(4) === 0 ? { growth: { start: "1/2", every: Math.ceil(lts / 6), steps: 3 } } : {}),
    },
    window: { size: one([4, 8, 16]), slideAfterRepeats: one([2, 8]) },
    operations: { blocks: { max: one([8, 16]) }, weights: { flush: one([2, 10]) } },
    reads: { perLts: { min: 0, max: one([1, 3]) }, preRead: one(["1/16", "1/3"]) },
    snapshots: {
      every: Math.max(20, Math.floor(lts / one([8, 15]))),
      keep: one([2, 4]),
      hot: one(["3/4", "1/1"]),
      clones: "1/3",
      rollback: isSecond ? "0/1" : one(["0/1", "1/5"]),
      syncEvery: one([0, 2]),
    },
    faults: {
      ...(choices.below(8) > 0 ? crash : {}),
      resetConnections: { every: Math.max(20, Math.floor(lts / one([4, 12]))) },
      cutConnections: { every: Math.max(50, Math.floor(lts / 3)), durationMs: { min: 20, max: 200 } },
      slow: {
        every: Math.max(50, Math.floor(lts / 3)),
        delayMs: { min: 1, max: 5 },
        ltsCount: { min: 5, max: 20 },
      },
    },
    checks: {
      recent: { every: 25, extents: 4 },
      sample: { every: 60, extents: 4 },
      visible: { every: one([0, 40]) },
      secondVolume: isSecond,
    },
    runner: { kind: "concurrent", depth: 32, overlap: one(["wait", "wait", "allow"]), lts },
    target: {
      kind: "embedded",
      directory: `${directory}/volumes`,
      volatileCache: choices.below(4) > 0,
      ioQueues: one([1, 2, 4]),
      dataDigest: choices.below(3) === 0,
    },
    record: "always",
    runs: `${directory}/runs`,
    failures: `${directory}/failures`,
  };
  const kills = Array.from({ length: choices.below(3) }, () => 300 + choices.below(3000));
  return { yaml: stringify(config), kills };
}
