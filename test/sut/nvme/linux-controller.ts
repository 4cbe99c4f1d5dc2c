/** What the Linux target answers to Identify Controller, without names: offset and bytes. */
import { bytes } from "./bytes.ts";

export const linuxController: Readonly<Record<number, string>> = {
  72: "06",
  76: "0b",
  80: "00030100",
  92: "00090000",
  96: "41000000",
  111: "01",
  258: "03 03 03 07 7f",
  320: "0a00",
  342: "0a 1f",
  344: "80000000",
  348: "80000000",
  512: "66 44 0004",
  516: "00040000",
  520: "0c00",
  525: "01",
  531: "01",
  536: "01001000",
  540: "00040000",
  1792: "04040000",
  1796: "01000000",
  1803: "01",
  2048: "c409",
};

/** A structure of zeros with a few fields, given as offset and digits. */
export function image(lengthBytes: number, fields: Readonly<Record<number, string>>): Buffer {
  const whole = Buffer.alloc(lengthBytes);
  for (const [offset, digits] of Object.entries(fields)) whole.set(bytes(digits), Number(offset));
  return whole;
}
