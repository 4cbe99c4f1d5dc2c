/**
 * Why there is no association, or why an admin command got no good answer.
 *
 * Commands of a block device end with an `Outcome` instead; see `outcomes.ts`.
 *
 * @packageDocumentation
 */
import { describeStatus } from "../nvme/status.ts";
import type { NvmeStatus, OutcomeCode } from "../port.ts";

export interface ControllerErrorOptions {
  readonly cause?: unknown;
  readonly status?: NvmeStatus;
  /** Trying again cannot help: the controller set DNR, or it is not what was asked for. */
  readonly isPermanent?: boolean;
}

export class ControllerError extends Error {
  override readonly name = "ControllerError";
  readonly code: OutcomeCode;
  /** The message without the code. */
  readonly detail: string;
  readonly status: NvmeStatus | undefined;
  readonly isPermanent: boolean;

  constructor(code: OutcomeCode, message: string, options: ControllerErrorOptions = {}) {
    super(`${code}: ${message}`, { cause: options.cause });
    this.code = code;
    this.detail = message;
    this.status = options.status;
    this.isPermanent = options.isPermanent ?? false;
  }
}

/** The controller answered `what` with a status that is not success. */
export function refusedBy(what: string, status: NvmeStatus): ControllerError {
  return new ControllerError("ERR_TARGET", `${what}: ${describeStatus(status)}`, {
    status,
    isPermanent: status.dnr,
  });
}

/** The same error, told with what it is about; anything else that was thrown is passed on. */
export function toldAbout(subject: string, error: unknown): unknown {
  if (!(error instanceof ControllerError)) return error;
  const { code, detail, status, isPermanent } = error;
  return new ControllerError(code, `${subject}: ${detail}`, {
    cause: error,
    isPermanent,
    ...(status !== undefined && { status }),
  });
}

/** An error for a signal that has fired. */
export function abortedError(what: string, signal: AbortSignal): ControllerError {
  return new ControllerError("ERR_ABORTED", `${what} was aborted`, { cause: signal.reason });
}

/** Text of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
