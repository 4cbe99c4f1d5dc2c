/**
 * Where a service listens, as a person writes it, and with what a connection to it is secured.
 *
 * @packageDocumentation
 */
import { readFile } from "node:fs/promises";
import { type ChannelCredentials, credentials } from "@grpc/grpc-js";
import { isLoopback } from "../loopback.ts";
import { ServiceError } from "../port.ts";

export interface TlsOptions {
  /** Certificates (PEM) to trust in place of the system's. */
  readonly caFile?: string;
  /** Allows certificates that cannot be verified, and secrets over plain TCP to another host. */
  readonly insecure?: boolean;
}

export interface Endpoint {
  /** As the library takes it. */
  readonly target: string;
  readonly isPlain: boolean;
}

/**
 * Reads `unix:/run/csi.sock`, `tcp://host:port` (plain) or `tls://host:port`, which `host:port` means as well.
 *
 * @throws {ServiceError} `ERR_INVALID_REQUEST`.
 */
export function parseAddress(address: string): Endpoint {
  const socket = /^(?:unix:(?:\/\/)?)?(\/[^\0]*)$/.exec(address)?.[1];
  if (socket !== undefined) return { target: `unix:${socket}`, isPlain: true };
  const {
    scheme = "tls",
    host,
    port,
  } = /^(?:(?<scheme>tcp|tls):\/\/)?(?<host>\[[\da-fA-F:.]+\]|[\w.-]+):(?<port>\d{1,5})$/.exec(address)
    ?.groups ?? {};
  if (host === undefined || Number(port) < 1 || Number(port) > 65_535)
    throw invalid(
      "the address must be unix:/path/of/socket, tcp://host:port (not encrypted), or host:port for TLS",
    );
  return { target: `${host}:${port}`, isPlain: scheme === "tcp" };
}

/** @throws {ServiceError} `ERR_INVALID_REQUEST` if the options do not go together, or a file cannot be read. */
export async function credentialsFor(
  { target, isPlain }: Endpoint,
  { caFile, insecure = false }: TlsOptions,
  hasSecrets: boolean,
): Promise<ChannelCredentials> {
  if (caFile !== undefined && insecure)
    throw invalid("caFile and insecure exclude each other: with insecure nothing is verified");
  if (isPlain) {
    if (caFile !== undefined) throw invalid(`${target} is not reached over TLS, so that caFile has no use`);
    const isHere = target.startsWith("unix:") || isLoopback(target.replace(/:\d+$/, ""));
    if (hasSecrets && !isHere && !insecure)
      throw invalid(
        `${target} would receive token or secrets in clear text: use TLS, or allow it with 'insecure'`,
      );
    return credentials.createInsecure();
  }
  if (insecure) return credentials.createSsl(null, null, null, { rejectUnauthorized: false });
  if (caFile === undefined) return credentials.createSsl();
  let certificates: Buffer;
  try {
    certificates = await readFile(caFile);
  } catch (cause) {
    throw invalid(`the certificates in ${caFile} cannot be read`, cause);
  }
  if (!certificates.includes("-----BEGIN CERTIFICATE-----"))
    throw invalid(`${caFile} holds no certificate in PEM form`);
  return credentials.createSsl(certificates);
}

function invalid(message: string, cause?: unknown): ServiceError {
  return new ServiceError("ERR_INVALID_REQUEST", message, { cause });
}
