import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Geometry } from "../../src/selectors/geometry.ts";
import { HistoryBuilder, type HistoryPlan } from "../../src/selectors/history-builder.ts";
import { HistoryError } from "../../src/selectors/history-error.ts";
import { HistoryTextError, historyText, parseHistory } from "../../src/selectors/history-text.ts";

const geometries = {
  one: new Geometry({ blockSizeBytes: 4096, volumeBlocks: [64], extentBlocks: 16 }),
  two: new Geometry({ blockSizeBytes: 512, volumeBlocks: [40, 40], extentBlocks: 16 }),
  uneven: new Geometry({ blockSizeBytes: 512, volumeBlocks: [8, 100, 33], extentBlocks: 8 }),
} as const;

/** A plan that can be compared: geometries hold functions. */
function comparable({ geometry, ...plan }: HistoryPlan) {
  const { blockSizeBytes, volumeBlocks, extentBlocks } = geometry;
  return { ...plan, geometry: { blockSizeBytes, volumeBlocks, extentBlocks } };
}

/** A call of a builder; what it makes no sense of, as a snapshot that there is not, is left out. */
interface Call {
  readonly what: (typeof calls)[number];
  readonly a: number;
  readonly b: number;
  readonly isTogether: boolean;
  readonly isShuffled: boolean;
}

const calls = [
  "writes",
  "others",
  "others",
  "reads",
  "whole",
  "snapshot",
  "snapshot",
  "deleteSnapshot",
  "diff",
  "diff",
  "diffWithoutBase",
  "clone",
  "cloneOfOwn",
  "checkClone",
  "deleteClone",
  "rollback",
  "resize",
  "sync",
  "crash",
] as const;

const call: fc.Arbitrary<Call> = fc.record({
  what: fc.constantFrom(...calls),
  a: fc.nat(5),
  b: fc.nat(5),
  isTogether: fc.boolean(),
  isShuffled: fc.boolean(),
});

interface Program {
  readonly seed: bigint;
  readonly geometry: Geometry;
  readonly startExtents: number | undefined;
  readonly compareAndWriteBlocksMax: number;
  readonly calls: readonly Call[];
}

const program: fc.Arbitrary<Program> = fc.record({
  seed: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  geometry: fc.constantFrom(...Object.values(geometries)),
  startExtents: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
  compareAndWriteBlocksMax: fc.integer({ min: 1, max: 4 }),
  calls: fc.array(call, { maxLength: 30 }),
});

function planOf({ calls: all, startExtents, ...options }: Program): HistoryPlan {
  const history = new HistoryBuilder({ ...options, ...(startExtents === undefined ? {} : { startExtents }) });
  for (const one of all)
    try {
      perform(history, one);
    } catch (error) {
      if (!(error instanceof HistoryError)) throw error;
    }
  return history.extent(0).write().finish().finish();
}

function perform(history: HistoryBuilder, { what, a, b, isTogether, isShuffled }: Call): void {
  const group = () => {
    const begun = a === 0 ? history.nextExtent() : history.extent(a % 3);
    if (isShuffled) begun.randomOrder();
    return isTogether ? begun.simultaneously() : begun;
  };
  switch (what) {
    case "writes":
      group().writes(a).deallocates(b).finish();
      return;
    case "others":
      group().write({ block: b }).update().flush().compareAndWrite().writeZeroes().writeFua().read().finish();
      return;
    case "reads":
      group().reads(b).readExtent().finish();
      return;
    case "whole":
      (a % 2 === 0 ? group().deallocateTail(b) : group().deallocateExtent()).finish();
      return;
    case "snapshot":
      snapshot(history, a);
      return;
    case "clone":
      history.clone(`clone-${a}`, name(history, b));
      return;
    case "cloneOfOwn":
      history.clone(`clone-${a}`, name(history, b), (clone) => {
        clone.write(b % 2).deallocate(b % 2);
        if (isTogether) clone.writeZeroes(0);
      });
      return;
    case "checkClone":
    case "deleteClone":
      history[what](`clone-${a}`);
      return;
    case "deleteSnapshot":
    case "rollback":
    case "sync":
      history[what](name(history, a));
      return;
    case "diff":
      history.diff(name(history, a), name(history, b));
      return;
    case "diffWithoutBase":
      history.diff(undefined, name(history, b));
      return;
    case "resize":
      history.resize(a + 1);
      return;
    case "crash":
      history.crash();
  }
}

/** Names of the snapshots that a history has taken. */
const taken = new WeakMap<HistoryBuilder, readonly string[]>();

