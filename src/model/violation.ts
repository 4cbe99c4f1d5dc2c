/**
 * What a checker says when something is wrong.
 *
 * @packageDocumentation
 */
import type { Operation } from "../selectors/operations.ts";

/** The rule that broke. */
export type Rule =
  | "visible"
  | "quiescent"
  | "exhaustive"
  | "snapshot"
  | "cut"
  | "diff"
  | "sync"
  | "clone"
  | "durability"
  | "compare"
  | "size"
  | "second-volume"
  | "liveness";

/**
 * Classes of fault, named from the evidence itself.
 *
 * Of a block: `lost-write` the version before the expected one, as if the newest had never been stored; `stale` an
 * older one; `zeroed`; `resurrected` data from before the block was made zero; `extra-data` this run's data where
 * none was written; `ghost-write` an operation whose outcome is unknown, and that has happened too late: after it had
 * been shown never to have, or over newer ones; `refused-write` one that the target had refused; `misdirected` another
 * block's content; `torn` sectors of the block, or blocks of one write, of different versions; `mixed` pieces of
 * another block inside; `bit-flip`; `foreign` another run's; `garbage`.
 *
 * Of blocks read under load: `went-back` an allowed version, but a read before had shown what came after it.
 *
 * Of a snapshot, beside these: `torn-cut` two operations that no one instant can have on different sides; `late-leak` an
 * operation submitted after the snapshot; `early-miss` one completed before it is missing; `mutated` a block that was right when it was read before.
 *
 * Of a diff: `omission`, `over-report`, `wrong-offset`, `contract`, `nondeterministic`, `deleted-base-answered`,
 * `algebra` a diff over a long span reports what the diffs of its parts do not.
 *
 * Of commands and volumes: `wrong-compare` a compare-and-write that should have succeeded was refused, or the other
 * way round; `wrong-size` a volume or snapshot is not as large as it was made; `lost-snapshot` one that was acknowledged is gone; `volumes-differ` two volumes of one
 * history; `no-completion` a command that did not complete in time, though nobody had put the target to trouble.
 */
export const faultClasses = [
  "lost-write",
  "stale",
  "zeroed",
  "resurrected",
  "extra-data",
  "ghost-write",
  "refused-write",
  "misdirected",
  "torn",
  "mixed",
  "bit-flip",
  "foreign",
  "garbage",
  "went-back",
  "torn-cut",
  "late-leak",
  "early-miss",
  "mutated",
  "omission",
  "over-report",
  "wrong-offset",
  "contract",
  "nondeterministic",
  "deleted-base-answered",
  "algebra",
  "wrong-compare",
  "wrong-size",
  "lost-snapshot",
  "volumes-differ",
  "no-completion",
] as const;
export type FaultClass = (typeof faultClasses)[number];

/** An operation with its place in the history. */
export interface OperationReference {
  readonly lts: number;
  readonly operationId: number;
  readonly kind: Operation["kind"];
  /** First block on the volume. */
  readonly block: number;
  readonly blockCount: number;
  /** What it has to do with the violation. */
  readonly role: "expected" | "observed" | "touched" | "missing";
}

export interface Violation {
  readonly rule: Rule;
  readonly class: FaultClass;
  /** One sentence: what was seen, and what it says about the fault. */
  readonly summary: string;
  readonly volume: number;
  /** First block concerned, and how many; 0 if it is about no block, as of a flush. */
  readonly block: number;
  readonly blockCount: number;
  /** The snapshot concerned, and of a diff its base; by number. */
  readonly snapshot?: number;
  readonly base?: number;
  /** The lts as of which the model was asked. */
  readonly ltsMax: number;
  readonly expected: string;
  readonly observed: string;
  readonly operations: readonly OperationReference[];
  /** Whether the same bytes came back when the block was read again: written wrong, or read wrong. */
  readonly rereads?: "same" | "healed" | "changing" | "failed";
}

/** Text for people, a few lines. */
export function describeViolation(violation: Violation): string {
  const { rule, class: name, volume, block, blockCount, snapshot, base, ltsMax } = violation;
  const of =
    snapshot !== undefined && rule === "diff"
      ? ` in the diff of snapshot ${snapshot} ${base === undefined ? "without base" : `against snapshot ${base}`}`
      : snapshot === undefined
        ? ""
        : ` of snapshot ${snapshot}`;
  const lines = [
    `${name}: volume ${volume}${blockCount === 0 ? "" : `, ${rangeText(block, blockCount)}`}${of} (rule ${rule}, as of lts ${ltsMax})`,
    `  ${violation.summary}`,
    `  expected  ${violation.expected}`,
    `  observed  ${violation.observed}`,
  ];
  for (const { role, lts, operationId, kind, block: first, blockCount: count } of violation.operations) {
    const range = count === 0 ? "" : ` of ${rangeText(first, count)}`;
    lines.push(`  operation ${operationId} of lts ${lts} (${role}): ${kind}${range}`);
  }
  if (violation.rereads !== undefined) lines.push(`  re-read   ${rereadsText[violation.rereads]}`);
  return lines.join("\n");
}

function rangeText(first: number, count: number): string {
  return count === 1 ? `block ${first}` : `blocks ${first} to ${first + count - 1}`;
}

const rereadsText = {
  same: "the same bytes each time: what is stored is wrong",
  healed: "the expected bytes: what is stored is right, the read was wrong",
  changing: "other bytes, wrong again",
  failed: "the target could not read the block again",
} as const;
