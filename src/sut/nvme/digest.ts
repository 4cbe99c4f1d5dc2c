/**
 * Header and data digests of NVMe/TCP: CRC-32C (Castagnoli), stored little-endian.
 *
 * `zlib.crc32` is another polynomial (IEEE) and of no use here.
 *
 * @packageDocumentation
 */
import { crc32c } from "@node-rs/crc32";

/** Bytes of a digest on the wire. */
export const digestLengthBytes = 4;

/**
 * CRC-32C of `bytes`; `previous` continues the digest of the bytes before them.
 *
 * @example digest(new TextEncoder().encode("123456789")) // => 0xe3069283
 * @see NVM Express TCP Transport Specification, PDU digests.
 */
export function digest(bytes: Uint8Array, previous = 0): number {
  return crc32c(bytes, previous);
}
