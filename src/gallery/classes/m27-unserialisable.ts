import type { ThinVolume } from "../../sut/store/thin-volume.ts";
import { between } from "../chances.ts";
import { crashing, SideFile } from "../crashes.ts";
import type { TargetMutant } from "../mutant.ts";

/** Flushes between the version that comes back and the newest that is on stable media. */
const flushesPassed = 2;

interface OldVersion {
  readonly uuid: string;
  readonly block: number;
  readonly base64: string;
}

/** After a restart a block is back at a flushed version, though two newer ones had been flushed since. */
export const unserialisable: TargetMutant = {
  level: "target",
  setting: "embedded",
  config: crashing,
  bug: (chance) => {
    const sideFile = new SideFile<OldVersion>("old-version.json", chance);
    const written = new Map<ThinVolume, Map<number, Uint8Array>>();
    /** Versions that were flushed, the newest last. */
    const flushed = new Map<ThinVolume, Map<number, Uint8Array[]>>();
    let flushesLeft = between(chance, { min: 6, max: 10 });
    const keepOne = (volume: ThinVolume): void => {
      const candidates = [...(flushed.get(volume) ?? [])].filter(
        ([, versions]) => versions.length > flushesPassed,
      );
      if (flushesLeft > 0 || candidates.length === 0 || sideFile.content !== undefined) return;
      const [block, versions] = candidates[chance.choices.below(candidates.length)]!;
      const base64 = Buffer.from(versions.at(-1 - flushesPassed)!).toString("base64");
      sideFile.write({ uuid: volume.uuid, block, base64 });
    };
    return {
      opened: (state, directory) => {
        sideFile.open(directory, ({ uuid, block, base64 }) =>
          state.volumes.get(uuid)?.writeThrough(block, 1, Buffer.from(base64, "base64")),
        );
      },
      write: (volume, request, proceed) => {
        sideFile.tell();
        const blocks = written.get(volume) ?? new Map<number, Uint8Array>();
        written.set(volume, blocks);
        const { blockSizeBytes: size } = volume;
        for (let index = 0; index < request.blockCount; index++) {
          const bytes = new Uint8Array(request.from.subarray(index * size, (index + 1) * size));
          blocks.set(request.block + index, bytes);
        }
        proceed(request);
      },
      flush: async (volume, range, proceed) => {
        if (range !== undefined) return proceed();
        const blocks = written.get(volume) ?? new Map<number, Uint8Array>();
        written.delete(volume);
        await proceed();
        const versionsOf = flushed.get(volume) ?? new Map<number, Uint8Array[]>();
        flushed.set(volume, versionsOf);
        for (const [block, bytes] of blocks) {
          const versions = versionsOf.get(block) ?? [];
          versionsOf.set(block, [...versions.slice(-flushesPassed), bytes]);
        }
        flushesLeft--;
        keepOne(volume);
      },
    };
  },
};
