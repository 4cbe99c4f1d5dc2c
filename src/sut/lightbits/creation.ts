/**
 * Creating an object whose name is unique, when the answer may not say whether it was created.
 *
 * The service answers 400, 409, 500 or 503 both to "never" and to "not now", and an answer may be lost. So
 * after each of these the object is looked for by its name: what is there decides, not the status.
 *
 * @packageDocumentation
 */

import { type CallOptions, ServiceError, type ServiceErrorCode } from "../port.ts";
import { type Patience, targetErrorsMax } from "./waiting.ts";

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

/** Errors that may be only for now, if something is in the way. */
const mayPass: ReadonlySet<ServiceErrorCode> = new Set(["ERR_TARGET", "ERR_INVALID_REQUEST", "ERR_CONFLICT"]);

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
  /** What is in the way and will go, in words for a message; with it any refusal is only for now. */
  readonly holder?: () => Promise<string | undefined>;
  readonly patience: Patience;
  readonly options: CallOptions | undefined;
}

/** @throws {ServiceError} The service's refusal; `ERR_BUSY` if it was never the time; `ERR_CONFLICT` if the name is taken. */
export async function createByName<Created extends { readonly uuid: string }>(
  creation: Creation<Created>,
): Promise<Created> {
  const { patience, options } = creation;
  const backoff = patience.backoff();
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
    // The name is free, so a conflict is with something else that is going on, as any other refusal may be.
    const again =
      code === "ERR_BUSY" ||
      (code === "ERR_TARGET" && targetErrorCount < targetErrorsMax) ||
      (mayPass.has(code) && (await holderOf(creation)) !== undefined);
    if (!again) throw refusal;
    await patience.waitOn(backoff, refusal, options, () => holderOf(creation));
  }
}

/** What is in the way; `undefined` also if that cannot be found out. */
async function holderOf<Created extends { readonly uuid: string }>({
  holder,
}: Creation<Created>): Promise<string | undefined> {
  try {
    return await holder?.();
  } catch (error) {
    if (error instanceof ServiceError && error.code !== "ERR_ABORTED") return undefined;
    throw error;
  }
}
