/**
 * What is drawn of a random history: operations with their times in ticks, before any of it is performed.
 *
 * @packageDocumentation
 */
import fc from "fast-check";

/** Anything that takes time: ticks, and a number from which its choices are mixed. */
export interface Drawn {
  readonly start: number;
  readonly length: number;
  readonly salt: number;
}

export interface DrawnWrite extends Drawn {
  readonly volume: number;
  readonly blocks: readonly [first: number, count: number];
  readonly isZeros: boolean;
  readonly isFua: boolean;
  readonly isInDoubt: boolean;
  /** Whether it is still in flight, or without a fence, at the end. */
  readonly isLasting: boolean;
  readonly isAdvice: boolean;
  /** Where its lts is free, the lower goes first. */
  readonly priority: number;
}

interface DrawnRead extends Drawn {
  readonly volume: number;
  readonly block: number;
}

export interface DrawnHistory {
  readonly volumeCount: number;
  readonly blockCount: number;
  readonly writes: readonly DrawnWrite[];
  readonly reads: readonly DrawnRead[];
}

export interface HistoryOptions {
  readonly writesMax: number;
  readonly readsMax: number;
  readonly blocksMax: number;
  /** 1 when absent. */
  readonly volumesMax?: number;
  /** Whether two writes on one block may be in flight together; otherwise one waits for the other, or its fence. */
  readonly overlap: boolean;
  readonly inDoubt: boolean;
  /** Whether there are deallocations, many of them, that may leave what was there. */
  readonly advice?: boolean;
}

/** The last tick at which an operation starts. */
export const startMax = 60;

/** Without bias to the ends, where everything would overlap. */
const drawnTime = { start: fc.noBias(fc.nat(startMax)), salt: fc.noBias(fc.nat(0xffff)) };

/** A snapshot or a flush. */
export const drawnCall: fc.Arbitrary<Drawn> = fc.record({
  ...drawnTime,
  length: fc.integer({ min: 1, max: 8 }),
});

const oneIn = (count: number): fc.Arbitrary<boolean> => fc.nat(count - 1).map((drawn) => drawn === count - 1);

/** So many or fewer, most often more than half. */
const upTo = <Item>(countMax: number, item: fc.Arbitrary<Item>): fc.Arbitrary<Item[]> =>
  fc.oneof(
    { weight: 1, arbitrary: fc.array(item, { maxLength: countMax, size: "max" }) },
    {
      weight: 4,
      arbitrary: fc.array(item, { minLength: Math.ceil(countMax / 2), maxLength: countMax, size: "max" }),
    },
  );

export const drawnHistory = (options: HistoryOptions): fc.Arbitrary<DrawnHistory> =>
  fc
    .tuple(
      fc.integer({ min: 1, max: options.volumesMax ?? 1 }),
      fc.integer({ min: 1, max: options.blocksMax }),
    )
    .chain(([volumeCount, blockCount]) => {
      const length = fc.oneof(
        { weight: 4, arbitrary: fc.integer({ min: 1, max: 8 }) },
        { weight: 1, arbitrary: fc.integer({ min: 8, max: startMax }) },
      );
      const volume = fc.nat(volumeCount - 1);
      const block = fc.nat(blockCount - 1);
      const write = fc.record({
        ...drawnTime,
        length,
        volume,
        blocks: fc.tuple(block, block).map(([one, other]) => {
          const first = Math.min(one, other);
          return [first, Math.max(one, other) - first + 1] as const;
        }),
        isZeros: oneIn(options.advice === true ? 2 : 5),
        isAdvice: options.advice === true ? fc.nat(3).map((drawn) => drawn > 0) : fc.constant(false),
        isFua: oneIn(3),
        isInDoubt: options.inDoubt ? oneIn(3) : fc.constant(false),
        isLasting: oneIn(10),
        priority: fc.nat(99),
      });
      const read = fc.record({ ...drawnTime, length, volume, block });
      return fc.record({
        volumeCount: fc.constant(volumeCount),
        blockCount: fc.constant(blockCount),
        writes: upTo(options.writesMax, write),
        reads: upTo(options.readsMax, read),
      });
    });
