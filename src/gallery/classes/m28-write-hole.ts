import { readBlocks } from "../../sut/store/chain.ts";
import type { ThinVolume } from "../../sut/store/thin-volume.ts";
import { covers, crashing, SideFile } from "../crashes.ts";
import type { TargetMutant } from "../mutant.ts";

const stripeBlocks = 4;

/** A stripe of which the parity does not fit the data, until the next flush. */
interface OpenStripe {
  readonly uuid: string;
  /** The block that is under way. */
  readonly writing: number;
  /** A block of the same stripe that is on stable media. */
  readonly neighbour: number;
  /** By what the parity is wrong. */
  readonly base64: string;
}

/**
 * A crash between a block and the parity of its stripe: when the target comes back, another block of the stripe is
 * worked out anew, from a parity that does not fit.
 */
export const writeHole: TargetMutant = {
  level: "target",
  setting: "embedded",
  // Crashes more often than others, for it takes one that no flush has just preceded.
  config: { ...crashing, faults: { crash: { every: 40 } } },
  bug: (chance) => {
    const sideFile = new SideFile<OpenStripe>("open-stripe.json", chance);
    /** Blocks written and not flushed, and blocks flushed and not written since. */
    const cached = new Map<ThinVolume, Set<number>>();
    const durable = new Map<ThinVolume, Set<number>>();
    const of = (sets: Map<ThinVolume, Set<number>>, volume: ThinVolume): Set<number> => {
      const known = sets.get(volume) ?? new Set<number>();
      sets.set(volume, known);
      return known;
    };
    const parityError = (volume: ThinVolume, block: number, now: Uint8Array): string => {
      const difference = new Uint8Array(volume.blockSizeBytes);
      readBlocks(volume.head, block, 1, difference);
      for (let index = 0; index < difference.length; index++) difference[index]! ^= now[index]!;
      return Buffer.from(difference).toString("base64");
    };
    const openStripe = (volume: ThinVolume, block: number, bytes: Uint8Array): void => {
      const first = block - (block % stripeBlocks);
      for (let neighbour = first; neighbour < first + stripeBlocks; neighbour++) {
        if (!of(durable, volume).has(neighbour)) continue;
        const { uuid } = volume;
        sideFile.write({ uuid, writing: block, neighbour, base64: parityError(volume, block, bytes) });
        return;
      }
    };
    return {
      opened: (state, directory) => {
        sideFile.open(directory, ({ uuid, neighbour, base64 }) => {
          const volume = state.volumes.get(uuid);
          if (volume === undefined) return;
          const block = new Uint8Array(volume.blockSizeBytes);
          readBlocks(volume.head, neighbour, 1, block);
          for (const [index, bits] of Buffer.from(base64, "base64").entries()) block[index]! ^= bits;
          volume.writeThrough(neighbour, 1, block);
        });
      },
      write: (volume, request, proceed) => {
        sideFile.tell();
        const { block, blockCount, from } = request;
        for (let at = block; at < block + blockCount; at++) {
          of(cached, volume).add(at);
          of(durable, volume).delete(at);
        }
        const known = sideFile.content;
        if (known?.uuid === volume.uuid && covers(request, known.neighbour)) sideFile.remove();
        const size = volume.blockSizeBytes;
        for (let index = 0; index < blockCount && sideFile.content === undefined; index++)
          openStripe(volume, block + index, from.subarray(index * size, (index + 1) * size));
        proceed(request);
      },
      flush: async (volume, range, proceed) => {
        const closing = [...of(cached, volume)].filter((block) => covers(range, block));
        for (const block of closing) of(cached, volume).delete(block);
        const known = sideFile.content;
        await proceed();
        if (known?.uuid === volume.uuid && known === sideFile.content && covers(range, known.writing))
          sideFile.remove();
        for (const block of closing) if (!of(cached, volume).has(block)) of(durable, volume).add(block);
      },
    };
  },
};
