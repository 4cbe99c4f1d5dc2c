/**
 * The operation log of whole runs, held against what their device and service saw themselves.
 *
 * @packageDocumentation
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { beforeAll, describe, expect, test } from "vitest";
import { parseConfig } from "../../src/runner/config/load.ts";
import {
  readOperationLog,
  type StoredOperation,
  writeOperationLog,
} from "../../src/runner/operation-log-file.ts";
import { Run } from "../../src/runner/run.ts";
import { performRun } from "../../src/runner/runner.ts";
import { stepWords } from "../../src/runner/step-words.ts";
import { memoryService } from "../../src/sut/memory.ts";
import {
  type BlockDevice,
  type BlockRange,
  type Outcome,
  type OutcomeCode,
  ServiceError,
} from "../../src/sut/port.ts";
import { replaced } from "../../src/sut/replaced.ts";
import { smallConfig } from "../support/memory-run.ts";

/** A call as the device saw it. */
interface Call extends BlockRange {
  readonly method: keyof BlockDevice;
  /** Connection on which it was answered. */
  connection: number;
  /** Number among all answers; absent before. */
  answered: number | undefined;
  outcome: Outcome | undefined;
}

/** A device that takes its time, breaks its promises now and then, and has a connection that is lost with that. */
class RecordingDevice {
  readonly calls: Call[] = [];
  readonly device: BlockDevice;
  #association = 1;
  #answerCount = 0;

  constructor(inner: BlockDevice) {
    const around = (method: keyof BlockDevice, range: BlockRange, apply: () => Promise<Outcome>) =>
      this.#call(method, range, apply);
    const spoiled = replaced(inner, {
      write: (request) => around("write", request, () => inner.write(request)),
      writeZeroes: (request) => around("writeZeroes", request, () => inner.writeZeroes(request)),
      deallocate: (request) => around("deallocate", request.ranges[0]!, () => inner.deallocate(request)),
      compareAndWrite: (request) => around("compareAndWrite", request, () => inner.compareAndWrite(request)),
      flush: () => around("flush", { block: 0, blockCount: 0 }, () => inner.flush()),
    });
    this.device = new Proxy(spoiled, {
      get: (device, name) => (name === "association" ? this.#association : Reflect.get(device, name)),
    });
  }

  async #call(
    method: keyof BlockDevice,
    { block, blockCount }: BlockRange,
    apply: () => Promise<Outcome>,
  ): Promise<Outcome> {
    const call: Call = { method, block, blockCount, connection: 0, answered: undefined, outcome: undefined };
    const number = this.calls.push(call);
    for (let turn = 0; turn < (number * 7) % 5; turn++) await nextTurn();
    const outcome = await this.#answer(number, apply);
    call.answered = this.#answerCount++;
    call.outcome = outcome;
    call.connection = this.#association;
    return outcome;
  }

  async #answer(number: number, apply: () => Promise<Outcome>): Promise<Outcome> {
    if (number % 29 === 0) return { kind: "failed", code: "ERR_MEDIA", message: "scratched" };
    const outcome = await apply();
    if (number % 23 !== 0) return outcome;
    const code: OutcomeCode = number % 2 === 0 ? "ERR_ABORTED" : "ERR_CONNECTION_LOST";
    // The new connection stands before whoever waits is told that the other was lost, at the latest.
    this.#association++;
    return { kind: "unknown", code, message: "gone" };
  }
}

interface Recorded {
  readonly run: Run;
  readonly calls: readonly Call[];
  /** The tracker's latest event when the service was asked for a snapshot, by call. */
  readonly snapshotEvents: readonly number[];
  readonly isConsistent: boolean;
}

async function recordedRun(options: {
  readonly config: string;
  readonly failsSnapshot?: number;
}): Promise<Recorded> {
  const config = parseConfig(options.config, "test");
  await using plain = await memoryService();
  const snapshotEvents: number[] = [];
  const service = replaced(plain, {
    createSnapshot: (request, given) => {
      snapshotEvents.push(run.tracker.lastEvent);
      if (snapshotEvents.length - 1 === options.failsSnapshot)
        throw new ServiceError("ERR_TARGET", "out of paper");
      return plain.createSnapshot(request, given);
    },
  });
  const { volumeSize, blockSize } = config.geometry;
  const { uuid } = await service.createVolume({
    ...{ name: "v0", sizeBytes: Number(volumeSize), sectorSizeBytes: blockSize },
  });
  const recording = new RecordingDevice(await service.openVolume(uuid));
  const run: Run = new Run({
    ...{ config, seed: 5n, name: "harrow-test", log: { info: () => {}, warn: () => {} } },
    target: {
      ...{ description: "memory", service, faults: undefined, failure: undefined, isLasting: false },
      volumes: [{ uuid, device: recording.device, isCreated: true }],
      keep: () => {},
      [Symbol.asyncDispose]: async () => {},
    },
    signal: new AbortController().signal,
    onViolation: () => {},
  });
  const { verdict } = await performRun(run, { onProgress: () => {} });
  return { run, calls: recording.calls, snapshotEvents, isConsistent: verdict === "consistent" };
}

const config = smallConfig
  .replace(
    /^runner:.*\n/m,
    "runner: { kind: concurrent, depth: 6, lts: 250, stopAfterTargetErrors: 1000000 }\n",
  )
  .replace(
    /^operations:.*\n/m,
    "operations: { perBatch: { min: 1, max: 4 }, blocks: { min: 1, max: 16 } }\n",
  );

