/**
 * Questions about bytes that lies of every level ask.
 *
 * @packageDocumentation
 */

export function isZeros(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}
