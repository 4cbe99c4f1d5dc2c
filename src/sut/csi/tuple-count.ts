/**
 * Counts the tuples of an answer's message in its bytes, before anything is made of them.
 *
 * A tuple may take two bytes on the wire and a hundred in memory: the length of a message alone does not bound what
 * reading it takes.
 *
 * @packageDocumentation
 * @see Protocol Buffers encoding: a message is a series of tags (field number << 3 | wire type) and values.
 */

const tuplesTag = (3 << 3) | 2;

/**
 * @param bytes - A `GetMetadata…Response`.
 * @returns How many tuples it says it has; `undefined` if the bytes are no message.
 */
export function countTuples(bytes: Uint8Array): number | undefined {
  let at = 0;
  let count = 0;
  /** A number of 7 bits a byte, lowest first; only its low 32 bits matter here. */
  const varint = (): number | undefined => {
    let value = 0;
    for (let index = 0; index < 10; index++) {
      const byte = bytes[at++];
      if (byte === undefined) return undefined;
      if (index < 5) value += (byte & 0x7f) * 2 ** (7 * index);
      if (byte < 0x80) return value;
    }
    return undefined;
  };
  while (at < bytes.length) {
    const tag = varint();
    if (tag === undefined) return undefined;
    if (tag === tuplesTag) count++;
    switch (tag & 7) {
      case 0:
        if (varint() === undefined) return undefined;
        break;
      case 1:
        at += 8;
        break;
      case 2: {
        const length = varint();
        if (length === undefined) return undefined;
        at += length;
        break;
      }
      case 5:
        at += 4;
        break;
      default:
        return undefined;
    }
  }
  return at === bytes.length ? count : undefined;
}
