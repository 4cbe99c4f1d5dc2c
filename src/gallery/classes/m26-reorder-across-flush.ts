import type { ThinVolume } from "../../sut/store/thin-volume.ts";
import { covers, crashing } from "../crashes.ts";
import type { TargetMutant } from "../mutant.ts";

/** What a volume's cache holds, as far as a flush wants to know. */
interface Cached {
  /** How often each block was written since it last left the cache, the one written longest ago first. */
  readonly counts: Map<number, number>;
  /** The block that waits for the next flush, though the last one was to write it back. */
  late: number | undefined;
}

/** Each flush leaves one block for the next one, and whatever is written meanwhile can overtake it. */
export const reorderAcrossFlush: TargetMutant = {
  level: "target",
  setting: "embedded",
  config: crashing,
  bug: (chance) => {
    const cached = new Map<ThinVolume, Cached>();
    const of = (volume: ThinVolume): Cached => {
      const known = cached.get(volume) ?? { counts: new Map<number, number>(), late: undefined };
      cached.set(volume, known);
      return known;
    };
    return {
      write: (volume, request, proceed) => {
        const { counts } = of(volume);
        const { block, blockCount } = request;
        // Written first, as that may send a block out.
        proceed(request);
        for (let at = block; at < block + blockCount; at++) counts.set(at, (counts.get(at) ?? 0) + 1);
      },
      writeBackEarly: (volume, { block }, proceed) => {
        const { counts, late } = of(volume);
        if (block === late) return;
        counts.delete(block);
        proceed();
      },
      flush: async (volume, range, proceed) => {
        const known = of(volume);
        const once = [...known.counts]
          .filter(([block, count]) => count === 1 && block !== known.late)
          .map(([block]) => block);
        for (const block of known.counts.keys()) if (covers(range, block)) known.counts.delete(block);
        if (known.late !== undefined && covers(range, known.late)) known.late = undefined;
        const { cache } = volume;
        if (range !== undefined || cache === undefined || once.length === 0) return proceed();
        const late = once[chance.choices.below(Math.ceil(once.length / 2))]!;
        known.late = late;
        known.counts.set(late, 1);
        cache.writeBack(0, late);
        cache.writeBack(late + 1, volume.blockCount - late - 1);
        chance.struck();
        // Commits what was written back.
        await volume.flushBlocks(late, 0);
      },
    };
  },
};
