/**
 * What a run remembers: whatever was committed, and nothing else, after any end.
 *
 * @packageDocumentation
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import Database from "better-sqlite3";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { Cut } from "../../src/model/cut.ts";
import type { RollbackRecord } from "../../src/model/lineage.ts";
import type { OperationTimes } from "../../src/model/operation-times.ts";
import { SnapshotCall } from "../../src/model/snapshot-call.ts";
import type { SnapshotRecord } from "../../src/model/snapshot-record.ts";
import { Tracker } from "../../src/model/tracker.ts";
import { RunStore } from "../../src/runner/run-store.ts";
import type { RunStoreErrorCode } from "../../src/runner/run-store-error.ts";
import { positionOf } from "../../src/selectors/operations.ts";

const root = mkdtempSync(join(tmpdir(), "harrow-run-store-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let directories = 0;
const newDirectory = (): string => join(root, `run-${directories++}`);

const infinity = Number.POSITIVE_INFINITY;
const about = {
  version: "1.2.3",
  configYaml: "run:\n  seed: 5\n",
  seed: "0x5eed",
  name: "nightly",
  target: { kind: "embedded", volumes: ["a", "b"] },
  startedAt: "2024-01-02T03:04:05.000Z",
};

/** What a process that is killed now would leave. */
function copied(directory: string): string {
  const copy = newDirectory();
  mkdirSync(copy);
  for (const file of ["run.sqlite", "run.sqlite-wal"])
    if (existsSync(join(directory, file))) copyFileSync(join(directory, file), join(copy, file));
  return copy;
}

function timesAt(position: number, rest: Partial<OperationTimes> = {}): OperationTimes {
  return {
    position,
    submitted: position * 2,
    completed: infinity,
    outcome: "inFlight",
    lostAt: infinity,
    hasOverlap: false,
    reads: undefined,
    ...rest,
  };
}

function recordOf(rest: Partial<SnapshotRecord> = {}): SnapshotRecord {
  return {
    snapshot: 0,
    volume: 0,
    name: "snapshot-0",
    lts: 10,
    submittedEvent: 100,
    completedEvent: 110,
    ltsBefore: 7,
    ltsMax: 12,
    inside: new Set(),
    open: new Map(),
    shown: new Map(),
    cut: Cut.within({ submitted: 100, completed: 110 }),
    branch: 0,
    ...rest,
  };
}

interface State {
  ltsReserved: number;
  ltsComplete: number;
  exceptions: readonly OperationTimes[];
  decisions: readonly { position: number; block: number; happened: boolean }[];
  snapshots: readonly SnapshotRecord[];
  rollbacks: readonly RollbackRecord[];
  documents: ReadonlyMap<string, unknown>;
}

/** A copy of all values, in which objects that are shared have the same number. */
function picture(state: State) {
  const numbers = new Map<object, number>();
  const numberOf = (object: object): number => {
    if (!numbers.has(object)) numbers.set(object, numbers.size);
    return numbers.get(object)!;
  };
  const byNumber = (a: readonly number[], b: readonly number[]): number => a[0]! - b[0]! || a[1]! - b[1]!;
  const ofTimes = (times: OperationTimes) => ({ ...times, reads: undefined, object: numberOf(times) });
  const ofRecord = ({ inside, open, shown, cut, ...rest }: SnapshotRecord) => ({
    ...rest,
    inside: [...inside],
    open: [...open].sort(byNumberOfEntry).map(([position, times]) => [position, ofTimes(times)]),
    shown: [...shown].sort(byNumber),
    instants: cut.instants.map((one) => ({ ...one })),
    cut: numberOf(cut),
  });
  return {
    ltsReserved: state.ltsReserved,
    ltsComplete: state.ltsComplete,
    exceptions: [...state.exceptions].sort((a, b) => a.position - b.position).map(ofTimes),
    decisions: state.decisions
      .map(({ position, block, happened }) => [position, block, happened ? 1 : 0])
      .sort(byNumber),
    snapshots: [...state.snapshots]
      .sort((a, b) => byNumber([a.volume, a.snapshot], [b.volume, b.snapshot]))
      .map((record) => ({ ...ofRecord(record), object: numberOf(record) })),
    rollbacks: state.rollbacks.map(({ volume, afterLts, record }) => ({
      volume,
      afterLts,
      record: { ...ofRecord(record), object: numberOf(record) },
    })),
    documents: Object.fromEntries([...state.documents].sort()),
  };
}

