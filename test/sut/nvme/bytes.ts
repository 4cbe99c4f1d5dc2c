/** Bytes of hexadecimal digits; anything behind `;` on a line is an annotation. */
export function bytes(digits: string): Buffer {
  const plain = digits
    .split("\n")
    .map((line) => line.split(";")[0])
    .join("")
    .replaceAll(/\s/g, "");
  return Buffer.from(plain, "hex");
}

/** `count` zero bytes as digits. */
export const zeros = (count: number): string => "00".repeat(count);
