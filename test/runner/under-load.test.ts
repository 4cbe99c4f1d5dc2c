import { describe, expect, test } from "vitest";
import { wentBack } from "../../src/gallery/classes/h09-went-back.ts";
import { staleCacheRead } from "../../src/gallery/classes/m20-stale-cache-read.ts";
import { ghostLateWrite } from "../../src/gallery/classes/m22-ghost-late-write.ts";
import { mutantStream, type PortMutant } from "../../src/gallery/mutant.ts";
import { Choices } from "../../src/generators/choices.ts";
import type { FaultClass, Rule, Violation } from "../../src/model/violation.ts";
import { parseConfig } from "../../src/runner/config/load.ts";
import {
  clonesShowInOrigin,
  comparesLie,
  diffsLie,
  dropsWriteOf,
  growthIsNotSeen,
  growthShowsOldData,
  rollbacksForget,
  snapshotsLeak,
  snapshotsMiss,
  tearsSnapshots,
} from "../support/jittery-lies.ts";
import { type MemoryRunOptions, memoryRun } from "../support/memory-run.ts";

/** Sections of a configuration, as YAML flow mappings without braces. */
interface Sections {
  readonly geometry?: string;
  readonly operations?: string;
  readonly reads?: string;
  readonly snapshots?: string;
  readonly faults?: string;
  readonly checks?: string;
  readonly runner?: string;
  readonly target?: string;
}

/** A small volume on which 16 lts are in flight together, with hot snapshots. */
function underLoad({
  geometry = "",
  operations = "",
  reads = "",
  snapshots = "",
  faults = "",
  checks = "",
  runner = "",
  target = "",
}: Sections = {}): string {
  const section = (name: string, base: string, more: string) => {
    // What is asked for replaces what stands in the base.
    const keys = [...more.matchAll(/(?:^|, )(\w+):/g)].map(([, key]) => key);
    const kept = base.split("; ").filter((entry) => !keys.includes(entry.split(":")[0]));
    return `${name}: { ${[...kept, more].filter((entry) => entry !== "").join(", ")} }\n`;
  };
  return [
    section("geometry", "volumeSize: 128KiB; extentSize: 16KiB; blockSize: 512", geometry),
    section("window", "size: 2; slideAfterRepeats: 3", ""),
    section("operations", "blocks: { max: 8 }", operations),
    section("reads", "perLts: { max: 4 }; preRead: 0/1", reads),
    section("snapshots", "every: 15; keep: 3; far: 1/1; hot: 1/1; clones: 0/1", snapshots),
    section("faults", "", faults),
    section("checks", "recent: { every: 10 }; sample: { every: 20 }; snapshots: { extents: all }", checks),
    section("runner", "kind: concurrent; depth: 16; lts: 300; stopAfterViolations: 20", runner),
    section("target", "kind: embedded; directory: nowhere", target),
  ].join("");
}

interface Row extends Omit<MemoryRunOptions, "config"> {
  readonly config?: Sections;
  /** One of several, if it is a matter of who looks first. */
  readonly rule: Rule | readonly Rule[];
  readonly class: FaultClass;
  /** What is to be added to the checks so that nobody looks for it, and what the ledger then says. */
  readonly off?: readonly [Sections, string];
}

/** The lie of a class of the gallery. */
function lieOf({ service: lie }: PortMutant): NonNullable<MemoryRunOptions["wrap"]> {
  const [seed, config] = [5n, parseConfig(underLoad(), "under-load")];
  return (service, clock) =>
    lie!(service, { seed, config, clock, choices: new Choices(seed, mutantStream), struck: () => {} });
}

const withoutFirst = (blocks: readonly number[], { hasBase }: { readonly hasBase: boolean }) =>
  hasBase ? blocks.slice(1) : blocks;

