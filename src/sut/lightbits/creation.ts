/**
 * Creating an object whose name is unique, when the answer may not say whether it was created.
 *
 * The service answers 400, 409, 500 or 503 both to "never" and to "not now", and an answer may be lost. So
 * after each of these the object is looked for by its name: what is there decides, not the status.
 *
 * @packageDocumentation
 */

import { ServiceError, type ServiceErrorCode } from "../port.ts";
import type { Backoff } from "./waiting.ts";

/** Errors after which the object may exist all the same. */
const unclearCodes: ReadonlySet<ServiceErrorCode> = new Set([
  "ERR_BUSY",
  "ERR_TARGET",
  "ERR_TIMEOUT",
  "ERR_UNREACHABLE",
  "ERR_BAD_ANSWER",
]);

/** Errors that no look at the names would change. */
const definiteCodes: ReadonlySet<ServiceErrorCode> = new Set([
  "ERR_UNAUTHENTICATED",
  "ERR_FORBIDDEN",
  "ERR_UNSUPPORTED",
  "ERR_NOT_FOUND",
  "ERR_ABORTED",
]);

/** Tries that may end in HTTP 500 before it is believed. */
const targetErrorsMax = 5;

export interface Creation<Created extends { readonly uuid: string }> {
  readonly post: () => Promise<Created>;
  /** Looks for an object of that name. */
  readonly find: () => Promise<Created | undefined>;
  /**
   * Whether a found object is the one of this call, and not one that had the name before.
   *
   * @param mayBe - An attempt of this call had an outcome that leaves it open.
   */
  readonly isOurs: (found: Created, mayBe: boolean) => boolean;
  /** Whether a refusal as invalid is only for now. */
  readonly isBusy?: () => Promise<boolean>;
  readonly backoff: Backoff;
  readonly signal: AbortSignal | undefined;
}

/** @throws {ServiceError} The service's refusal; `ERR_BUSY` if it was never the time; `ERR_CONFLICT` if the name is taken. */
export async function createByName<Created extends { readonly uuid: string }>(
  creation: Creation<Created>,
): Promise<Created> {
  let mayBe = false;
  let targetErrorCount = 0;
  for (;;) {
    let refusal: ServiceError;
    try {
      return await creation.post();
    } catch (error) {
      if (!(error instanceof ServiceError) || definiteCodes.has(error.code)) throw error;
      refusal = error;
    }
    const { code, message } = refusal;
    mayBe ||= unclearCodes.has(code);
    const found = await creation.find().catch((cause: unknown) => {
      if (cause instanceof ServiceError && cause.code === "ERR_ABORTED") throw cause;
      // The first error says more than the failure to find out.
      throw refusal;
    });
    if (found !== undefined) {
      if (creation.isOurs(found, mayBe)) return found;
      throw new ServiceError("ERR_CONFLICT", `${message} (the name belongs to ${found.uuid})`, {
        cause: refusal,
      });
    }
    if (code === "ERR_TARGET") targetErrorCount += 1;
    const again =
      code === "ERR_BUSY" ||
      (code === "ERR_TARGET" && targetErrorCount < targetErrorsMax) ||
      (code === "ERR_INVALID_REQUEST" && (await creation.isBusy?.()) === true);
    if (!again) throw refusal;
    if (!(await creation.backoff.wait(creation.signal))) {
      throw new ServiceError("ERR_BUSY", `${message}; still so after ${creation.backoff.summary}`, {
        cause: refusal,
      });
    }
  }
}