function snapshot(history: HistoryBuilder, number: number): void {
  const newest = `s.${history.ltsCount}-${number}`;
  history.snapshot(newest);
  taken.set(history, [...(taken.get(history) ?? []), newest]);
}

function name(history: HistoryBuilder, number: number): string {
  const names = taken.get(history) ?? [];
  return names[number % Math.max(1, names.length)] ?? "none";
}

const head = [
  "harrow history 1",
  "seed           0x5eed",
  "block-size     4096",
  "extent-blocks  16",
  "volume-blocks  64 64",
];

function withBody(...body: readonly string[]): string {
  return [...head, "", ...body].join("\n");
}

function problemsOf(text: string): readonly string[] {
  try {
    parseHistory(text, "h");
  } catch (error) {
    if (error instanceof HistoryTextError) return error.problems;
    throw error;
  }
  return [];
}

const golden = `harrow history 1
seed           0x5eed
block-size     512
extent-blocks  16
volume-blocks  40 40
start-extents  2 2

0.0         1/0    write             3..5
0.1         1/0    deallocate        6
0           1/0    read              0..15
after 0     snapshot a
after 0     diff - a
1.0         0/0    flush
2.0         0/0    compare-and-write 2
after 2     clone c of a
in c 0.0    0/1    write             0..1
in c 1.0    1/1    write             7
in c 1.1    1/1    deallocate        5
after 2     check-clone c
after 2     resize 3
after 3     sync a
# after 3     "look\\nat it" is left out: it is code
after 3     delete-clone c
after 3     crash
`;

