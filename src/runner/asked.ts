/**
 * What the service was asked; its refusal is a failure of the target.
 *
 * @packageDocumentation
 */
import { ServiceError } from "../sut/port.ts";
import { TargetFailure } from "./target-failure.ts";

/** @throws {TargetFailure} If the service refuses, with what it was asked. */
export async function asked<T>(what: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw failureOf(what, error);
  }
}

/** An error of the service as a failure of the target; any other as it is. */
export function failureOf(what: string, error: unknown): unknown {
  return error instanceof ServiceError
    ? new TargetFailure(`${what}: ${error.message}`, { cause: error })
    : error;
}
