/**
 * How the control plane says no: a gRPC code, the HTTP status that belongs to it, and a sentence.
 *
 * @packageDocumentation
 */

import { type GrpcCodeName, grpcCodes, httpStatuses } from "../lightbits/grpc-status.ts";
import type { StoreError, StoreErrorCode } from "../store/port.ts";

/** Known texts of the service; clients match on them. */
export const snapshotNameTakenText = "Another snapshot with same name exists";
export const snapshotCreatingText = "Creating a snapshot when another snapshot is creating is not allowed";
export const etagMismatchText = "Etag mismatch";

/** A refusal that goes to the client as it is. */
export class StatusError extends Error {
  override readonly name = "StatusError";
  readonly code: GrpcCodeName;
  readonly httpStatus: number;

  /** @param httpStatus - Only where the service departs from the gateway's table, as 412 for an ETag. */
  constructor(code: GrpcCodeName, message: string, httpStatus: number = httpStatuses[code]) {
    super(message);
    this.code = code;
    this.httpStatus = httpStatus;
  }
}

const codesOfStore: Readonly<Record<StoreErrorCode, GrpcCodeName>> = {
  ERR_NOT_FOUND: "NotFound",
  ERR_NAME_TAKEN: "AlreadyExists",
  ERR_INVALID: "InvalidArgument",
  ERR_NOT_NOW: "Unavailable",
  ERR_NOT_ON_CHAIN: "InvalidArgument",
  ERR_OUT_OF_RANGE: "OutOfRange",
  ERR_CORRUPT: "DataLoss",
  ERR_IO: "Internal",
};

export function statusOfStoreError(error: StoreError): StatusError {
  return new StatusError(codesOfStore[error.code], error.message);
}

/** The error body of grpc-gateway v1; `details` is empty here, as in most of its answers. */
export interface StatusBody {
  readonly error: string;
  readonly code: number;
  readonly message: string;
  readonly details: readonly unknown[];
}

export function statusBody(code: GrpcCodeName, message: string): StatusBody {
  return { error: message, code: grpcCodes[code], message, details: [] };
}
