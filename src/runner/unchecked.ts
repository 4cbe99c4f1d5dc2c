/**
 * What a configuration, or the target's capabilities, leave out: it stands in the ledger, so that nothing is off in
 * silence.
 *
 * @packageDocumentation
 */
import type { Config } from "./config/schema.ts";
import type { Run } from "./run.ts";
import { depthOf } from "./workload-shape.ts";

export function noteUnchecked(run: Run): void {
  for (const { what, why } of [...ofConfig(run), ...ofTarget(run)]) run.ledger.notChecked(what, why);
}

const completions = "that every command completes in time";

interface Gap {
  readonly what: string;
  readonly why: string;
}

function* ofConfig({ config, isTroubled, isWritten }: Run): Generator<Gap> {
  const { checks, snapshots, reads, faults } = config;
  if (!checks.all.atEnd)
    yield { what: "last versions of extents not drawn by a check", why: "checks.all.atEnd is false" };
  // What a history that was written has, or has not, is what it is about.
  if (snapshots.every === 0 && !isWritten) {
    const why = config.target.kind === "block" ? "a block target has none" : "snapshots.every is 0";
    yield { what: "snapshots and diffs", why };
  } else if (!isWritten) yield* ofSnapshots(config);
  if (reads.perLts.max === 0 && !isWritten) yield { what: "reads under load", why: "reads.perLts.max is 0" };
  else if (!checks.exhaustive)
    yield { what: "the order of what reads under load show", why: "checks.exhaustive is false" };
  if (!checks.changed)
    yield { what: "volumes right after a resize or a rollback", why: "checks.changed is false" };
  if (!checks.compare)
    yield { what: "whether compares hold and fail as they should", why: "checks.compare is false" };
  if (depthOf(config) === 1)
    yield {
      what: "operations that overlap in time, and snapshots under load",
      why: "the runner is sequential",
    };
  else if (config.runner.overlap === "wait")
    yield { what: "operations on the same block at the same time", why: "runner.overlap is wait" };
  if (faults.crash === undefined) yield { what: "durability", why: "faults.crash is not set" };
  else if (!checks.durability)
    yield { what: "durability right after a crash", why: "checks.durability is false" };
  if (!checks.liveness) yield { what: completions, why: "checks.liveness is false" };
  else if (isTroubled)
    yield { what: completions, why: "faults are brought about: time-outs are put down to them" };
  if (!checks.secondVolume) yield { what: "a second volume", why: "checks.secondVolume is false" };
}

function* ofSnapshots({ checks, snapshots }: Config): Generator<Gap> {
  if (checks.snapshots.extents === 0)
    yield { what: "content of snapshots while the run goes on", why: "checks.snapshots.extents is 0" };
  if (checks.snapshots.extents !== "all" && checks.snapshots.extents > 0)
    yield {
      what: "extents of deleted snapshots beyond a sample",
      why: `checks.snapshots.extents is ${checks.snapshots.extents}`,
    };
  if (!checks.snapshots.atEnd)
    yield { what: "whole content of the last snapshots", why: "checks.snapshots.atEnd is false" };
  if (!checks.cut) yield { what: "that a snapshot under load is one instant", why: "checks.cut is false" };
  if (!checks.diffs.enabled) yield { what: "diffs", why: "checks.diffs.enabled is false" };
  else if (checks.diffs.precision === "covering")
    yield {
      what: "that rewritten blocks of unchanged content are reported",
      why: "checks.diffs.precision is covering",
    };
  if (!checks.clones) yield { what: "clones", why: "checks.clones is false" };
  if (snapshots.syncEvery === 0) yield { what: "copies made by the diff", why: "snapshots.syncEvery is 0" };
  else if (!checks.sync) yield { what: "copies made by the diff", why: "checks.sync is false" };
}

/** What the namespaces do not promise can not be asked of them. */
function* ofTarget({ target, config }: Run): Generator<Gap> {
  const { capabilities } = target.volumes[0]!.device;
  const { deallocatedReads, volatileWriteCache, atomicWriteBlocks } = capabilities;
  if (deallocatedReads !== "zeros")
    yield {
      what: "that deallocated blocks read as zeros",
      why: `the namespace does not promise it (DLFEAT: ${deallocatedReads}); old content or zeros, for good, was asked for; of all but the latest 131,072 of them not that it stays`,
    };
  if (config.faults.crash !== undefined && volatileWriteCache)
    yield {
      what: "writes that were neither flushed nor FUA, after a crash",
      why: "the namespace has a volatile write cache (VWC): there or not was accepted, once",
    };
  if (config.operations.blocks.max > 1)
    yield {
      what: "that a write of several blocks is atomic",
      why: `blocks are judged one by one; the namespace promises ${atomicWriteBlocks} (AWUN)`,
    };
}