const methods: Record<string, keyof BlockDevice> = {
  write: "write",
  writeFua: "write",
  writeZeroes: "writeZeroes",
  deallocate: "deallocate",
  deallocateTail: "deallocate",
  deallocateExtent: "deallocate",
  flush: "flush",
  compareAndWrite: "compareAndWrite",
  compareAndWriteMiss: "compareAndWrite",
};

/** The log of a run as its file has it. */
function stored(run: Run) {
  const directory = mkdtempSync(join(tmpdir(), "harrow-operation-log-run-"));
  try {
    const path = join(directory, "operations.sqlite");
    writeOperationLog(path, run.operationLog, {
      describe: (position) => {
        const found = run.workload.operationOf(position);
        if (found === undefined) return undefined;
        const { kind, firstBlock, blockCount } = found.operation;
        return { kind, block: blockCount === 0 ? 0 : found.extent.firstBlock + firstBlock, blockCount };
      },
    });
    const log = readOperationLog(path);
    const operations = log.between(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY);
    const steps = log.steps();
    log.close();
    return { operations, steps };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function seen({ text, outcome, code, connection }: StoredOperation) {
  return {
    ...{ method: methods[text!.kind], block: text!.block, blockCount: text!.blockCount },
    ...{ outcome, code, connection },
  };
}

describe("the operation log of a run", () => {
  let recorded: Recorded;
  beforeAll(async () => {
    recorded = await recordedRun({ config });
  });

  test("is what the device saw: which operations, in which order, how they ended, over which connection", () => {
    const { run, calls, isConsistent } = recorded;
    expect(isConsistent).toBe(true);
    const { operations } = stored(run);
    expect(calls.length).toBeGreaterThan(500);
    expect(operations.map(seen)).toEqual(
      calls.map(({ method, block, blockCount, outcome, connection }) => ({
        ...{ method, block, blockCount, connection, outcome: outcome!.kind },
        code: "code" in outcome! ? outcome.code : undefined,
      })),
    );
    const kinds = new Set(operations.map(({ outcome, code }) => `${outcome} ${code}`));
    for (const kind of [
      "ok undefined",
      "failed ERR_MEDIA",
      "unknown ERR_ABORTED",
      "unknown ERR_CONNECTION_LOST",
    ])
      expect(kinds).toContain(kind);
    // Answers came in the order of their events, and each event once.
    const byAnswer = [...calls.keys()].sort((a, b) => calls[a]!.answered! - calls[b]!.answered!);
    const byEvent = [...operations.keys()].sort(
      (a, b) => operations[a]!.completedEvent! - operations[b]!.completedEvent!,
    );
    expect(byEvent).toEqual(byAnswer);
    expect(byAnswer).not.toEqual([...calls.keys()]);
    const events = operations.flatMap(({ submittedEvent, completedEvent, fencedEvent }) =>
      [submittedEvent, completedEvent, fencedEvent].filter((event) => event !== undefined),
    );
    expect(new Set(events).size).toBe(events.length);
  });

  test("tells of what was in doubt when it was fenced, and has times that do not go back", () => {
    const { run } = recorded;
    const { operations } = stored(run);
    for (const {
      outcome,
      submittedEvent,
      completedEvent,
      fencedEvent,
      submittedMs,
      completedMs,
    } of operations) {
      expect(completedEvent).toBeGreaterThan(submittedEvent);
      expect(completedMs).toBeGreaterThanOrEqual(submittedMs);
      if (outcome === "unknown") expect(fencedEvent).toBeGreaterThan(completedEvent!);
      else expect(fencedEvent).toBeUndefined();
    }
    const submissions = operations.map(({ submittedMs }) => submittedMs);
    expect(submissions).toEqual(submissions.toSorted((a, b) => a - b));
    expect(Math.abs(submissions[0]! + run.operationLog.wallOffsetMs - Date.now())).toBeLessThan(60_000);
  });

  test("has every control step, around what the service was asked for", () => {
    const { run, snapshotEvents } = recorded;
    const { steps } = stored(run);
    const expected = Array.from({ length: 250 }, (_, lts) =>
      run.workload.control.stepsAfter(lts).map((step) => ({ lts, kind: step.kind, words: stepWords(step) })),
    ).flat();
    expect(expected.length).toBeGreaterThan(15);
    expect(steps).toMatchObject(expected.map((step) => ({ ...step, outcome: "ok" })));
    const snapshots = steps.filter(({ kind }) => kind === "snapshot");
    expect(snapshots).toHaveLength(snapshotEvents.length);
    for (const [index, { submittedEvent, completedEvent }] of snapshots.entries()) {
      expect(snapshotEvents[index]).toBeGreaterThan(submittedEvent);
      expect(snapshotEvents[index]).toBeLessThan(completedEvent!);
    }
  });

  test("ends with the step that ended the run, and what it failed at", async () => {
    const { run } = await recordedRun({ config, failsSnapshot: 2 });
    const { steps, operations } = stored(run);
    expect(steps.at(-1)).toMatchObject({
      kind: "snapshot",
      outcome: expect.stringContaining("out of paper"),
    });
    expect(steps.filter(({ outcome }) => outcome !== "ok")).toHaveLength(1);
    expect(operations.length).toBeGreaterThan(100);
  });
});
