import { setTimeout as delay } from "node:timers/promises";
import type { VolumeRange } from "../../sut/store/thin-volume.ts";
import { chunkBlocks } from "../../sut/store/port.ts";
import type { ThinVolume } from "../../sut/store/thin-volume.ts";
import { nowAndThen } from "../chances.ts";
import type { TargetMutant } from "../mutant.ts";
import { blocksOf, isEqual, shownBy } from "../store-lies.ts";

/** Blocks of the other chunks that are changed between the two instants: more than are in flight at a time. */
const changesBetween = 128;
/** So long the second instant waits for them; without them there is none. */
const betweenMsMax = 1000;
const pollMs = 10;

/** A snapshot that was asked for. */
interface Asked {
  /** What the chunks of the first instant held then, of blocks that have changed since. */
  readonly before: Map<number, Uint8Array>;
  /** Changes in the other chunks since there is such a block. */
  changesElsewhere: number;
}

/** Every other chunk of a snapshot is as of one instant of its call, those between them are as of a later one. */
export const snapTorn: TargetMutant = {
  level: "target",
  setting: "embedded",
  config: {
    geometry: { volumeSize: "4MiB", extentSize: "128KiB" },
    window: { size: 16 },
    snapshots: { every: 40, hot: "1/1" },
    checks: {
      recent: { every: 0 },
      sample: { every: 0 },
      cut: true,
      snapshots: { extents: "all" },
    },
    runner: { lts: 240 },
  },
  bug: (chance) => {
    const isTorn = nowAndThen(chance, { oneOf: 1, most: 4 });
    /** Whether it is the odd chunks that come first. */
    const parity = chance.choices.below(2);
    const asked = new Map<ThinVolume, Asked>();
    const keep = (volume: ThinVolume, range: VolumeRange): void => {
      const snapshot = asked.get(volume);
      if (snapshot === undefined) return;
      for (const block of blocksOf(range)) {
        const { before } = snapshot;
        if (Math.floor(block / chunkBlocks) % 2 !== parity)
          snapshot.changesElsewhere += before.size > 0 ? 1 : 0;
        else if (!before.has(block)) before.set(block, shownBy(volume.head, block));
      }
    };
    return {
      write: (volume, request, proceed) => {
        keep(volume, request);
        proceed(request);
      },
      zero: (volume, range, proceed) => {
        keep(volume, range);
        proceed(range);
      },
      snapshot: async (volume, proceed) => {
        const call: Asked = { before: new Map(), changesElsewhere: 0 };
        asked.set(volume, call);
        for (let ms = 0; ms < betweenMsMax && call.changesElsewhere < changesBetween; ms += pollMs)
          await delay(pollMs);
        asked.delete(volume);
        const changed = [...call.before]
          .map(([block, old]) => ({ block, old, bytes: shownBy(volume.head, block) }))
          .filter(({ old, bytes }) => !isEqual(old, bytes));
        if (changed.length === 0 || call.changesElsewhere < changesBetween || !isTorn()) return proceed();
        for (const { block, old } of changed) volume.head.write(block, 1, old);
        const snapshot = proceed();
        for (const { block, bytes } of changed) volume.head.write(block, 1, bytes);
        return snapshot;
      },
    };
  },
};
