/**
 * What a run remembers, written down at once and taken up again.
 *
 * @packageDocumentation
 */
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { SnapshotCall } from "../../src/model/snapshot-call.ts";
import { Tracker } from "../../src/model/tracker.ts";
import { snapshotView, standingOf, type View, volumeView } from "../../src/model/view.ts";
import { parseConfig } from "../../src/runner/config/load.ts";
import { Run } from "../../src/runner/run.ts";
import { type RememberedRun, writeRunMemory } from "../../src/runner/run-memory.ts";
import { RunStoreError } from "../../src/runner/run-store-error.ts";
import { readRunMemory, RunStore } from "../../src/runner/run-store.ts";
import { serviceTarget } from "../../src/runner/service-target.ts";
import { positionOf } from "../../src/selectors/operations.ts";
import { memoryService } from "../../src/sut/memory.ts";

const root = mkdtempSync(join(tmpdir(), "harrow-run-memory-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let directories = 0;
const newDirectory = (): string => join(root, `memory-${directories++}`);

const about = { version: "1.2.3", startedAt: "2024-01-02T03:04:05.000Z", elapsedMs: 17 };
const config = parseConfig(
  "geometry: { volumeSize: 1MiB, extentSize: 64KiB, volumes: 2 }\noperations: { blocks: { max: 16 } }\n",
  "test",
);

/** A run that has done nothing, with a tracker of its own. */
async function runWith(tracker: Tracker): Promise<RememberedRun> {
  const target = await serviceTarget({ service: await memoryService(), config });
  const run = new Run({
    ...{ config, seed: 5n, name: "nightly", target, log: { info: () => {}, warn: () => {} } },
    signal: new AbortController().signal,
    onViolation: () => {},
  });
  const { seed, name, ledger, ltsClock, digest, unequal } = run;
  const snapshotsKept = [{ snapshot: 3, isAlive: true, volumes: [{ uuid: "u", name: "n" }] }];
  return {
    config,
    seed,
    name,
    target,
    tracker,
    ledger,
    ltsClock,
    digest,
    unequal,
    snapshotsKept,
    crashLts: 9,
  };
}

const volumes = [0, 1];
const operationsPerLts = 3;

/** Whatever may happen to a tracker, one thing after another. */
class Driver {
  readonly tracker = new Tracker();
  readonly #open = new Map<number, Set<number>>();
  readonly #inFlight: number[] = [];
  readonly #inDoubt = new Set<number>();
  readonly #done: { position: number; submitted: number; completed: number }[] = [];
  readonly #submitted = new Map<number, number>();
  readonly #calls: { call: SnapshotCall; volume: number }[] = [];
  #nextLts = 0;
  #nextSnapshot = 0;

  step(kind: number, pick: number): void {
    const { tracker } = this;
    switch (kind) {
      case 0: {
        tracker.beginLts(this.#nextLts);
        const all = Array.from({ length: operationsPerLts }, (_, id) => positionOf(this.#nextLts, id));
        this.#open.set(this.#nextLts++, new Set(all));
        for (const position of all) {
          if (pick % 7 === 0 && position !== all[0]) continue;
          this.#submitted.set(position, tracker.submit(position, { hasOverlap: pick % 5 === 0 }));
          this.#inFlight.push(position);
        }
        return;
      }
      case 1:
      case 2:
      case 3:
        this.#complete(pick);
        return;
      case 4: {
        const position = [...this.#inDoubt][pick % Math.max(1, this.#inDoubt.size)];
        if (position !== undefined) this.#fence(position);
        return;
      }
      case 5: {
        const volume = volumes[pick % 2]!;
        this.#calls.push({ call: new SnapshotCall(tracker), volume });
        return;
      }
      case 6: {
        const next = this.#calls.shift();
        if (next === undefined) return;
        const snapshot = this.#nextSnapshot++;
        const { volume } = next;
        const name = `s${snapshot}`;
        tracker.addSnapshot(next.call.completed({ snapshot, volume, name, lts: this.#nextLts }));
        return;
      }
      case 7: {
        const record = tracker.snapshots[pick % Math.max(1, tracker.snapshots.length)];
        if (record === undefined) return;
        record.shown.set(pick, -pick);
        tracker.snapshotChanged(record);
        if (pick % 3 === 0) tracker.forgetSnapshot(record);
        return;
      }
      case 8: {
        const record = tracker.snapshots[pick % Math.max(1, tracker.snapshots.length)];
        if (record === undefined) return;
        while (this.#inFlight.length > 0) this.#complete(2);
        for (const position of [...this.#inDoubt]) this.#fence(position);
        tracker.rolledBack({ volume: record.volume, afterLts: tracker.ltsStartedMax, record });
        return;
      }
      case 9: {
        const event = tracker.crashed();
        for (const operation of this.#done.slice(-(pick % 4)))
          tracker.lose(operation.position, event, operation);
        return;
      }
      case 10: {
        const all = [...tracker.exceptions()];
        const times = all[pick % Math.max(1, all.length)];
        if (times === undefined || tracker.decisionOn(times.position, pick) !== undefined) return;
        tracker.decide(times.position, pick, pick % 2 === 0);
      }
    }
  }

  #fence(position: number): void {
    this.tracker.fence(position);
    this.#inDoubt.delete(position);
    this.#over(position);
  }

  #complete(pick: number): void {
    const [position] = this.#inFlight.splice(pick % Math.max(1, this.#inFlight.length), 1);
    if (position === undefined) return;
    const outcome = pick % 6 === 0 ? "unknown" : pick % 6 === 1 ? "failed" : "ok";
    const completed = this.tracker.complete(position, outcome);
    if (outcome === "unknown") this.#inDoubt.add(position);
    else this.#over(position);
    if (outcome === "ok") this.#done.push({ position, submitted: this.#submitted.get(position)!, completed });
  }

  #over(position: number): void {
    for (const [lts, left] of this.#open) {
      if (!left.delete(position)) continue;
      const waits = [...left].some((one) => this.#inFlight.includes(one) || this.#inDoubt.has(one));
      if (waits) return;
      this.#open.delete(lts);
      this.tracker.endLts(lts);
      return;
    }
  }
}

/** How every operation stands in a view; of a volume, those that are not under way: it is looked at when it is at rest. */
function standings(tracker: Tracker, view: View, isAtRest: (position: number) => boolean) {
  return view.segments.map((segment) => {
    const all: unknown[] = [];
    for (let lts = segment.ltsMin + 1; lts <= segment.ltsMax; lts++)
      for (let id = 0; id < operationsPerLts; id++) {
        if (segment.record === undefined && !isAtRest(positionOf(lts, id))) continue;
        const { standing, times } = standingOf(tracker, view, segment, positionOf(lts, id), lts);
        all.push([lts, id, standing, standing === "open" ? [times?.submitted, times?.completed] : undefined]);
      }
    return { ltsMin: segment.ltsMin, ltsMax: segment.ltsMax, branch: segment.branch, all };
  });
}

function positionsBetween(ltsComplete: number, ltsMax: number): readonly number[] {
  const positions: number[] = [];
  for (let lts = ltsComplete + 1; lts <= ltsMax; lts++)
    for (let id = 0; id < operationsPerLts; id++) positions.push(positionOf(lts, id));
  return positions;
}

/** All that is asked of a tracker when something is judged at rest. */
function answers(tracker: Tracker, ltsMax: number, isAtRest: (position: number) => boolean) {
  return {
    volumes: volumes.map((volume) => standings(tracker, volumeView(tracker, volume, ltsMax), isAtRest)),
    snapshots: [...tracker.snapshots]
      .sort((a, b) => a.snapshot - b.snapshot)
      .map((record) => ({
        ...{
          snapshot: record.snapshot,
          lts: record.lts,
          branch: record.branch,
          shown: [...record.shown].sort(),
        },
        ...{ inside: [...record.inside], instants: record.cut.instants },
        standings: standings(tracker, snapshotView(tracker, record), isAtRest),
      })),
    rollbacks: volumes.map((volume) =>
      tracker.rollbacksOf(volume).map(({ afterLts, record }) => [afterLts, record.snapshot]),
    ),
    inDoubt: tracker.inDoubt,
    decisions: Array.from({ length: (ltsMax + 1) * operationsPerLts }, (_, index) => {
      const position = positionOf(Math.floor(index / operationsPerLts), index % operationsPerLts);
      return Array.from({ length: 30 }, (__, block) => tracker.decisionOn(position, block));
    }),
  };
}

describe("what a run remembers", () => {
  test("gives the same answers when it was written and taken up again", async () => {
    const run = await runWith(new Tracker());
    const step = fc.tuple(fc.nat(10), fc.nat(29));
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 120 }), (steps) => {
        const driver = new Driver();
        for (const [kind, pick] of steps) driver.step(kind, pick);
        const { tracker } = driver;
        const directory = newDirectory();
        const isAtRest = (position: number): boolean => tracker.timesOf(position)?.outcome !== "inFlight";
        const before = answers(tracker, tracker.ltsStartedMax, isAtRest);
        writeRunMemory(directory, { ...run, tracker }, about);
        const memory = readRunMemory(directory);
        rmSync(directory, { recursive: true });
        expect(memory.event).toBeGreaterThanOrEqual(tracker.lastEvent);
        expect([memory.ltsComplete, memory.ltsReserved]).toEqual([
          tracker.ltsCompleteMax,
          tracker.ltsStartedMax,
        ]);
        const resumed = Tracker.resumed(memory);
        expect(answers(resumed, tracker.ltsStartedMax, isAtRest)).toEqual(before);
        const open = positionsBetween(tracker.ltsCompleteMax, tracker.ltsStartedMax);
        const mayHaveHappened = open.filter(
          (position) => !isAtRest(position) || tracker.timesOf(position) === undefined,
        );
        resumed.interrupt(open);
        expect(new Set(resumed.inDoubt)).toEqual(new Set([...tracker.inDoubt, ...mayHaveHappened]));
      }),
      { numRuns: 40 },
    );
  });

  test("knows a snapshot that was deleted only by the rollback to it", async () => {
    const run = await runWith(new Tracker());
    const driver = new Driver();
    const [begin, call, take, rollBack, forget] = [0, 5, 6, 8, 7];
    for (const kind of [begin, call, take, rollBack, call, take, forget]) driver.step(kind, 0);
    const directory = newDirectory();
    writeRunMemory(directory, { ...run, tracker: driver.tracker }, about);
    const memory = readRunMemory(directory);
    expect(memory.snapshots.map(({ snapshot }) => snapshot)).toEqual([1]);
    expect(memory.rollbacks.map(({ record }) => record.snapshot)).toEqual([0]);
  });

  test("says which run it is of, and holds what a run that goes on needs", async () => {
    const directory = newDirectory();
    writeRunMemory(directory, await runWith(new Tracker()), about);
    expect(readdirSync(directory)).toEqual(["run.sqlite"]);
    const memory = readRunMemory(directory);
    expect(memory.about).toMatchObject({ version: "1.2.3", seed: "0x5", name: "nightly" });
    expect(memory.about.target).toMatchObject({ volumes: [{ isCreated: true }, { isCreated: true }] });
    expect(parseConfig(memory.about.configYaml, "kept")).toEqual({ ...config, seed: 5n });
    expect(Object.fromEntries(memory.documents)).toMatchObject({
      progress: { elapsedMs: 17 },
      snapshots: [{ snapshot: 3, isAlive: true }],
      unequal: [[], []],
      crashLts: 9,
    });
  });

  test("is read without being held or changed, also while a run goes on", () => {
    const directory = newDirectory();
    const seed = "0x1";
    const store = RunStore.create(directory, { ...about, configYaml: "", seed, name: "live", target: {} });
    store.putDocument("one", 1);
    store.commit();
    const hash = () =>
      readdirSync(directory)
        .map((file) =>
          createHash("sha256")
            .update(readFileSync(join(directory, file)))
            .digest("hex"),
        )
        .join();
    const before = hash();
    expect(readRunMemory(directory).documents.get("one")).toBe(1);
    expect(hash()).toBe(before);
    store.putDocument("one", 2);
    store.finish({ verdict: "violation", finishedAt: about.startedAt });
    store.close();
    expect(readRunMemory(directory).documents.get("one")).toBe(2);
  });

  test("is not had where there is no room for a copy, and that is said", () => {
    const { TMPDIR } = process.env;
    process.env["TMPDIR"] = join(root, "gone");
    try {
      expect(() => readRunMemory(root)).toThrow(RunStoreError);
    } finally {
      if (TMPDIR === undefined) delete process.env["TMPDIR"];
      else process.env["TMPDIR"] = TMPDIR;
    }
  });

  test("is refused where no run was", () => {
    expect(() => readRunMemory(root)).toThrow("is not the directory of a run");
    expect(() => readRunMemory(join(root, "nowhere"))).toThrow("is not the directory of a run");
  });
});