const lies: Record<string, Row> = {
  "shows an old version in reads under load": {
    wrap: lieOf(staleCacheRead),
    rule: "exhaustive",
    class: "stale",
    off: [{ checks: "exhaustive: false" }, "the order of what reads under load show"],
  },
  "goes back behind a version that a read has shown": {
    wrap: lieOf(wentBack),
    config: { operations: "blocks: { max: 8 }, weights: { write: 90, compareAndWrite: 0 }" },
    rule: "exhaustive",
    class: "went-back",
    off: [{ checks: "exhaustive: false" }, "the order of what reads under load show"],
  },
  "tears a snapshot": {
    wrap: tearsSnapshots,
    config: { checks: "diffs: { enabled: false }" },
    rule: "cut",
    class: "torn-cut",
    off: [{ checks: "diffs: { enabled: false }, cut: false" }, "that a snapshot under load is one instant"],
  },
  "lets a later write into a snapshot": {
    wrap: snapshotsLeak,
    config: { checks: "diffs: { enabled: false }" },
    rule: "snapshot",
    class: "late-leak",
    off: [
      { checks: "diffs: { enabled: false }, snapshots: { extents: 0, atEnd: false }, cut: false" },
      "content of snapshots while the run goes on",
    ],
  },
  "leaves an earlier write out of a snapshot": {
    wrap: snapshotsMiss,
    config: { checks: "diffs: { enabled: false }" },
    rule: "snapshot",
    class: "early-miss",
    off: [
      { checks: "diffs: { enabled: false }, snapshots: { extents: 0, atEnd: false }, cut: false" },
      "content of snapshots while the run goes on",
    ],
  },
  "shows what was written to a clone in its origin": {
    wrap: clonesShowInOrigin,
    config: { snapshots: "clones: 1/1", checks: "diffs: { enabled: false }" },
    rule: "snapshot",
    class: "mutated",
    off: [{ snapshots: "clones: 1/1", checks: "diffs: { enabled: false }, clones: false" }, "clones"],
  },
  "forgets a block in a rollback": {
    wrap: rollbacksForget,
    config: { snapshots: "rollback: 1/1" },
    rule: "quiescent",
    class: "resurrected",
  },
  "leaves a block out of the diff that a copy is made by": {
    wrap: diffsLie(withoutFirst),
    config: { snapshots: "syncEvery: 1", checks: "diffs: { enabled: false }" },
    rule: "sync",
    class: "early-miss",
    off: [
      { snapshots: "syncEvery: 1", checks: "diffs: { enabled: false }, sync: false" },
      "copies made by the diff",
    ],
  },
  "leaves a block out of a diff": {
    wrap: diffsLie(withoutFirst),
    rule: "diff",
    class: "omission",
    off: [{ checks: "diffs: { enabled: false }" }, "diffs"],
  },
  "reports over a long span what it did not over its parts": {
    // Each answer by itself is right: blocks that were zeroed again may be reported, or not.
    wrap: diffsLie((blocks, { isFar, hasBase, changed }) => (hasBase && !isFar ? changed() : blocks)),
    config: { operations: "blocks: { max: 8 }, weights: { deallocate: 40, deallocateExtent: 10 }" },
    rule: "diff",
    class: "algebra",
  },
  "lets a compare succeed that should fail": {
    wrap: comparesLie(true),
    config: { operations: "weights: { compareAndWriteMiss: 10 }" },
    rule: "compare",
    class: "wrong-compare",
  },
  "lets a compare fail that should succeed": {
    wrap: comparesLie(false),
    rule: "compare",
    class: "wrong-compare",
    off: [
      { checks: "compare: false", runner: "stopAfterTargetErrors: 1000" },
      "whether compares hold and fail as they should",
    ],
  },
  "drops a write of the second volume": {
    wrap: dropsWriteOf(1),
    config: { checks: "secondVolume: true" },
    rule: "second-volume",
    class: "volumes-differ",
    off: [{}, "a second volume"],
  },
  "shows old data in what a volume has grown by": {
    wrap: growthShowsOldData,
    config: { geometry: "growth: { start: 1/2, every: 50, steps: 2 }" },
    rule: "quiescent",
    class: "extra-data",
  },
  "never shows that a volume has grown": {
    wrap: growthIsNotSeen,
    config: { geometry: "growth: { start: 1/2, every: 50, steps: 2 }", runner: "stopAfterViolations: 1" },
    rule: "size",
    class: "wrong-size",
  },
  "performs a write after its fence": {
    wrap: lieOf(ghostLateWrite),
    config: {
      snapshots: "every: 0",
      operations: "weights: { compareAndWrite: 0 }",
      checks: "recent: { every: 3, extents: 8 }",
    },
    // Whoever looks first: a read beside the writes, or a check at rest.
    rule: ["quiescent", "exhaustive"],
    class: "ghost-write",
  },
  "loses what was flushed, or written with FUA, in a crash": {
    jitter: { hasVolatileCache: true, isForgetful: true },
    config: {
      faults: "crash: { every: 60 }",
      snapshots: "every: 0",
      target: "volatileCache: true",
      operations: "weights: { flush: 20, writeFua: 30 }",
    },
    rule: "durability",
    class: "lost-write",
    off: [{ snapshots: "every: 0", target: "volatileCache: true" }, "durability"],
  },
  "has lost a snapshot after a crash": {
    wrapFaults: (faults, service) => ({
      ...faults,
      crash: async () => {
        await faults.crash();
        const [snapshot] = await service.listSnapshots();
        if (snapshot !== undefined) await service.deleteSnapshot(snapshot.uuid);
      },
    }),
    config: { faults: "crash: { every: 60 }", runner: "stopAfterViolations: 1" },
    rule: "durability",
    class: "lost-snapshot",
  },
};

