/**
 * Deallocation as advice: a block may keep what it held, or read as zeros, and what it has shown it shows for good.
 *
 * @packageDocumentation
 */
import { describe, expect, test } from "vitest";
import { DiffChecker } from "../../src/model/diff-checker.ts";
import type { SnapshotRecord } from "../../src/model/snapshot-record.ts";
import { Tracker } from "../../src/model/tracker.ts";
import type { ScheduledWrite } from "../support/brute-force/execution.ts";
import { type Chances, ToldHistory } from "./told-history.ts";

const plainly: Chances = { judgedAfter: 0, asAtRest: true, unknownAtOnce: true, hasRefused: false };
const never = Number.POSITIVE_INFINITY;

type Step = Partial<ScheduledWrite> & Pick<ScheduledWrite, "submitted" | "completed">;
const write = (step: Step): Step => step;
const inDoubt = (step: Step): Step => ({ ...step, outcome: "inDoubt" });
const advice = (step: Step): Step => ({ ...step, content: 0, isAdvice: true });
const zeroing = (step: Step): Step => ({ ...step, content: 0 });

type Look =
  | { readonly content: number; readonly from: number; readonly to: number; readonly block?: number }
  | { readonly cut: readonly [from: number, to: number]; readonly contents: readonly number[] }
  | { readonly crashAt: number };

/** The steps in the order of their lts, numbered from 1: step n writes content n; looks as they are told. */
function told(steps: readonly Step[], looks: readonly Look[], chances = plainly): ToldHistory {
  const writes = steps.map((step, index) => ({
    ...{ id: index + 1, volume: 0, blocks: [0, 1] as const, content: index + 1, outcome: "ok" as const },
    ...{ fua: false, lts: index },
    ...step,
  }));
  const history = new ToldHistory({ volumeCount: 1, blockCount: 2, writes }, chances, {
    hasVolatileCache: looks.some((look) => "crashAt" in look),
  });
  const events = looks.flatMap((look, snapshot) => {
    if ("crashAt" in look) return [{ at: look.crashAt, happen: () => history.crash({ fencedFirst: false }) }];
    if ("content" in look) {
      const { content, from, to, block = 0 } = look;
      return history.readEvents([{ volume: 0, block, content, submitted: from, completed: to }]);
    }
    const shown = look.contents.map((content, block) => ({ volume: 0, block, content }));
    return history.snapshotEvents({ submitted: look.cut[0], completed: look.cut[1] }, snapshot, ([record]) =>
      history.judgeSnapshot(record!, shown),
    );
  });
  return history.happen([...history.writeEvents(), ...events]);
}

/** A write; one in doubt, while which a read showed the first; its fence; a deallocation. */
const besideDoubt = [
  write({ submitted: 1, completed: 2 }),
  inDoubt({ submitted: 3, completed: 6 }),
  advice({ submitted: 7, completed: 8 }),
];
const shownBeside = { content: 1, from: 4, to: 5 };
const done = [write({ submitted: 1, completed: 2 }), advice({ submitted: 3, completed: 4 })];
const doneTwice = [...done, advice({ submitted: 5, completed: 6 })];

const allowed: Record<string, [readonly Step[], readonly Look[]]> = {
  "the old data of a block that was deallocated": [done, [{ content: 1, from: 5, to: 6 }]],
  "zeros of a block that was deallocated": [done, [{ content: 0, from: 5, to: 6 }]],
  "zeros, though what a read showed beside an older operation in doubt was older still": [
    besideDoubt,
    [shownBeside, { content: 0, from: 9, to: 10 }],
  ],
  "such zeros in a snapshot": [besideDoubt, [shownBeside, { cut: [9, 10], contents: [0, 0] }]],
  "such zeros in a snapshot, and then on the volume": [
    besideDoubt,
    [shownBeside, { cut: [9, 10], contents: [0, 0] }, { content: 0, from: 11, to: 12 }],
  ],
  "the operation in doubt, if the deallocation left it": [
    besideDoubt,
    [shownBeside, { content: 2, from: 9, to: 10 }],
  ],
  "zeros that a read showed, in the cut before the write that another read showed beside them": [
    [
      write({ submitted: 1, completed: 5 }),
      write({ submitted: 8, completed: 9 }),
      advice({ submitted: 10, completed: 11 }),
      write({ submitted: 15, completed: 18 }),
    ],
    [
      { content: 1, from: 3, to: 14 },
      { content: 0, from: 12, to: 16 },
      { cut: [13, 17], contents: [0, 0] },
    ],
  ],
  "one write in doubt less, if a snapshot had it and a crash dropped it": [
    [write({ submitted: 1, completed: 2, fua: true }), inDoubt({ submitted: 3, completed: never })],
    [{ cut: [4, 5], contents: [2, 0] }, { crashAt: 6 }, { content: 1, from: 7, to: 8 }],
  ],
};

