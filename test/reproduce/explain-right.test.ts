import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { Choices } from "../../src/generators/choices.ts";
import { snapshotView, volumeView } from "../../src/model/view.ts";
import { BlockStates } from "../../src/reproduce/explain-candidates.ts";
import { type Life, lifeOf } from "../../src/reproduce/explain-life.ts";
import { type BlockOperation, type BlockPlace, placeOf } from "../../src/reproduce/explain-operations.ts";
import { type ExplainSource, snapshotOf, sourceOfMemory } from "../../src/reproduce/explain-source.ts";
import {
  type OperationLogFile,
  readOperationLog,
  writeOperationLog,
} from "../../src/runner/operation-log-file.ts";
import { randomRun, type Trouble } from "../support/random-run.ts";
import { type Deed, type LoggedRun, performLogged } from "./explain-log.ts";

/** A pair of a block and what it is asked of: a snapshot, or the volume in the end. */
interface Pair {
  readonly place: BlockPlace;
  readonly snapshot: number | undefined;
}

interface Kind extends Trouble {
  /** If nobody looks, what is open stays so. */
  readonly isLookedAt: boolean;
  /** There is an operation log. */
  readonly isLogged: boolean;
}

const runs: readonly Kind[] = [
  { isLookedAt: true, isLogged: false },
  { hasLosses: true, isLookedAt: false, isLogged: true },
  { hasCrashes: true, isLookedAt: false, isLogged: false },
  { hasCrashes: true, hasVolatileCache: true, isLookedAt: false, isLogged: true },
  { hasCrashes: true, hasVolatileCache: true, hasLosses: true, isLookedAt: true, isLogged: false },
];

const sequential = `
geometry: { volumeSize: 1MiB, extentSize: 128KiB, growth: { start: 1/2, every: 60, steps: 2 } }
window: { size: 4, slideAfterRepeats: 3 }
operations: { blocks: { max: 16 } }
snapshots: { every: 12, keep: 3, clones: 1/2, rollback: 1/3, withoutBase: 1/2 }
checks: { diffs: { precision: exact } }
runner: { kind: sequential, lts: 250 }
target: { kind: memory }
`;

/** So many blocks of each run, each asked of so many snapshots. */
const blocksPerRun = 42;
const snapshotsPerBlock = 4;

describe("explain", () => {
  test("tells 1,000 random pairs of block and snapshot as the log of what was really done", async () => {
    let pairCount = 0;
    let openCount = 0;
    const ask = (logged: LoggedRun, choices: Choices, log?: OperationLogFile): void => {
      for (const { isOpen } of explained(logged, choices, log)) {
        pairCount++;
        if (isOpen) openCount++;
      }
    };
    for (const [number, trouble] of runs.entries()) {
      const seed = BigInt(100 * number);
      const { config, jitter } = randomRun(seed, trouble);
      const unwatched = config.replace(/extents: (all|8) }/, "extents: 0, atEnd: false }");
      const text = trouble.isLookedAt ? config : unwatched;
      const logged = await performLogged({ config: text, seed, jitter });
      const log = trouble.isLogged ? logOf(logged) : undefined;
      ask(logged, new Choices(seed, 1n), log);
      log?.close();
    }
    ask(await performLogged({ config: sequential, seed: 7n }), new Choices(7n, 1n));
    expect(pairCount).toBeGreaterThanOrEqual(1000);
    // Where several values may show it says so, and where one may it is that one.
    expect(openCount).toBeGreaterThan(pairCount / 100);
    expect(openCount).toBeLessThan(pairCount / 2);
  }, 60_000);
});

