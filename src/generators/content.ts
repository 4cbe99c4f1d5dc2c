/**
 * What a block's bytes are, and what bytes say of themselves: the reference of the content kernels.
 *
 * A block is a run of 512-byte sectors, each of which can be recognised alone:
 *
 *   0   value descriptor, big-endian, so that memcmp orders sectors as their descriptors (inverted if descending)
 *   8   run identity
 *   16  address: block << 20 | volume << 8 | sector
 *   24  tag over the three above; its lowest byte is the content kind
 *   32  fill: 30 lanes of 16 bytes
 *
 * Lane k is the key (X + Y, X + 2Y) of two 64-bit words XORed with lane k of a fixed table, where X is the
 * descriptor and Y the address, each mixed with the run. All of that can be undone: any aligned 64 bytes give
 * back descriptor and address, so a piece of one block inside another names where it came from.
 *
 * Kinds differ in the table and its spelling. `compressible` has zero lanes in the table from some lane on, so
 * the key repeats there; `text` spells each nibble of 15 lanes as one of sixteen letters in ASCII order.
 *
 * Whole buffers go through `kernel.ts`; this file is for single blocks, for tests and for diagnosis.
 *
 * @packageDocumentation
 */
import { mix, unmix } from "./mix.ts";
import { rng, u64 } from "./pcg.ts";
import { choiceStream, purposes } from "./streams.ts";

export const sectorBytes = 512;
const headerBytes = 32;
const laneBytes = 16;
/** Bytes of any sector that identify their source alone. */
export const lineBytes = 64;

/** Order of the kinds is their number on disk. */
export const contentKinds = ["incompressible", "compressible", "text"] as const;
export type ContentKind = (typeof contentKinds)[number];

export interface ContentOptions {
  /** Seed of the run. */
  readonly seed: bigint;
  /** Whether sectors sort as their descriptors or the other way round. */
  readonly order: "ascending" | "descending";
  /** Relative weights of the kinds; zero leaves a kind out. */
  readonly weights: Readonly<Record<ContentKind, number>>;
  /** Size over compressed size that `compressible` aims for, 1 to 8. */
  readonly compressionRatio: number;
}

/** Everything that the bytes of a run depend on, worked out once. */
export interface ContentFormat {
  readonly seed: bigint;
  readonly runId: bigint;
  readonly valueKey: bigint;
  readonly addressKey: bigint;
  readonly orderMask: bigint;
  /** Kind number by the top byte of the mixed descriptor. */
  readonly kindSlots: Uint8Array;
  /** One table of a sector's size per kind; the header part is unused. */
  readonly tables: readonly Uint8Array[];
}

/** Where a sector belongs. */
export interface SectorAddress {
  readonly volume: number;
  readonly block: number;
  readonly sector: number;
}

const slotMultiplier = 0x9e3779b97f4a7c15n;
const tagMultiplier = 0xd1342543de82ef95n;
const alphabet = "\n ,.acdehilnorst";
const tableSeed = 0x6861_7272_6f77n;

export function contentFormat({ seed, order, weights, compressionRatio }: ContentOptions): ContentFormat {
  const runId = rng(seed, 1n, choiceStream(purposes.runIdentity));
  return {
    seed,
    runId,
    valueKey: valueKeyOf(runId),
    addressKey: addressKeyOf(runId),
    orderMask: order === "ascending" ? 0n : u64(-1n),
    kindSlots: kindSlots(weights),
    tables: [fillTable(sectorBytes), fillTable(compressibleBytes(compressionRatio)), fillTable(sectorBytes)],
  };
}

/** The bytes of a block: the reference of the kernel `inflate`. */
export function inflateBlock(
  format: ContentFormat,
  { vd, volume, block, sectorCount }: { vd: bigint; volume: number; block: number; sectorCount: number },
): Uint8Array {
  const bytes = new Uint8Array(sectorCount * sectorBytes);
  for (let sector = 0; sector < sectorCount; sector++)
    bytes.set(inflateSector(format, vd, { volume, block, sector }), sector * sectorBytes);
  return bytes;
}

