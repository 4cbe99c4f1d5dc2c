/**
 * Where the bearer token (JWT) comes from: a flag, a file or the environment.
 *
 * A source is asked when a token is first needed, and again when the service has refused the one it gave: files
 * and the tokens in them are renewed while a long run goes on. Signatures and roles are not looked at, and no
 * message holds a token.
 *
 * @packageDocumentation
 */

import { open } from "node:fs/promises";
import { ServiceError } from "../port.ts";

/** @throws {ServiceError} `ERR_INVALID_REQUEST` if there is no token, or what there is cannot be one. */
export type TokenSource = () => Promise<string>;

/** Where a token may be; the first that is given counts, in this order. */
interface TokenPlaces {
  /** The token itself, as a flag has it. */
  readonly token?: string | undefined;
  readonly file?: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Name of the variable; `LIGHTBITS_JWT` if absent. */
  readonly variable?: string;
}

/** Longest token in bytes, and longest file that is read. */
const tokenBytesMax = 65_536;

export function tokenSource({
  token,
  file,
  environment,
  variable = "LIGHTBITS_JWT",
}: TokenPlaces): TokenSource {
  return async () => {
    if (token !== undefined) return checkedToken(token, "the token that was given");
    if (file !== undefined) return checkedToken(await readTokenFile(file), `the token in ${file}`);
    const found = environment[variable];
    if (found === undefined || found.trim() === "")
      throw unusable(
        `a JWT or ${variable} is required: give a token, a file that holds one, or set ${variable}`,
      );
    return checkedToken(found, `the token in ${variable}`);
  };
}

/**
 * The token without the white space around it, as the line end of a file.
 *
 * @param what - For the message, such as `the token in /etc/jwt`.
 */
export function checkedToken(text: string, what: string): string {
  const token = text.trim();
  if (token === "") throw unusable(`${what} is empty`);
  if (token.length > tokenBytesMax || !/^[\x21-\x7e]+$/.test(token))
    throw unusable(
      `${what} must be 1 to ${tokenBytesMax} printable ASCII characters without spaces (it is not shown here)`,
    );
  return token;
}

async function readTokenFile(path: string): Promise<string> {
  const bytes = Buffer.alloc(tokenBytesMax + 1);
  try {
    await using file = await open(path, "r");
    let byteCount = 0;
    for (;;) {
      const { bytesRead } = await file.read(bytes, byteCount, bytes.length - byteCount);
      byteCount += bytesRead;
      if (bytesRead === 0 || byteCount === bytes.length) return bytes.toString("latin1", 0, byteCount);
    }
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code ?? String(cause);
    throw unusable(`the token in ${path} cannot be read (${why})`, cause);
  }
}

/**
 * When a token says that it ends (claim `exp`, RFC 7519 section 4.1.4), in milliseconds since 1970.
 *
 * @returns `undefined` if it is no JWT, or does not say.
 */
export function tokenExpiryMs(token: string): number | undefined {
  const [, payload, ...rest] = token.split(".");
  if (payload === undefined || rest.length !== 1) return undefined;
  try {
    const { exp } = JSON.parse(Buffer.from(payload, "base64url").toString("utf8")) as { exp?: unknown };
    // Later than the year 9999 no date is shown as people write it.
    return typeof exp === "number" && exp >= 0 && exp < 253_402_300_800 ? exp * 1000 : undefined;
  } catch {
    return undefined;
  }
}

/** What is shorter is no secret, and stands in names and numbers by chance. */
const secretLengthMin = 8;

/** A text with a mark in the place of the token, which a peer may have sent back. */
export function withoutToken(text: string, token: string | undefined): string {
  return token === undefined || token.length < secretLengthMin ? text : text.replaceAll(token, "(token)");
}

function unusable(message: string, cause?: unknown): ServiceError {
  return new ServiceError("ERR_INVALID_REQUEST", message, { cause });
}