function violationsOf(violations: readonly Violation[]): string {
  return violations.map(({ rule, class: name }) => `${rule}/${name}`).join(" ");
}

describe("under load, a run on a target that", () => {
  test.for(Object.entries(lies))(
    "%s names it",
    async ([, { config, rule, class: name, off, ...options }]) => {
      const jitter = { turnsMax: 20, ...options.jitter };
      const result = await memoryRun({ seed: 5n, ...options, jitter, config: underLoad(config) });
      const found = result.violations.filter((violation) => violation.class === name);
      const rules = found.map((violation) => violation.rule);
      expect(
        [rule].flat().some((one) => rules.includes(one)),
        `${name}: ${rules.join(", ")}`,
      ).toBe(true);
      expect(result).toMatchObject({ verdict: "violation", crash: undefined });
    },
  );

  test("tears a snapshot is confronted with the two operations that no instant parts so", async () => {
    const config = underLoad({ checks: "diffs: { enabled: false }" });
    const { violations } = await memoryRun({
      seed: 5n,
      wrap: tearsSnapshots,
      jitter: { turnsMax: 20 },
      config,
    });
    const torn = violations.filter(
      ({ class: name, operations }) => name === "torn-cut" && operations.length >= 2,
    );
    expect(torn.map(({ summary }) => summary).join("\n")).toMatch(
      /operation \d+ of lts \d+ is in it, and operation \d+ of lts \d+ is not, though that had completed before the first was submitted/,
    );
    for (const { operations } of torn)
      expect(new Set(operations.map(({ role }) => role)).has("missing")).toBe(true);
  });
});

describe("with the checker switched off, the ledger of a run on a target that", () => {
  const rows = Object.entries(lies).filter(([, { off }]) => off !== undefined);
  test.for(rows)("%s says so", async ([, { rule, class: name, off, config: _, ...options }]) => {
    const [sections, what] = off!;
    const jitter = { turnsMax: 20, ...options.jitter };
    const result = await memoryRun({ seed: 5n, ...options, jitter, config: underLoad(sections) });
    expect(violationsOf(result.violations)).not.toContain(`${rule}/${name}`);
    expect(result.ledger.notChecked.map((gap) => gap.what)).toContain(what);
  });
});
