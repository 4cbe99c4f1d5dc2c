/**
 * What a run remembers of its last operations and steps, held against a plain list of them.
 *
 * @packageDocumentation
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type LoggedOperation, OperationLog } from "../../src/runner/operation-log.ts";
import { stepWords } from "../../src/runner/step-words.ts";
import { positionOf } from "../../src/selectors/operations.ts";
import { type Outcome, type OutcomeCode, ok } from "../../src/sut/port.ts";

/** A clock that says what it was told to say. */
function handClock() {
  const clock = {
    ms: 5_000.5,
    now: () => clock.ms,
    setTimeout: () => undefined,
    clearTimeout: () => {},
  };
  return clock;
}

const failed = (code: OutcomeCode): Outcome => ({ kind: "failed", code, message: "" });
const unknown = (code: OutcomeCode): Outcome => ({ kind: "unknown", code, message: "" });

describe("an operation log", () => {
  test("tells of an operation what it was told, while it is in flight and afterwards", () => {
    const clock = handClock();
    const log = new OperationLog({ clock });
    const number = log.submit(positionOf(2 ** 45 - 2, 254), { volume: 3, event: 7, connection: 1 });
    const inFlight = {
      lts: 2 ** 45 - 2,
      operationId: 254,
      volume: 3,
      submittedEvent: 7,
      completedEvent: undefined,
      fencedEvent: undefined,
      submittedMs: 5_000.5,
      completedMs: undefined,
      outcome: "inFlight",
      code: undefined,
      connection: 1,
    };
    expect([...log.operations()]).toStrictEqual([inFlight]);
    clock.ms = 5_002.25;
    log.complete(number, ok, { event: 9, connection: 2 });
    expect([...log.operations()]).toStrictEqual([
      { ...inFlight, completedEvent: 9, completedMs: 5_002.25, outcome: "ok", connection: 2 },
    ]);
  });

  test("tells when an operation of unknown outcome was fenced, and until then that it was not", () => {
    const log = new OperationLog({ clock: handClock() });
    const number = log.submit(1, { volume: 0, event: 1, connection: undefined });
    log.complete(number, unknown("ERR_TIMEOUT"), { event: 2, connection: undefined });
    const inDoubt = { outcome: "unknown", code: "ERR_TIMEOUT", completedEvent: 2, connection: undefined };
    expect([...log.operations()]).toMatchObject([{ ...inDoubt, fencedEvent: undefined }]);
    log.fence(number, 5);
    expect([...log.operations()]).toMatchObject([{ ...inDoubt, fencedEvent: 5 }]);
  });

  test("keeps each code apart, with the same code failed and unknown", () => {
    const log = new OperationLog({ clock: handClock() });
    const told: readonly Outcome[] = [
      failed("ERR_TIMEOUT"),
      ok,
      unknown("ERR_CONNECTION_LOST"),
      failed("ERR_MEDIA"),
      unknown("ERR_TIMEOUT"),
      failed("ERR_CONNECTION_LOST"),
    ];
    for (const [index, outcome] of told.entries()) {
      const number = log.submit(index + 1, { volume: 0, event: 2 * index + 1, connection: 1 });
      log.complete(number, outcome, { event: 2 * index + 2, connection: 1 });
    }
    expect([...log.operations()].map(({ outcome: kind, code }) => ({ kind, code }))).toEqual(
      told.map((outcome) => ({ kind: outcome.kind, code: "code" in outcome ? outcome.code : undefined })),
    );
  });

  test("remembers the last 100,000 operations if nothing else is asked for", () => {
    const log = new OperationLog({ clock: handClock() });
    for (let index = 0; index < 100_003; index++)
      log.submit(positionOf(index, 0), { volume: 0, event: index + 1, connection: 1 });
    expect(log).toMatchObject({ operationCount: 100_000, droppedCount: 3 });
    let next = 3;
    for (const { lts } of log.operations()) if (lts === next) next++;
    expect(next).toBe(100_003);
  });

  test("leaves alone what took the place of an operation that completes late", () => {
    const log = new OperationLog({ clock: handClock(), capacity: 2 });
    const late = log.submit(positionOf(0, 0), { volume: 0, event: 1, connection: 1 });
    log.submit(positionOf(1, 0), { volume: 0, event: 2, connection: 1 });
    log.submit(positionOf(2, 0), { volume: 0, event: 3, connection: 1 });
    log.complete(late, unknown("ERR_TIMEOUT"), { event: 4, connection: 9 });
    log.fence(late, 5);
    expect([...log.operations()]).toMatchObject([
      { lts: 1, outcome: "inFlight", connection: 1, fencedEvent: undefined },
      { lts: 2, outcome: "inFlight", connection: 1, fencedEvent: undefined },
    ]);
  });

  test("forgets nothing of an operation but what a new one in its place has not got", () => {
    const log = new OperationLog({ clock: handClock(), capacity: 1 });
    const first = log.submit(1, { volume: 4, event: 1, connection: 8 });
    log.complete(first, unknown("ERR_TIMEOUT"), { event: 2, connection: 8 });
    log.fence(first, 3);
    log.submit(2, { volume: 0, event: 4, connection: undefined });
    expect([...log.operations()]).toMatchObject([
      {
        ...{ operationId: 1, volume: 0, submittedEvent: 4, outcome: "inFlight" },
        ...{ completedEvent: undefined, fencedEvent: undefined, code: undefined, connection: undefined },
      },
    ]);
  });

  test("equals the last of a list, whatever is submitted, completes and is fenced in whichever order", () => {
    const action = fc.record({ kind: fc.nat(9), which: fc.nat(40), outcome: fc.nat(3) });
    const outcomesTold: readonly Outcome[] = [ok, ok, failed("ERR_MEDIA"), unknown("ERR_TIMEOUT")];
    fc.assert(
      fc.property(
        fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1000, max: 3000 })),
        fc.integer({ min: 1, max: 40 }),
        fc.array(action, { maxLength: 120 }),
        (capacity, repeats, actions) => {
          const clock = handClock();
          const log = new OperationLog({ clock, capacity });
          const list: {
            -readonly [Key in keyof LoggedOperation]: LoggedOperation[Key];
          }[] = [];
          let event = 0;
          for (let round = 0; round < repeats; round++)
            for (const { kind, which, outcome: told } of actions) {
              clock.ms += 0.25;
              const number = list.length - 1 - which;
              const entry = list[number];
              if (kind < 5 || entry === undefined) {
                const lts = list.length;
                event++;
                const about = { volume: lts % 3, connection: lts % 4 === 0 ? undefined : lts };
                expect(log.submit(positionOf(lts, 1), { ...about, event })).toBe(list.length);
                list.push({
                  ...{ lts, operationId: 1, ...about, submittedEvent: event, completedEvent: undefined },
                  ...{ fencedEvent: undefined, submittedMs: clock.ms, completedMs: undefined },
                  ...{ outcome: "inFlight", code: undefined },
                });
              } else if (entry.outcome === "inFlight") {
                const outcome = outcomesTold[told]!;
                event++;
                log.complete(number, outcome, { event, connection: event });
                entry.completedEvent = event;
                entry.completedMs = clock.ms;
                entry.outcome = outcome.kind;
                entry.connection = event;
                entry.code = "code" in outcome ? outcome.code : undefined;
              } else if (entry.outcome === "unknown" && entry.fencedEvent === undefined) {
                log.fence(number, ++event);
                entry.fencedEvent = event;
              }
            }
          expect(log.droppedCount).toBe(Math.max(0, list.length - capacity));
          expect([...log.operations()]).toEqual(list.slice(-capacity));
        },
      ),
      { numRuns: 60 },
    );
  });

  test("keeps the last control steps, with what came of them", () => {
    const clock = handClock();
    const log = new OperationLog({ clock, stepCapacity: 2 });
    const step = (lts: number) =>
      log.beginStep({ lts, kind: "rollback", words: `rollback to snapshot ${lts}`, submittedEvent: lts + 1 });
    const first = step(0);
    const second = step(10);
    clock.ms += 3;
    log.endStep(second, { event: 20, outcome: "ok" });
    step(20);
    log.endStep(first, { event: 22, outcome: "too late" });
    expect([...log.steps()]).toStrictEqual([
      {
        ...{ lts: 10, kind: "rollback", words: "rollback to snapshot 10", submittedEvent: 11 },
        ...{ completedEvent: 20, submittedMs: 5000.5, completedMs: 5003.5, outcome: "ok" },
      },
      {
        ...{ lts: 20, kind: "rollback", words: "rollback to snapshot 20", submittedEvent: 21 },
        ...{ completedEvent: undefined, submittedMs: 5003.5, completedMs: undefined, outcome: undefined },
      },
    ]);
    expect(log).toMatchObject({ stepCount: 2, droppedStepCount: 1 });
  });

  test("says how its times lead to the time of day", () => {
    const { wallOffsetMs } = new OperationLog({ clock: handClock() });
    expect(Math.abs(wallOffsetMs + 5_000.5 - Date.now())).toBeLessThan(1000);
  });

  test.for([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])("has no capacity of %d", (capacity) => {
    expect(() => new OperationLog({ clock: handClock(), capacity })).toThrow(RangeError);
    expect(() => new OperationLog({ clock: handClock(), stepCapacity: capacity })).toThrow(/^stepCapacity/);
  });
});

