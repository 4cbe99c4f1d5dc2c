/**
 * A process that reserves, notes and commits without pause until it is killed, or until the disk is full.
 *
 * What it does at each lts is a function of the lts; what was committed it says on standard output, a line at a
 * time, before it goes on.
 *
 * @packageDocumentation
 */
import { writeSync } from "node:fs";
import type { OperationTimes } from "../../src/model/operation-times.ts";
import { RunStore } from "../../src/runner/run-store.ts";
import { positionOf } from "../../src/selectors/operations.ts";

const say = (...words: readonly (string | number)[]): void => {
  writeSync(1, `${words.join(" ")}\n`);
};

const store = RunStore.create(process.argv[2]!, {
  version: "1",
  configYaml: "",
  seed: "1",
  name: "stormy",
  target: null,
  startedAt: "",
});
const ballast = "x".repeat(Number(process.argv[3] ?? 0));

for (let lts = 0; ; lts++) {
  try {
    if (lts % 64 === 0) {
      store.reserve(lts + 64);
      say("reserved", lts + 64);
    }
    const position = positionOf(lts, 0);
    const times: OperationTimes = {
      position,
      submitted: 3 * lts + 1,
      completed: 3 * lts + 2,
      outcome: "failed",
      lostAt: Number.POSITIVE_INFINITY,
      hasOverlap: false,
      reads: undefined,
    };
    store.exception(times);
    store.decision(position, lts, true);
    store.putDocument("lts", { lts, ballast });
    store.ltsComplete(lts);
    if (lts % 7 !== 0) continue;
    store.commit();
    say("committed", lts);
  } catch (error) {
    say((error as { readonly code: string }).code);
    store.close();
    say("closed");
    break;
  }
}
