import { describe, expect, test } from "vitest";
import { floorsMissed } from "../../src/runner/floors.ts";
import { memoryRun, smallConfig } from "../support/memory-run.ts";

const floors = (text: string) => memoryRun({ config: `${smallConfig}\nfloors: ${text}\n` });

describe("floors on coverage", () => {
  test("are met by a run that proves what they ask for", async () => {
    const { belowFloor } = await floors(
      "{ lastVersions: 100, versions: 10, snapshots: 8, diffs: 7, reads: 1 }",
    );
    expect(belowFloor).toEqual([]);
  });

  test("say of each that is missed what was reached, and what was asked for", async () => {
    const { belowFloor, ledger } = await floors(
      "{ versions: 100, snapshots: 9, diffs: 1000, reads: 100000 }",
    );
    const { made, proven } = ledger.versions;
    expect(belowFloor).toEqual([
      `versions proven, in percent: ${Math.floor((proven / made) * 10_000) / 100}, floors.versions asks for 100`,
      "snapshots taken: 8, floors.snapshots asks for 9",
      `diffs proven: ${ledger.diffs.proven}, floors.diffs asks for 1000`,
      `reads checked: ${ledger.reads.checked}, floors.reads asks for 100000`,
    ]);
  });

  test("do not fail a run that made no versions at all", async () => {
    const { ledger } = await memoryRun();
    const empty = { ...ledger, versions: { made: 0, proven: 0, neverSeen: 0 } };
    expect(floorsMissed(empty, { versions: 100 })).toEqual([]);
  });

  test("are no matter of a run that did not finish", async () => {
    const stop = new AbortController();
    const result = await memoryRun({
      config: `${smallConfig}\nfloors: { snapshots: 100 }\n`,
      signal: stop.signal,
      onLts: (lts) => void (lts === 40 && stop.abort()),
    });
    expect(result).toMatchObject({ belowFloor: [], wasInterrupted: true });
  });
});
