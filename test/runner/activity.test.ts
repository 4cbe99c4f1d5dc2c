import { describe, expect, test } from "vitest";
import { Activity } from "../../src/runner/activity.ts";

const tick = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Work that ends when it is told to. */
function work() {
  let end: () => void = () => {};
  const done = new Promise<void>((resolve) => {
    end = resolve;
  });
  return { end, done };
}

describe("rest", () => {
  test("comes when all that was under way has ended", async () => {
    const activity = new Activity();
    const events: string[] = [];
    activity.beginVisit();
    activity.begin();
    const rest = activity.atRest(async () => void events.push("rest"));
    await tick();
    activity.endVisit();
    await tick();
    expect(events).toEqual([]);
    activity.end();
    await rest;
    expect(events).toEqual(["rest"]);
  });

  test("keeps the gate shut until it is over, and those who wait go on afterwards", async () => {
    const activity = new Activity();
    const events: string[] = [];
    const { end, done } = work();
    const rest = activity.atRest(() => done);
    expect(activity.gate).toBeDefined();
    const after = activity.during(async () => void events.push("after"));
    await tick();
    expect(events).toEqual([]);
    end();
    await Promise.all([rest, after]);
    expect(events).toEqual(["after"]);
    expect(activity.gate).toBeUndefined();
  });

  test("is for one at a time", async () => {
    const activity = new Activity();
    let resting = 0;
    const one = () =>
      activity.atRest(async () => {
        expect(++resting).toBe(1);
        await tick();
        resting--;
      });
    await Promise.all([one(), one(), one()]);
  });

  test("is over when its work fails, and the gate opens", async () => {
    const activity = new Activity();
    await expect(activity.atRest(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(activity.gate).toBeUndefined();
    await expect(activity.during(() => Promise.resolve(1))).resolves.toBe(1);
  });

  test("is not broken by work that begins while it waits", async () => {
    const activity = new Activity();
    activity.begin();
    let isIdle = false;
    const idle = activity.idle().then(() => {
      isIdle = true;
    });
    activity.end();
    // As the operations of a visit do, that begin as others end.
    activity.begin();
    await tick();
    expect(isIdle).toBe(false);
    activity.end();
    await idle;
  });
});

describe("visits", () => {
  test("let those who wait for fewer of them go on, each at its own number", async () => {
    const activity = new Activity();
    for (let visit = 0; visit < 3; visit++) activity.beginVisit();
    expect(activity.fewerVisitsThan(4)).toBeUndefined();
    const passed: number[] = [];
    for (const count of [3, 1]) void activity.fewerVisitsThan(count)!.then(() => passed.push(count));
    activity.endVisit();
    await tick();
    expect(passed).toEqual([3]);
    activity.endVisit();
    await tick();
    expect(passed).toEqual([3]);
    activity.endVisit();
    await tick();
    expect(passed).toEqual([3, 1]);
  });
});

describe("an upheaval", () => {
  test("is pending until the model knows of it, also if it fails", async () => {
    const activity = new Activity();
    const { end, done } = work();
    expect(activity.upheavalCount).toBe(0);
    const upheaval = activity.throughUpheaval(() => done);
    expect(activity.upheaval).toBeDefined();
    expect(activity.upheavalCount).toBe(1);
    end();
    await upheaval;
    expect(activity.upheaval).toBeUndefined();
    await expect(activity.throughUpheaval(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(activity.upheaval).toBeUndefined();
    expect(activity.upheavalCount).toBe(2);
  });
});

describe("holding back", () => {
  test("keeps what is new from beginning until it is over, also if it fails, and waits for nobody", async () => {
    const activity = new Activity();
    activity.beginVisit();
    const { end, done } = work();
    const held = activity.holdingBack(() => activity.during(() => done));
    expect(activity.pause).toBeDefined();
    expect(activity.gate).toBeUndefined();
    end();
    await held;
    expect(activity.pause).toBeUndefined();
    await expect(activity.holdingBack(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(activity.pause).toBeUndefined();
  });
});