function byNumberOfEntry(a: readonly [number, unknown], b: readonly [number, unknown]): number {
  return a[0] - b[0];
}

/** What the store is told, kept in plain memory. */
class Reference {
  ltsReserved = -1;
  ltsComplete = -1;
  readonly exceptionsByPosition = new Map<number, OperationTimes>();
  readonly decisionsByKey = new Map<string, { position: number; block: number; happened: boolean }>();
  snapshots: SnapshotRecord[] = [];
  forgotten: SnapshotRecord[] = [];
  rollbacks: RollbackRecord[] = [];
  documents = new Map<string, unknown>();
  /** Under way, and told of nowhere but in snapshots. */
  flying: OperationTimes[] = [];

  static of(state: State): Reference {
    const reference = new Reference();
    reference.ltsReserved = state.ltsReserved;
    reference.ltsComplete = state.ltsComplete;
    for (const times of state.exceptions) reference.exceptionsByPosition.set(times.position, times);
    for (const one of state.decisions) reference.decisionsByKey.set(`${one.position}:${one.block}`, one);
    reference.snapshots = [...state.snapshots];
    reference.rollbacks = [...state.rollbacks];
    reference.documents = new Map(state.documents);
    const open = state.snapshots.flatMap((record) => [...record.open.values()]);
    reference.flying = [...new Set(open)].filter(
      (times) => times.completed === infinity && reference.exceptionsByPosition.get(times.position) !== times,
    );
    return reference;
  }

  get exceptions(): readonly OperationTimes[] {
    return [...this.exceptionsByPosition.values()];
  }

  get decisions() {
    return [...this.decisionsByKey.values()];
  }
}

type Step = readonly [kind: keyof typeof steps, a: number, b: number];

let lastPosition = 0;
let lastSnapshot = 0;

const pick = <Value>(values: readonly Value[], index: number): Value | undefined =>
  values.length === 0 ? undefined : values[index % values.length];

