/**
 * What a block of a volume can be, as a scan tells it.
 *
 * @packageDocumentation
 */

interface ScanClass {
  /** In maps. */
  readonly symbol: string;
  /** For people. */
  readonly title: string;
  readonly isRight: boolean;
}

/** From the least to the most telling: where a map has one character for many blocks, the last one is shown. */
export const scanClasses = {
  zeros: { symbol: ".", title: "zeros, rightly", isRight: true },
  latest: { symbol: "#", title: "latest version", isRight: true },
  open: { symbol: "~", title: "latest, as far as can be told", isRight: true },
  ahead: { symbol: ">", title: "newer than that", isRight: false },
  stale: { symbol: "s", title: "stale", isRight: false },
  zeroed: { symbol: "0", title: "zeros where data is due", isRight: false },
  resurrected: { symbol: "r", title: "data where zeros are due", isRight: false },
  undone: { symbol: "u", title: "refused, or undone by a rollback", isRight: false },
  misplaced: { symbol: "m", title: "misplaced", isRight: false },
  foreign: { symbol: "f", title: "of another run", isRight: false },
  torn: { symbol: "t", title: "torn", isRight: false },
  mixed: { symbol: "x", title: "mixed with another block", isRight: false },
  "bit-flip": { symbol: "b", title: "bits flipped", isRight: false },
  garbage: { symbol: "g", title: "garbage", isRight: false },
  damaged: { symbol: "d", title: "damaged, not looked at closely", isRight: false },
  unreadable: { symbol: "!", title: "can not be read", isRight: false },
} as const satisfies Record<string, ScanClass>;

export type ScanClassName = keyof typeof scanClasses;

export const scanClassNames = Object.keys(scanClasses) as readonly ScanClassName[];