describe("the words of a control step", () => {
  test("name what it is about", () => {
    expect(
      [
        { kind: "snapshot", snapshot: 3, isHot: true } as const,
        { kind: "snapshot", snapshot: 3, isHot: false } as const,
        { kind: "diff", snapshot: 3, base: 1, isFar: true } as const,
        { kind: "diff", snapshot: 3, base: undefined, isFar: false } as const,
        { kind: "diffDeletedBase", snapshot: 3, base: 0 } as const,
        { kind: "sync", snapshot: 3, base: undefined } as const,
        { kind: "clone", clone: 4, snapshot: 3 } as const,
        { kind: "checkClone", clone: 4 } as const,
        { kind: "deleteClone", clone: 4 } as const,
        { kind: "deleteSnapshot", snapshot: 3 } as const,
        { kind: "rollback", snapshot: 3 } as const,
        { kind: "resize", step: 1, blockCounts: [64, 128] } as const,
        { kind: "crash" } as const,
        { kind: "resetConnections" } as const,
        { kind: "cutConnections", durationMs: 200 } as const,
        { kind: "slow", delayMs: 20, ltsCount: 5 } as const,
        { kind: "custom", label: "unplug it", perform: async () => {} } as const,
      ].map(stepWords),
    ).toEqual([
      "snapshot 3, under load",
      "snapshot 3, at rest",
      "diff of snapshot 3 since snapshot 1",
      "diff of snapshot 3, without base",
      "diff of snapshot 3 since snapshot 0, which is deleted",
      "sync of snapshot 3, without base",
      "clone 4 of snapshot 3",
      "check of clone 4",
      "deletion of clone 4",
      "deletion of snapshot 3",
      "rollback to snapshot 3",
      "resize 1 of the volumes to 64, 128 blocks",
      "crash of the target",
      "reset of the connections",
      "connections cut for 200 ms",
      "answers 20 ms late for 5 lts",
      "unplug it",
    ]);
  });
});