function logOf({ run }: LoggedRun): OperationLogFile {
  const directory = mkdtempSync(join(tmpdir(), "harrow-explain-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "operations.sqlite");
  writeOperationLog(path, run.operationLog);
  return readOperationLog(path);
}

function* explained(
  logged: LoggedRun,
  choices: Choices,
  log: OperationLogFile | undefined,
): Generator<{ readonly isOpen: boolean }> {
  const { result, config, seed, memory, volumes } = logged;
  expect(result).toMatchObject({ violations: [], crash: undefined });
  const source = sourceOfMemory({ config, seed, memory, log });
  const snapshots = [...new Set(memory.snapshots.map(({ snapshot }) => snapshot))];
  for (let number = 0; number < blocksPerRun; number++) {
    const volume = choices.below(volumes.length);
    const place = placeOf(source, volume, choices.below(source.history.geometry.volumeBlocks[volume]!));
    const life = lifeOf(source, place, { last: Number.POSITIVE_INFINITY });
    const where = `seed ${seed}, volume ${volume}, block ${place.block}`;
    expect(life.operations.map(deedOf(source, place)), where).toEqual(
      logged.log.deedsOn(`${logged.name}-v${volume}`, place.block).map(comparable),
    );
    expectDiffs(logged, life, where);
    expectClones(logged, life, where);
    for (let turn = 0; turn < snapshotsPerBlock; turn++) {
      const pair = { place, snapshot: snapshots[choices.below(snapshots.length + 1)] };
      yield { isOpen: expectValue(source, logged, pair, life, `${where}, snapshot ${pair.snapshot}`) };
    }
  }
}

/** What the block really holds is among what it may hold; @returns whether that is more than one value. */
function expectValue(
  source: ExplainSource,
  { log, name, volumes, config }: LoggedRun,
  { place, snapshot }: Pair,
  life: Life,
  where: string,
): boolean {
  const { volume, block } = place;
  const size = config.geometry.blockSize;
  const bytes =
    snapshot === undefined ? volumes[volume]! : log.snapshots.get(`${name}-v${volume}-s${snapshot}`)!;
  // Of a block that was not there yet there is nothing to say.
  if ((block + 1) * size > bytes.length) return false;
  const view =
    snapshot === undefined
      ? volumeView(source.tracker, volume, source.ltsEnd)
      : snapshotView(source.tracker, snapshotOf(source, volume, snapshot)!.record);
  const values = new BlockStates(source, place).values(view, life.operations);
  const held = digestOf(bytes.subarray(block * size, (block + 1) * size));
  const allowed = new Set(
    values.filter(({ isAllowed }) => isAllowed).map(({ state }) => contentAt(source, place, state)),
  );
  expect(allowed, where).toContain(held);
  // What is not allowed is not there, unless it has the same bytes.
  for (const { state, isAllowed, why } of values) {
    expect(why, where).not.toBe("");
    if (!isAllowed && state > 0) expect(contentAt(source, place, state), `${where}: ${why}`).not.toBe(held);
  }
  return allowed.size > 1;
}

/** What must be reported was, and what must not was not. */
function expectDiffs({ log, name }: LoggedRun, { events, place }: Life, where: string): void {
  for (const event of events) {
    if (event.kind !== "control" || event.step.kind !== "diff") continue;
    const { snapshot, base } = event.step;
    const of = (number: number | undefined) =>
      number === undefined ? "nothing" : `${name}-v${place.volume}-s${number}`;
    const reported = log.diffs.get(`${of(snapshot)} ${of(base)}`);
    if (reported === undefined) continue;
    const wrong = reported.has(place.block) ? "must not" : "must";
    expect(event.about.report, `${where}, diff ${snapshot} ${base}`).not.toBe(wrong);
  }
}

function expectClones({ log, name }: LoggedRun, { events, place }: Life, where: string): void {
  for (const event of events) {
    if (event.kind !== "control" || event.step.kind !== "clone") continue;
    const { clone } = event.step;
    const deeds = log.deedsOn(`${name}-v${place.volume}-c${clone}`, place.block);
    const { wrote } = event.about;
    expect(wrote === undefined ? [] : [plainKind(wrote)], `${where}, clone ${clone}`).toEqual(
      deeds.map(({ kind }) => kind),
    );
  }
}

/** An operation as the log has it. */
function deedOf(source: ExplainSource, place: BlockPlace) {
  return ({ kind, position, effect, outcome }: BlockOperation) => {
    const isMiss = kind === "compareAndWriteMiss";
    return {
      kind: plainKind(kind),
      bytes: effect === "data" ? contentAt(source, place, position) : undefined,
      outcome: isMiss && outcome === "ok" ? "failed" : outcome,
    };
  };
}

function comparable({ kind, bytes, outcome }: Deed) {
  return { kind, bytes: bytes === undefined ? undefined : digestOf(bytes), outcome };
}

function plainKind(kind: BlockOperation["kind"]): Deed["kind"] {
  switch (kind) {
    case "deallocateTail":
    case "deallocateExtent":
      return "deallocate";
    case "compareAndWriteMiss":
      return "compareAndWrite";
    case "flush":
      throw new Error("a flush touches no block");
    default:
      return kind;
  }
}

/** The bytes of a state, in short. */
function contentAt({ history }: ExplainSource, { volume, block }: BlockPlace, state: number): string {
  const { sectorsPerBlock: sectorCount, blockSizeBytes } = history.geometry;
  if (state <= 0) return digestOf(new Uint8Array(blockSizeBytes));
  const region = regionOf(history);
  history.run.inflate({ volume, block, blockCount: 1, sectorCount }, region.address, state);
  return digestOf(region.bytes.subarray(0, blockSizeBytes));
}

const regions = new WeakMap<object, { readonly address: number; readonly bytes: Uint8Array }>();

function regionOf(history: ExplainSource["history"]) {
  const known = regions.get(history) ?? history.run.kernel.allocate(history.geometry.blockSizeBytes);
  regions.set(history, known);
  return known;
}

function digestOf(bytes: Uint8Array): string {
  return createHash("sha1").update(bytes).digest("hex").slice(0, 16);
}
