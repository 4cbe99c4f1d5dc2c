import type { ThinVolume } from "../../sut/store/thin-volume.ts";
import { nowAndThen } from "../chances.ts";
import type { TargetMutant } from "../mutant.ts";
import { isZeros } from "../bytes.ts";
import { blocksOf, isEqual, shownBy } from "../store-lies.ts";

/** A block that was overwritten, before and after. */
interface Overwritten {
  readonly volume: ThinVolume;
  readonly block: number;
  readonly old: Uint8Array;
  readonly bytes: Uint8Array;
}

/** The newest write waits in a cache that is emptied only after the snapshot; the volume reads from the cache. */
export const snapMissEarly: TargetMutant = {
  level: "target",
  setting: "memory",
  config: {
    snapshots: { every: 15 },
    checks: { snapshots: { extents: "all", atEnd: true } },
  },
  bug: (chance) => {
    const isCached = nowAndThen(chance, { oneOf: 2, most: 3 });
    let newest: Overwritten | undefined;
    return {
      write: (volume, request, proceed) => {
        const block = blocksOf(request).find((one) => !isZeros(shownBy(volume.head, one)));
        const old = block === undefined ? undefined : shownBy(volume.head, block);
        proceed(request);
        if (block !== undefined && old !== undefined)
          newest = { volume, block, old, bytes: shownBy(volume.head, block) };
      },
      snapshot: async (volume, proceed) => {
        const cached =
          newest?.volume === volume && isEqual(shownBy(volume.head, newest.block), newest.bytes)
            ? newest
            : undefined;
        if (cached === undefined || !isCached()) return proceed();
        volume.head.write(cached.block, 1, cached.old);
        const snapshot = proceed();
        volume.head.write(cached.block, 1, cached.bytes);
        return snapshot;
      },
    };
  },
};
