import { setTimeout as delay } from "node:timers/promises";
import { rangeHigh, rangeLow } from "../../sut/store/bitmap.ts";
import type { VolumeRange } from "../../sut/store/thin-volume.ts";
import type { Layer } from "../../sut/store/layer.ts";
import { type ChangedChunk, chunkBlocks } from "../../sut/store/port.ts";
import type { ThinVolume } from "../../sut/store/thin-volume.ts";
import { between } from "../chances.ts";
import { type ChunkBits, definedBits, leavingOut } from "../diff-lies.ts";
import type { TargetMutant } from "../mutant.ts";

/** Longest time that a snapshot takes, in microtasks; and, where operations come over a wire, in polls after those. */
const turnsMax = 2000;
const pollsMax = 20;
const pollMs = 5;

/**
 * While a snapshot is taken nobody keeps track of changes: what is written after its point in time and before its
 * end is missing from the next diff, unless it is written again.
 */
export const diffOmitUnderIo: TargetMutant = {
  level: "target",
  setting: "memory",
  config: {
    runner: { kind: "concurrent", depth: 8 },
    snapshots: { every: 12, hot: "1/1" },
    // The snapshots' content tells on which side of their cuts the operations are.
    checks: { diffs: { enabled: true }, cut: true },
  },
  bug: (chance) => {
    /** Blocks of a layer of which nobody knows that they changed. */
    const missed = new Map<Layer, Set<number>>();
    const beingTaken = new Set<ThinVolume>();
    const note = (volume: ThinVolume, { block, blockCount }: VolumeRange): void => {
      const blocks = missed.get(volume.head);
      for (let at = block; at < block + blockCount; at++)
        if (beingTaken.has(volume)) blocks?.add(at);
        else blocks?.delete(at);
    };
    const missedBits = (layer: Layer, { lbaStart }: ChangedChunk): ChunkBits => {
      let low = 0;
      let high = 0;
      for (const block of missed.get(layer) ?? []) {
        const bit = block - lbaStart;
        if (bit < 0 || bit >= chunkBlocks) continue;
        low |= rangeLow(bit, bit + 1);
        high |= rangeHigh(bit, bit + 1);
      }
      return { low, high };
    };
    return {
      snapshot: async (volume, proceed) => {
        const snapshot = proceed();
        const blocks = new Set<number>();
        missed.set(volume.head, blocks);
        beingTaken.add(volume);
        const enough = between(chance, { min: 8, max: 32 });
        for (let turns = 0; turns < turnsMax && blocks.size < enough; turns++) await Promise.resolve();
        for (let polls = 0; polls < pollsMax && blocks.size < enough; polls++) await delay(pollMs);
        beingTaken.delete(volume);
        return snapshot;
      },
      write: (volume, request, proceed) => {
        note(volume, request);
        proceed(request);
      },
      zero: (volume, range, proceed) => {
        note(volume, range);
        proceed(range);
      },
      diff: (plan, proceed) =>
        leavingOut(chance, proceed(plan), (chunk) => {
          let low = 0;
          let high = 0;
          for (const layer of plan.layers) {
            const defined = definedBits(layer, chunk);
            const unknown = missedBits(layer, chunk);
            low |= defined.low & ~unknown.low;
            high |= defined.high & ~unknown.high;
          }
          return { low: ~low, high: ~high };
        }),
    };
  },
};
