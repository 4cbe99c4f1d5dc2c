/**
 * The checkers against brute force: each accepts exactly what its oracle explains, in thousands of small histories.
 *
 * @packageDocumentation
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Cut } from "../../src/model/cut.ts";
import type { AnswerPage } from "../../src/model/diff-contract.ts";
import { DiffChecker, type DiffQuestion } from "../../src/model/diff-checker.ts";
import { explains, type WriteInterval } from "../../src/model/linearization.ts";
import type { SnapshotRecord } from "../../src/model/snapshot-record.ts";
import { volumeView } from "../../src/model/view.ts";
import {
  concurrentHistory,
  crashHistory,
  diffHistory,
  snapshotHistory,
} from "../support/brute-force/arbitrary.ts";
import { legalAfterCrash } from "../support/brute-force/crash.ts";
import { legalDiff } from "../support/brute-force/diff.ts";
import { blocksOf, isOptional, isSameBlock, touches, type Write } from "../support/brute-force/history.ts";
import type { HistoryOptions } from "../support/brute-force/drawn.ts";
import { explainsReads } from "../support/brute-force/reads.ts";
import { explainsSnapshot } from "../support/brute-force/snapshots.ts";
import { type Chances, ToldHistory } from "./told-history.ts";

const small = { writesMax: 8, readsMax: 8, blocksMax: 4, volumesMax: 2 };
const oneVolume = { writesMax: 8, readsMax: 0, blocksMax: 4 };
/** In each of the modes. */
const numRuns = 600;

const modes = [
  ["one at a time on a block", { overlap: false, inDoubt: false }],
  ["one at a time, some in doubt", { overlap: false, inDoubt: true }],
  ["overlapping", { overlap: true, inDoubt: false }],
  ["overlapping, some in doubt", { overlap: true, inDoubt: true }],
  ["one at a time, some advice", { overlap: false, inDoubt: false, advice: true }],
  ["one at a time, some advice and some in doubt", { overlap: false, inDoubt: true, advice: true }],
  ["overlapping, some advice and some in doubt", { overlap: true, inDoubt: true, advice: true }],
] as const;

type Mode = Pick<HistoryOptions, "overlap" | "inDoubt" | "advice">;

/**
 * Where nothing is advice, a checker accepts what its oracle explains, and nothing else. Of advice not all times are
 * kept: then there is no false alarm, and few that are missed.
 */
class Agreement {
  readonly #mode: Mode;
  refused = 0;
  missed = 0;

  constructor(mode: Mode) {
    this.#mode = mode;
  }

