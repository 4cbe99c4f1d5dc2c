/**
 * Performs the operations of an lts: those of a batch in flight together, batch after batch, each when its blocks
 * are its turn.
 *
 * @packageDocumentation
 */
import type { Region } from "../../generators/kernel.ts";
import { effectOf, type Operation, positionOf } from "../../selectors/operations.ts";
import type { Visit } from "../../selectors/history.ts";
import { type BlockDevice, type Outcome, ok } from "../../sut/port.ts";
import type { Turn } from "../block-order.ts";
import type { BufferPool } from "../buffers.ts";
import { checkBeforehand } from "../extent-checks.ts";
import type { Run } from "../run.ts";
import { outcomeText, TargetFailure } from "../target-failure.ts";

/** A visit that has taken its place in the order of its extent. */
export interface EnteredVisit {
  readonly visit: Visit;
  /** By operation; absent for a flush. */
  readonly turns: readonly (Turn | undefined)[];
}

/** Takes the places of a visit's operations; to be called lts by lts. */
export function enterVisit(run: Run, visit: Visit): EnteredVisit {
  const { lts, extent } = visit;
  run.tracker.beginLts(lts);
  const turns = visit.operations.map(({ kind, operationId, firstBlock, blockCount }) => {
    if (blockCount === 0) return undefined;
    const needsRest = isFused(kind) || run.workload.preRead(lts, operationId);
    return run.order.enter({
      pd: extent.pd,
      firstBlock,
      blockCount,
      kind: needsRest ? "exclusive" : "operation",
      position: positionOf(lts, operationId),
    });
  });
  return { visit, turns };
}

/** Gives up the places of a visit that is not performed, as the run is over. */
export function abandonVisit(run: Run, { turns }: EnteredVisit): void {
  for (const turn of turns) if (turn !== undefined) run.order.leave(turn);
}

/** Performs a visit; ends when every operation has completed, or is in doubt and fenced. */
export async function performVisit(run: Run, { visit, turns }: EnteredVisit): Promise<void> {
  const { operations, lts } = visit;
  for (let first = 0; first < operations.length; ) {
    let end = first + 1;
    while (end < operations.length && operations[end]!.batch === operations[first]!.batch) end++;
    const batch: Promise<Failed | undefined>[] = [];
    for (let index = first; index < end; index++)
      batch.push(perform(run, visit, operations[index]!, turns[index]));
    try {
      await settled(batch);
    } catch (error) {
      // Others may wait for the blocks of the batches that are not performed any more.
      for (const turn of turns.slice(end)) if (turn !== undefined) run.order.leave(turn);
      throw error;
    }
    first = end;
  }
  run.tracker.endLts(lts);
  run.ledger.count("ltsCount");
}

/** What an operation ended with that was no outcome; a value, so that those beside it can be waited for one by one. */
interface Failed {
  readonly error: unknown;
}

/** Waits for all, then throws the first failure: none is left behind. */
async function settled(work: readonly Promise<Failed | undefined>[]): Promise<void> {
  let first: Failed | undefined;
  for (const one of work) {
    const failed = await one;
    first ??= failed;
  }
  if (first !== undefined) throw first.error;
}

/**
 * Waits for an operation's turn, carries it out, and tells the model; one function, as every one that is waited for
 * costs each operation. Never rejects.
 */
