/**
 * Who may call the control plane: holders of one bearer token, or everyone if there is none.
 *
 * The token is an opaque text here: no signature, role or expiry is looked at.
 *
 * @packageDocumentation
 */

import { createHash, timingSafeEqual } from "node:crypto";
import { StatusError } from "./status.ts";

/**
 * Makes the check of the `Authorization` header. Digests are compared, in constant time, so neither the
 * content nor the length of the token shows in the time taken.
 *
 * @param token - `undefined` lets everyone in.
 */
export function bearerCheck(token: string | undefined): (authorization: string | undefined) => void {
  if (token === undefined) return () => undefined;
  const expected = digest(token);
  return (authorization) => {
    const presented = /^Bearer +(\S+) *$/i.exec(authorization ?? "")?.[1];
    if (presented === undefined) {
      throw new StatusError("Unauthenticated", "authentication failed: send 'Authorization: Bearer <token>'");
    }
    if (!timingSafeEqual(digest(presented), expected)) {
      throw new StatusError("Unauthenticated", "authentication failed: the token is not valid here");
    }
  };
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text, "utf8").digest();
}
