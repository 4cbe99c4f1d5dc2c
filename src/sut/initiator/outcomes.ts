/**
 * What the status of a completion means for the data: the `Outcome` of a command.
 *
 * A refusal before anything was done is `failed`. An error of a command that changes blocks is `unknown`
 * unless its status says that nothing was changed: "do not retry" says nothing about that.
 *
 * @packageDocumentation
 */
import { describeStatus, isStatus, type StatusCode, statusCode } from "../nvme/status.ts";
import type { NvmeStatus, Outcome, OutcomeCode } from "../port.ts";

/** Statuses of commands that were refused before they changed anything. */
const refusals = new Map<number, OutcomeCode>();

function refusal(code: OutcomeCode, ...statuses: readonly StatusCode[]): void {
  for (const { sct, sc } of statuses) refusals.set(sct * 256 + sc, code);
}

refusal("ERR_UNSUPPORTED", statusCode.invalidOpcode);
refusal(
  "ERR_INVALID_REQUEST",
  statusCode.invalidField,
  statusCode.invalidSglLastSegment,
  statusCode.invalidSglCount,
  statusCode.invalidSglLength,
  statusCode.invalidSglType,
  statusCode.invalidSglOffset,
  statusCode.commandSizeLimitExceeded,
);
refusal("ERR_NAMESPACE_GONE", statusCode.invalidNamespace);
refusal("ERR_OUT_OF_RANGE", statusCode.lbaOutOfRange);
refusal("ERR_COMPARE_FAILED", statusCode.compareFailure, statusCode.abortedFailedFused);
refusal(
  "ERR_TARGET",
  statusCode.commandIdConflict,
  statusCode.abortedMissingFused,
  statusCode.commandSequenceError,
  statusCode.operationDenied,
  statusCode.writeProtected,
  statusCode.namespaceNotReady,
  statusCode.reservationConflict,
  statusCode.formatInProgress,
  statusCode.accessDenied,
);

/**
 * The outcome of a command that ended with `status`, which is not success.
 *
 * @param changesBlocks - True for everything but reads and compares.
 * @param what - The command in words: "write of 8 blocks at 4096 on <name>".
 */
export function outcomeOfStatus(status: NvmeStatus, changesBlocks: boolean, what: string): Outcome {
  const message = `${what}: ${describeStatus(status)}`;
  const code = refusals.get(status.sct * 256 + status.sc);
  if (code !== undefined) return { kind: "failed", code, message, status };
  return { kind: changesBlocks ? "unknown" : "failed", code: errorCodeOf(status), message, status };
}

function errorCodeOf(status: NvmeStatus): OutcomeCode {
  if (isStatus(status, statusCode.capacityExceeded)) return "ERR_CAPACITY";
  return status.sct === 2 ? "ERR_MEDIA" : "ERR_TARGET";
}
