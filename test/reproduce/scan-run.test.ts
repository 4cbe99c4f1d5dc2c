/**
 * Volumes and snapshots that real runs leave, scanned with and without what is known of the run.
 *
 * @packageDocumentation
 */
import { describe, expect, test } from "vitest";
import { groundOf } from "../../src/gallery/ground.ts";
import { historyOf } from "../../src/reproduce/history-of.ts";
import { type ScanOptions, type ScanReport, scan, wrongCount } from "../../src/reproduce/scan/scan.ts";
import { surveyorBytes } from "../../src/reproduce/scan/survey.ts";
import { depthOf } from "../../src/runner/workload-shape.ts";
import type { Violation } from "../../src/model/violation.ts";
import { parseConfig } from "../../src/runner/config/load.ts";
import { Run } from "../../src/runner/run.ts";
import { performRun } from "../../src/runner/runner.ts";
import { ltsOf } from "../../src/selectors/operations.ts";
import { silentLog } from "../../src/sut/log.ts";

const configOf = (snapshots: string) =>
  parseConfig(
    `
geometry: { volumes: 2, volumeSize: 4MiB, extentSize: 256KiB }
window: { size: 4, slideAfterRepeats: 3 }
operations: { blocks: { min: 1, max: 16 } }
snapshots: { every: 40, keep: 3${snapshots} }
runner: { kind: concurrent, depth: 4, lts: 300 }
target: { kind: memory }
`,
    "test",
  );

const signal = new AbortController().signal;

const nothingWrong: Violation = {
  ...{ rule: "size", class: "wrong-size", summary: "nothing is wrong", volume: 0, block: 0, blockCount: 1 },
  ...{ ltsMax: 0, expected: "", observed: "", operations: [] },
};

/** Performs a run in memory, and looks at its target before it is closed. */
async function afterRun(
  snapshots: string,
  seed: bigint,
  look: (run: Run, scanOf: ScanOf) => Promise<void>,
): Promise<void> {
  const config = configOf(snapshots);
  const name = "harrow-test";
  const ground = groundOf({ config, target: "memory", serveCommand: [], log: silentLog });
  await using stage = await ground.open(config, { seed, name, attempt: 0, signal });
  const { target, clock } = stage;
  const run = new Run({ config, seed, name, target, clock, signal, log: silentLog, onViolation: () => {} });
  const result = await performRun(run, {
    onProgress: ({ phase }) => {
      // A run that ends with a violation leaves its snapshots for who looks for the reason.
      if (phase === "checking snapshots" && run.violations.length === 0) run.violation(nothingWrong);
    },
  });
  expect(result).toMatchObject({ violations: [nothingWrong], targetFailure: undefined, crash: undefined });
  await look(run, (device, options) =>
    scan({
      ...{ device, limit: 100, signal, depth: depthOf(config) },
      history: historyOf({ config, seed }, { memoryBytes: surveyorBytes + 2 ** 22 }),
      ...options,
    }),
  );
}

type ScanOf = (device: ScanOptions["device"], options?: Partial<ScanOptions>) => Promise<ScanReport>;

describe("what a run leaves", () => {
  test.for([1n, 2n, 3n])("is as due, whatever is known of the run (seed %d)", async (seed) => {
    await afterRun("", seed, async (run, scanOf) => {
      for (const [volume, { device }] of run.target.volumes.entries()) {
        const blind = await scanOf(device);
        expect(blind).toMatchObject({ volume, volumeFrom: "content", findings: [] });
        const knowing = await scanOf(device, { volume, state: { tracker: run.tracker } });
        expect(knowing).toMatchObject({ lts: 299, ltsFrom: "run", findings: [], counts: { open: 0 } });
        expect(knowing.counts.latest).toBeGreaterThan(100);
      }
    });
  });

  test("after rollbacks is as due to who knows of them, and partly undone to who does not", async () => {
    let undoneCount = 0;
    for (const seed of [4n, 5n, 6n]) {
      const more = ", rollback: 1/2";
      await afterRun(more, seed, async (run, scanOf) => {
        for (const [volume, { device }] of run.target.volumes.entries()) {
          const knowing = await scanOf(device, { volume, state: { tracker: run.tracker } });
          expect(knowing.findings).toEqual([]);
          undoneCount += wrongCount(await scanOf(device, { volume, lts: 299 }));
        }
      });
    }
    expect(undoneCount).toBeGreaterThan(0);
  });

  test("in snapshots is as due to who knows of the run", async () => {
    let snapshotCount = 0;
    await afterRun("", 1n, async (run, scanOf) => {
      const listed = await run.target.service.listSnapshots();
      for (const record of run.tracker.snapshots) {
        const found = listed.find(({ name }) => name === record.name);
        if (found === undefined) continue;
        await using device = await run.target.service.openSnapshot(found.uuid);
        const { volume, snapshot } = record;
        const report = await scanOf(device, { volume, state: { tracker: run.tracker, snapshot } });
        expect(report).toMatchObject({ ltsFrom: "snapshot", findings: [] });
        snapshotCount++;
      }
      await expect(
        scanOf(run.target.volumes[0]!.device, { volume: 0, state: { tracker: run.tracker, snapshot: 999 } }),
      ).rejects.toThrow(/^snapshot 999 of volume 0: the run knows \d/);
    });
    expect(snapshotCount).toBeGreaterThan(2);
  });

  test("shows an operation to be undone that a rollback had undone", async () => {
    const more = ", rollback: 1/1";
    await afterRun(more, 7n, async (run, scanOf) => {
      const { device } = run.target.volumes[0]!;
      const { workload } = run;
      // A write between a snapshot and the rollback to it.
      const undone = run.tracker
        .rollbacksOf(0)
        .flatMap(({ record: { ltsMax }, afterLts }) =>
          Array.from({ length: Math.max(0, afterLts - ltsMax) }, (_, index) =>
            workload.visit(ltsMax + 1 + index),
          ),
        )
        .filter(({ extent }) => extent.volume === 0)
        .flatMap(({ lts, extent, operations }) => operations.map((one) => ({ lts, extent, ...one })))
        .find(({ kind }) => kind === "write")!;
      const block = undone.extent.firstBlock + undone.firstBlock;
      const position = undone.lts * 256 + undone.operationId + 1;
      const bytes = workload.run.kernel.allocate(4096);
      workload.run.inflate({ volume: 0, block, blockCount: 1, sectorCount: 8 }, bytes.address, position);
      await device.write({ block, blockCount: 1, from: bytes.bytes });
      const report = await scanOf(device, { volume: 0, state: { tracker: run.tracker } });
      expect(report.findings).toMatchObject([{ block, blockCount: 1, class: "undone", shows: position }]);
      expect(ltsOf(position)).toBe(undone.lts);
    });
  });
});
