/**
 * The checkers that the gallery makes responsible: by which rule each speaks, and how it is switched off.
 *
 * @packageDocumentation
 */
import type { Rule } from "../model/violation.ts";
import type { ConfigInput } from "../runner/config/schema.ts";

interface Checker {
  /** The rules by which its violations are told. */
  readonly rules: readonly Rule[];
  /** What of a configuration has to change so that it does not look. */
  readonly off: ConfigInput;
}

const never = { every: 0 };

export const checkers = {
  /** Volumes at rest, extent by extent. */
  quiescent: {
    rules: ["quiescent"],
    off: { checks: { recent: never, sample: never, all: { every: 0, atEnd: false }, changed: false } },
  },
  /** Blocks just before an operation replaces them. */
  "pre-read": { rules: ["quiescent"], off: { reads: { preRead: "0/1" } } },
  /** Reads beside the operations, by all that could have happened. */
  exhaustive: {
    rules: ["exhaustive"],
    off: { reads: { perLts: { min: 0, max: 0 } }, checks: { exhaustive: false } },
  },
  /** Each block of a snapshot, for itself. */
  snapshot: {
    rules: ["snapshot"],
    off: { checks: { snapshots: { extents: 0, atEnd: false }, cut: false } },
  },
  /** A snapshot as one instant. */
  cut: { rules: ["cut"], off: { checks: { cut: false } } },
  diff: { rules: ["diff"], off: { checks: { diffs: { enabled: false } } } },
  clone: { rules: ["clone"], off: { checks: { clones: false } } },
  sync: { rules: ["sync"], off: { checks: { sync: false } } },
  durability: { rules: ["durability"], off: { checks: { durability: false } } },
  compare: { rules: ["compare"], off: { checks: { compare: false } } },
  liveness: { rules: ["liveness"], off: { checks: { liveness: false } } },
} as const satisfies Record<string, Checker>;

export type CheckerName = keyof typeof checkers;