const steps = {
  submit: (_store, reference) => {
    reference.flying.push(timesAt(++lastPosition));
  },
  /** Nobody is told of this one. */
  complete: (_store, reference, a, b) => {
    const times = pick(reference.flying, a);
    if (times === undefined) return;
    reference.flying.splice(reference.flying.indexOf(times), 1);
    times.outcome = "ok";
    times.completed = times.submitted + b;
    if (b % 3 === 0) times.lostAt = times.completed;
  },
  except: (store, reference, a, b) => {
    const times = pick(reference.flying, a) ?? timesAt(++lastPosition);
    const flying = reference.flying.indexOf(times);
    if (flying >= 0) reference.flying.splice(flying, 1);
    times.outcome = b % 2 === 0 ? "unknown" : "failed";
    times.hasOverlap = b % 3 === 0;
    if (b % 2 === 1) times.completed = times.submitted + b;
    reference.exceptionsByPosition.set(times.position, times);
    store.exception(times);
  },
  fence: (store, reference, a, b) => {
    const times = pick(reference.exceptions, a);
    if (times === undefined) return;
    times.completed = times.submitted + b;
    times.lostAt = b % 2 === 0 ? infinity : times.completed + 1;
    store.exception(times);
  },
  replaceException: (store, reference, a) => {
    const times = pick(reference.exceptions, a);
    if (times === undefined) return;
    const other = { ...times, lostAt: 5, completed: times.submitted + 1 };
    // The one that gives way may still be open in a snapshot.
    times.completed = other.completed;
    store.exception(times);
    reference.exceptionsByPosition.set(times.position, other);
    store.exception(other);
  },
  decide: (store, reference, a, b) => {
    const [position, block, happened] = [a % 8, b % 4, b % 3 === 0];
    reference.decisionsByKey.set(`${position}:${block}`, { position, block, happened });
    store.decision(position, block, happened);
  },
  undecide: (store, reference, a, b) => {
    reference.decisionsByKey.delete(`${a % 8}:${b % 4}`);
    store.decision(a % 8, b % 4, undefined);
  },
  takeSnapshot: (store, reference, a, b) => {
    const snapshot = ++lastSnapshot;
    const open = [...reference.flying, ...reference.exceptions].filter((_, index) => (a >> (index % 8)) & 1);
    const cut = new Cut([
      { after: Number.NEGATIVE_INFINITY, before: 100, shown: 0, missing: -7 },
      { after: 200, before: infinity, shown: 2 ** 52, missing: 0 },
    ]);
    const record = recordOf({
      snapshot,
      volume: b % 2,
      name: `snapshot-${snapshot}`,
      lts: a,
      inside: new Set([2 ** 50 + a, a, b + 1000]),
      open: new Map(open.map((times) => [times.position, times])),
      shown: new Map(),
      cut: b % 3 === 0 ? (pick(reference.snapshots, a)?.cut ?? cut) : cut,
      branch: reference.rollbacks.length,
    });
    reference.snapshots.push(record);
    store.snapshot(record);
  },
  show: (store, reference, a, b) => {
    const lineage = reference.rollbacks.map(({ record }) => record);
    const record = pick([...reference.snapshots, ...reference.forgotten, ...lineage], a);
    if (record === undefined) return;
    record.shown.set(b % 16, b % 2 === 0 ? -(2 ** 51) - b : a);
    store.snapshot(record);
  },
  /** Nobody is told of this one. */
  narrow: (_store, reference, a, b) => {
    pick(reference.snapshots, a)?.cut.alsoWithin({ submitted: b % 90, completed: infinity });
  },
  forget: (store, reference, a) => {
    const record = pick(reference.snapshots, a);
    if (record === undefined) return;
    reference.snapshots.splice(reference.snapshots.indexOf(record), 1);
    reference.forgotten.push(record);
    store.snapshotForgotten(record);
  },
  rollBack: (store, reference, a, b) => {
    const record = pick([...reference.snapshots, ...reference.forgotten], a);
    if (record === undefined) return;
    const rollback = { volume: record.volume, afterLts: b, record };
    reference.rollbacks.push(rollback);
    store.rollback(rollback);
  },
  ltsComplete: (store, reference, a) => {
    reference.ltsComplete += a;
    store.ltsComplete(reference.ltsComplete);
  },
  putDocument: (store, reference, a, b) => {
    const value = { a, b: [b, null, "ä"] };
    reference.documents.set(`document-${a % 4}`, value);
    store.putDocument(`document-${a % 4}`, value);
    expect(store.document(`document-${a % 4}`)).toEqual(value);
  },
  deleteDocument: (store, reference, a) => {
    reference.documents.delete(`document-${a % 4}`);
    store.putDocument(`document-${a % 4}`, undefined);
    expect(store.document(`document-${a % 4}`)).toBeUndefined();
  },
} satisfies Record<string, (store: RunStore, reference: Reference, a: number, b: number) => void>;

const anyStep: fc.Arbitrary<
  Step | readonly ["commit" | "commitDurably" | "reserve" | "kill", number, number]
> = fc.tuple(
  fc.constantFrom(
    ...(Object.keys(steps) as (keyof typeof steps)[]),
    ...(["commit", "commit", "commit", "commitDurably", "reserve", "kill", "kill"] as const),
  ),
  fc.nat(255),
  fc.nat(255),
);

