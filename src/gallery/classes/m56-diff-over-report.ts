import { tellingOtherRanges } from "../diff-answers.ts";
import type { WireMutant } from "../mutant.ts";

/** In a few answers every range is told as if all of its blocks had changed. */
export const diffOverReport: WireMutant = {
  level: "wire",
  setting: "embedded",
  config: { snapshots: { every: 20 }, checks: { diffs: { enabled: true } }, runner: { lts: 150 } },
  rest: (chance) =>
    tellingOtherRanges(chance, (ranges) => {
      const isWhole = ranges.every(({ bitmap }) => bitmap.every((bits) => bits === 0xff));
      return isWhole
        ? undefined
        : ranges.map(({ lbaStart, bitmap }) => ({
            lbaStart,
            bitmap: new Uint8Array(bitmap.length).fill(0xff),
          }));
    }),
};