const forbidden: Record<string, [readonly Step[], readonly Look[]]> = {
  "old data after zeros": [
    done,
    [
      { content: 0, from: 5, to: 6 },
      { content: 1, from: 7, to: 8 },
    ],
  ],
  "zeros after old data": [
    done,
    [
      { content: 1, from: 5, to: 6 },
      { content: 0, from: 7, to: 8 },
    ],
  ],
  "old data after zeros that either of two deallocations made": [
    doneTwice,
    [
      { content: 0, from: 7, to: 8 },
      { content: 1, from: 9, to: 10 },
    ],
  ],
  "zeros after both of two deallocations had left old data": [
    doneTwice,
    [
      { content: 1, from: 7, to: 8 },
      { content: 0, from: 9, to: 10 },
    ],
  ],
  "old data after zeros that a read showed while the block was deallocated": [
    [write({ submitted: 1, completed: 2 }), advice({ submitted: 3, completed: 6 })],
    [
      { content: 0, from: 4, to: 5 },
      { content: 1, from: 7, to: 8 },
    ],
  ],
  "old data in a snapshot after zeros on the volume": [
    done,
    [
      { content: 0, from: 5, to: 6 },
      { cut: [7, 8], contents: [1, 0] },
    ],
  ],
  "zeros on the volume after old data in a snapshot": [
    done,
    [
      { cut: [5, 6], contents: [1, 0] },
      { content: 0, from: 7, to: 8 },
    ],
  ],
  "an older version than the one that was deallocated": [
    [
      write({ submitted: 1, completed: 2 }),
      ...done.map((step) => ({ ...step, submitted: step.submitted + 2, completed: step.completed + 2 })),
    ],
    [{ content: 1, from: 7, to: 8 }],
  ],
  "a later write of one block in a snapshot that has another only as it was deallocated before": [
    [...done, write({ submitted: 6, completed: 7 }), write({ submitted: 8, completed: 9, blocks: [1, 1] })],
    [{ cut: [5, 10], contents: [0, 4] }],
  ],
};

describe("of deallocation as advice", () => {
  test.for(Object.entries(allowed))("the checker allows %s", ([, [steps, looks]]) => {
    expect(told(steps, looks).isRight).toBe(true);
    expect(told(steps, looks, { ...plainly, asAtRest: false }).isRight).toBe(true);
  });

  test.for(Object.entries(forbidden))("the checker does not allow %s", ([, [steps, looks]]) => {
    expect(told(steps, looks).isRight).toBe(false);
    const beforeLast = told(steps, looks.slice(0, -1));
    expect(beforeLast.isRight).toBe(true);
  });

  test("what reads show while other blocks are written is held to as well", () => {
    const steps = [...done, write({ submitted: 5, completed: 20, blocks: [1, 1] })];
    const asLoad = { ...plainly, asAtRest: false };
    const [zeros, data] = [
      { content: 0, from: 6, to: 7 },
      { content: 1, from: 8, to: 9 },
    ];
    expect(told(steps, [zeros], asLoad).isRight).toBe(true);
    expect(told(steps, [data], asLoad).isRight).toBe(true);
    expect(told(steps, [zeros, data], asLoad).isRight).toBe(false);
  });
});

describe("the diff checker, of deallocation as advice", () => {
  /** The verdict on a diff of the span from before the last step to after it; block 1 stays as it was. */
  function verdict(
    steps: readonly Step[],
    { shown, reported, precision }: { shown: number; reported: number; precision: "exact" | "covering" },
  ): boolean {
    const end = Math.max(...steps.map(({ completed }) => completed));
    const last = steps.at(-1)!.submitted;
    const records: SnapshotRecord[] = [];
    const history = told(steps, []);
    const again = new ToldHistory(history.told, plainly);
    again.happen([
      ...again.writeEvents(),
      ...again.snapshotEvents({ submitted: last - 0.7, completed: last - 0.3 }, 0, ([record]) =>
        records.push(record!),
      ),
      ...again.snapshotEvents({ submitted: end + 1, completed: end + 2 }, 1, ([record]) => {
        records.push(record!);
        again.judgeSnapshot(record!, [{ volume: 0, block: 0, content: shown }]);
      }),
    ]);
    expect(again.isRight).toBe(true);
    const [base, snapshot] = records;
    const promise = { granularityBlocks: 1, chunkBlocks: 8, precision };
    const question = { volume: 0, snapshot: snapshot!, base: base!, blockCount: 2, promise };
    const pages = [
      { offsetLba: 0, ranges: [{ lbaStart: 0, bitmap: Uint8Array.of(reported) }], nextOffsetLba: 0 },
    ];
    const checker = new DiffChecker(again.workload, again.tracker, again.reconciler);
    return checker.check(question, pages, pages).violations.length === 0;
  }
  const zeroTwice = [zeroing({ submitted: 1, completed: 2 }), advice({ submitted: 3, completed: 4 })];

  test.for(["exact", "covering"] as const)("%s: wants a block reported that became zeros", (precision) => {
    expect(verdict(done, { shown: 0, reported: 1, precision })).toBe(true);
    expect(verdict(done, { shown: 0, reported: 0, precision })).toBe(false);
  });

  test.for(["exact", "covering"] as const)("%s: allows one that stayed, reported or not", (precision) => {
    expect(verdict(done, { shown: 1, reported: 1, precision })).toBe(true);
    expect(verdict(done, { shown: 1, reported: 0, precision })).toBe(true);
    expect(verdict(zeroTwice, { shown: 0, reported: 1, precision })).toBe(true);
    expect(verdict(zeroTwice, { shown: 0, reported: 0, precision })).toBe(true);
  });

  test.for(["exact", "covering"] as const)("%s: does not allow a block that nothing touched", (precision) => {
    expect(verdict(done, { shown: 1, reported: 2, precision })).toBe(false);
  });
});

test("what is known of the oldest advice is forgotten, in the end", () => {
  const tracker = new Tracker();
  tracker.decide(1, 0, true, { isAdvice: true });
  tracker.decide(2, 0, true);
  for (let position = 3; position < 3 + 2 ** 17; position++)
    tracker.decide(position, 0, false, { isAdvice: true });
  expect(tracker.decisionOn(1, 0)).toBeUndefined();
  expect(tracker.decisionOn(2, 0)).toBe(true);
  expect(tracker.decisionOn(3, 0)).toBe(false);
});