async function perform(
  run: Run,
  visit: Visit,
  operation: Operation,
  turn: Turn | undefined,
): Promise<Failed | undefined> {
  const { tracker, durability, operationLog } = run;
  const { kind, operationId, blockCount } = operation;
  const { volume } = visit.extent;
  const { device } = run.target.volumes[volume]!;
  const position = positionOf(visit.lts, operationId);
  const effect = effectOf(kind);
  let data: Region | undefined;
  let expected: Expected | undefined;
  try {
    const wait = turn === undefined ? undefined : run.order.ready(turn);
    if (wait !== undefined) await wait;
    if (turn?.kind === "exclusive") expected = await lookFirst(run, visit, operation);
    if (effect === "data") data = run.writeBuffers.tryTake() ?? (await run.writeBuffers.take());
    let hasOverlap = false;
    if (turn !== undefined)
      for (const other of run.order.overlapping(turn)) {
        tracker.overlapped(other);
        hasOverlap = true;
      }
    const submitted = tracker.submit(position, hasOverlap ? overlapping : undefined);
    const logged = operationLog.submit(position, {
      volume,
      event: submitted,
      connection: device.association,
    });
    run.liveness.submitted();
    if (turn !== undefined) run.order.submitted(turn);
    const issued = await issue(run, visit, operation, { position, data, expected: expected?.buffer });
    const outcome = isFused(kind)
      ? judgeCompare(run, visit, operation, {
          outcome: issued,
          isSure: expected?.upheavals === run.activity.upheavalCount,
        })
      : issued;
    const completed = tracker.complete(
      position,
      effect === "none" && outcome.kind === "failed" ? "ok" : outcome.kind,
    );
    // What waited for a connection went out on the one that stands now.
    operationLog.complete(logged, issued, { event: completed, connection: device.association });
    run.ledger.completed(kind, blockCount, outcome.kind);
    if (outcome.kind === "ok") {
      if (kind === "flush") durability.flushed(volume, submitted);
      else if (effect !== "none" && durability.hasVolatileCache)
        durability.completed(volume, { position, submitted, completed }, { isFua: kind === "writeFua" });
      return undefined;
    }
    run.targetError(describe(visit, operation, outcome));
    if (outcome.kind === "failed") return undefined;
    run.liveness.inDoubt(position, outcome);
    // In doubt: its blocks are left alone until it can not be applied any more.
    if (!(await run.fence(volume)))
      throw new TargetFailure(
        `${describe(visit, operation, outcome)}; volume ${volume} can not be reached any more, so it stays in doubt`,
      );
    const fenced = tracker.fence(position);
    operationLog.fence(logged, fenced);
    if (effect !== "none")
      durability.completed(volume, { position, submitted, completed: fenced }, { isFua: false });
    return undefined;
  } catch (error) {
    return { error };
  } finally {
    if (data !== undefined) run.writeBuffers.giveBack(data);
    if (expected !== undefined) expected.pool.giveBack(expected.buffer);
    if (turn !== undefined) run.order.leave(turn);
  }
}

const overlapping = { hasOverlap: true } as const;

/** What was read of the blocks of an operation. */
interface Expected {
  /** To be given back to the pool. */
  readonly buffer: Region;
  readonly pool: BufferPool;
  /** How many upheavals there had been then: after another one it need not hold any more. */
  readonly upheavals: number;
}

/** Reads and checks the blocks of an operation; what is wrong is reported, and the history goes on all the same. */
async function lookFirst(run: Run, { lts, extent }: Visit, operation: Operation): Promise<Expected> {
  const { firstBlock, blockCount } = operation;
  // Whole extents and their tails may be longer than any other operation.
  const isLong = blockCount > run.config.operations.blocks.max;
  const pool = isLong ? run.extentBuffers : run.readBuffers;
  const buffer = pool.tryTake() ?? (await pool.take());
  try {
    await checkBeforehand(run, { extent, firstBlock, blockCount, ltsMax: lts - 1, buffer });
    return { buffer, pool, upheavals: run.activity.upheavalCount };
  } catch (error) {
    pool.giveBack(buffer);
    throw error;
  }
}

function describe({ lts }: Visit, { operationId, kind, blockCount }: Operation, outcome: Outcome): string {
  const blocks = `${blockCount} ${blockCount === 1 ? "block" : "blocks"}`;
  return `lts ${lts}, operation ${operationId} (${kind} of ${blocks}): ${outcomeText(outcome)}`;
}

function isFused(kind: Operation["kind"]): boolean {
  return kind === "compareAndWrite" || kind === "compareAndWriteMiss";
}

/** A compare must hold, or fail, as the blocks that were just read and compared say; if sure, they hold it still. */
function judgeCompare(
  run: Run,
  visit: Visit,
  operation: Operation,
  { outcome, isSure }: { readonly outcome: Outcome; readonly isSure: boolean },
): Outcome {
  const { kind } = operation;
  if (outcome.kind === "unknown") return outcome;
  const isMismatch = outcome.kind === "failed" && outcome.code === "ERR_COMPARE_FAILED";
  if (kind === "compareAndWriteMiss" && isMismatch) {
    run.ledger.count("comparesExpectedToFail");
    return ok;
  }
  const isWrong = kind === "compareAndWriteMiss" ? outcome.kind === "ok" : isMismatch && isSure;
  if (isWrong && run.config.checks.compare && !run.isOver) reportCompare(run, visit, operation);
  return outcome;
}

