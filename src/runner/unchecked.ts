/**
 * What a configuration leaves out: it stands in the ledger, so that nothing is off in silence.
 *
 * @packageDocumentation
 */
import type { Run } from "./run.ts";

/** What the configuration keeps from being checked stands in the ledger. */
export function noteUnchecked({ config, ledger }: Run): void {
  const { checks, snapshots } = config;
  if (!checks.all.atEnd)
    ledger.notChecked("last versions of extents not drawn by a check", "checks.all.atEnd is false");
  if (snapshots.every === 0) ledger.notChecked("snapshots and diffs", "snapshots.every is 0");
  else {
    if (checks.snapshots.extents === 0)
      ledger.notChecked("content of snapshots while the run goes on", "checks.snapshots.extents is 0");
    if (checks.snapshots.extents !== "all" && checks.snapshots.extents > 0)
      ledger.notChecked(
        "extents of deleted snapshots beyond a sample",
        `checks.snapshots.extents is ${checks.snapshots.extents}`,
      );
    if (!checks.snapshots.atEnd)
      ledger.notChecked("whole content of the last snapshots", "checks.snapshots.atEnd is false");
    if (!checks.diffs.enabled) ledger.notChecked("diffs", "checks.diffs.enabled is false");
    else if (checks.diffs.precision === "covering")
      ledger.notChecked(
        "that rewritten blocks of unchanged content are reported",
        "checks.diffs.precision is covering",
      );
  }
  ledger.notChecked("operations that overlap in time, and snapshots under load", "the runner is sequential");
}
