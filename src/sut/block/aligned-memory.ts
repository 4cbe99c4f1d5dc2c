/**
 * Memory that starts at a page, as O_DIRECT wants it; JavaScript's own buffers start anywhere.
 *
 * @packageDocumentation
 */

/** The part of the WebAssembly API that is used here; Node's own types leave it to the DOM's. */
declare const WebAssembly: {
  readonly Memory: new (limits: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
};

const wasmPageBytes = 65536;

/** Zeroed memory whose pages are the operating system's until they are touched. */
export function pageAligned(byteCount: number): Uint8Array {
  const pages = Math.ceil(byteCount / wasmPageBytes);
  return new Uint8Array(new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer, 0, byteCount);
}
