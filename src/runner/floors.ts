/**
 * Floors on coverage: a run that proved less than it was asked to has not passed.
 *
 * @packageDocumentation
 */
import type { LedgerReport } from "../model/ledger.ts";
import type { Config } from "./config/schema.ts";

/** What of a ledger lies below its floor, in words; empty if nothing does. */
export function floorsMissed(ledger: LedgerReport, floors: Config["floors"]): readonly string[] {
  const { made, proven } = ledger.versions;
  const reached: Record<keyof Config["floors"], { what: string; value: number }> = {
    lastVersions: { what: "last versions proven, in percent", value: ledger.lastVersions.provenPercent },
    versions: {
      what: "versions proven, in percent",
      value: made === 0 ? 100 : Math.floor((proven / made) * 10_000) / 100,
    },
    snapshots: { what: "snapshots taken", value: ledger.snapshots.taken },
    diffs: { what: "diffs proven", value: ledger.diffs.proven },
    reads: { what: "reads checked", value: ledger.reads.checked },
  };
  const missed: string[] = [];
  for (const [name, { what, value }] of Object.entries(reached)) {
    const floor = floors[name as keyof Config["floors"]];
    if (floor !== undefined && value < floor)
      missed.push(`${what}: ${value}, floors.${name} asks for ${floor}`);
  }
  return missed;
}
