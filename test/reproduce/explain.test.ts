import { describe, expect, test } from "vitest";
import { Cut } from "../../src/model/cut.ts";
import type { OperationTimes } from "../../src/model/operation-times.ts";
import type { Violation } from "../../src/model/violation.ts";
import { planConfig } from "../../src/runner/perform-history.ts";
import type { RunMemory } from "../../src/runner/run-store.ts";
import { Geometry } from "../../src/selectors/geometry.ts";
import { HistoryBuilder } from "../../src/selectors/history-builder.ts";
import { positionOf } from "../../src/selectors/operations.ts";
import { type Explanation, explainBlock, type Question } from "../../src/reproduce/explain.ts";
import { explanationJson } from "../../src/reproduce/explain-json.ts";
import { controlSteps } from "../../src/reproduce/explain-control.ts";
import {
  type ExplainSource,
  type MemorySourceOptions,
  type RunLogFile,
  sourceOfMemory,
  sourceOfSeed,
} from "../../src/reproduce/explain-source.ts";
import { explanationText } from "../../src/reproduce/explain-text.ts";
import { historyOf } from "../../src/reproduce/history-of.ts";
import { parseConfig } from "../../src/runner/config/load.ts";

const geometry = new Geometry({ blockSizeBytes: 512, volumeBlocks: [64], extentBlocks: 16 });

/**
 *   lts 0  write 3 to 6       snapshot 0
 *   lts 1  writeZeroes 3
 *   lts 2  flush
 *   lts 3  write 3            snapshot 1, diff 0..1, clone, rollback to snapshot 0
 *   lts 4  deallocate 4       snapshot 2, diff 0..2
 *   lts 5  compareAndWrite 3
 */
const plan = new HistoryBuilder({ seed: 5n, geometry })
  .extent(0)
  .write({ block: 3, blocks: 4 })
  .finish()
  .snapshot("first")
  .extent(0)
  .writeZeroes({ block: 3, blocks: 1 })
  .flush()
  .write({ block: 3, blocks: 1 })
  .finish()
  .snapshot("second")
  .diff("first", "second")
  .clone("copy", "second", (clone) => clone.write(0, { block: 3, blocks: 2 }))
  .rollback("first")
  .extent(0)
  .deallocateRange(4, 1)
  .finish()
  .snapshot("third")
  .diff("first", "third")
  .extent(0)
  .compareAndWrite({ block: 3 })
  .finish()
  .finish();

const config = planConfig(plan);
const written = { config, seed: 5n, plan };
const fromSeed = sourceOfSeed(written, plan.visits.length - 1);

function explain(source: ExplainSource, question: Partial<Question>): Promise<Explanation> {
  return explainBlock(source, { volume: 0, block: 3, last: 40, ...question });
}

/** Its parts, one line each, without the alignment. */
async function told(source: ExplainSource, question: Partial<Question> = {}): Promise<string> {
  const text = explanationText(source, await explain(source, question), { valuesMax: 40 });
  return text.replaceAll(/(?<=\S) {2,}/g, " | ").replaceAll(/^ +/gm, "");
}

function timesOf(position: number, times: Partial<OperationTimes>): OperationTimes {
  const outcome = times.outcome ?? "ok";
  const [submitted, completed] = [times.submitted ?? 1, times.completed ?? 2];
  return {
    position,
    submitted,
    completed,
    outcome,
    lostAt: Infinity,
    hasOverlap: false,
    reads: undefined,
    ...times,
  };
}

/** What a run of the plan kept, if all went well but for what is said. */
function memoryWith(more: Partial<RunMemory> = {}, ltsEnd = plan.visits.length - 1): RunMemory {
  return {
    about: { version: "", configYaml: "", seed: "5", name: "", target: {}, startedAt: "" },
    documents: new Map(),
    ...{ event: 1000, ltsReserved: ltsEnd, ltsComplete: ltsEnd },
    ...{ exceptions: [], decisions: [], snapshots: [], rollbacks: [] },
    ...more,
  };
}

function sourceWith(more: Partial<RunMemory>, options: Partial<MemorySourceOptions> = {}, ltsEnd?: number) {
  return sourceOfMemory({ ...written, memory: memoryWith(more, ltsEnd), ...options });
}