describe("a run's store", () => {
  test("loads exactly what was committed, after every end and however often", () => {
    fc.assert(
      fc.property(fc.array(anyStep, { minLength: 20, maxLength: 120, size: "max" }), (sequence) => {
        let directory = newDirectory();
        let store = RunStore.create(directory, about);
        let reference = new Reference();
        let committed = picture(reference);
        for (const [kind, a, b] of sequence) {
          if (kind === "kill") {
            directory = copied(directory);
            store.close();
            store = RunStore.open(directory);
            const loaded = store.load();
            expect(picture(loaded)).toEqual(committed);
            expect(loaded.about).toEqual(about);
            reference = Reference.of(loaded);
            continue;
          }
          switch (kind) {
            case "commit":
              store.commit();
              break;
            case "commitDurably":
              store.commitDurably();
              break;
            case "reserve":
              reference.ltsReserved = Math.max(reference.ltsReserved, a * 8);
              store.reserve(a * 8);
              break;
            default:
              steps[kind](store, reference, a, b);
              continue;
          }
          committed = picture(reference);
        }
        store.close();
        const last = RunStore.open(directory);
        expect(picture(last.load())).toEqual(picture(reference));
        last.close();
      }),
      { numRuns: 60 },
    );
  });

  test("gives a tracker back what another knew, with times that change while a snapshot holds them", () => {
    const directory = newDirectory();
    const store = RunStore.create(directory, about);
    const tracker = new Tracker();
    store.follow(tracker);
    store.reserve(10);
    for (const lts of [0, 1, 2]) tracker.beginLts(lts);
    const [early, hot, doubtful] = [positionOf(0, 0), positionOf(1, 0), positionOf(2, 0)];
    for (const position of [early, hot, doubtful]) tracker.submit(position);
    tracker.complete(early, "ok");
    const call = new SnapshotCall(tracker);
    const cut = Cut.within({ submitted: call.observation.submitted, completed: infinity });
    const about0 = { snapshot: 0, volume: 0, name: "a", lts: 1, branch: 0, cut };
    const record = call.completed(about0);
    tracker.addSnapshot(record);
    tracker.addSnapshot({ ...record, volume: 1 });
    store.commit();
    // After the snapshot was written, without a word about the first.
    tracker.complete(hot, "ok");
    tracker.complete(doubtful, "unknown");
    tracker.endLts(0);
    tracker.endLts(1);
    record.shown.set(3, -hot);
    tracker.snapshotChanged(record);
    tracker.decide(doubtful, 4, true);
    store.commit();
    const resumed = RunStore.open(copied(directory));
    const loaded = resumed.load();
    expect(loaded).toMatchObject({ ltsReserved: 10, ltsComplete: 1 });
    expect(loaded.event).toBeGreaterThan(tracker.lastEvent + 1e9);
    const [first, second] = loaded.snapshots;
    expect(first).toEqual(record);
    expect(second!.cut).toBe(first!.cut);
    expect(first!.open.get(hot)).toMatchObject({ outcome: "ok", completed: record.open.get(hot)!.completed });
    const again = Tracker.resumed(loaded);
    expect(again.exceptionOf(doubtful)).toBe(first!.open.get(doubtful));
    expect(again.decisionOn(doubtful, 4)).toBe(true);
    resumed.follow(again);
    again.fence(doubtful);
    resumed.close();
    store.close();
  });

  test("keeps event numbers of a process above those of all before it", () => {
    const directory = newDirectory();
    let event = 0;
    let store = RunStore.create(directory, about);
    for (let process = 0; process < 3; process++) {
      const source = { lastEvent: event, listen: () => {} };
      store.follow(source);
      store.reserve(process);
      source.lastEvent += 2 ** 31 + 5;
      store.commit();
      event = source.lastEvent + 2 ** 31 - 10;
      store.close();
      store = RunStore.open(directory);
      expect(store.load().event).toBeGreaterThan(event);
      event = store.load().event;
    }
    store.close();
  });

  test.for(["cut", "open operation"])(
    "commits a change of a snapshot's %s that nobody told of",
    (changed) => {
      const directory = newDirectory();
      const store = RunStore.create(directory, about);
      const times = timesAt(1);
      const record = recordOf({ open: new Map([[1, times]]) });
      store.snapshot(record);
      store.commit();
      if (changed === "cut") record.cut.alsoWithin({ submitted: 105, completed: infinity });
      else Object.assign(times, { outcome: "ok", completed: 104 });
      store.commit();
      const opened = RunStore.open(copied(directory));
      const [loaded] = opened.load().snapshots;
      expect(loaded!.open.get(1)).toEqual(times);
      expect(loaded!.cut.instants).toEqual(record.cut.instants);
      opened.close();
      store.close();
    },
  );

  test("puts a snapshot in the place of another of its volume and number", () => {
    const directory = newDirectory();
    const store = RunStore.create(directory, about);
    const [old, older, young] = ["old", "older", "young"].map((name) => recordOf({ name }));
    for (const record of [older!, old!, young!]) {
      store.snapshot(record);
      if (record === older) store.rollback({ volume: 0, afterLts: 3, record });
      store.commit();
    }
    store.close();
    const opened = RunStore.open(directory);
    expect(opened.load().snapshots.map(({ name }) => name)).toEqual(["young"]);
    expect(opened.load().rollbacks.map(({ record }) => record.name)).toEqual(["older"]);
    opened.close();
  });

  test("does not write a snapshot anew for each thing that it shows", () => {
    const directory = newDirectory();
    const store = RunStore.create(directory, about);
    const inside = new Set(Array.from({ length: 100_000 }, (_, index) => index + 1));
    const record = recordOf({ inside });
    store.snapshot(record);
    store.commit();
    const before = readFileSync(join(directory, "run.sqlite-wal")).length;
    for (let block = 0; block < 20; block++) {
      record.shown.set(block, block);
      store.snapshot(record);
      store.snapshot(record);
      store.commit();
    }
    expect(readFileSync(join(directory, "run.sqlite-wal")).length - before).toBeLessThan(600_000);
    store.close();
    const opened = RunStore.open(directory);
    expect(opened.load().snapshots[0]!.shown.size).toBe(20);
    opened.close();
  });

  test("deletes what nobody can ask for any more", () => {
    const directory = newDirectory();
    const store = RunStore.create(directory, about);
    const shared = timesAt(5);
    for (let snapshot = 0; snapshot < 10; snapshot++) {
      const open = new Map([
        [5, shared],
        [100 + snapshot, timesAt(100 + snapshot)],
      ]);
      const record = recordOf({
        snapshot,
        open,
        shown: new Map([[1, 1]]),
        cut: new Cut(recordOf().cut.instants),
      });
      store.snapshot(record);
      store.commit();
      store.snapshotForgotten(record);
      if (snapshot === 3) store.rollback({ volume: 0, afterLts: 20, record });
      store.commit();
      store.snapshot(record);
      store.commit();
    }
    store.close();
    const database = new Database(join(directory, "run.sqlite"));
    const count = (table: string) => database.prepare(`SELECT count(*) FROM ${table}`).pluck().get();
    expect(["snapshots", "cuts", "snapshotShown", "snapshotOpen", "times"].map(count)).toEqual([
      1, 1, 1, 2, 2,
    ]);
    database.close();
  });
});

