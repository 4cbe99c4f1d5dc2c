/**
 * Asking for another size of a volume, such that what was decided on one version is not done to another.
 *
 * Shrinking has to be forced, and whether it is shrinking depends on the size that the volume has. So the request
 * carries the ETag of the version that was looked at, and is made anew if that is not the last one any more.
 *
 * @packageDocumentation
 */

import { type CallOptions, ServiceError, type Volume } from "../port.ts";
import { RefusalError } from "./answer.ts";
import type { LightbitsApi } from "./api.ts";
import { isOccupied, isTargetError, type Patience, targetErrorsMax } from "./waiting.ts";

/**
 * Makes the request; the volume may take its time to follow.
 *
 * @returns The volume as it was before.
 */
export async function growOrShrink(
  api: LightbitsApi,
  patience: Patience,
  { uuid, sizeBytes }: { readonly uuid: string; readonly sizeBytes: number },
  options?: CallOptions,
): Promise<Volume> {
  const backoff = patience.backoff();
  for (let targetErrorCount = 0; ; ) {
    const { volume, etag } = await patience.reading(() => api.getVolumeVersion(uuid, options), options);
    const force = sizeBytes < volume.sizeBytes;
    try {
      await api.resizeVolume({ uuid, sizeBytes, force, etag }, options);
      return volume;
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      const isStale = error instanceof RefusalError && error.httpStatus === 412;
      if (!isStale && !isOccupied(error)) {
        if (!isUnclear(error)) throw error;
        if (await hasTaken(api, volume, options)) return volume;
        targetErrorCount += 1;
        if (!isTargetError(error) || targetErrorCount === targetErrorsMax) throw error;
      }
      await patience.waitOn(backoff, error, options);
    }
  }
}

/** After which the request may have been taken all the same. */
function isUnclear(error: ServiceError): boolean {
  return isTargetError(error) || ["ERR_TIMEOUT", "ERR_UNREACHABLE", "ERR_BAD_ANSWER"].includes(error.code);
}

/** Whether a volume is seen to follow; `false` also if it cannot be seen. */
async function hasTaken(api: LightbitsApi, before: Volume, options?: CallOptions): Promise<boolean> {
  try {
    const { state, sizeBytes } = await api.getVolume(before.uuid, options);
    return state === "updating" || sizeBytes !== before.sizeBytes;
  } catch (error) {
    if (error instanceof ServiceError && error.code !== "ERR_ABORTED") return false;
    throw error;
  }
}
