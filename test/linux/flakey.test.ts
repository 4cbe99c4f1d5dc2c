/**
 * A thin pool whose data device misbehaves for a while, by dm-flakey: what it has done is found, and named.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { FaultyLayer, type LayerBehaviour } from "../../src/sut/linux/layers.ts";
import type { Guest } from "../../src/sut/vm/guest.ts";
import { diskOf, type FuzzResult, ThinTarget } from "./thin-target.ts";
import { unavailable } from "./unavailable.ts";

/** Without trouble from the run itself: the device is trouble enough. */
const config = `
geometry: { volumeSize: 16MiB, extentSize: 128KiB }
window: { size: 32, slideAfterRepeats: 4 }
operations:
  blocks: { min: 1, max: 16 }
  weights: { compareAndWrite: 0, compareAndWriteMiss: 0 }
snapshots: { every: 0 }
checks: { recent: { every: 20, extents: 4 } }
`;

describe.skipIf(unavailable !== undefined)("a thin pool on a data device", () => {
  let target: ThinTarget;
  let layer: FaultyLayer;

  async function lay(guest: Guest): Promise<void> {
    const device = await diskOf(guest, "data");
    layer = await FaultyLayer.lay({ shell: guest.shell, name: "flaky-data", device });
  }

  beforeAll(async () => {
    target = await ThinTarget.start({ dataDevice: "/dev/mapper/flaky-data", lay });
  });

  afterAll(async () => {
    await target?.[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    await target.clear();
  });

  /** A run during which the device is well, misbehaves from lts 60 on, and is well again after a while. */
  async function fuzz(seed: bigint, behaviour: LayerBehaviour): Promise<FuzzResult> {
    const result = await target.fuzz({
      ...{ config: `${config}\nrunner: { lts: 200, depth: 8, stopAfterTargetErrors: 1000000 }`, seed },
      at: {
        60: () => layer.switchTo(behaviour),
        140: () => layer.switchTo({ kind: "passThrough" }),
      },
    });
    await layer.switchTo({ kind: "passThrough" });
    const { violations, elapsedMs, ledger } = result;
    const found = violations.map((one) => one.class).join(", ") || "no violation";
    console.log(
      `${behaviour.kind}: ${(elapsedMs / 1000).toFixed(0)} s, ${result.ltsCount} lts, ${ledger.operationsInDoubt} operations in doubt, ${ledger.operationsFailed} failed; ${found}`,
    );
    return result;
  }

  test("that fails some of its sectors is not accused, and serves again when it is well", async () => {
    // 32 chunks of 64 KiB, among the first that the pool hands out. A block that can not be read ends the run.
    const behaviour = { kind: "errorRange", beginSector: 1024, sectorCount: 4096 } as const;
    const { violations, ledger } = await fuzz(4n, behaviour);
    expect(violations).toEqual([]);
    expect(ledger.operationsInDoubt).toBeGreaterThan(0);
    await target.clear();
    expect(await fuzz(5n, { kind: "passThrough" })).toMatchObject({ verdict: "consistent", ltsCount: 200 });
  });

  test("that drops writes is found to lose them", async () => {
    const { violations } = await fuzz(1n, { kind: "dropWrites" });
    const names = ["lost-write", "stale", "zeroed", "resurrected", "extra-data", "misdirected", "garbage"];
    expect(names).toContain(violations[0]?.class);
  });

  test("that alters a byte of what is written is found to do so", async () => {
    const behaviour = { kind: "corruptByte", of: "writes", byte: 100, value: 0x5a } as const;
    const { violations } = await fuzz(3n, behaviour);
    expect(["bit-flip", "mixed", "garbage"]).toContain(violations[0]?.class);
  });
});