describe("the life of a block", () => {
  test("is told from the seed alone, in order, with what each step has to do with it", async () => {
    const text = await told(fromSeed);
    expect(text).toContain("its life: 4 operations, 4 of which change it");
    expect(text.slice(text.indexOf("its life"), text.indexOf("what the volume"))).toBe(
      [
        "its life: 4 operations, 4 of which change it",
        "0.0 | write | 3-6 | ok",
        "- | snapshot 0, under load | holds 0.0",
        "1.0 | writeZeroes | 3 | ok; undone by a rollback",
        "3.0 | write | 3 | ok; undone by a rollback",
        "- | snapshot 1, under load | holds 3.0",
        "- | diff of snapshot 1 since snapshot 0 | must report it",
        "- | clone 0 of snapshot 1 | the clone has its own write here",
        "- | rollback to snapshot 0 | undoes 1.0, 3.0",
        "- | snapshot 2, under load | holds 0.0",
        "- | diff of snapshot 2 since snapshot 0 | must not report it",
        "5.0 | compareAndWrite | 3 | ok",
        "",
        "",
      ].join("\n"),
    );
  });

  test("leaves out what is older than asked for, and counts it", async () => {
    const { life } = await explain(fromSeed, { last: 3 });
    expect(life.events.map((event) => (event.kind === "operation" ? "operation" : event.step.kind))).toEqual([
      "snapshot",
      "diff",
      "operation",
    ]);
    expect(life.omittedBefore).toEqual({ operations: 3, steps: 5 });
    expect(await told(fromSeed, { last: 3 })).toContain(
      "3 operations and 5 control steps before that are left out",
    );
  });

  test("tells what lies around a snapshot that is asked about, not the newest", async () => {
    const { life } = await explain(fromSeed, { last: 2, snapshot: 0 });
    expect(life.events[0]).toMatchObject({ kind: "control", step: { kind: "snapshot", snapshot: 0 } });
    expect(life.omittedAfter.operations + life.omittedBefore.operations).toBe(3);
  });

  test("says what became of each operation: outcome, durability, what a crash may have dropped", async () => {
    const promised = { volatileWriteCache: true, deallocatedReads: "zeros" } as const;
    const failed = timesOf(positionOf(3, 0), { outcome: "failed" });
    const source = sourceWith({ exceptions: [failed] }, { promised });
    const text = await told(source);
    expect(text).toContain("1.0 | writeZeroes | 3 | ok; durable by flush 2.0");
    expect(text).toContain("3.0 | write | 3 | failed: no effect");
    expect(text).toContain("5.0 | compareAndWrite | 3 | ok; no flush soon after it");
    const lost = timesOf(positionOf(5, 0), { lostAt: 900 });
    expect(await told(sourceWith({ exceptions: [lost] }, { promised }))).toContain(
      "a crash may have dropped it",
    );
  });

  test("keeps what an earlier process of the run did, which its operation log does not tell", async () => {
    const log: RunLogFile = {
      ...{ operation: () => undefined, steps: () => [], wallOffsetMs: 0, ltsFirst: 4 },
      ...{ droppedCount: 0, droppedStepCount: 0 },
    };
    const resumed = await told(sourceWith({}, { log }));
    expect(resumed).toContain("from the operation log, which begins at lts 4\n");
    expect(resumed).toContain("- | snapshot 0, under load");
    // This one would be there if it had been performed.
    expect(resumed).not.toContain("- | snapshot 2, under load");
    expect(await told(sourceWith({}, { log: { ...log, ltsFirst: 0 } }))).not.toContain("- | snapshot 0");
  });

  test("has in doubt what was under way when a run ended", async () => {
    const source = sourceWith({ ltsComplete: 4 });
    expect(await told(source)).toContain("5.0 | compareAndWrite | 3 | unknown: in doubt");
  });
});

describe("the values of a block", () => {
  test("are excluded with a reason each", async () => {
    const { values } = await explain(fromSeed, {});
    expect(values.map(({ isAllowed, why }) => `${isAllowed} ${why}`)).toEqual([
      "true the newest that took effect for certain",
      "false undone by the rollback to snapshot 0 after lts 3",
      "false undone by the rollback to snapshot 0 after lts 3",
      "false overwritten by 5.0, which was submitted after it had completed",
      "false 0.0 replaced it",
    ]);
  });

  test("of a snapshot exclude what came after its call", async () => {
    const { values, point } = await explain(fromSeed, { snapshot: 0 });
    expect(point).toMatchObject({ snapshot: 0, ltsMax: 0 });
    expect(values.filter(({ isAllowed }) => isAllowed)).toMatchObject([{ state: positionOf(0, 0) }]);
    expect(values[0]!.why).toMatch(
      /^not in the cut: it was submitted after the call of snapshot 0 had completed/,
    );
  });

  test("are several where an operation is in doubt, until a read has decided it", async () => {
    const position = positionOf(3, 0);
    const doubt = timesOf(position, { outcome: "unknown", submitted: 30, completed: 33 });
    const open = await explain(sourceWith({ exceptions: [doubt] }, {}, 3), {});
    expect(open.values.filter(({ isAllowed }) => isAllowed).map(({ state }) => state)).toEqual([
      position,
      -positionOf(1, 0),
    ]);
    expect(open.values[0]!.why).toBe("its outcome is unknown: it may have happened");
    const decisions = [{ position, block: 3, happened: false }];
    const decided = await explain(sourceWith({ exceptions: [doubt], decisions }, {}, 3), {});
    expect(decided.values[0]).toMatchObject({
      isAllowed: false,
      why: "decided: a read at rest has shown that it did not happen here",
    });
  });

  test("are those that the cut of a snapshot leaves", async () => {
    const [before, after] = [-positionOf(1, 0), positionOf(3, 0)];
    const times = timesOf(after, { submitted: 30, completed: 40 });
    const record = {
      ...{ snapshot: 1, volume: 0, name: "s1", lts: 3, branch: 0, ltsBefore: 2, ltsMax: 3 },
      ...{ submittedEvent: 25, completedEvent: 45, inside: new Set<number>() },
      ...{ open: new Map([[after, times]]), shown: new Map<number, number>() },
    };
    const anywhere = { ...record, cut: Cut.within({ submitted: 25, completed: 45 }) };
    const allowed = async (one: typeof anywhere) => {
      const { values } = await explain(sourceWith({ snapshots: [one] }, {}, 3), { snapshot: 1 });
      return values.filter(({ isAllowed }) => isAllowed).map(({ state }) => state);
    };
    expect(await allowed(anywhere)).toEqual([after, before]);
    const early = { ...record, cut: new Cut([{ after: 25, before: 29, shown: 0, missing: after }]) };
    expect(await allowed(early)).toEqual([before]);
    const shown = { ...anywhere, shown: new Map([[3, after]]) };
    expect(await allowed(shown)).toEqual([after]);
  });
});