describe("a history as text", () => {
  test("has a line for each operation with its place, and for each step with the lts that it follows", () => {
    const plan = new HistoryBuilder({ seed: 0x5eedn, geometry: geometries.two, startExtents: 2 })
      .extent(2)
      .simultaneously()
      .write({ block: 3, blocks: 3 })
      .deallocateRange(6, 1)
      .readExtent()
      .finish()
      .snapshot("a")
      .diff(undefined, "a")
      .extent(0)
      .flush()
      .compareAndWrite({ block: 2 })
      .finish()
      .clone("c", "a", (clone) =>
        clone
          .write(1, { block: 0, blocks: 2 })
          .write(3, { block: 7, blocks: 1 })
          .deallocate(3, { block: 5, blocks: 1 }),
      )
      .resize(3)
      .sync("a")
      .custom("look\nat it", () => {})
      .deleteClone("c")
      .crash()
      .finish();
    expect(historyText(plan)).toBe(golden);
  });

  test("says what blocks are filled with, and how many lts are in flight, if it matters", () => {
    const plan = {
      ...new HistoryBuilder({ seed: 1n, geometry: geometries.two }).extent(0).write().finish().finish(),
      content: "text",
      depth: 8,
    } as const;
    const text = historyText(plan);
    expect(text).toContain("\ncontent        text\ndepth          8\n\n");
    expect(parseHistory(text, "h")).toMatchObject({ content: "text", depth: 8 });
    expect(historyText(parseHistory(text, "h"))).toBe(text);
    for (const [from, to, problem] of [
      ["content        text", "content tex", 'expected incompressible, compressible, text, got "tex"'],
      ["depth          8", "depth 0", "depth"],
    ] as const)
      expect(() => parseHistory(text.replace(from, to), "h")).toThrow(problem);
  });

  test("holds steps that only drawn histories have", () => {
    const steps = [
      "after 0     snapshot a at rest",
      "after 0     reset-connections",
      "after 0     cut-connections 50ms",
      "after 0     slow 5ms for 10 lts",
    ];
    const text = withBody("0.0         0/0    write             3 batch 0", ...steps);
    const plan = parseHistory(text, "h");
    expect(plan.visits[0]!.steps).toEqual([
      { kind: "snapshot", snapshot: 0, isHot: false },
      { kind: "resetConnections" },
      { kind: "cutConnections", durationMs: 50 },
      { kind: "slow", delayMs: 5, ltsCount: 10 },
    ]);
    expect(historyText(plan).trimEnd().split("\n").slice(-4)).toEqual(steps);
  });

  test("names the extent of an lts at which nothing is done, if the lines around do not tell it", () => {
    const lines = [
      "0.0         0/1    write             3",
      "2           0/2    nothing",
      "4.0         0/2    write             3",
      "4.3         0/2    write-zeroes      4 batch 1",
      "6           0/2    nothing",
    ];
    const plan = parseHistory(withBody(...lines), "h");
    expect(plan.visits.map(({ pd }) => pd)).toEqual([1, 1, 2, 2, 2, 2, 2]);
    expect(plan.visits[4]!.operations.map(({ batch }) => batch)).toEqual([0, 1]);
    expect(historyText(plan).trimEnd().split("\n").slice(-lines.length)).toEqual(lines);
  });

  test("lets a read name any extent; that of the lts is its operations', or else the first read's", () => {
    const lines = [
      "0.0         0/1    write             3",
      "0           1/2    read              0..15",
      "0           0/1    read              4",
      "1           0/3    read              0",
      "1           0/1    read              1",
      "2           0/2    nothing",
      "2           0/1    read              2",
      "2           0/2    read              3",
    ];
    const plan = parseHistory(withBody(...lines), "h");
    expect(plan.visits.map(({ pd, reads }) => [pd, reads])).toEqual([
      [
        1,
        [
          { pd: 6, firstBlock: 0, blockCount: 16 },
          { firstBlock: 4, blockCount: 1 },
        ],
      ],
      [
        3,
        [
          { firstBlock: 0, blockCount: 1 },
          { pd: 1, firstBlock: 1, blockCount: 1 },
        ],
      ],
      [
        2,
        [
          { pd: 1, firstBlock: 2, blockCount: 1 },
          { firstBlock: 3, blockCount: 1 },
        ],
      ],
    ]);
    expect(historyText(plan).trimEnd().split("\n").slice(-lines.length)).toEqual(lines);
    expect(problemsOf(withBody("0.0 0/1 write 3", "1 0/2 nothing", "1 0/3 nothing"))).toEqual([
      "h:9: extent 0/3: expected 0/2, as at line 8",
    ]);
    expect(
      problemsOf(
        `${withBody("0.0 0/1 write 3", "0 1/3 read 3")}`.replace(/\n0\.0/, "\nstart-extents 2 2\n0.0"),
      ),
    ).toEqual(["h:9: extent 1/3: volume 1 has 2 at this lts; it is to be resized before"]);
  });

  test("has the visits of a clone at their places, on the extent of the one before or after", () => {
    const lines = [
      "after 0 snapshot a",
      "after 0 clone c of a",
      "in c 1.0 0/1 write 3",
      "after 0 clone d of a",
      "in d 0.0 0/1 write 3",
      "in d 1.0 0/2 write 3",
      "in d 3.0 0/3 write 3",
    ];
    const { clones } = parseHistory(withBody(...lines), "h");
    const visits = (clone: number) =>
      clones.get(clone)!.map(({ pd, operations }) => `${pd}: ${operations.length}`);
    expect(visits(0)).toEqual(["1: 0", "1: 1"]);
    expect(visits(1)).toEqual(["1: 1", "2: 1", "2: 0", "3: 1"]);
  });

  test("leaves a comment in the place of code, and keeps the lts that it follows", () => {
    const plan = new HistoryBuilder({ seed: 1n, geometry: geometries.one })
      .custom("# a\nb", () => {})
      .finish();
    const text = historyText(plan);
    expect(text).toMatch(/\n0 +0\/0 +nothing\n# after 0 +"# a\\nb" is left out: it is code\n$/);
    expect(parseHistory(text, "h").visits).toEqual([{ pd: 0, operations: [], reads: [], steps: [] }]);
  });

  test("keeps the place of what is left when lines are deleted", () => {
    const whole = parseHistory(golden, "h");
    const cut = golden.split("\n").filter((line) => !/^0 |^0\.0|^1\.0|in c 0\.0|sync/.test(line));
    const { visits, clones } = parseHistory(cut.join("\n"), "h");
    expect(
      visits.map(({ operations }) => operations.map(({ kind, operationId }) => [kind, operationId])),
    ).toEqual([[["deallocate", 1]], [], [["compareAndWrite", 0]], []]);
    expect(visits[1]).toMatchObject({ pd: whole.visits[0]!.pd, reads: [] });
    const empty = { pd: whole.clones.get(0)![1]!.pd, operations: [] };
    expect(clones.get(0)).toEqual([empty, whole.clones.get(0)![1]]);
  });

  test("takes lines in any order, comments, empty lines, tabs and the line ends of Windows", () => {
    const [first, ...rest] = golden.trimEnd().split("\n");
    const isStep = (line: string) => line.startsWith("after");
    const others = rest.filter((line) => !isStep(line)).reverse();
    const shuffled = ["# about it", "", first, ...others, ...rest.filter(isStep)];
    const text = shuffled.map((line) => `${line?.replaceAll("  ", "\t") ?? ""} # why\r\n`).join("");
    expect(historyText(parseHistory(text, "h"))).toBe(golden.replace(/\n# after.*\n/, "\n"));
  });

  test("is read as the same history, and printed as the same text", () => {
    fc.assert(
      fc.property(program, (one) => {
        const plan = planOf(one);
        const text = historyText(plan);
        const parsed = parseHistory(text, "text");
        expect(comparable(parsed)).toEqual(comparable(plan));
        expect(historyText(parsed)).toBe(text);
      }),
      { numRuns: 200 },
    );
  });

  test("changed anywhere, is a history or told to be none", () => {
    let parsedCount = 0;
    fc.assert(
      fc.property(
        program,
        fc.nat(),
        fc.nat(),
        fc.oneof(fc.constantFrom(..."0123456789-./# ax\n\t\0"), fc.string({ unit: "binary", maxLength: 3 })),
        (one, at, from, replacement) => {
          const text = historyText(planOf(one));
          const place = at % text.length;
          const lines = text.split("\n");
          const line = from % lines.length;
          for (const changed of [
            text.slice(0, place) + replacement + text.slice(place + 1),
            text.slice(0, place) + replacement + text.slice(place),
            text.slice(0, place),
            lines.toSpliced(line, 1).join("\n"),
            [...lines, lines[line]!].join("\n"),
          ]) {
            const problems = problemsOf(changed);
            expect(problems.length).toBeLessThanOrEqual(20);
            for (const problem of problems) expect(problem).toMatch(/^h:\d+: \S/);
            if (problems.length > 0) continue;
            parsedCount++;
            const again = historyText(parseHistory(changed, "h"));
            expect(historyText(parseHistory(again, "h"))).toBe(again);
          }
        },
      ),
      { numRuns: 100 },
    );
    expect(parsedCount).toBeGreaterThan(50);
  });

  test("is never anything but a history or told to be none, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200 }), fc.boolean(), (bytes, hasHead) => {
        problemsOf(hasHead ? withBody(bytes) : bytes);
      }),
      { numRuns: 200 },
    );
  });
});

