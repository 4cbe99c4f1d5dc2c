/**
 * What a request to the store must satisfy: names, sizes, the snapshots and the offset of a diff.
 *
 * Each check returns, or throws the {@link StoreError} that the caller of the store gets. Whether an object
 * exists and is idle is asked in `lookup.ts`.
 *
 * @packageDocumentation
 */
import { chunkBlocks, StoreError } from "./port.ts";
import type { ThinSnapshot } from "./thin-volume.ts";

const namePattern = /^[a-zA-Z0-9_.-]{1,253}$/;
const sizeBytesMax = 2 ** 50;

/** @param taken - The object that goes by this name already, if there is one. */
export function checkName(name: string, taken: { readonly uuid: string } | undefined): void {
  if (!namePattern.test(name)) {
    throw new StoreError(
      "ERR_INVALID",
      `the name ${JSON.stringify(name.slice(0, 300))} is not 1 to 253 of the characters a-z A-Z 0-9 - _ .`,
    );
  }
  if (taken !== undefined)
    throw new StoreError("ERR_NAME_TAKEN", `the name ${name} belongs to ${taken.uuid}`);
}

export function checkSize(sizeBytes: number, blockSizeBytes: number): void {
  if (sizeBytes > 0 && sizeBytes <= sizeBytesMax && sizeBytes % blockSizeBytes === 0) return;
  throw new StoreError(
    "ERR_INVALID",
    `a size of ${sizeBytes} bytes is not a multiple of ${blockSizeBytes} from ${blockSizeBytes} to ${sizeBytesMax}`,
  );
}

/** A rollback goes to a snapshot of the volume itself. */
export function checkIsOf(snapshot: ThinSnapshot, volumeUuid: string): void {
  if (snapshot.volumeUuid === volumeUuid) return;
  throw new StoreError(
    "ERR_NOT_ON_CHAIN",
    `snapshot ${snapshot.uuid} is of volume ${snapshot.volumeUuid}, not of ${volumeUuid}`,
  );
}

/** A diff needs an older snapshot of the same volume. */
export function checkBase(snapshot: ThinSnapshot, base: ThinSnapshot): void {
  if (base === snapshot) {
    throw new StoreError("ERR_INVALID", `snapshot ${base.uuid} is compared with itself`);
  }
  if (base.volumeUuid !== snapshot.volumeUuid) {
    throw new StoreError(
      "ERR_NOT_ON_CHAIN",
      `snapshot ${base.uuid} is of volume ${base.volumeUuid}, snapshot ${snapshot.uuid} of ${snapshot.volumeUuid}`,
    );
  }
  if (base.sequence > snapshot.sequence) {
    throw new StoreError("ERR_INVALID", `base ${base.uuid} is newer than snapshot ${snapshot.uuid}`);
  }
}

/** A page of a diff starts within the snapshot, once rounded down to a chunk, and has room for a chunk. */
export function checkPage(
  snapshot: ThinSnapshot,
  { offsetLba, chunkCountMax }: { readonly offsetLba: number; readonly chunkCountMax: number },
): void {
  if (!Number.isSafeInteger(offsetLba) || offsetLba < 0 || chunkCountMax < 1) {
    throw new StoreError(
      "ERR_INVALID",
      `an offset of ${offsetLba} blocks and at most ${chunkCountMax} chunks cannot be answered`,
    );
  }
  if (Math.floor(offsetLba / chunkBlocks) * chunkBlocks >= snapshot.blockCount) {
    throw new StoreError(
      "ERR_OUT_OF_RANGE",
      `offset ${offsetLba} lies beyond the ${snapshot.blockCount} blocks of snapshot ${snapshot.uuid}`,
    );
  }
}
