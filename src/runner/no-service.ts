/**
 * The control plane of a file or device that has none: everything is refused.
 *
 * @packageDocumentation
 */
import { ServiceError, type VolumeService } from "../sut/port.ts";

const refuse = (): never => {
  throw new ServiceError("ERR_UNSUPPORTED", "a block target has no control plane, and so no snapshots");
};
const refuseLater = (): Promise<never> => Promise.resolve().then(refuse);

export const noService: VolumeService = {
  diffCapabilities: { granularityBlocks: 1, chunkBlocks: 1 },
  createVolume: refuseLater,
  getVolume: refuseLater,
  listVolumes: refuseLater,
  resizeVolume: refuseLater,
  deleteVolume: refuseLater,
  createSnapshot: refuseLater,
  getSnapshot: refuseLater,
  listSnapshots: refuseLater,
  deleteSnapshot: refuseLater,
  cloneSnapshot: refuseLater,
  rollbackVolume: refuseLater,
  diff: refuse,
  openVolume: refuseLater,
  openSnapshot: refuseLater,
  [Symbol.asyncDispose]: () => Promise.resolve(),
};
