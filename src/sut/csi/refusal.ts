/**
 * What a gRPC status means: for callers a code, for people a sentence that says what to do next.
 *
 * @packageDocumentation
 */
import { printable } from "../wording.ts";
import { type GrpcCodeName, grpcCodes } from "../lightbits/grpc-status.ts";
import { ServiceError, type ServiceErrorCode } from "../port.ts";

/** The service, or what stands before it, ended the call with a status. */
export class CsiRefusal extends ServiceError {
  readonly grpcCode: GrpcCodeName;

  constructor(code: ServiceErrorCode, message: string, grpcCode: GrpcCodeName) {
    super(code, message);
    this.grpcCode = grpcCode;
  }
}

interface Meaning {
  readonly code: ServiceErrorCode;
  readonly meaning: string;
}

const meanings: Readonly<Record<GrpcCodeName, Meaning>> = {
  OK: { code: "ERR_BAD_ANSWER", meaning: "no error, though the call has failed" },
  Canceled: { code: "ERR_TARGET", meaning: "the service cancelled the call" },
  Unknown: { code: "ERR_TARGET", meaning: "the service failed and does not say how" },
  InvalidArgument: { code: "ERR_INVALID_REQUEST", meaning: "an argument is missing or cannot be used" },
  DeadlineExceeded: { code: "ERR_TIMEOUT", meaning: "the service did not finish within the deadline" },
  NotFound: { code: "ERR_NOT_FOUND", meaning: "no such snapshot" },
  AlreadyExists: { code: "ERR_CONFLICT", meaning: "something of that name exists" },
  PermissionDenied: { code: "ERR_FORBIDDEN", meaning: "the caller may not do this" },
  ResourceExhausted: { code: "ERR_BUSY", meaning: "the service has no room for the call; try again later" },
  FailedPrecondition: {
    code: "ERR_UNSUPPORTED",
    meaning: "changes are not tracked for these snapshots; only a full copy will do",
  },
  Aborted: { code: "ERR_BUSY", meaning: "another call was in the way; try again" },
  OutOfRange: { code: "ERR_INVALID_REQUEST", meaning: "the starting offset is outside the volume" },
  Unimplemented: {
    code: "ERR_UNSUPPORTED",
    meaning: "there is no SnapshotMetadata service, or no such call",
  },
  Internal: { code: "ERR_TARGET", meaning: "the service failed" },
  Unavailable: { code: "ERR_BUSY", meaning: "the service, or the snapshot, is not ready; try again" },
  DataLoss: { code: "ERR_TARGET", meaning: "the service lost data" },
  Unauthenticated: {
    code: "ERR_UNAUTHENTICATED",
    meaning: "the service does not know the caller: see token and secrets",
  },
};

const names = new Map<number, GrpcCodeName>(
  Object.entries(grpcCodes).map(([name, code]) => [code, name as GrpcCodeName]),
);

/** The status as the library hands it on. */
export interface EndStatus {
  readonly code: number;
  readonly details: string;
}

/**
 * @param where - The call, and how far it had come.
 * @param address - Where the service was to be.
 */
export function refusalOf(where: string, { code, details }: EndStatus, address: string): ServiceError {
  const said = printable(details.replace(/ Resolution note: $/, ""), 300);
  // The library speaks here in the service's name.
  if (/^Received message larger than max/.test(details))
    return new ServiceError("ERR_BAD_ANSWER", `${where}: a message too long to be read: ${said}`);
  if (/^(Received RST_STREAM|No status information received)/.test(details))
    return new ServiceError("ERR_UNREACHABLE", `${where}: the stream was cut off: ${said}`);
  if (
    code === grpcCodes.Unavailable &&
    /^(No connection established|Connection dropped|Name resolution|read |write )/.test(details)
  ) {
    const hint = /certificate|self.signed|altnames|issuer/i.test(details)
      ? " (name the certificate with caFile, or allow any with insecure)"
      : "";
    return new ServiceError("ERR_UNREACHABLE", `${where}: ${address}: ${said}${hint}`);
  }
  const name = names.get(code);
  if (name === undefined)
    return new ServiceError(
      "ERR_BAD_ANSWER",
      `${where}: ended with gRPC status ${code}, which there is none of: ${said}`,
    );
  const { code: serviceCode, meaning } = meanings[name];
  return new CsiRefusal(
    serviceCode,
    `${where}: gRPC status ${code} (${name}: ${meaning}): ${said || "nothing said"}`,
    name,
  );
}
