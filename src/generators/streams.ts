/**
 * Which PCG stream a number is drawn from.
 *
 * Purpose and address lie side by side in the 63 bits that count, so two streams are equal only if purpose and
 * address are. A new purpose moves no other draw.
 *
 *   62 … 57   purpose
 *   56 … 45   volume    (of a value)      56 … 0   index (of any other draw)
 *   44 …  0   block     (of a value)
 *
 * @packageDocumentation
 */

/** Numbers are part of the format of a history: never reuse one. */
export const purposes = {
  value: 1,
  extentOrder: 2,
  batchCount: 3,
  operationCount: 4,
  operationKind: 5,
  firstBlock: 6,
  firstBlockEdge: 7,
  length: 8,
  lengthEdge: 9,
  snapshotJitter: 10,
  snapshotLifetime: 11,
  diffFar: 12,
  diffWithoutBase: 13,
  diffDeletedBase: 14,
  sampleExtent: 15,
  runIdentity: 16,
  fillTable: 17,
  snapshotHot: 18,
  rollback: 19,
  clone: 20,
  cloneLifetime: 21,
  cloneExtent: 22,
  faultJitter: 23,
  faultSize: 24,
  readCount: 25,
  readExtent: 26,
  preRead: 27,
} as const satisfies Record<string, number>;

export type Purpose = (typeof purposes)[keyof typeof purposes];

/** One more than the highest volume number. */
export const volumeCountMax = 2 ** 12;
/** One more than the highest block number: 2^44, so that block and volume and sector share 64 bits of an address. */
export const blockCountMax = 2 ** 44;

/** The stream of the values of one block. */
export function valueStream(volume: number, block: number): bigint {
  if (!(Number.isSafeInteger(volume) && volume >= 0 && volume < volumeCountMax))
    throw new RangeError(`volume ${volume} has no stream: expected 0 to ${volumeCountMax - 1}`);
  if (!(Number.isSafeInteger(block) && block >= 0 && block < blockCountMax))
    throw new RangeError(`block ${block} has no stream: expected 0 to ${blockCountMax - 1}`);
  return (BigInt(purposes.value) << 57n) | (BigInt(volume) << 45n) | BigInt(block);
}

/** The stream of a choice; `index` tells the choices of one purpose apart and is below 2^53. */
export function choiceStream(purpose: Purpose, index = 0): bigint {
  if (!(Number.isSafeInteger(index) && index >= 0))
    throw new RangeError(`index ${index} has no stream: expected a safe integer from 0`);
  return (BigInt(purpose) << 57n) | BigInt(index);
}
