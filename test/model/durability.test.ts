import { describe, expect, test } from "vitest";
import { DurabilityLog } from "../../src/model/durability.ts";

const operation = (position: number, submitted: number) => ({
  position,
  submitted,
  completed: submitted + 1,
});
const isFua = { isFua: true };
const isPlain = { isFua: false };

describe("the log of what is durable", () => {
  test("has everything durable at once where there is no volatile cache", () => {
    const log = new DurabilityLog({ hasVolatileCache: false });
    log.completed(0, operation(1, 1), isPlain);
    expect([log.volatileCount(0), log.crashed()]).toEqual([0, []]);
  });

  test("has durable what was written with FUA, and nothing that was not", () => {
    const log = new DurabilityLog({ hasVolatileCache: true });
    log.completed(0, operation(1, 1), isFua);
    log.completed(0, operation(2, 3), isPlain);
    expect(log.crashed()).toEqual([operation(2, 3)]);
  });

  test("has durable what had completed when a completed flush of the same volume was submitted", () => {
    const log = new DurabilityLog({ hasVolatileCache: true });
    log.completed(0, operation(1, 1), isPlain);
    log.completed(1, operation(2, 3), isPlain);
    log.completed(0, operation(3, 9), isPlain);
    log.flushed(0, 10);
    expect([log.volatileCount(0), log.volatileCount(1)]).toEqual([1, 1]);
    expect(log.crashed()).toEqual(expect.arrayContaining([operation(2, 3), operation(3, 9)]));
  });

  test("loses nothing a second time: what came through a crash is on stable media", () => {
    const log = new DurabilityLog({ hasVolatileCache: true });
    log.completed(0, operation(1, 1), isPlain);
    expect(log.crashed()).toHaveLength(1);
    expect(log.crashed()).toEqual([]);
  });

  test("takes no flush for durable that completes while the target goes down, and flushes again afterwards", () => {
    const log = new DurabilityLog({ hasVolatileCache: true });
    log.completed(0, operation(1, 1), isPlain);
    log.suspend();
    log.flushed(0, 5);
    expect(log.crashed()).toEqual([operation(1, 1)]);
    log.completed(0, operation(2, 6), isPlain);
    log.flushed(0, 8);
    expect(log.crashed()).toEqual([]);
  });

  test("has nothing at stake on a volume that was put back to a snapshot", () => {
    const log = new DurabilityLog({ hasVolatileCache: true });
    log.completed(0, operation(1, 1), isPlain);
    log.completed(1, operation(2, 3), isPlain);
    log.forget(0);
    expect(log.crashed()).toEqual([operation(2, 3)]);
  });
});
