import type { Arena } from "../../sut/store/medium.ts";
import { chunkBlocks } from "../../sut/store/port.ts";
import { between, strangeBytes } from "../chances.ts";
import type { TargetMutant } from "../mutant.ts";

/**
 * Slots of a volume that was deleted long ago are given out again as they are, and the first write to a chunk maps
 * all of it.
 */
export const dirtyReuse: TargetMutant = {
  level: "target",
  setting: "memory",
  // An extent is a chunk: before its first visit, when nobody had written there, all was still right.
  config: { geometry: { extentSize: "256KiB" } },
  bug: (chance) => {
    const freed: number[] = [];
    const reused = new Set<number>();
    let arena: Arena | undefined;
    return {
      created: (volume) => {
        if (arena !== undefined) return;
        arena = volume.head.arena;
        const block = strangeBytes(chance, arena.blockSizeBytes);
        const count = between(chance, { min: 2, max: 5 });
        const slots: number[] = [];
        for (let number = 0; number < count; number++) {
          const slot = arena.allocate();
          for (let at = 0; at < chunkBlocks; at++) arena.medium.write(slot, at * block.length, block);
          slots.push(slot);
        }
        // Not before all are there: what is freed is given out again.
        freed.push(...slots);
      },
      allocate: (from, proceed) => {
        const slot = from === arena ? freed.pop() : undefined;
        if (slot === undefined) return proceed();
        reused.add(slot);
        return slot;
      },
      write: (volume, request, proceed) => {
        proceed(request);
        const { block, blockCount } = request;
        const { head } = volume;
        const last = Math.floor((block + blockCount - 1) / chunkBlocks);
        for (let chunk = Math.floor(block / chunkBlocks); chunk <= last; chunk++) {
          const record = head.records.get(chunk);
          if (record?.slot === undefined || !reused.delete(record.slot)) continue;
          record.mappedLow = ~record.zeroLow;
          record.mappedHigh = ~record.zeroHigh;
          head.touch(chunk);
          chance.struck();
        }
      },
    };
  },
};
