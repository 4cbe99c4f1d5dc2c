/**
 * What `harrow sync` says at its end, for people and as JSON.
 *
 * @packageDocumentation
 */
import { formatBytes, formatDuration } from "../runner/config/units.ts";
import type { SyncResult } from "../sut/sync/sync-snapshot.ts";
import type { CopyIdentity } from "./sync-state.ts";

export type SyncEnd =
  | { readonly kind: "copied"; readonly result: SyncResult }
  /** The target does not hold what was copied to it. */
  | { readonly kind: "mismatch"; readonly message: string }
  /** Bad usage: nothing was written. */
  | { readonly kind: "refused"; readonly message: string }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "interrupted" };

interface Around {
  /** Absent if it did not come so far. */
  readonly identity?: CopyIdentity;
  /** Durable on the target, and kept in the state file if there is one. */
  readonly copiedTo: number;
  readonly blockCount: number | undefined;
  readonly bytesCopied: number;
}

export function syncEndText(
  end: SyncEnd,
  { statePath, copiedTo, blockCount }: Around & { readonly statePath: string | undefined },
): string {
  switch (end.kind) {
    case "copied":
      return copiedText(end.result, statePath);
    case "mismatch":
      return `harrow sync: ${end.message}; the copy is not to be trusted, and the next one begins anew\n`;
    case "refused":
      return `harrow sync: ${end.message}\n`;
    case "failed":
      return `harrow sync: the target failed: ${end.message}${goOnText(statePath, copiedTo, blockCount)}\n`;
    case "interrupted":
      return `harrow sync: interrupted${goOnText(statePath, copiedTo, blockCount)}\n`;
  }
}

export function syncEndJson(end: SyncEnd, around: Around & { readonly version: string }): string {
  const { version, identity, copiedTo, blockCount = null, bytesCopied } = around;
  const { snapshot = null, base = null, target = null } = identity ?? {};
  const told = {
    ...{ version, result: end.kind, message: "message" in end ? end.message : null },
    ...{ snapshot, base, target, copiedTo, blockCount, bytesCopied },
    ...(end.kind === "copied" ? end.result : {}),
  };
  return `${JSON.stringify(told, undefined, 2)}\n`;
}

function copiedText(result: SyncResult, statePath: string | undefined): string {
  const { bytesCopied, bytesVerified, rangeCount, pageCount, elapsedMs } = result;
  const rate = formatBytes(Math.round(((bytesCopied + bytesVerified) * 1000) / Math.max(1, elapsedMs)));
  const pages = `${pageCount} ${pageCount === 1 ? "page" : "pages"}`;
  return [
    `copied    ${formatBytes(bytesCopied)}, in ${rangeCount} ranges and ${pages} of the diff`,
    bytesVerified === 0
      ? "verified  nothing"
      : `verified  ${formatBytes(bytesVerified)}: the target holds what the snapshot holds there`,
    `took      ${formatDuration(elapsedMs)}, ${rate}/s`,
    ...(statePath === undefined ? [] : [`state     ${statePath}: complete`]),
  ]
    .map((line) => `${line}\n`)
    .join("");
}

function goOnText(statePath: string | undefined, copiedTo: number, blockCount: number | undefined): string {
  if (blockCount === undefined) return "";
  if (statePath === undefined)
    return "; a copy with --state could be gone on with, this one has to begin anew, with --overwrite";
  return `; block ${copiedTo} of ${blockCount} is kept in ${statePath}: the same command goes on from there`;
}