describe("a violation", () => {
  const position = positionOf(3, 0);
  const violation: Violation = {
    ...{
      rule: "snapshot",
      class: "early-miss",
      summary: "it is missing",
      volume: 0,
      block: 3,
      blockCount: 1,
    },
    ...{ snapshot: 1, ltsMax: 3, expected: "3.0", observed: "1.0", rereads: "same" },
    operations: [{ lts: 3, operationId: 0, kind: "write", block: 3, blockCount: 1, role: "expected" }],
  };

  function found(bytes: (block: Uint8Array) => void): ExplainSource {
    const source = sourceOfSeed(written, 3);
    const { run } = source.history;
    const region = run.kernel.allocate(512);
    run.inflate({ volume: 0, block: 3, blockCount: 1, sectorCount: 1 }, region.address, positionOf(0, 0));
    const block = region.bytes.slice(0, 512);
    bytes(block);
    const exhibit = async () => ({ kind: "block", found: block, allowed: [position] }) as const;
    return { ...source, violations: [{ violation, exhibit }] };
  }

  test("is marked where its operations and its snapshot are, and its bytes name their writer", async () => {
    const text = await told(found(() => {}));
    expect(text).toMatch(/3\.0 \| write .*<-- early-miss: expected/);
    expect(text).toMatch(/snapshot 1, under load .*<-- early-miss/);
    expect(text).toContain("all of it | data of operation 0.0 | excluded: overwritten by 1.0");
    expect(text).toContain("operations against events");
  });

  test("tells zeros and flipped bits from what was written", async () => {
    expect(await told(found((block) => block.fill(0)))).toContain(
      "all of it | zeros | excluded: overwritten by 3.0",
    );
    const flipped = await told(
      found((block) => {
        block[100]! ^= 1;
      }),
    );
    expect(flipped).toContain("data of operation 0.0, but for 1 bit, first in byte 100");
  });

  test("says so where what was seen can not be read", async () => {
    const exhibit = () => Promise.reject(new Error("observed-0.bin: is missing"));
    const source = { ...sourceOfSeed(written, 3), violations: [{ violation, exhibit }] };
    expect(await told(source)).toContain("what was found can not be told: observed-0.bin: is missing");
  });
});

test("a question about what there is not names what there is", async () => {
  await expect(explain(fromSeed, { block: 64 })).rejects.toThrow("block 64: volume 0 has blocks 0 to 63");
  await expect(explain(fromSeed, { volume: 1 })).rejects.toThrow("volume 1: the run has volume 0 only");
  await expect(explain(fromSeed, { snapshot: 3 })).rejects.toThrow(
    "snapshot 3: the run has taken snapshots 0 to 2",
  );
});

test("an explanation is plain JSON", async () => {
  const json = JSON.parse(
    JSON.stringify(explanationJson(fromSeed, await explain(fromSeed, { isDrawn: true }))),
  );
  expect(json).toMatchObject({ seed: "0x5", block: 3, violations: [], point: { ltsMax: 5 } });
  expect(json.life).toHaveLength(11);
  expect(json.values[0]).toMatchObject({ operation: "5.0", kind: "compareAndWrite", isAllowed: true });
});

test("the steps of a drawn history are found without a look at each lts", () => {
  const text = `
geometry: { volumeSize: 4MiB, extentSize: 256KiB, growth: { start: 1/2, every: 90, steps: 3 } }
operations: { blocks: { max: 16 } }
snapshots: { every: 30, clones: 1/2, rollback: 1/3 }
`;
  const drawn = { config: parseConfig(text, "test"), seed: 9n };
  const history = historyOf(drawn);
  for (const ltsMax of [0, 29, 89, 90, 91, 400]) {
    const all = Array.from({ length: ltsMax + 1 }, (_, lts) =>
      history.control.stepsAfter(lts).map((step) => ({ lts, step })),
    ).flat();
    expect([...controlSteps(history, drawn.config, ltsMax)]).toEqual(all);
  }
});