describe("what is wrong is told with its line:", () => {
  const taken = ["0.0 0/0 write 3", "after 0 snapshot a", "after 0 snapshot b"];
  test.for<[string, string, string | RegExp]>([
    ["nothing at all", "", "h:1: expected 'harrow history 1', got nothing"],
    [
      "another file",
      "geometry: {}\nrunner:\n",
      "h:1: expected 'harrow history 1', the first line of a history",
    ],
    [
      "a later format",
      "\n# x\nharrow history 2",
      'h:3: format "2" of a history: this version reads format 1',
    ],
    ["no seed", withBody().replace(/seed.*\n/, ""), "h:5: seed is missing"],
    [
      "a seed that is none",
      withBody().replace("0x5eed", "lucky"),
      'h:2: seed: expected 64 bits such as 0x5eed, got "lucky"',
    ],
    ["a seed twice", withBody("seed 1"), "h:7: seed was said before, at line 2"],
    ["odd blocks", withBody().replace("4096", "1000"), 'h:3: block-size: expected 512 or 4096, got "1000"'],
    ["two block sizes", withBody().replace("4096", "512 512"), "h:3: block-size: expected one value, got 2"],
    [
      "empty volumes",
      withBody().replace("64 64", "0"),
      /h:5: volume-blocks: expected a whole number from 1 to \d+, got "0"/,
    ],
    ["no volumes", withBody().replace("64 64", ""), "h:5: volume-blocks: expected 1 to 4096 volumes, got 0"],
    [
      "extents without blocks",
      withBody().replace("16", "0"),
      'h:4: extent-blocks: expected a whole number from 1 to 131072, got "0"',
    ],
    [
      "one start for two",
      withBody("start-extents 1"),
      "h:7: start-extents: expected 2, as many as volume-blocks, got 1",
    ],
    [
      "a start beyond the end",
      withBody("start-extents 1 5"),
      'h:7: start-extents of volume 1: expected a whole number from 1 to 4, got "5"',
    ],
    ["an empty history", withBody(), "h:6: the history is empty: expected operations or steps"],
    [
      "a word",
      withBody("wrote 3"),
      "h:7: expected a place such as 3.0, 'after', 'in' or a word of the head, got \"wrote\"",
    ],
    [
      "an unknown operation",
      withBody("0.0 0/0 erase 3"),
      /h:7: expected an operation \(write, write-fua, .*\), got "erase"/,
    ],
    [
      "a read with a number",
      withBody("0.0 0/0 read 3"),
      "h:7: a read has the lts alone for a place, without an operation number",
    ],
    [
      "a write without",
      withBody("0 0/0 write 3"),
      "h:7: write needs a place with an operation number, such as 0.0",
    ],
    [
      "no blocks",
      withBody("0.0 0/0 write"),
      "h:7: expected blocks such as 3 or 3..5, got the end of the line",
    ],
    ["blocks of a flush", withBody("0.0 0/0 flush 3"), 'h:7: expected the end of the line, got "3"'],
    ["blocks backwards", withBody("0.0 0/0 write 5..3"), "h:7: blocks 5..3: the last comes before the first"],
    [
      "blocks beyond the extent",
      withBody("0.0 0/0 write 15..16"),
      "h:7: block 16: the extent has 16 blocks, numbered from 0",
    ],
    [
      "a read beyond the extent",
      withBody("0 0/0 read 16"),
      "h:7: block 16: the extent has 16 blocks, numbered from 0",
    ],
    [
      "an extent beyond the volume",
      withBody("0.0 1/4 write 3"),
      "h:7: extent 1/4: volume 1 has 4, numbered from 0",
    ],
    ["a volume beyond the last", withBody("0.0 2/0 write 3"), "h:7: volume 2: there are 2, numbered from 0"],
    [
      "an extent alone",
      withBody("0.0 2 write 3"),
      'h:7: expected an extent as volume/extent, such as 0/3, got "2"',
    ],
    [
      "two extents of one lts",
      withBody("4.0 1/2 write 3", "4.1 1/3 write 3"),
      "h:8: extent 1/3: expected 1/2, as at line 7",
    ],
    ["a place twice", withBody("0.0 0/0 write 3", "0.0 0/0 write 4"), "h:8: this place is taken by line 7"],
    [
      "a block twice",
      withBody("0.0 0/0 write 3..5", "0.1 0/0 deallocate 0..3"),
      "h:7: block 3 is taken by line 8: operations of one lts touch different blocks",
    ],
    [
      "batches out of order",
      withBody("0.0 0/0 write 3 batch 1", "0.1 0/0 write 4"),
      "h:8: batch 0: the operation before it, at line 7, is of batch 1, and batches follow one another",
    ],
    [
      "an lts too far",
      withBody("100000.0 0/0 write 3"),
      'h:7: lts: expected a whole number from 0 to 99999, got "100000"',
    ],
    [
      "an operation too many",
      withBody("0.255 0/0 write 3"),
      'h:7: operation: expected a whole number from 0 to 254, got "255"',
    ],
    [
      "a number that is too long",
      withBody("0.0 0/0 write 99999999999999999999"),
      /h:7: a block: expected a whole number from 0 to \d+, got "9+"/,
    ],
    [
      "an unknown step",
      withBody("after 0 backup a"),
      /h:7: expected a step \(snapshot, delete-snapshot, diff, .*\), got "backup"/,
    ],
    ["a step that every object has", withBody("after 0 constructor a"), /got "constructor"/],
    [
      "an unknown snapshot",
      withBody(...taken, "after 0 diff - c"),
      "h:10: there is no snapshot 'c': there are a, b",
    ],
    ["a snapshot twice", withBody(...taken, "after 0 snapshot a"), "h:10: there is a snapshot 'a' already"],
    [
      "a snapshot later in the text",
      withBody("0.0 0/0 write 3", "after 1 snapshot a", "after 0 diff - a"),
      "h:9: there is no snapshot 'a': none was taken",
    ],
    [
      "a deleted snapshot",
      withBody(...taken, "after 1 delete-snapshot a", "after 1 rollback a"),
      "h:11: snapshot 'a' was deleted",
    ],
    [
      "a diff against no ancestor",
      withBody(...taken, "after 0 diff b a"),
      "h:10: the diff of 'a' against 'b': the first does not stand on the second",
    ],
    [
      "a smaller snapshot",
      withBody("start-extents 1 1", ...taken, "after 0 resize 2", "after 1 rollback a"),
      "h:12: rollback to 'a': the volumes have grown since it was taken",
    ],
    [
      "shrinking",
      withBody("after 0 resize 3"),
      "h:7: volumes of 3 extents: volume 0 has 4 already, and volumes only grow",
    ],
    [
      "an extent before its time",
      withBody("start-extents 1 1", "0.0 0/1 write 3", "after 0 resize 2"),
      "h:8: extent 0/1: volume 0 has 1 at this lts; it is to be resized before",
    ],
    [
      "an extent of a clone before its time",
      withBody("start-extents 1 1", ...taken, "after 0 clone c of a", "in c 0.0 0/1 write 3"),
      "h:12: extent 0/1: volume 0 had 1 when the snapshot of the clone was taken",
    ],
    [
      "an extent of a clone that its snapshot is too small for",
      withBody(
        "start-extents 1 1",
        ...taken,
        "after 0 resize 2",
        "after 1 clone c of a",
        "in c 0.0 0/1 write 3",
      ),
      "h:13: extent 0/1: volume 0 had 1 when the snapshot of the clone was taken",
    ],
    [
      "what follows a resize of the same lts",
      withBody("start-extents 1 1", ...taken, "after 0 resize 2", "after 0 crash", "after 0 snapshot c"),
      "h:13: lts 0 ends with its resize, and what it makes is there from the next on: expected this after 1",
    ],
    [
      "a clone twice",
      withBody(...taken, "after 0 clone c of a", "after 0 clone c of b"),
      "h:11: there is a clone 'c' already",
    ],
    ["a clone unknown", withBody("after 0 check-clone c"), "h:7: there is no clone 'c'"],
    [
      "a clone deleted",
      withBody(...taken, "after 0 clone c of a", "after 0 delete-clone c", "after 0 check-clone c"),
      "h:12: clone 'c' was deleted",
    ],
    [
      "writes to no clone",
      withBody(...taken, "in c 0.0 0/0 write 3"),
      "h:10: there is no clone 'c': expected 'clone c of …'",
    ],
    [
      "a fifth extent of a clone",
      withBody("in c 4.0 0/0 write 3"),
      'h:7: visit: expected a whole number from 0 to 3, got "4"',
    ],
    [
      "a flush in a clone",
      withBody("in c 0.0 0/0 flush"),
      "h:7: expected an operation that writes, zeroes or deallocates, as this is in a clone",
    ],
    [
      "a cut that is too long",
      withBody("after 0 cut-connections 60001ms"),
      'h:7: milliseconds: expected a whole number from 1 to 60000, got "60001"',
    ],
    ["lateness without an end", withBody("after 0 slow 5ms"), "h:7: expected 'for', got the end of the line"],
  ])("%s", ([, text, expected]) => {
    const problems = problemsOf(text);
    expect(problems).toHaveLength(1);
    if (typeof expected === "string") expect(problems[0]).toBe(expected);
    else expect(problems[0]).toMatch(expected);
  });

  test("all of it together, in the order of the lines, but no more than 20", () => {
    const body = ["after 0 diff - a", "0.0 0/0 write 3", "0.2 0/0 write 3", "0.1 0/9 write 3"];
    expect(problemsOf(withBody(...body))).toEqual([
      "h:7: there is no snapshot 'a': none was taken",
      "h:9: block 3 is taken by line 8: operations of one lts touch different blocks",
      "h:10: extent 0/9: volume 0 has 4, numbered from 0",
    ]);
    const many = problemsOf(withBody(...Array.from({ length: 50 }, () => "nonsense")));
    expect(many).toHaveLength(20);
    expect(many.at(-1)).toMatch(/^h:26: /);
  });

  test("without a long search, however much there is", { timeout: 5_000 }, () => {
    expect(problemsOf(" ".repeat(2 ** 25 + 1))).toEqual([
      "h: 33554433 characters: expected at most 33554432",
    ]);
    const snapshots = Array.from({ length: 1001 }, (_, number) => `after 0 snapshot s${number}`);
    expect(problemsOf(withBody(...snapshots))).toEqual(["h:1007: expected at most 1000 snapshots"]);
    const diffs = Array.from({ length: 20_000 }, () => "after 1 diff s0 s999");
    expect(problemsOf(withBody(...snapshots.slice(0, -1), ...diffs))).toEqual([
      "h:10007: expected at most 10000 steps",
    ]);
    const operations = Array.from({ length: 300 }, (_, number) => `0.${number % 255} 0/0 flush`);
    expect(problemsOf(withBody(...operations))).toHaveLength(20);
    expect(problemsOf(withBody(...Array.from({ length: 300 }, () => "0 0/0 read 0..15"))).length).toBe(20);
    expect(parseHistory(withBody("99999.0 0/0 write 3"), "h").visits).toHaveLength(100_000);
  });
});
