/**
 * The operation log as a file: what was told, and a clear error for what is no longer that.
 *
 * @packageDocumentation
 */
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { OperationLog } from "../../src/runner/operation-log.ts";
import {
  OperationLogError,
  type OperationLogFile,
  readOperationLog,
  writeOperationLog,
} from "../../src/runner/operation-log-file.ts";
import { operationAt, positionOf } from "../../src/selectors/operations.ts";
import { ok } from "../../src/sut/port.ts";
import { SimulatedClock } from "../../src/sut/simulated-clock.ts";

let directory: string;
let path: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "harrow-operation-log-"));
  path = join(directory, "operations.sqlite");
  writeOperationLog(path, filled(), { describe: describeEven });
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Ends of each kind, at lts 2 to 6 of 0 to 6, two operations an lts; and a step that is over beside one that is not. */
function filled(): OperationLog {
  const log = new OperationLog({
    clock: new SimulatedClock({ startMs: 1000.5 }),
    capacity: 10,
    stepCapacity: 2,
  });
  for (let lts = 0; lts < 7; lts++)
    for (const operationId of [0, 1]) {
      const event = lts * 10 + operationId;
      const connection = operationId === 0 ? 1 : undefined;
      const number = log.submit(positionOf(lts, operationId), { volume: 1, event: event + 1, connection });
      if (operationId === 0) log.complete(number, ok, { event: event + 5, connection });
      else if (lts === 3)
        log.complete(
          number,
          { kind: "failed", code: "ERR_MEDIA", message: "" },
          { event: event + 5, connection },
        );
      else if (lts === 4 || lts === 5)
        log.complete(
          number,
          { kind: "unknown", code: "ERR_TIMEOUT", message: "" },
          { event: event + 5, connection },
        );
      if (operationId === 1 && lts === 4) log.fence(number, 48);
    }
  for (const lts of [1, 2, 3]) {
    const step = log.beginStep({ lts, kind: "clone", words: `clone ${lts} of`, submittedEvent: 100 + lts });
    if (lts < 3) log.endStep(step, { event: 110 + lts, outcome: "no room" });
  }
  return log;
}

function describeEven(position: number) {
  const { lts, operationId } = operationAt(position);
  return lts % 2 === 0
    ? { kind: "write", volume: 1, block: lts * 16, blockCount: operationId + 1 }
    : undefined;
}

function reading<Result>(file: string, read: (log: OperationLogFile) => Result): Result {
  const log = readOperationLog(file);
  try {
    return read(log);
  } finally {
    log.close();
    log.close();
  }
}

describe("a file of an operation log", () => {
  test("stands alone in its directory", () => {
    reading(path, () => expect(readdirSync(directory)).toEqual(["operations.sqlite"]));
    expect(readdirSync(directory)).toEqual(["operations.sqlite"]);
  });

  test("holds what the log was told, to be read with any SQLite", () => {
    const database = new Database(path, { readonly: true });
    const log = filled();
    const rows = database.prepare("SELECT * FROM operations ORDER BY id").all();
    expect(rows).toEqual(
      [...log.operations()].map((operation, index) => {
        const { kind, block, blockCount } =
          describeEven(positionOf(operation.lts, operation.operationId)) ?? {};
        const row = { id: index + 1, ...operation, kind, block, blockCount };
        return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, value ?? null]));
      }),
    );
    expect(rows[3]).toMatchObject({ lts: 3, operationId: 1, outcome: "failed", code: "ERR_MEDIA" });
    expect(database.prepare("SELECT words, outcome FROM steps ORDER BY id").all()).toEqual([
      { words: "clone 2 of", outcome: "no room" },
      { words: "clone 3 of", outcome: null },
    ]);
    expect(database.prepare("SELECT * FROM about").all()).toEqual([
      {
        ...{ operationCount: 10, droppedCount: 4, stepCount: 2, droppedStepCount: 1 },
        wallOffsetMs: expect.closeTo(log.wallOffsetMs, -5),
      },
    ]);
    database.close();
  });

  test("gives back what the log was told", () => {
    const log = filled();
    reading(path, (file) => {
      expect(file).toMatchObject({ droppedCount: 4, droppedStepCount: 1 });
      expect(file.wallOffsetMs).toBeCloseTo(log.wallOffsetMs, -5);
      const lts = [...log.operations(), ...log.steps()].map((one) => one.lts);
      expect(file.ltsFirst).toBe(Math.min(...lts));
      const told = [...log.operations()].map((operation) => {
        const found = describeEven(positionOf(operation.lts, operation.operationId));
        if (found === undefined) return { ...operation, text: undefined };
        const { kind, block, blockCount } = found;
        return { ...operation, text: { kind, block, blockCount } };
      });
      expect(file.between(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY)).toStrictEqual(told);
      expect(file.operationsOf(4)).toStrictEqual(told.filter(({ lts }) => lts === 4));
      expect(file.operationsOf(1)).toEqual([]);
      expect(file.operation(positionOf(5, 1))).toStrictEqual(told[7]);
      expect(file.operation(-positionOf(5, 1))).toStrictEqual(told[7]);
      expect(file.operation(positionOf(1, 0))).toBeUndefined();
      expect(file.steps()).toStrictEqual([...log.steps()]);
    });
  });

  test("finds what was under way or in doubt between two events", () => {
    const found = (eventMin: number, eventMax: number) =>
      reading(path, (file) =>
        file
          .between(eventMin, eventMax)
          .map(({ lts, operationId }) => `${lts}.${operationId}`)
          .join(" "),
      );
    // 2.1 is in flight for good. 3.0 is from 31 to 35, 3.1 from 32 to 36.
    expect(found(31, 31)).toBe("2.1 3.0");
    expect(found(35, 36)).toBe("2.1 3.0 3.1");
    expect(found(36, 36)).toBe("2.1 3.1");
    expect(found(37, 40)).toBe("2.1");
    // 4.1 completed at 46 with its outcome unknown, and was fenced at 48; 5.1 never was.
    expect(found(47, 48)).toBe("2.1 4.1");
    expect(found(49, 49)).toBe("2.1");
    expect(found(1000, 2000)).toBe("2.1 5.1 6.1");
  });

  test("takes the place of one of before, whole", () => {
    const file = join(directory, "again.sqlite");
    const empty = new OperationLog({ clock: new SimulatedClock() });
    writeOperationLog(file, filled());
    writeOperationLog(file, empty);
    reading(file, (log) => {
      expect(log.between(0, Number.POSITIVE_INFINITY)).toEqual([]);
      expect(log.steps()).toEqual([]);
    });
    rmSync(file);
  });

  test("stays as it was if another can not be written in its place", () => {
    const file = join(directory, "kept.sqlite");
    writeOperationLog(file, filled());
    mkdirSync(`${file}.unfinished`);
    expect(() => writeOperationLog(file, new OperationLog({ clock: new SimulatedClock() }))).toThrow(
      new RegExp(`^${file}: could not be written: EISDIR`),
    );
    expect(reading(file, (log) => log.operationsOf(4))).toHaveLength(2);
    rmSync(`${file}.unfinished`, { recursive: true });
    rmSync(file);
  });

  test("is not written where there is no directory, and the error names it", () => {
    const file = join(directory, "nowhere", "operations.sqlite");
    expect(() => writeOperationLog(file, filled())).toThrow(OperationLogError);
    expect(() => writeOperationLog(file, filled())).toThrow(`${file}: could not be written: ENOENT`);
  });
});