export function inflateSector(format: ContentFormat, vd: bigint, address: SectorAddress): Uint8Array {
  const bytes = new Uint8Array(sectorBytes);
  const view = new DataView(bytes.buffer);
  const kind = kindOf(format, vd);
  const packed = packAddress(address);
  view.setBigUint64(0, vd ^ format.orderMask);
  view.setBigUint64(8, format.runId, true);
  view.setBigUint64(16, packed, true);
  view.setBigUint64(24, tag(vd, format.runId, packed, kind), true);
  const key = laneKey(format, vd, packed);
  const table = format.tables[kind]!;
  for (let at = headerBytes; at < sectorBytes; at += laneBytes) {
    for (let byte = 0; byte < laneBytes; byte++) bytes[at + byte] = table[at + byte]! ^ key[byte]!;
  }
  if (contentKinds[kind] === "text") spell(bytes);
  return bytes;
}

/** What a sector's header claims, if its tag fits: of this run or another. */
export interface SectorClaim {
  readonly vd: bigint;
  readonly runId: bigint;
  readonly address: SectorAddress;
  readonly kind: ContentKind;
}

/** Reads a header; `undefined` if the tag says that this is no header of ours. */
export function readHeader(format: ContentFormat, sector: Uint8Array): SectorClaim | undefined {
  const view = new DataView(sector.buffer, sector.byteOffset, headerBytes);
  const vd = view.getBigUint64(0) ^ format.orderMask;
  const runId = view.getBigUint64(8, true);
  const packed = view.getBigUint64(16, true);
  const stamp = view.getBigUint64(24, true);
  const kind = contentKinds[Number(stamp & 0xffn)];
  if (kind === undefined || tag(vd, runId, packed, Number(stamp & 0xffn)) !== stamp) return undefined;
  return { vd, runId, address: unpackAddress(packed), kind };
}

/** Whether bytes carry the header of any run of harrow; `order` of that run does not matter. */
export function isStamped(sector: Uint8Array): boolean {
  const view = new DataView(sector.buffer, sector.byteOffset, headerBytes);
  const stamp = view.getBigUint64(24, true);
  const kind = Number(stamp & 0xffn);
  if (kind >= contentKinds.length) return false;
  const runId = view.getBigUint64(8, true);
  const packed = view.getBigUint64(16, true);
  const vd = view.getBigUint64(0);
  return tag(vd, runId, packed, kind) === stamp || tag(u64(~vd), runId, packed, kind) === stamp;
}

/**
 * Names the source of 64 aligned bytes of fill, wherever they were found.
 *
 * @param lineIndex - Line within its sector, 1 to 7, at which the bytes would belong; line 0 holds the header.
 * @returns The descriptor and address, or `undefined` if the bytes are not a line of this run at that index.
 */
export function readLine(
  format: ContentFormat,
  line: Uint8Array,
  lineIndex: number,
): { readonly vd: bigint; readonly address: SectorAddress } | undefined {
  for (const kind of contentKinds.keys()) {
    const found = readLineOfKind(format, line, lineIndex, kind);
    if (found !== undefined && kindOf(format, found.vd) === kind) return found;
  }
  return undefined;
}

/** Number of the kind that a descriptor's content has. */
export function kindOf(format: ContentFormat, vd: bigint): number {
  return format.kindSlots[Number(u64(vd * slotMultiplier) >> 56n)]!;
}

function readLineOfKind(
  format: ContentFormat,
  line: Uint8Array,
  lineIndex: number,
  kind: number,
): { vd: bigint; address: SectorAddress } | undefined {
  const isText = contentKinds[kind] === "text";
  const lanes = isText ? unspell(line) : line;
  if (lanes === undefined) return undefined;
  const tableOffset = isText
    ? headerBytes + (lineIndex * lineBytes - headerBytes) / 2
    : lineIndex * lineBytes;
  const table = format.tables[kind]!;
  const key = lanes.map((byte, index) => byte ^ table[tableOffset + index]!);
  for (let at = laneBytes; at < key.length; at++) if (key[at] !== key[at - laneBytes]) return undefined;
  const view = new DataView(key.buffer, key.byteOffset, laneBytes);
  const low = view.getBigUint64(0, true);
  const y = u64(view.getBigUint64(8, true) - low);
  const vd = unmix(u64(low - y)) ^ format.valueKey;
  const packed = unmix(y) ^ format.addressKey;
  return { vd, address: unpackAddress(packed) };
}

function laneKey(format: ContentFormat, vd: bigint, packed: bigint): Uint8Array {
  const x = mix(vd ^ format.valueKey);
  const y = mix(packed ^ format.addressKey);
  const key = new Uint8Array(laneBytes);
  const view = new DataView(key.buffer);
  view.setBigUint64(0, u64(x + y), true);
  view.setBigUint64(8, u64(x + y + y), true);
  return key;
}

