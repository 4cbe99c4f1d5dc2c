/**
 * Status codes of completions: one table, the STATUS field, and words for people.
 *
 * What an initiator makes of a status is in `src/sut/initiator`; what a target answers is its own.
 *
 * @packageDocumentation
 */
import type { NvmeStatus } from "../port.ts";

export const statusCode = {
  success: { sct: 0, sc: 0x00, name: "success" },
  invalidOpcode: { sct: 0, sc: 0x01, name: "invalid command opcode" },
  invalidField: { sct: 0, sc: 0x02, name: "invalid field in command" },
  commandIdConflict: { sct: 0, sc: 0x03, name: "command ID conflict" },
  dataTransferError: { sct: 0, sc: 0x04, name: "data transfer error" },
  powerLossAbort: { sct: 0, sc: 0x05, name: "commands aborted due to power loss notification" },
  internalError: { sct: 0, sc: 0x06, name: "internal error" },
  abortRequested: { sct: 0, sc: 0x07, name: "command abort requested" },
  abortedSqDeletion: { sct: 0, sc: 0x08, name: "command aborted due to SQ deletion" },
  abortedFailedFused: { sct: 0, sc: 0x09, name: "command aborted due to failed fused command" },
  abortedMissingFused: { sct: 0, sc: 0x0a, name: "command aborted due to missing fused command" },
  invalidNamespace: { sct: 0, sc: 0x0b, name: "invalid namespace or format" },
  commandSequenceError: { sct: 0, sc: 0x0c, name: "command sequence error" },
  invalidSglLastSegment: { sct: 0, sc: 0x0d, name: "invalid SGL segment descriptor" },
  invalidSglCount: { sct: 0, sc: 0x0e, name: "invalid number of SGL descriptors" },
  invalidSglLength: { sct: 0, sc: 0x0f, name: "data SGL length invalid" },
  invalidSglType: { sct: 0, sc: 0x11, name: "SGL descriptor type invalid" },
  operationDenied: { sct: 0, sc: 0x15, name: "operation denied" },
  invalidSglOffset: { sct: 0, sc: 0x16, name: "SGL offset invalid" },
  hostIdInconsistent: { sct: 0, sc: 0x18, name: "host identifier inconsistent format" },
  keepAliveExpired: { sct: 0, sc: 0x19, name: "keep alive timer expired" },
  keepAliveInvalid: { sct: 0, sc: 0x1a, name: "keep alive timeout invalid" },
  abortedPreempt: { sct: 0, sc: 0x1b, name: "command aborted due to preempt and abort" },
  writeProtected: { sct: 0, sc: 0x20, name: "namespace is write protected" },
  interrupted: { sct: 0, sc: 0x21, name: "command interrupted" },
  transientTransportError: { sct: 0, sc: 0x22, name: "transient transport error" },
  adminMediaNotReady: { sct: 0, sc: 0x24, name: "admin command media not ready" },
  lbaOutOfRange: { sct: 0, sc: 0x80, name: "LBA out of range" },
  capacityExceeded: { sct: 0, sc: 0x81, name: "capacity exceeded" },
  namespaceNotReady: { sct: 0, sc: 0x82, name: "namespace not ready" },
  reservationConflict: { sct: 0, sc: 0x83, name: "reservation conflict" },
  formatInProgress: { sct: 0, sc: 0x84, name: "format in progress" },
  invalidQueueId: { sct: 1, sc: 0x01, name: "invalid queue identifier" },
  invalidQueueSize: { sct: 1, sc: 0x02, name: "invalid queue size" },
  abortLimitExceeded: { sct: 1, sc: 0x03, name: "abort command limit exceeded" },
  asyncEventLimitExceeded: { sct: 1, sc: 0x05, name: "asynchronous event request limit exceeded" },
  invalidLogPage: { sct: 1, sc: 0x09, name: "invalid log page" },
  featureNotSaveable: { sct: 1, sc: 0x0d, name: "feature identifier not saveable" },
  featureNotChangeable: { sct: 1, sc: 0x0e, name: "feature not changeable" },
  featureNotNamespaceSpecific: { sct: 1, sc: 0x0f, name: "feature not namespace specific" },
  connectIncompatibleFormat: { sct: 1, sc: 0x80, name: "connect incompatible format" },
  connectControllerBusy: { sct: 1, sc: 0x81, name: "connect controller busy" },
  connectInvalidParameters: { sct: 1, sc: 0x82, name: "connect invalid parameters" },
  commandSizeLimitExceeded: { sct: 1, sc: 0x83, name: "command size limit exceeded" },
  connectInvalidHost: { sct: 1, sc: 0x84, name: "connect invalid host" },
  discoveryRestart: { sct: 1, sc: 0x90, name: "discovery restart" },
  authenticationRequired: { sct: 1, sc: 0x91, name: "authentication required" },
  writeFault: { sct: 2, sc: 0x80, name: "write fault" },
  unrecoveredReadError: { sct: 2, sc: 0x81, name: "unrecovered read error" },
  guardCheckError: { sct: 2, sc: 0x82, name: "end-to-end guard check error" },
  compareFailure: { sct: 2, sc: 0x85, name: "compare failure" },
  accessDenied: { sct: 2, sc: 0x86, name: "access denied" },
  deallocatedBlock: { sct: 2, sc: 0x87, name: "deallocated or unwritten logical block" },
  pathInternalError: { sct: 3, sc: 0x00, name: "internal path error" },
  anaPersistentLoss: { sct: 3, sc: 0x01, name: "asymmetric access persistent loss" },
  anaInaccessible: { sct: 3, sc: 0x02, name: "asymmetric access inaccessible" },
  anaTransition: { sct: 3, sc: 0x03, name: "asymmetric access transition" },
  controllerPathError: { sct: 3, sc: 0x60, name: "controller pathing error" },
} as const satisfies Record<string, StatusCode>;

/** A row of {@link statusCode}: status code type, status code, name. */
export interface StatusCode {
  readonly sct: number;
  readonly sc: number;
  readonly name: string;
}

const names = new Map<number, string>(
  Object.values(statusCode).map(({ sct, sc, name }) => [sct * 256 + sc, name]),
);

const doNotRetry = 0x8000;

/** STATUS of a CQE: SC in bits 8:1, SCT in 11:9, DNR in 15; the phase bit is 0 over fabrics. */
export function statusField(code: StatusCode, dnr: boolean): number {
  return (code.sct << 9) | (code.sc << 1) | (dnr ? doNotRetry : 0);
}

/** Takes a STATUS field apart. */
export function parseStatus(field: number): NvmeStatus {
  return { sct: (field >> 9) & 7, sc: (field >> 1) & 0xff, dnr: (field & doNotRetry) !== 0 };
}

/** True if `status` is `code`, whatever its DNR. */
export function isStatus(status: NvmeStatus, code: StatusCode): boolean {
  return status.sct === code.sct && status.sc === code.sc;
}

/**
 * Words a status for people.
 *
 * @example describeStatus({ sct: 0, sc: 0x80, dnr: true }) // => "LBA out of range (0/80, do not retry)"
 */
export function describeStatus(status: NvmeStatus): string {
  const name = names.get(status.sct * 256 + status.sc) ?? "unnamed status";
  const code = `${status.sct}/${status.sc.toString(16).padStart(2, "0")}`;
  return `${name} (${code}${status.dnr ? ", do not retry" : ""})`;
}
