import type { Layer } from "../../sut/store/layer.ts";
import { nthOf } from "../chances.ts";
import type { TargetMutant } from "../mutant.ts";

/** A slot that a chunk holds already is given to another one as well. */
export const doubleAllocation: TargetMutant = {
  level: "target",
  setting: "memory",
  config: {
    // An extent is a chunk, so both owners use the same blocks of the slot.
    geometry: { volumeSize: "4MiB", extentSize: "256KiB" },
    // Only what is zeroed is freed: once by each owner it would be gone for the other.
    operations: { weights: { writeZeroes: 0, deallocate: 0, deallocateTail: 0, deallocateExtent: 0 } },
  },
  bug: (chance) => {
    const isTwice = nthOf(chance, { min: 2, max: 6 });
    let head: Layer | undefined;
    return {
      created: (volume) => {
        head ??= volume.head;
      },
      allocate: (arena, proceed) => {
        if (arena !== head?.arena) return proceed();
        const used = [...head.records.values()].flatMap(({ slot }) => slot ?? []);
        if (used.length === 0 || !isTwice()) return proceed();
        return used[chance.choices.below(used.length)]!;
      },
    };
  },
};
