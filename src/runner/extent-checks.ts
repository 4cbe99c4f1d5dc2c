/**
 * Reads extents and compares them with the model: of volumes at rest, block range by block range under load, and of
 * whatever device shows a snapshot. What is wrong is read again, explained, and reported.
 *
 * @packageDocumentation
 */
import type { Region } from "../generators/kernel.ts";
import type { ContentVerdict, WrongBlock } from "../model/content-checker.ts";
import { liveView, snapshotView, volumeView } from "../model/view.ts";
import type { Rule } from "../model/violation.ts";
import type { Extent } from "../selectors/geometry.ts";
import type { Read } from "../selectors/read-selector.ts";
import { RangeKeeper } from "./exhibit.ts";
import { observe, read } from "./reading.ts";
import { readAhead, type Run } from "./run.ts";
import {
  besides,
  explain,
  explainedPerExtentMax,
  provenOf,
  rereadNow,
  ruleOf,
  type ShownSnapshot,
} from "./wrong-blocks.ts";

/**
 * Reads extents of the volumes, each while nothing is under way on it, and compares them with the model.
 *
 * Those that do not exist yet are passed over.
 *
 * @param options.hasGrown - The resize that follows the newest lts is through.
 * @returns How many were found right.
 */
export function checkVolumes(
  run: Run,
  extents: Iterable<Extent>,
  { rule = "quiescent", hasGrown = false }: { readonly rule?: Rule; readonly hasGrown?: boolean } = {},
): Promise<number> {
  return inParallel(run, extents, (extent) =>
    run.activity.during(() => checkVolumeExtent(run, extent, { rule, hasGrown })),
  );
}

/** Reads extents of a snapshot and compares them with its cut. */
export function checkSnapshot(run: Run, extents: Iterable<Extent>, shown: ShownSnapshot): Promise<number> {
  const { record } = shown;
  return inParallel(run, extents, async (extent) => {
    if (!run.workload.sizes.hasExtent(extent, record.lts)) return true;
    const buffer = await run.extentBuffers.take();
    try {
      const view = snapshotView(run.tracker, record);
      const into = buffer.bytes.subarray(0, extent.blockCount * run.workload.geometry.blockSizeBytes);
      await read(run, shown.device, extent, into);
      const verdict = run.content.check({ extent, view, address: buffer.address });
      const wrong = run.config.checks.cut ? verdict.wrong : verdict.wrong.filter(isOfContent);
      const count = extent.blockCount - wrong.length;
      if (shown.rule === "snapshot") run.ledger.count("snapshotBlocksCompared", count);
      if (shown.rule === "sync") run.ledger.count("syncBlocksCompared", count);
      run.ledger.count("blocksSplitByCuts", verdict.ambiguousCount);
      await explain(run, wrong, { extent, view, device: shown.device, buffer, shown });
      if (wrong.length === 0) shown.proven?.add(extent.pd);
      return wrong.length === 0;
    } finally {
      run.extentBuffers.giveBack(buffer);
    }
  });
}

/** Reads blocks of a volume while operations go on, and judges them by all that could have happened. */
export async function checkUnderLoad(run: Run, { extent, firstBlock, blockCount }: Read): Promise<void> {
  const { device } = run.target.volumes[extent.volume]!;
  const { blockSizeBytes } = run.workload.geometry;
  const buffer = run.readBuffers.tryTake() ?? (await run.readBuffers.take());
  try {
    const into = buffer.bytes.subarray(0, blockCount * blockSizeBytes);
    const { volume } = extent;
    const blocks = { volume, firstBlock: extent.firstBlock + firstBlock, blockCount };
    const observation = await observe(run, device, blocks, into);
    try {
      const view = liveView(run.tracker, extent.volume, observation);
      const range = { extent, firstBlock, blockCount, view, address: buffer.address };
      const verdict: ContentVerdict = run.content.check(range);
      run.ledger.count("readsChecked");
      if (verdict.ambiguousCount > 0) run.ledger.count("readsUnderLoad");
      run.ledger.count("readBlocksCompared", blockCount - verdict.wrong.length);
      const kept = new RangeKeeper({ firstBlock, blockCount, bytes: into }, blockSizeBytes);
      for (const wrong of verdict.wrong.slice(0, explainedPerExtentMax)) {
        const at = (wrong.block - firstBlock) * blockSizeBytes;
        const bytes = into.slice(at, at + blockSizeBytes);
        const wasProven = run.ledger.isProven(extent, wrong.block, wrong.allowed.at(-1)!);
        const beside = besides(run, wrong, { extent, firstBlock, blockCount, address: buffer.address });
        const { rereads, last } = await rereadNow(run, extent, wrong, bytes);
        const about = { extent, wrong, view, rule: "exhaustive", provenBefore: false } as const;
        run.violation(run.diagnosis.explain({ ...about, ...beside, bytes, wasProven, rereads }), {
          kind: "block",
          found: bytes,
          reread: last,
          allowed: wrong.allowed,
          judged: { ...kept.around(wrong), ...ofVolume(extent), isLive: true, wasProven },
        });
      }
      run.unexplainedCount += Math.max(0, verdict.wrong.length - explainedPerExtentMax);
    } finally {
      run.tracker.release(observation);
    }
  } finally {
    run.readBuffers.giveBack(buffer);
  }
}

