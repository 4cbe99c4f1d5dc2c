/**
 * A 64-bit mixer with its inverse: the finaliser of MurmurHash3.
 *
 * Spreads seeds and addresses over all bits where no sequence is wanted. Not a generator: see `pcg.ts`.
 *
 * @packageDocumentation
 */
import { u64 } from "./pcg.ts";

/** A permutation of the 64-bit numbers. */
export function mix(value: bigint): bigint {
  let x = u64(value);
  x = u64((x ^ (x >> 33n)) * 0xff51afd7ed558ccdn);
  x = u64((x ^ (x >> 33n)) * 0xc4ceb9fe1a85ec53n);
  return x ^ (x >> 33n);
}

/** Inverse of {@link mix}. */
export function unmix(value: bigint): bigint {
  let x = u64(value);
  x = u64((x ^ (x >> 33n)) * 0x9cb4b2f8129337dbn);
  x = u64((x ^ (x >> 33n)) * 0x4f74430c22a54005n);
  return x ^ (x >> 33n);
}