describe("a run's directory", () => {
  const refusals: Record<string, readonly [RunStoreErrorCode, RegExp, (directory: string) => void]> = {
    "is not there": ["ERR_NOT_A_RUN", /is not the directory of a run/, () => {}],
    "is empty": ["ERR_NOT_A_RUN", /is not the directory of a run/, (directory) => mkdirSync(directory)],
    "is a file": [
      "ERR_NOT_A_RUN",
      /is not the directory of a run/,
      (directory) => writeFileSync(directory, ""),
    ],
    "was left before the run began": [
      "ERR_NOT_A_RUN",
      /ended before it began/,
      (directory) => {
        mkdirSync(directory);
        writeFileSync(join(directory, "run.sqlite"), "");
      },
    ],
    "holds another program's database": [
      "ERR_NOT_A_RUN",
      /is not the directory of a run/,
      (directory) => {
        mkdirSync(directory);
        new Database(join(directory, "run.sqlite")).exec("CREATE TABLE t (a)").close();
      },
    ],
    "holds something else": [
      "ERR_DAMAGED",
      /run\.sqlite: is damaged \(file is not a database\)/,
      (directory) => {
        mkdirSync(directory);
        writeFileSync(join(directory, "run.sqlite"), "something else\n".repeat(1000));
      },
    ],
    "was cut short": [
      "ERR_DAMAGED",
      /is damaged/,
      (directory) => {
        RunStore.create(directory, about).close();
        truncateSync(join(directory, "run.sqlite"), 3 * 4096);
      },
    ],
    "lacks a cut that a snapshot has": [
      "ERR_DAMAGED",
      /cut 1 is missing/,
      (directory) => damagedBy(directory, "DELETE FROM cuts"),
    ],
    "lacks the times of an operation": [
      "ERR_DAMAGED",
      /times row 1 is missing/,
      (directory) => damagedBy(directory, "DELETE FROM times"),
    ],
    "holds half a cut": [
      "ERR_DAMAGED",
      /a cut has 3 numbers/,
      (directory) => damagedBy(directory, "UPDATE cuts SET instants = zeroblob(24)"),
    ],
    "holds positions of no whole length": [
      "ERR_DAMAGED",
      /7 bytes long/,
      (directory) => damagedBy(directory, "UPDATE snapshots SET inside = zeroblob(7)"),
    ],
    "holds an outcome that there is not": [
      "ERR_DAMAGED",
      /outcome maybe/,
      (directory) => damagedBy(directory, "UPDATE times SET outcome = 'maybe'"),
    ],
    "holds a document that is no JSON": [
      "ERR_DAMAGED",
      /document target is no JSON/,
      (directory) => damagedBy(directory, "UPDATE about SET target = '{'"),
    ],
    "lacks a table": [
      "ERR_DAMAGED",
      /is damaged/,
      (directory) => damagedBy(directory, "DROP TABLE documents"),
    ],
    "is of another format": [
      "ERR_FORMAT_VERSION",
      /has format version 77, and this version of harrow knows 1 only/,
      (directory) => damagedBy(directory, "PRAGMA user_version = 77"),
    ],
    "holds a run that is finished": [
      "ERR_FINISHED",
      /run nightly finished at 2024-01-03T00:00:00Z, with verdict consistent: start a new one/,
      (directory) => {
        const store = RunStore.create(directory, about);
        store.finish({ verdict: "consistent", finishedAt: "2024-01-03T00:00:00Z" });
        store.close();
      },
    ],
    "is in use": [
      "ERR_IN_USE",
      /in use by a process that is alive/,
      (directory) => RunStore.create(directory, about),
    ],
  };

  test.for(Object.entries(refusals))("is not opened if it %s", ([, [code, message, prepare]]) => {
    const directory = newDirectory();
    prepare(directory);
    expect(() => RunStore.open(directory)).toThrow(expect.objectContaining({ code }));
    expect(() => RunStore.open(directory)).toThrow(message);
  });

  const occupied: Record<string, (directory: string) => void> = {
    "holds a run": (directory) => RunStore.create(directory, about).close(),
    "holds a file": (directory) => {
      mkdirSync(directory);
      writeFileSync(join(directory, "notes.txt"), "");
    },
    "is a file": (directory) => writeFileSync(directory, ""),
  };

  test.for(Object.entries(occupied))("is not taken for a new run if it %s", ([, prepare]) => {
    const directory = newDirectory();
    prepare(directory);
    expect(() => RunStore.create(directory, about)).toThrow(
      expect.objectContaining({ code: "ERR_NOT_EMPTY" }),
    );
  });

  test("is taken for a new run with its parents, and given back by closing, which may be repeated", () => {
    const directory = join(newDirectory(), "deep", "down");
    const store = RunStore.create(directory, about);
    store.putDocument("intent", { create: "snapshot-1" });
    store.close();
    store.close();
    expect(() => store.commitDurably()).toThrow(/is closed/);
    const opened = RunStore.open(directory);
    expect(opened.document("intent")).toEqual({ create: "snapshot-1" });
    expect(opened.load().documents).toEqual(new Map([["intent", { create: "snapshot-1" }]]));
    opened.close();
  });
});