/** Reads an extent whenever, and asks only whether an operation of this run could have left what it shows. */
export async function checkVisible(run: Run, extent: Extent): Promise<void> {
  const { device } = run.target.volumes[extent.volume]!;
  const { blockSizeBytes } = run.workload.geometry;
  const buffer = await run.extentBuffers.take();
  try {
    const into = buffer.bytes.subarray(0, extent.blockCount * blockSizeBytes);
    const ltsBefore = run.tracker.ltsCompleteMax;
    const observation = await observe(run, device, extent, into);
    const isStateful = run.config.checks.visible.stateful;
    const wrong = run.visible.check({ extent, address: buffer.address, isStateful, ltsBefore, observation });
    run.tracker.release(observation);
    run.ledger.count("readsChecked");
    run.ledger.count("readBlocksCompared", extent.blockCount - wrong.length);
    const view = volumeView(run.tracker, extent.volume, run.tracker.ltsStartedMax);
    const kept = new RangeKeeper(
      { firstBlock: 0, blockCount: extent.blockCount, bytes: into },
      blockSizeBytes,
    );
    for (const block of wrong.slice(0, explainedPerExtentMax)) {
      const bytes = into.slice(block * blockSizeBytes, (block + 1) * blockSizeBytes);
      const allowed = [run.reconciler.versions(extent, block, view).next().value ?? 0];
      const fault = { block, allowed };
      const { rereads, last } = await rereadNow(run, extent, fault, bytes);
      const about = { extent, wrong: fault, view, rule: "visible", provenBefore: false } as const;
      run.violation(run.diagnosis.explain({ ...about, bytes, rereads }), {
        kind: "block",
        found: bytes,
        reread: last,
        allowed,
        judged: { ...kept.around(fault), ...ofVolume(extent), isLive: true, wasProven: false },
      });
    }
    run.unexplainedCount += Math.max(0, wrong.length - explainedPerExtentMax);
  } finally {
    run.extentBuffers.giveBack(buffer);
  }
}

/**
 * Reads blocks that nothing else is under way on, and compares them as of an lts.
 *
 * @returns Their states, scratch, if all are right.
 */
export async function checkBeforehand(
  run: Run,
  {
    extent,
    firstBlock,
    blockCount,
    ltsMax,
    buffer,
  }: Read & { readonly ltsMax: number; readonly buffer: Region },
): Promise<boolean> {
  const { device } = run.target.volumes[extent.volume]!;
  const { blockSizeBytes } = run.workload.geometry;
  const into = buffer.bytes.subarray(0, blockCount * blockSizeBytes);
  const { volume } = extent;
  await read(run, device, { volume, firstBlock: extent.firstBlock + firstBlock, blockCount }, into);
  const view = volumeView(run.tracker, extent.volume, ltsMax);
  const { wrong, states } = run.content.check({
    extent,
    firstBlock,
    blockCount,
    view,
    address: buffer.address,
  });
  if (wrong.length === 0) {
    run.ledger.preRead(extent, states);
    return true;
  }
  const kept = new RangeKeeper({ firstBlock, blockCount, bytes: into }, blockSizeBytes);
  for (const fault of wrong.slice(0, explainedPerExtentMax)) {
    const at = (fault.block - firstBlock) * blockSizeBytes;
    const bytes = into.slice(at, at + blockSizeBytes);
    const { rereads, last } = await rereadNow(run, extent, fault, bytes);
    const wasProven = run.ledger.isProven(extent, fault.block, fault.allowed.at(-1)!);
    const found = {
      extent,
      wrong: fault,
      view,
      rule: ruleOf(run, "quiescent", fault),
      provenBefore: false,
      wasProven,
      ...besides(run, fault, { extent, firstBlock, blockCount, address: buffer.address }),
    };
    run.violation(run.diagnosis.explain({ ...found, bytes, rereads }), {
      kind: "block",
      found: bytes,
      reread: last,
      allowed: fault.allowed,
      judged: { ...kept.around(fault), ...ofVolume(extent), ltsMax, isLive: false, wasProven },
    });
  }
  run.unexplainedCount += Math.max(0, wrong.length - explainedPerExtentMax);
  return false;
}

