/**
 * A chain of 64-bit multiply-adds, each waiting for the one before: a measure of a core, in WebAssembly.
 *
 * Its rate is the latency of the multiplier and nothing else, so figures of a generator that were measured on
 * one core can be carried to another by it.
 *
 * @packageDocumentation
 */

/** The part of the WebAssembly API that is used here; Node's own types leave it to the DOM's. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
};

/** (func (export "f") (param x i64) (param n i32) (result i64) loop: x = x * 6364136223846793005 + 1, n times) */
const moduleBytes = Uint8Array.of(
  // Magic and version.
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
  // Type section: one function type, (i64, i32) → i64.
  ...[0x01, 0x07, 0x01, 0x60, 0x02, 0x7e, 0x7f, 0x01, 0x7e],
  // Function section: one function, of type 0.
  ...[0x03, 0x02, 0x01, 0x00],
  // Export section: "f" is function 0.
  ...[0x07, 0x05, 0x01, 0x01, 0x66, 0x00, 0x00],
  // Code section: one body of 35 bytes, no locals.
  ...[0x0a, 0x25, 0x01, 0x23, 0x00],
  ...[0x03, 0x40], // loop
  ...[0x20, 0x00], // local.get x
  ...[0x42, 0xad, 0xfe, 0xd5, 0xe4, 0xd4, 0x85, 0xfd, 0xa8, 0xd8, 0x00], // i64.const 6364136223846793005
  0x7e, // i64.mul
  ...[0x42, 0x01], // i64.const 1
  0x7c, // i64.add
  ...[0x21, 0x00], // local.set x
  ...[0x20, 0x01], // local.get n
  ...[0x41, 0x01], // i32.const 1
  0x6b, // i32.sub
  ...[0x22, 0x01], // local.tee n
  ...[0x0d, 0x00], // br_if loop
  0x0b, // end of the loop
  ...[0x20, 0x00], // local.get x
  0x0b, // end of the function
);

/** Makes the chain: from `x`, `count` steps (1 and more), to the last value. */
export function multiplyAddChain(): (x: bigint, count: number) => bigint {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(moduleBytes));
  const chain = (exports as { f(x: bigint, count: number): bigint }).f;
  const three = BigInt.asUintN(64, chain(5n, 3));
  const step = (x: bigint) => BigInt.asUintN(64, x * 6364136223846793005n + 1n);
  if (three !== step(step(step(5n)))) throw new Error(`the chain is wrong: three steps from 5 are ${three}`);
  return chain;
}