function damagedBy(directory: string, sql: string): void {
  const store = RunStore.create(directory, about);
  store.snapshot(recordOf({ open: new Map([[1, timesAt(1)]]) }));
  store.close();
  const database = new Database(join(directory, "run.sqlite"));
  database.exec(sql);
  database.close();
}

describe("a process of a run", () => {
  const worker = fileURLToPath(new URL("run-store-worker.ts", import.meta.url));
  const command = ["--import", "tsx", worker];

  test("keeps others out while it lives, and loses nothing that it committed when it is killed", async () => {
    for (const commits of [1, 57, 400]) {
      const directory = newDirectory();
      const log = `${directory}.txt`;
      const fd = openSync(log, "a");
      const child = spawn(process.execPath, [...command, directory], { stdio: ["ignore", fd, "inherit"] });
      closeSync(fd);
      const exited = once(child, "exit");
      const lines = (): string[] => readFileSync(log, "utf8").split("\n").slice(0, -1);
      while (child.exitCode === null && lines().length < commits) await setTimeout(2);
      expect(() => RunStore.open(directory)).toThrow(expect.objectContaining({ code: "ERR_IN_USE" }));
      child.kill("SIGKILL");
      await exited;
      expect(child.signalCode).toBe("SIGKILL");
      const highest = (word: string): number =>
        Math.max(
          -1,
          ...lines().flatMap((line) => (line.startsWith(word) ? [Number(line.split(" ")[1])] : [])),
        );
      const store = RunStore.open(directory);
      const { ltsReserved, ltsComplete, exceptions, decisions, documents } = store.load();
      store.close();
      expect(ltsReserved).toBeGreaterThanOrEqual(highest("reserved"));
      expect(ltsComplete).toBeGreaterThanOrEqual(highest("committed"));
      expect(ltsReserved).toBeGreaterThanOrEqual(ltsComplete);
      const all = Array.from({ length: ltsComplete + 1 }, (_, lts) => positionOf(lts, 0));
      expect(exceptions.map(({ position }) => position)).toEqual(all);
      expect(decisions.map(({ position }) => position)).toEqual(all);
      if (ltsComplete >= 0) expect(documents.get("lts")).toEqual({ lts: ltsComplete, ballast: "" });
    }
  });

  test("is told that the disk takes no more, and leaves what it had committed", () => {
    const directory = newDirectory();
    // 2 MiB are the most that any file of this process may be.
    const limited = ["-c", 'ulimit -f 2048; trap "" XFSZ; exec "$@"', "bash", process.execPath, ...command];
    const { stdout } = spawnSync("bash", [...limited, directory, "100000"], { encoding: "utf8" });
    const lines = stdout.trim().split("\n");
    expect(lines.slice(-2)).toEqual(["ERR_IO", "closed"]);
    const [, lts] = lines.at(-3)!.split(" ");
    const store = RunStore.open(directory);
    expect(store.load().ltsComplete).toBe(Number(lts));
    store.close();
  });
});