/** Does something for each of some extents, a few at a time, in order; @returns how often it was right. */
async function inParallel(
  run: Run,
  extents: Iterable<Extent>,
  check: (extent: Extent) => Promise<boolean>,
): Promise<number> {
  const iterator = extents[Symbol.iterator]();
  let right = 0;
  const worker = async (): Promise<void> => {
    for (;;) {
      if (run.isOver) return;
      const next = iterator.next();
      if (next.done === true) return;
      if (await check(next.value)) right++;
    }
  };
  const workers = await Promise.allSettled(Array.from({ length: readAhead }, worker));
  for (const result of workers) if (result.status === "rejected") throw result.reason;
  return right;
}

async function checkVolumeExtent(
  run: Run,
  extent: Extent,
  { rule, hasGrown }: { readonly rule: Rule; readonly hasGrown: boolean },
): Promise<boolean> {
  const { tracker, order, workload } = run;
  const ltsMax = tracker.ltsStartedMax;
  if (!workload.sizes.hasExtent(extent, Math.max(0, hasGrown ? ltsMax + 1 : ltsMax))) return true;
  const look = {
    pd: extent.pd,
    firstBlock: 0,
    blockCount: extent.blockCount,
    kind: "look",
    position: 0,
  } as const;
  const turn = order.enter(look);
  try {
    await order.ready(turn);
    return await checkHeld(run, extent, ltsMax, rule);
  } finally {
    order.leave(turn);
  }
}

/** Compares an extent on which nothing is under way with the model as of an lts. */
export async function checkHeld(run: Run, extent: Extent, ltsMax: number, rule: Rule): Promise<boolean> {
  const { device } = run.target.volumes[extent.volume]!;
  const buffer = await run.extentBuffers.take();
  try {
    const view = volumeView(run.tracker, extent.volume, ltsMax);
    const into = buffer.bytes.subarray(0, extent.blockCount * run.workload.geometry.blockSizeBytes);
    await read(run, device, extent, into);
    const { states, wrong } = run.content.check({ extent, view, address: buffer.address });
    const wasProven = provenOf(run, extent, wrong);
    run.ledger.extentCompared(
      extent,
      ltsMax,
      states,
      wrong.map(({ block }) => block),
    );
    await explain(run, wrong, { extent, view, device, buffer, rule, wasProven });
    if (run.config.checks.secondVolume) await compareSecond(run, extent, into);
    return wrong.length === 0;
  } finally {
    run.extentBuffers.giveBack(buffer);
  }
}

/** The second volume of the extent's holds the same bytes. */
async function compareSecond(run: Run, extent: Extent, bytes: Uint8Array): Promise<void> {
  const { second } = run.target.volumes[extent.volume]!;
  if (second === undefined) return;
  const { blockSizeBytes } = run.workload.geometry;
  const other = new Uint8Array(bytes.length);
  await read(run, second, extent, other);
  run.ledger.count("secondVolumeBlocksCompared", extent.blockCount);
  if (Buffer.compare(bytes, other) === 0) return;
  for (let block = 0; block < extent.blockCount; block++) {
    const onVolume = extent.firstBlock + block;
    if (run.unequal.has(extent.volume, onVolume)) continue;
    const [from, to] = [block * blockSizeBytes, (block + 1) * blockSizeBytes];
    if (Buffer.compare(bytes.subarray(from, to), other.subarray(from, to)) === 0) continue;
    run.violation(
      {
        rule: "second-volume",
        class: "volumes-differ",
        summary: "the second volume took the same operations, and does not hold the same",
        volume: extent.volume,
        block: onVolume,
        blockCount: 1,
        ltsMax: run.tracker.ltsStartedMax,
        expected: "the bytes of the first volume",
        observed: `other bytes on ${second.identity.name}`,
        operations: [],
      },
      { kind: "block", found: other.slice(from, to), allowed: [] },
    );
    return;
  }
}

function ofVolume({ pd }: Extent): { place: "volume"; pd: number; provenBefore: false } {
  return { place: "volume", pd, provenBefore: false };
}

function isOfContent({ shown }: WrongBlock): boolean {
  return shown === undefined;
}
