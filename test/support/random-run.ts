/**
 * Random configurations of runs in which everything collides: small volumes, deep queues, all kinds of trouble.
 *
 * @packageDocumentation
 */
import { Choices } from "../../src/generators/choices.ts";
import type { JitteryOptions } from "../../src/gallery/jittery/target.ts";

export interface RandomRun {
  readonly config: string;
  readonly jitter: JitteryOptions & { readonly turnsMax: number };
}

/** What may happen to the target of a random run. */
export interface Trouble {
  /** Connections are lost; and they are reset, cut and slowed down at times. */
  readonly hasLosses?: boolean;
  readonly hasCrashes?: boolean;
  /** With crashes. */
  readonly hasVolatileCache?: boolean;
  readonly hasSnapshots?: boolean;
}

const randomRunStream = 99n;

export function randomRun(
  seed: bigint,
  { hasLosses = false, hasCrashes = false, hasVolatileCache = false, hasSnapshots = true }: Trouble = {},
): RandomRun {
  const choices = new Choices(seed, randomRunStream);
  const one = <Item>(...all: readonly Item[]): Item => all[choices.below(all.length)]!;
  const hasSecond = one(true, false, false, false);
  const blockSize = one(512, 4096);
  const growth = one(true, false, false) ? `, growth: { start: 1/2, every: ${one(40, 77)}, steps: 2 }` : "";
  const crash = hasCrashes ? [`crash: { every: ${one(30, 60, 120)} }`] : [];
  const connections =
    hasLosses && one(true, false)
      ? [
          "resetConnections: { every: 25 }",
          "cutConnections: { every: 70 }",
          "slow: { every: 80, ltsCount: { max: 30 } }",
        ]
      : [];
  const weights = [
    `compareAndWrite: ${one(3, 30)}`,
    `compareAndWriteMiss: ${one(1, 10)}`,
    `flush: ${one(6, 30)}`,
    `writeFua: ${one(5, 30)}`,
  ].join(", ");
  const config = `
geometry: { volumes: ${one(1, 1, 2)}, blockSize: ${blockSize}, volumeSize: ${blockSize * one(256, 300)}, extentSize: ${blockSize * one(16, 32, 64)}${growth} }
window: { size: ${one(1, 2, 4)}, slideAfterRepeats: ${one(2, 5)} }
operations:
  batches: { max: ${one(1, 3)} }
  perBatch: { max: ${one(1, 4)} }
  blocks: { max: ${one(4, 8, 16)} }
  compareAndWriteBlocksMax: ${one(1, 4)}
  weights: { ${weights} }
reads: { perLts: { max: ${one(0, 1, 4)} }, preRead: ${one("0/1", "1/16", "1/2")} }
snapshots:
  every: ${hasSnapshots ? one(7, 15, 40) : 0}
  keep: ${one(1, 3)}
  far: 1/2
  withoutBase: 1/2
  hot: ${one("1/1", "1/2")}
  clones: 1/2
  rollback: ${hasSecond ? "0/1" : one("0/1", "1/4")}
  syncEvery: ${one(0, 1, 2)}
faults: { ${[...crash, ...connections].join(", ")} }
checks:
  recent: { every: ${one(0, 5)}, extents: 3 }
  sample: { every: 20, extents: 3 }
  visible: { every: ${one(0, 9)} }
  snapshots: { extents: ${one("all", "8")} }
  diffs: { precision: ${one("exact", "covering")} }
  secondVolume: ${hasSecond}
  exhaustive: ${one(true, true, true, false)}
runner:
  kind: concurrent
  depth: ${one(4, 8, 16, 32, 64)}
  overlap: ${one("wait", "allow")}
  lts: 200
  stopAfterViolations: 1
  stopAfterTargetErrors: 1000000
target: { kind: embedded, directory: nowhere, volatileCache: ${hasVolatileCache} }
`;
  const jitter = {
    piecesMax: one(1, 4),
    turnsMax: one(6, 20, 60),
    hasVolatileCache,
    ...(hasLosses ? { loseEvery: one(50, 200) } : {}),
  };
  return { config, jitter };
}
