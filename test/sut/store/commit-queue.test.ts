/**
 * Group commit.
 *
 * @packageDocumentation
 */
import { setImmediate } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { CommitQueue } from "../../../src/sut/store/commit-queue.ts";

/** A queue whose commits end when the test says so. */
function heldQueue() {
  const ends: ((error?: Error) => void)[] = [];
  const queue = new CommitQueue({
    commit: () =>
      new Promise((resolve, reject) => {
        ends.push((error) => (error === undefined ? resolve() : reject(error)));
      }),
    runsInBackground: false,
  });
  return { queue, ends };
}

describe("a commit queue", () => {
  test("shares one commit among all who ask while another runs", async () => {
    const { queue, ends } = heldQueue();
    const settled: number[] = [];
    const ask = (index: number): void => {
      queue.touch();
      void queue.commit().then(() => settled.push(index));
    };
    for (const index of [0, 1, 2, 3]) ask(index);
    expect(ends.length).toBe(1);
    ends[0]!();
    await setImmediate();
    // The first commit began before the others asked.
    expect(settled).toEqual([0]);
    expect(ends.length).toBe(2);
    ask(4);
    ends[1]!();
    await setImmediate();
    expect(settled).toEqual([0, 1, 2, 3]);
    ends[2]!();
    await setImmediate();
    expect(settled).toEqual([0, 1, 2, 3, 4]);
  });

  test("waits for the running commit if nothing changed since it began", async () => {
    const { queue, ends } = heldQueue();
    queue.touch();
    const first = queue.commit();
    const second = queue.commit();
    ends[0]!();
    await Promise.all([first, second]);
    await queue.commit();
    expect(ends.length).toBe(1);
  });

  test("refuses everything after a failure", async () => {
    const { queue, ends } = heldQueue();
    queue.touch();
    const first = queue.commit();
    ends[0]!(new Error("no space left"));
    await expect(first).rejects.toMatchObject({ code: "ERR_IO" });
    await expect(queue.commit()).rejects.toThrow("no space left");
    await expect(queue.close()).rejects.toMatchObject({ code: "ERR_IO" });
    expect(ends.length).toBe(1);
  });
});
