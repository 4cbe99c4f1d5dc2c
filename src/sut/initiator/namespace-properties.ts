/**
 * What a namespace promises and limits, worked out from its Identify data and its controller's.
 *
 * @packageDocumentation
 */
import { deallocateRangesMax } from "../nvme/commands.ts";
import {
  type CommandSetLimits,
  type ControllerIdentity,
  deallocateFeature,
  formatInUse,
  fusedOperation,
  type NamespaceIdentity,
  namespaceFeature,
  optionalCommand,
} from "../nvme/identify.ts";
import type { DeviceCapabilities } from "../port.ts";
import { ControllerError } from "./errors.ts";
import { counted } from "../wording.ts";

export interface NamespaceProperties {
  readonly blockCount: number;
  readonly capabilities: DeviceCapabilities;
  /** Commands should not cross multiples of this (NOIOB); 0 for no boundary. */
  readonly boundaryBlocks: number;
  readonly writeZeroesBlocksMax: number;
  /** Write zeroes may carry the deallocate bit. */
  readonly deallocatesInWriteZeroes: boolean;
  readonly rangesPerDeallocate: number;
  readonly rangeBlocksMax: number;
}

const limitPageLengthBytes = 4096;

/**
 * @param transferBlocksMaxOf - Longest transfer of the controller in blocks of a size.
 * @throws {ControllerError} `ERR_UNSUPPORTED` if the format in use is none that this initiator reads.
 */
export function namespaceProperties(
  namespace: NamespaceIdentity,
  controller: ControllerIdentity,
  limits: CommandSetLimits | undefined,
  transferBlocksMaxOf: (blockSizeBytes: number) => number,
): NamespaceProperties {
  const format = formatInUse(namespace);
  const shift = format?.blockSizeShift ?? 0;
  if (format === undefined || (shift !== 9 && shift !== 12) || format.metadataLengthBytes !== 0) {
    const found = `2^${shift} bytes with ${counted(format?.metadataLengthBytes ?? 0, "byte")} of metadata`;
    const expected = "512 or 4096 without metadata expected";
    throw new ControllerError("ERR_UNSUPPORTED", `blocks of ${found}: ${expected}`);
  }
  const blockSizeBytes = 2 ** shift;
  const blockCount = Number(namespace.nsze);
  const transferBlocksMax = transferBlocksMaxOf(blockSizeBytes);
  const { dmrl = 0, dmrsl = 0, dmsl = 0n, wzsl = 0 } = limits ?? {};
  const rangeBlocksMax = Math.min(
    dmrsl === 0 ? 0xffff_ffff : dmrsl,
    dmsl === 0n ? 0xffff_ffff : Number(dmsl),
  );
  return {
    blockCount,
    capabilities: capabilitiesOf(namespace, controller, blockSizeBytes, transferBlocksMax),
    boundaryBlocks: namespace.noiob,
    writeZeroesBlocksMax:
      wzsl === 0
        ? transferBlocksMax
        : Math.min(65_536, Math.max(1, (limitPageLengthBytes * 2 ** Math.min(wzsl, 20)) / blockSizeBytes)),
    deallocatesInWriteZeroes: (namespace.dlfeat & deallocateFeature.inWriteZeroes) !== 0,
    rangesPerDeallocate: rangesPerCommand(dmrl, dmsl, Math.min(rangeBlocksMax, blockCount)),
    rangeBlocksMax,
  };
}

/** Ranges per command such that neither their number nor their sum is too large. */
function rangesPerCommand(dmrl: number, dmsl: bigint, longestRangeBlocks: number): number {
  const byNumber = dmrl === 0 ? deallocateRangesMax : dmrl;
  const bySum = dmsl === 0n ? byNumber : Math.floor(Number(dmsl) / Math.max(1, longestRangeBlocks));
  return Math.max(1, Math.min(byNumber, bySum));
}

function capabilitiesOf(
  namespace: NamespaceIdentity,
  controller: ControllerIdentity,
  blockSizeBytes: number,
  transferBlocksMax: number,
): DeviceCapabilities {
  const { nsfeat, nawun, nawupf, nacwu, nabsn, nabspf, dlfeat } = namespace;
  const { oncs, fuses, vwc, awun, awupf, acwu } = controller;
  const hasOwnUnits = (nsfeat & namespaceFeature.ownAtomicUnits) !== 0;
  // Fields are 0-based. A namespace with atomic boundaries promises nothing for writes that cross one.
  const atomic = (own: number, common: number, boundary: number) =>
    boundary === 0 ? Math.min((hasOwnUnits ? own : common) + 1, transferBlocksMax) : 1;
  const reads = dlfeat & deallocateFeature.valueMask;
  const canFuse = (fuses & fusedOperation.compareAndWrite) !== 0;
  return {
    blockSizeBytes,
    transferBlocksMax,
    atomicWriteBlocks: atomic(nawun, awun, nabsn),
    atomicWriteBlocksPowerFail: atomic(nawupf, awupf, nabspf),
    volatileWriteCache: (vwc & 1) !== 0,
    deallocatedReads:
      reads === deallocateFeature.zeros ? "zeros" : reads === deallocateFeature.ones ? "ones" : "unreported",
    writeZeroes: (oncs & optionalCommand.writeZeroes) !== 0,
    deallocate: (oncs & optionalCommand.datasetManagement) !== 0,
    compare: (oncs & optionalCommand.compare) !== 0,
    compareAndWriteBlocksMax: canFuse ? atomic(nacwu, acwu, 0) : 0,
  };
}
