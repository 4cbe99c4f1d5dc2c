/**
 * How this target words failure: the DNR bit of each status, and what an error of the store becomes.
 *
 * DNR is set for whatever a retry cannot cure, since hosts retry everything else.
 *
 * @packageDocumentation
 */
import { type StatusCode, statusCode, statusField } from "../nvme/status.ts";
import { StoreError } from "../store/port.ts";

/** Failures that may pass: the host is welcome to try again. */
const passing: ReadonlySet<StatusCode> = new Set<StatusCode>([
  statusCode.abortRequested,
  statusCode.abortedFailedFused,
  statusCode.abortedMissingFused,
  statusCode.transientTransportError,
  statusCode.namespaceNotReady,
  statusCode.connectControllerBusy,
  statusCode.writeFault,
  statusCode.unrecoveredReadError,
]);

/** STATUS of a completion, with DNR as this target sets it. */
export function statusOf(code: StatusCode): number {
  return statusField(code, !passing.has(code));
}

/** What a host is told when the store failed a data call. */
export function statusOfStoreError(error: unknown, direction: "read" | "write"): StatusCode {
  if (!(error instanceof StoreError)) return statusCode.internalError;
  switch (error.code) {
    case "ERR_OUT_OF_RANGE":
      return statusCode.lbaOutOfRange;
    case "ERR_NOT_FOUND":
      return statusCode.invalidNamespace;
    case "ERR_NOT_NOW":
      return statusCode.namespaceNotReady;
    case "ERR_CORRUPT":
      return statusCode.unrecoveredReadError;
    case "ERR_IO":
      return direction === "read" ? statusCode.unrecoveredReadError : statusCode.writeFault;
    default:
      return statusCode.internalError;
  }
}
