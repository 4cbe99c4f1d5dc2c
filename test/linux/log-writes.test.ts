/**
 * Power cuts of a thin pool whose disk had a volatile cache: what no flush had covered is gone, or some of it.
 *
 * Killing the guest loses less, as this machine keeps what its disks were told. So the kernel logs every write below the
 * pool (dm-log-writes), and the disk that the guest comes back to is made from that log.
 */
import { copyFile, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { cutMark, LoggedDisk } from "../../src/sut/linux/write-log.ts";
import type { Guest } from "../../src/sut/vm/guest.ts";
import { type PowerCut, type Replayed, replay } from "../../src/sut/vm/log-writes-replay.ts";
import { diskOf, type FuzzResult, ThinTarget } from "./thin-target.ts";
import { unavailable } from "./unavailable.ts";

const mib = 2 ** 20;
const diskMiB = 256;
const logMiB = 2048;

/** FUA is left out: the log does not tell its order among plain writes to the same blocks. */
const weights = "writeFua: 0, compareAndWrite: 0, compareAndWriteMiss: 0, flush: 2";

/**
 * Writes in place alone, once all is provisioned: of these the pool flushes nothing by itself. It does so within a
 * second of whatever changes its metadata.
 */
const inPlace = `
geometry: { volumeSize: 4MiB, extentSize: 128KiB }
operations:
  blocks: { min: 1, max: 16 }
  weights: { ${weights}, deallocate: 0, deallocateTail: 0, deallocateExtent: 0 }
snapshots: { every: 0 }
faults: { crash: { every: 120 } }
checks: { recent: { every: 50, extents: 2 } }
`;

const withSnapshots = `
geometry: { volumeSize: 16MiB, extentSize: 128KiB }
window: { size: 32, slideAfterRepeats: 4 }
operations:
  blocks: { min: 1, max: 16 }
  weights: { ${weights} }
snapshots: { every: 80, keep: 2, hot: 3/4, clones: 0/1, rollback: 0/1 }
faults: { crash: { every: 120 } }
checks: { recent: { every: 50, extents: 2 }, diffs: { precision: covering } }
`;

describe.skipIf(unavailable !== undefined)("a thin pool on a disk with a volatile cache", () => {
  let target: ThinTarget;
  let scratch: string;
  let logged: LoggedDisk;
  /** The state of the disk when the log was begun. */
  let base: string;
  /** How the power is cut, and what became of each time. */
  let cut: (index: number) => PowerCut;
  let cuts: Replayed[] = [];

  async function lay(guest: Guest): Promise<void> {
    const { shell } = guest;
    const disk = await diskOf(guest, "disk");
    const log = await diskOf(guest, "log");
    logged = await LoggedDisk.lay({ shell, name: "cut", disk, log, metadataBytes: 16 * mib });
  }

  async function crash(guest: Guest): Promise<void> {
    await logged.cutPower();
    const log = join(guest.directory, "log.raw");
    cuts.push(await replay(log, base, cut(cuts.length), { mark: cutMark }));
    // Nothing of the guest's reaches its disks any more: they may be changed below it.
    await copyFile(base, join(guest.directory, "disk.raw"));
    await truncate(log, 0);
    await truncate(log, logMiB * mib);
    await guest.crash();
  }

  beforeAll(async () => {
    scratch = await mkdtemp(join(tmpdir(), "harrow-cuts-"));
    base = join(scratch, "base.raw");
    await writeFile(base, "");
    await truncate(base, diskMiB * mib);
    target = await ThinTarget.start({
      ...{ metadataDevice: "/dev/mapper/cut-metadata", dataDevice: "/dev/mapper/cut-data", lay, crash },
      disks: [
        { serial: "disk", mib: diskMiB },
        { serial: "log", mib: logMiB },
      ],
      diskMiB: 1,
    });
  });

  afterAll(async () => {
    await target?.[Symbol.asyncDispose]();
    await rm(scratch, { recursive: true, force: true });
  });

  beforeEach(async () => {
    cuts = [];
    await target.clear();
  });

  function fuzz(config: string, seed: bigint): Promise<FuzzResult> {
    return target.fuzz({ config: `${config}\nrunner: { lts: 350, depth: 16 }`, seed });
  }

  function tell({ ledger, violations, elapsedMs }: FuzzResult): void {
    const { crashes, operationsNotDurable } = ledger.faults;
    const lost = cuts.map(({ lostCount, writeCount }) => `${lostCount} of ${writeCount}`).join(", ");
    const found = violations.map((one) => one.class).join(", ") || "no violation";
    console.log(
      `${(elapsedMs / 1000).toFixed(0)} s, ${crashes} cuts, writes lost below the pool: ${lost}; ${operationsNotDurable} operations not durable, ${ledger.snapshots.taken} snapshots, ${ledger.diffs.proven} diffs; ${found}`,
    );
  }

  test("keeps every promise if all is lost that no flush has covered", async () => {
    cut = () => ({ kind: "afterLastFlush" });
    const result = await fuzz(inPlace, 1n);
    tell(result);
    expect(result).toMatchObject({ verdict: "consistent", violations: [], targetFailure: undefined });
    expect(result.ledger.faults.crashes).toBeGreaterThan(1);
    expect(cuts.every(({ unorderedCount }) => unorderedCount === 0)).toBe(true);
    expect(cuts.some(({ lostCount }) => lostCount > 0)).toBe(true);
  });

  test("keeps every promise if some of that is lost, and some of it half", async () => {
    cut = (index) => ({ kind: "subset", seed: index, isTorn: true });
    const result = await fuzz(inPlace, 2n);
    tell(result);
    expect(result).toMatchObject({ verdict: "consistent", violations: [], targetFailure: undefined });
    expect(cuts.some(({ lostCount }) => lostCount > 0)).toBe(true);
  });

  test("keeps snapshots and diffs right if some of that is lost", async () => {
    cut = (index) => ({ kind: "subset", seed: index, isTorn: true });
    const result = await fuzz(withSnapshots, 4n);
    tell(result);
    expect(result).toMatchObject({ verdict: "consistent", violations: [], targetFailure: undefined });
    expect(result.ledger.faults.crashes).toBeGreaterThan(0);
  });

  test("is found to have lost what was durable if the disk does not keep what was flushed", async () => {
    cut = () => ({ kind: "lying", flushCount: 40 });
    const result = await fuzz(withSnapshots, 3n);
    tell(result);
    expect(result.verdict).toBe("violation");
    expect(["lost-write", "stale", "zeroed", "resurrected", "lost-snapshot"]).toContain(
      result.violations[0]!.class,
    );
    expect(result.violations[0]!.rule).toBe("durability");
  });
});