function reportCompare(run: Run, { lts, extent }: Visit, operation: Operation): void {
  const { kind, operationId, firstBlock, blockCount } = operation;
  const isMiss = kind === "compareAndWriteMiss";
  const block = extent.firstBlock + firstBlock;
  run.violation({
    rule: "compare",
    class: "wrong-compare",
    summary: isMiss
      ? "a compare-and-write succeeded, though what it expected differs from the blocks in one bit"
      : "a compare-and-write was refused, though it expected what was just read from the blocks",
    volume: extent.volume,
    block,
    blockCount,
    ltsMax: lts,
    expected: isMiss ? "Compare Failure, and nothing written" : "success",
    observed: isMiss ? "success" : "Compare Failure",
    operations: [{ lts, operationId, kind, block, blockCount, role: "observed" }],
  });
}

interface Payload {
  readonly position: number;
  readonly data: Region | undefined;
  readonly expected: Region | undefined;
}

function issue(run: Run, visit: Visit, operation: Operation, payload: Payload): Promise<Outcome> {
  const { device, second } = run.target.volumes[visit.extent.volume]!;
  prepare(run, visit, operation, payload);
  return second === undefined
    ? command(run, device, visit, operation, payload)
    : issueToBoth(run, visit, operation, payload, { device, second });
}

async function issueToBoth(
  run: Run,
  visit: Visit,
  operation: Operation,
  payload: Payload,
  { device, second }: { readonly device: BlockDevice; readonly second: BlockDevice },
): Promise<Outcome> {
  const [outcome, other] = await Promise.all([
    command(run, device, visit, operation, payload),
    command(run, second, visit, operation, payload),
  ]);
  if (outcome.kind !== "unknown") run.liveness.inDoubt(payload.position, other);
  // What is in doubt on the first is fenced with it.
  if (other.kind === "unknown" && outcome.kind !== "unknown" && !(await run.fence(visit.extent.volume)))
    throw new TargetFailure(
      `${describe(visit, operation, other)}; the second volume can not be reached any more, so it stays in doubt`,
    );
  const isDone = outcome.kind === "ok" && other.kind === "ok";
  // Advice may be taken by one of the two alone.
  const mayDiffer = run.tracker.deallocateIsAdvice && operation.kind.startsWith("deallocate");
  // In another order the two may also come to differ.
  if (isDone && !mayDiffer && run.tracker.timesOf(payload.position)?.hasOverlap === false)
    run.unequal.delete(visit.extent, operation);
  else run.unequal.add(visit.extent, operation);
  return outcome;
}

/** Fills the buffers: what to write, and for a compare that is to fail, an expectation that is wrong in one bit. */
function prepare(
  run: Run,
  { extent, lts }: Visit,
  operation: Operation,
  { position, data, expected }: Payload,
): void {
  const { kind, firstBlock, blockCount, operationId } = operation;
  const { sectorsPerBlock: sectorCount, blockSizeBytes } = run.workload.geometry;
  if (data !== undefined)
    run.workload.run.inflate(
      { volume: extent.volume, block: extent.firstBlock + firstBlock, blockCount, sectorCount },
      data.address,
      position,
    );
  if (kind === "compareAndWriteMiss") {
    const at = (lts * 31 + operationId) % (blockCount * blockSizeBytes);
    expected!.bytes[at]! ^= 1 << (lts & 7);
  }
}

function command(
  run: Run,
  device: BlockDevice,
  { extent }: Visit,
  { kind, firstBlock, blockCount }: Operation,
  { data, expected }: Payload,
): Promise<Outcome> {
  const block = extent.firstBlock + firstBlock;
  const byteCount = blockCount * run.workload.geometry.blockSizeBytes;
  switch (kind) {
    case "write":
    case "writeFua":
      return device.write({ block, blockCount, from: head(data!, byteCount), fua: kind === "writeFua" });
    case "compareAndWrite":
      return device.compareAndWrite({
        block,
        blockCount,
        expected: head(expected!, byteCount),
        from: head(data!, byteCount),
      });
    case "compareAndWriteMiss": {
      const bytes = head(expected!, byteCount);
      // What it would write is what it expects: if it is written after all, that shows as one flipped bit.
      return device.compareAndWrite({ block, blockCount, expected: bytes, from: bytes });
    }
    case "writeZeroes":
      return device.writeZeroes({ block, blockCount });
    case "deallocate":
    case "deallocateTail":
    case "deallocateExtent":
      return device.deallocate({ ranges: [{ block, blockCount }] });
    case "flush":
      return device.flush();
  }
}

/** The whole buffer is nearly always what is wanted; a view of a part has to be made. */
function head({ bytes }: Region, byteCount: number): Uint8Array {
  return byteCount === bytes.length ? bytes : bytes.subarray(0, byteCount);
}
