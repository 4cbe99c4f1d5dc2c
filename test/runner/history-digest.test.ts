import { describe, expect, test } from "vitest";
import { HistoryDigest } from "../../src/runner/history-digest.ts";
import type { History } from "../../src/selectors/history.ts";
import { smallWorkload } from "../support/workloads.ts";

function digestOf(workload: History, ltsEnd: number): HistoryDigest {
  const digest = new HistoryDigest(workload);
  for (let lts = 0; lts < ltsEnd; lts++) digest.add(workload.visit(lts), workload.control.stepsAfter(lts));
  return digest;
}

describe("the digest of a history", () => {
  const workload = smallWorkload(11n);

  test("is the same, however often it is read on the way", () => {
    const digest = new HistoryDigest(workload);
    for (let lts = 0; lts < 40; lts++) {
      digest.add(workload.visit(lts), workload.control.stepsAfter(lts));
      expect(digest.read()).toBe(digest.read());
    }
    expect(digest.read()).toBe(digestOf(workload, 40).read());
  });

  test("differs with every lts, and with the seed", () => {
    const all = [0, 1, 2, 1023, 1024, 1025].map((ltsEnd) => digestOf(workload, ltsEnd).read());
    expect(new Set(all).size).toBe(all.length);
    expect(digestOf(smallWorkload(12n), 2).read()).not.toBe(digestOf(workload, 2).read());
  });

  test.for([0, 1, 1023, 1024, 1025, 2050, 3000])("goes on from its last link, kept at lts %d", (ltsKept) => {
    const whole = digestOf(workload, 3000).read();
    const { link } = digestOf(workload, ltsKept);
    expect(link.lts).toBe(ltsKept - (ltsKept % 1024));
    const resumed = new HistoryDigest(workload);
    resumed.resume(link, ltsKept);
    for (let lts = ltsKept; lts < 3000; lts++)
      resumed.add(workload.visit(lts), workload.control.stepsAfter(lts));
    expect(resumed.read()).toBe(whole);
  });
});