/** What becomes of a good copy, and what is said of it. */
const damages: Record<string, [(file: string) => void, RegExp]> = {
  "is missing": [(file) => rmSync(file), /is missing/],
  "is a directory": [
    (file) => {
      rmSync(file);
      mkdirSync(file);
    },
    /is no file/,
  ],
  "is empty": [(file) => truncateSync(file, 0), /is no operation log of harrow's/],
  "is text": [(file) => writeFileSync(file, "lts,outcome\n".repeat(1000)), /is damaged \(.*not a database/],
  "is truncated within its head": [(file) => truncateSync(file, 50), /is damaged|is no operation log/],
  "is truncated to a page": [(file) => truncateSync(file, 4096), /is damaged/],
  "is truncated by its last page": [
    (file) => truncateSync(file, Math.ceil(sizeOf(file) / 4096 - 1) * 4096),
    /is damaged/,
  ],
  "is someone else's database": [
    (file) => edit(file, "PRAGMA application_id = 1752331859"),
    /is no operation log of harrow's/,
  ],
  "is of a later version": [
    (file) => edit(file, "PRAGMA user_version = 2"),
    /has format version 2.*knows 1 only/,
  ],
  "lacks a table": [(file) => edit(file, "DROP TABLE steps"), /is damaged \(no such table: steps/],
  "lacks its summary": [(file) => edit(file, "DELETE FROM about"), /is damaged/],
  "lacks rows": [
    (file) => edit(file, "DELETE FROM operations WHERE lts = 4"),
    /is damaged \(8 operations are there, 10 were written\)/,
  ],
  "has an outcome that there is not": [
    (file) => edit(file, "UPDATE operations SET outcome = 'fine' WHERE lts = 4"),
    /is damaged \(an outcome "fine"\)/,
  ],
  "has a page of noise": [
    (file) => {
      const bytes = new Uint8Array(sizeOf(file) - 4096).fill(0x5a);
      truncateSync(file, 4096);
      writeFileSync(file, bytes, { flag: "a" });
    },
    /is damaged/,
  ],
};

function sizeOf(file: string): number {
  return Number(
    reading(file, () => {
      const database = new Database(file, { readonly: true });
      const size = database.prepare("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size");
      const found = size.pluck().get();
      database.close();
      return found;
    }),
  );
}

function edit(file: string, sql: string): void {
  const database = new Database(file);
  database.exec(sql);
  database.close();
}

describe("a file that is no operation log any more", () => {
  test.for(Object.entries(damages))(
    "gets an error that names it and what is left, when it %s",
    ([, entry]) => {
      const [damage, message] = entry;
      const file = join(directory, "damaged.sqlite");
      copyFileSync(path, file);
      try {
        damage(file);
        const open = () => readOperationLog(file);
        expect(open).toThrow(OperationLogError);
        expect(open).toThrow(message);
        expect(open).toThrow(`${file}: `);
        expect(open).toThrow(/follows from the seed, so go on without it$/);
      } finally {
        rmSync(file, { recursive: true, force: true });
      }
    },
  );
});
