/**
 * The ways to make blocks zeros.
 *
 * @packageDocumentation
 */
import type { BlockDevice, BlockRange, Outcome } from "../../sut/port.ts";

export type Zeroing = "write" | "writeZeroes" | "deallocate";

/** Whether a device says that blocks are zeros after it. */
export function isPromised(by: Zeroing, { capabilities }: BlockDevice): boolean {
  const { writeZeroes, deallocate, deallocatedReads } = capabilities;
  if (by === "deallocate") return deallocate && deallocatedReads === "zeros";
  return by === "write" || writeZeroes;
}

/** @param from - As long as the range; overwritten if it is needed. */
export function zeroed(
  device: BlockDevice,
  range: BlockRange,
  by: Zeroing,
  from: Uint8Array,
  signal: AbortSignal,
): Promise<Outcome> {
  switch (by) {
    case "write":
      return device.write({ ...range, from: from.fill(0) }, { signal });
    case "writeZeroes":
      return device.writeZeroes(range, { signal });
    case "deallocate":
      return device.deallocate({ ranges: [range] }, { signal });
  }
}
