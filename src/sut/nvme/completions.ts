/**
 * Completion queue entries: the 16 bytes written and read in place.
 *
 * @packageDocumentation
 */
import type { Slab } from "./slab.ts";

/** SQHD of the Connect completion when SQ flow control is disabled. */
export const sqHeadFlowControlDisabled = 0xffff;

/**
 * Writes a CQE at `at`.
 *
 * @param status - STATUS as `statusField` of `status.ts` makes it; 0 is success.
 */
export function writeCqe(
  slab: Slab,
  at: number,
  cid: number,
  status: number,
  sqHead: number,
  sqid: number,
  dw0: number,
  dw1: number,
): void {
  const { view } = slab;
  view.setUint32(at, dw0 >>> 0, true);
  view.setUint32(at + 4, dw1 >>> 0, true);
  view.setUint16(at + 8, sqHead, true);
  view.setUint16(at + 10, sqid, true);
  view.setUint16(at + 12, cid, true);
  view.setUint16(at + 14, status, true);
}

export function readCqeDw0(view: DataView, at: number): number {
  return view.getUint32(at, true);
}

export function readCqeDw1(view: DataView, at: number): number {
  return view.getUint32(at + 4, true);
}

export function readCqeSqHead(view: DataView, at: number): number {
  return view.getUint16(at + 8, true);
}

export function readCqeCid(view: DataView, at: number): number {
  return view.getUint16(at + 12, true);
}

/** STATUS without the phase bit, which is reserved over fabrics and which peers ignore. */
export function readCqeStatus(view: DataView, at: number): number {
  return view.getUint16(at + 14, true) & 0xfffe;
}