/** A check over the rest of the header, in the upper seven bytes, above the kind. */
function tag(vd: bigint, runId: bigint, packed: bigint, kind: number): bigint {
  const x = mix(vd ^ valueKeyOf(runId)) ^ (BigInt(kind) << 56n);
  const y = mix(packed ^ addressKeyOf(runId));
  const turned = u64((y << 32n) | (y >> 32n));
  return (u64((x + turned) * tagMultiplier) & ~0xffn) | BigInt(kind);
}

/** Keys of a run: anyone who knows its identity can check its headers. */
function valueKeyOf(runId: bigint): bigint {
  return mix(runId + 1n);
}

function addressKeyOf(runId: bigint): bigint {
  return mix(runId + 2n);
}

function packAddress({ volume, block, sector }: SectorAddress): bigint {
  return (BigInt(block) << 20n) | (BigInt(volume) << 8n) | BigInt(sector);
}

function unpackAddress(packed: bigint): SectorAddress {
  return {
    volume: Number((packed >> 8n) & 0xfffn),
    block: Number(packed >> 20n),
    sector: Number(packed & 0xffn),
  };
}

/** Shares 256 slots by weight, each non-zero weight at least one, the rest by largest remainder. */
function kindSlots(weights: Readonly<Record<ContentKind, number>>): Uint8Array {
  const slotCount = 256;
  const kept = contentKinds
    .map((kind, number) => ({ number, weight: weights[kind] }))
    .filter(({ weight }) => weight > 0);
  const total = kept.reduce((sum, { weight }) => sum + weight, 0);
  if (kept.length === 0) throw new RangeError("content: at least one kind needs a weight above 0");
  const shares = kept.map(({ number, weight }) => {
    const exact = (weight * slotCount) / total;
    return { number, count: Math.max(1, Math.floor(exact)), rest: exact - Math.floor(exact) };
  });
  shares.sort((a, b) => b.rest - a.rest);
  let left = slotCount - shares.reduce((sum, { count }) => sum + count, 0);
  for (let index = 0; left > 0; index = (index + 1) % shares.length, left--) shares[index]!.count++;
  const largest = shares.reduce((best, share) => (share.count > best.count ? share : best));
  largest.count += left;
  const slots = new Uint8Array(slotCount);
  let at = 0;
  for (const { number, count } of shares.sort((a, b) => a.number - b.number)) {
    slots.fill(number, at, at + count);
    at += count;
  }
  return slots;
}

/** Random lanes from the header to `usedBytes`, zeros after: a constant of the format, the same in every run. */
function fillTable(usedBytes: number): Uint8Array {
  const table = new Uint8Array(sectorBytes);
  const view = new DataView(table.buffer);
  const stream = choiceStream(purposes.fillTable);
  for (let at = headerBytes; at < usedBytes; at += 8)
    view.setBigUint64(at, rng(tableSeed, BigInt(at), stream), true);
  return table;
}

/** Bytes of a sector that a compressor can not take away: header, random lanes, one lane of the repeated key. */
function compressibleBytes(ratio: number): number {
  const lanes = Math.round((sectorBytes / ratio - headerBytes - laneBytes) / laneBytes);
  return headerBytes + Math.min(30, Math.max(0, lanes)) * laneBytes;
}

/** Replaces the fill by its spelling: the first half of it, a letter per nibble. */
function spell(sector: Uint8Array): void {
  const half = sector.slice(headerBytes, headerBytes + (sectorBytes - headerBytes) / 2);
  for (const [index, byte] of half.entries()) {
    sector[headerBytes + 2 * index] = alphabet.charCodeAt(byte >> 4);
    sector[headerBytes + 2 * index + 1] = alphabet.charCodeAt(byte & 15);
  }
}

function unspell(text: Uint8Array): Uint8Array | undefined {
  const bytes = new Uint8Array(text.length / 2);
  for (let index = 0; index < bytes.length; index++) {
    const high = alphabet.indexOf(String.fromCharCode(text[2 * index]!));
    const low = alphabet.indexOf(String.fromCharCode(text[2 * index + 1]!));
    if (high < 0 || low < 0) return undefined;
    bytes[index] = (high << 4) | low;
  }
  return bytes;
}