  expect(isRight: boolean, isExplained: boolean): void {
    if (!isRight) this.refused++;
    else if (!isExplained) this.missed++;
    if (isExplained || this.#mode.advice !== true) expect(isRight).toBe(isExplained);
  }

  isGood(): void {
    expect(this.refused).toBeGreaterThan(numRuns / 10);
    expect(this.missed).toBeLessThan(this.refused / 4);
  }
}

const chancesArb: fc.Arbitrary<Chances> = fc.record({
  judgedAfter: fc.constantFrom(0, 0, 1, 4),
  asAtRest: fc.boolean(),
  unknownAtOnce: fc.boolean(),
  hasRefused: fc.boolean(),
});

/** The writes on one block, as the linearization knows them, with what was there before. */
function intervalsOn(writes: readonly Write[], at: { volume?: number; block: number }): WriteInterval[] {
  return [
    { state: 0, submitted: -Infinity, completed: -Infinity, isInDoubt: false },
    ...writes
      .filter((write) => touches(write, at))
      .map((write) => {
        const { id, content, submitted, completed } = write;
        const isInDoubt = isOptional(write);
        return { state: content === 0 ? -id : content, submitted, completed, isInDoubt };
      }),
  ];
}

test("what a snapshot has shown of a write in doubt is not its block's last state, if another write joins it", () => {
  // Found by the laws below, in one of some ten thousand histories.
  const write = { volume: 0, blocks: [0, 1], outcome: "ok", fua: false } as const;
  const block = { volume: 0, block: 0 } as const;
  const told = new ToldHistory(
    {
      volumeCount: 1,
      blockCount: 1,
      writes: [
        { ...write, id: 1, lts: 0, content: 1, submitted: 1, completed: 2 },
        { ...write, id: 2, lts: 2, content: 2, submitted: 4, completed: 7, outcome: "inDoubt" },
        { ...write, id: 3, lts: 1, content: 3, submitted: 6, completed: 8 },
      ],
    },
    { judgedAfter: 0, asAtRest: false, unknownAtOnce: true, hasRefused: false },
  );
  told.happen([
    ...told.writeEvents(),
    ...told.readEvents([{ ...block, content: 3, submitted: 9, completed: 10 }]),
    ...told.snapshotEvents({ submitted: 3, completed: 5 }, 0, (records) => {
      for (const record of records) told.judgeSnapshot(record, [{ ...block, content: 2 }]);
    }),
  ]);
  expect(told.isRight).toBe(true);
});

describe.for(modes)("of writes that are %s", { timeout: 30_000 }, ([, mode]) => {
  test("a block's reads are explained just if some order of its operations explains them", () => {
    let refused = 0;
    fc.assert(
      fc.property(concurrentHistory({ ...small, ...mode }), ({ writes, reads }) => {
        const isExplained = blocksOf([], reads).every((at) =>
          explains(
            intervalsOn(writes, at),
            reads.filter((read) => isSameBlock(read, at)).map((read) => ({ ...read, among: [] })),
          ),
        );
        if (!isExplained) refused++;
        expect(isExplained).toBe(explainsReads(writes, reads));
      }),
      { numRuns },
    );
    expect(refused).toBeGreaterThan(numRuns / 10);
  });

  test("a cut is left with an instant just if some instant explains the snapshot", () => {
    let refused = 0;
    fc.assert(
      fc.property(snapshotHistory({ ...small, ...mode }), ({ writes, reads, snapshot }) => {
        for (const seen of [[], reads]) {
          const cut = Cut.within(snapshot);
          const isExplained =
            snapshot.shown.every((at) => {
              const onBlock = seen
                .filter((read) => isSameBlock(read, at))
                .map((read) => ({ ...read, among: [] }));
              return cut.narrow(intervalsOn(writes, at), at.content, onBlock) === undefined;
            }) && explainsReads(writes, seen);
          if (!isExplained) refused++;
          expect(isExplained).toBe(explainsSnapshot(writes, snapshot, { reads: seen }));
        }
      }),
      { numRuns },
    );
    expect(refused).toBeGreaterThan(numRuns / 10);
  });

  test("the checker of reads under load accepts exactly what some order of the operations explains", () => {
    const agreement = new Agreement(mode);
    fc.assert(
      fc.property(concurrentHistory({ ...small, ...mode }), chancesArb, (history, chances) => {
        const told = new ToldHistory(history, chances);
        told.happen([...told.writeEvents(), ...told.readEvents(history.reads)]);
        agreement.expect(told.isRight, explainsReads(history.writes, history.reads));
      }),
      { numRuns },
    );
    agreement.isGood();
  });

  test("the checker of snapshots accepts exactly what some instant explains", () => {
    const agreement = new Agreement(mode);
    fc.assert(
      fc.property(snapshotHistory({ ...small, ...mode }), chancesArb, (history, chances) => {
        const told = new ToldHistory(history, chances);
        let records: readonly SnapshotRecord[] = [];
        told.happen([
          ...told.writeEvents(),
          ...told.readEvents(history.reads),
          ...told.snapshotEvents(history.snapshot, 0, (taken) => {
            records = taken;
          }),
        ]);
        for (const record of records) told.judgeSnapshot(record, history.snapshot.shown);
        const isExplained = explainsSnapshot(history.writes, history.snapshot, { reads: history.reads });
        agreement.expect(told.isRight, isExplained);
      }),
      { numRuns },
    );
    agreement.isGood();
  });

  test("a snapshot that is read before reads of its volume are over gives no false alarm", () => {
    let refused = 0;
    let missed = 0;
    fc.assert(
      fc.property(snapshotHistory({ ...small, ...mode }), chancesArb, (history, chances) => {
        const told = new ToldHistory(history, chances);
        told.happen([
          ...told.writeEvents(),
          ...told.readEvents(history.reads),
          ...told.snapshotEvents(history.snapshot, 0, (records) => {
            for (const record of records) told.judgeSnapshot(record, history.snapshot.shown);
          }),
        ]);
        const isExplained = explainsSnapshot(history.writes, history.snapshot, { reads: history.reads });
        if (!told.isRight) refused++;
        // What later reads say of the cut's instant is not carried to the snapshot's other blocks.
        else if (!isExplained) missed++;
        if (isExplained) expect(told.isRight).toBe(true);
      }),
      { numRuns },
    );
    expect(missed).toBeLessThan(refused / 5);
  });

  test("the checker after a crash accepts exactly the states that the crash may leave, and no change of mind", () => {
    let refused = 0;
    const arb = fc.tuple(crashHistory({ ...small, ...mode }), chancesArb, fc.boolean());
    fc.assert(
      fc.property(arb, ([history, chances, fencedFirst]) => {
        const told = new ToldHistory(history, chances, history);
        const crash = { at: history.crashAt, happen: () => told.crash({ fencedFirst }) };
        told.happen([...told.writeEvents(), ...told.flushEvents(history.flushes), crash]);
        const look = (shown: typeof history.shown): void => {
          for (let volume = 0; volume < history.volumeCount; volume++)
            told.judge(
              volumeView(told.tracker, volume, told.tracker.ltsStartedMax),
              shown.filter((one) => one.volume === volume),
            );
        };
        look(history.shown);
        const isLegal = history.shown.every((one) => legalAfterCrash(history, one).has(one.content));
        expect(told.isRight).toBe(isLegal);
        if (!isLegal) refused++;
        if (!isLegal) return;
        look(history.shown);
        expect(told.isRight).toBe(true);
        for (const [index, one] of history.shown.entries()) {
          const other = [...legalAfterCrash(history, one)].find((content) => content !== one.content);
          if (other === undefined) continue;
          look(history.shown.with(index, { ...one, content: other }));
          expect(told.isRight).toBe(false);
          return;
        }
      }),
      { numRuns },
    );
    expect(refused).toBeGreaterThan(numRuns / 10);
  });

  test("the diff checker accepts exactly the answers that some instants of the two calls make right", () => {
    const agreement = new Agreement(mode);
    const arb = fc.tuple(diffHistory({ ...oneVolume, ...mode }), chancesArb, fc.boolean());
    fc.assert(
      fc.property(arb, ([history, chances, isReadAtOnce]) => {
        const told = new ToldHistory(history, chances);
        const records: SnapshotRecord[] = [];
        const taken = history.base === undefined ? [history.snapshot] : [history.base, history.snapshot];
        const look = (number: number): void => {
          const shown = taken[number]!.shown?.map((one) => ({ volume: 0, ...one }));
          if (shown !== undefined) told.judgeSnapshot(records[number]!, shown);
        };
        const calls = taken.flatMap((call, number) =>
          told.snapshotEvents(call, number, ([record]) => {
            records.push(record!);
            if (isReadAtOnce) look(number);
          }),
        );
        told.happen([...told.writeEvents(), ...calls]);
        for (const number of taken.keys()) if (!isReadAtOnce) look(number);
        const question: DiffQuestion = {
          volume: 0,
          snapshot: records.at(-1)!,
          base: history.base === undefined ? undefined : records[0]!,
          blockCount: history.blockCount,
          promise: { granularityBlocks: history.granularity, chunkBlocks: 8, precision: history.precision },
        };
        const checker = new DiffChecker(told.workload, told.tracker, told.reconciler);
        const isRight =
          told.isRight &&
          checker.check(question, pages(history.reported), pages(history.reported)).violations.length === 0;
        agreement.expect(isRight, legalDiff({ ...history, reads: [] }));
      }),
      { numRuns },
    );
    agreement.isGood();
  });
});

/** One page that reports some of the first eight blocks. */
function pages(reported: Iterable<number>): readonly AnswerPage[] {
  let bits = 0;
  for (const block of reported) bits |= 1 << block;
  return [{ offsetLba: 0, ranges: [{ lbaStart: 0, bitmap: Uint8Array.of(bits) }], nextOffsetLba: 0 }];
}
