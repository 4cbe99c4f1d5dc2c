/**
 * Looks up where something begins in what is in order.
 *
 * @packageDocumentation
 */

/** The lowest index from 0 to `count` − 1 at which `holds`, which then holds for all above it; `count` if none. */
export function firstIndex(count: number, holds: (index: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
