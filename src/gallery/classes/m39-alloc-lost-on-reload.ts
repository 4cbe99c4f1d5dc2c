import { nthOf } from "../chances.ts";
import { crashing } from "../crashes.ts";
import type { TargetMutant } from "../mutant.ts";

/** The journal leaves out where one chunk lies, each time: memory knows it, and the next process does not. */
export const allocLostOnReload: TargetMutant = {
  level: "target",
  setting: "embedded",
  // Several chunks, and all of them visited soon before each crash: what was not is not looked at after it.
  config: { ...crashing, geometry: { volumeSize: "1MiB" }, window: { size: 8 } },
  bug: (chance) => {
    const isLost = nthOf(chance, { min: 1, max: 2 });
    const known = new Set<string>();
    let lost: string | undefined;
    return {
      opened: ({ layers }) => {
        for (const { id, records } of layers) for (const chunk of records.keys()) known.add(`${id}/${chunk}`);
      },
      commit: (change) => ({
        ...change,
        chunks: change.chunks.filter(({ layerId, chunk, slot }) => {
          const key = `${layerId}/${chunk}`;
          if (slot !== undefined && !known.has(key)) {
            known.add(key);
            if (isLost()) lost = key;
          }
          return key !== lost;
        }),
      }),
    };
  },
};
