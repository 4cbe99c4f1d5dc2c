/**
 * The bytes of one 512-byte sector, written and compared 16 bytes at a time.
 *
 * See `../content.ts`, the reference implementation, for the layout and why it is so.
 */
import { shuffle } from "./pcg";

export const SECTOR: usize = 512;
const HEADER: usize = 32;

/** Context, filled by `../kernel.ts`; offsets in bytes. */
export const CONTEXT_SEED: usize = 0;
export const CONTEXT_RUN: usize = 8;
export const CONTEXT_VALUE_KEY: usize = 16;
export const CONTEXT_ADDRESS_KEY: usize = 24;
export const CONTEXT_ORDER_MASK: usize = 32;
export const CONTEXT_KINDS: usize = 64;
/** Fill tables of a whole sector each, by kind: incompressible, compressible, text. */
export const CONTEXT_TABLES: usize = 512;

const KIND_TEXT: u32 = 2;
const SLOT_MULTIPLIER: u64 = 0x9e3779b97f4a7c15;
const TAG_MULTIPLIER: u64 = 0xd1342543de82ef95;

/** Sixteen letters in ASCII order, so that text keeps the order of the nibbles it stands for. */
const alphabet: v128 = i8x16(0x0a, 0x20, 0x2c, 0x2e, 0x61, 0x63, 0x64, 0x65, 0x68, 0x69, 0x6c, 0x6e, 0x6f, 0x72, 0x73, 0x74);

@inline
export function mix(x: u64): u64 {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccd;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53;
  return x ^ (x >> 33);
}

@inline
export function kindOf(context: usize, vd: u64): u32 {
  return load<u8>(context + CONTEXT_KINDS + <usize>((vd * SLOT_MULTIPLIER) >> 56));
}

@inline
function headerLow(context: usize, vd: u64): v128 {
  return i64x2.replace_lane(i64x2.splat(bswap<u64>(vd ^ load<u64>(context, CONTEXT_ORDER_MASK))), 1, load<u64>(context, CONTEXT_RUN));
}

@inline
function headerHigh(x: u64, y: u64, address: u64, kind: u64): v128 {
  const tag = (((x ^ (kind << 56)) + rotl<u64>(y, 32)) * TAG_MULTIPLIER & ~0xff) | kind;
  return i64x2.replace_lane(i64x2.splat(address), 1, tag);
}

@inline
function fillKey(x: u64, y: u64): v128 {
  const low = x + y;
  return i64x2.replace_lane(i64x2.splat(low), 1, low + y);
}

@inline
function highNibbles(lane: v128): v128 {
  return v128.and(i16x8.shr_u(lane, 4), i8x16.splat(0x0f));
}

@inline
function lowNibbles(lane: v128): v128 {
  return v128.and(lane, i8x16.splat(0x0f));
}

@inline
function textLow(lane: v128): v128 {
  const high = i8x16.swizzle(alphabet, highNibbles(lane));
  const low = i8x16.swizzle(alphabet, lowNibbles(lane));
  return v128.shuffle<u8>(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

@inline
function textHigh(lane: v128): v128 {
  const high = i8x16.swizzle(alphabet, highNibbles(lane));
  const low = i8x16.swizzle(alphabet, lowNibbles(lane));
  return v128.shuffle<u8>(high, low, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

/** Writes the sectors of one block; `address` is that of its sector 0. */
export function inflateBlock(context: usize, target: usize, sectorCount: u32, vd: u64, address: u64): void {
  const kind = kindOf(context, vd);
  const table = context + CONTEXT_TABLES + <usize>kind * SECTOR;
  const x = mix(vd ^ load<u64>(context, CONTEXT_VALUE_KEY));
  const addressKey = load<u64>(context, CONTEXT_ADDRESS_KEY);
  const first = headerLow(context, vd);
  for (let sector: u32 = 0; sector < sectorCount; sector++) {
    const y = mix(address ^ addressKey);
    v128.store(target, first);
    v128.store(target, headerHigh(x, y, address, kind), 16);
    const key = fillKey(x, y);
    if (kind == KIND_TEXT) {
      for (let offset: usize = 0; offset < 240; offset += 16) {
        const lane = v128.xor(v128.load(table + HEADER + offset), key);
        v128.store(target + HEADER + (offset << 1), textLow(lane));
        v128.store(target + HEADER + (offset << 1), textHigh(lane), 16);
      }
    } else {
      for (let offset: usize = HEADER; offset < SECTOR; offset += 96) {
        const from = table + offset;
        const to = target + offset;
        v128.store(to, v128.xor(v128.load(from), key));
        v128.store(to, v128.xor(v128.load(from, 16), key), 16);
        v128.store(to, v128.xor(v128.load(from, 32), key), 32);
        v128.store(to, v128.xor(v128.load(from, 48), key), 48);
        v128.store(to, v128.xor(v128.load(from, 64), key), 64);
        v128.store(to, v128.xor(v128.load(from, 80), key), 80);
      }
    }
    target += SECTOR;
    address += 1;
  }
}

/** Whether the sectors of one block are exactly what {@link inflateBlock} writes. */
export function equalsBlock(context: usize, source: usize, sectorCount: u32, vd: u64, address: u64): bool {
  const kind = kindOf(context, vd);
  const table = context + CONTEXT_TABLES + <usize>kind * SECTOR;
  const x = mix(vd ^ load<u64>(context, CONTEXT_VALUE_KEY));
  const addressKey = load<u64>(context, CONTEXT_ADDRESS_KEY);
  const first = headerLow(context, vd);
  for (let sector: u32 = 0; sector < sectorCount; sector++) {
    const y = mix(address ^ addressKey);
    let difference = v128.or(
      v128.xor(v128.load(source), first),
      v128.xor(v128.load(source, 16), headerHigh(x, y, address, kind)),
    );
    const key = fillKey(x, y);
    if (kind == KIND_TEXT) {
      for (let offset: usize = 0; offset < 240; offset += 16) {
        const lane = v128.xor(v128.load(table + HEADER + offset), key);
        const text = source + HEADER + (offset << 1);
        difference = v128.or(difference, v128.xor(v128.load(text), textLow(lane)));
        difference = v128.or(difference, v128.xor(v128.load(text, 16), textHigh(lane)));
      }
    } else {
      let other = i64x2.splat(0);
      for (let offset: usize = HEADER; offset < SECTOR; offset += 96) {
        const from = table + offset;
        const seen = source + offset;
        difference = v128.or(difference, v128.xor(v128.xor(v128.load(from), key), v128.load(seen)));
        other = v128.or(other, v128.xor(v128.xor(v128.load(from, 16), key), v128.load(seen, 16)));
        difference = v128.or(difference, v128.xor(v128.xor(v128.load(from, 32), key), v128.load(seen, 32)));
        other = v128.or(other, v128.xor(v128.xor(v128.load(from, 48), key), v128.load(seen, 48)));
        difference = v128.or(difference, v128.xor(v128.xor(v128.load(from, 64), key), v128.load(seen, 64)));
        other = v128.or(other, v128.xor(v128.xor(v128.load(from, 80), key), v128.load(seen, 80)));
      }
      difference = v128.or(difference, other);
    }
    if (v128.any_true(difference)) return false;
    source += SECTOR;
    address += 1;
  }
  return true;
}

/** Whether a multiple of 64 bytes are all zero. */
export function isZero(source: usize, byteCount: usize): bool {
  let seen = i64x2.splat(0);
  for (const end = source + byteCount; source < end; source += 64) {
    seen = v128.or(seen, v128.or(v128.load(source), v128.load(source, 16)));
    seen = v128.or(seen, v128.or(v128.load(source, 32), v128.load(source, 48)));
  }
  return !v128.any_true(seen);
}

/** The number that {@link mix} makes x of. */
@inline
function unmix(x: u64): u64 {
  x ^= x >> 33;
  x *= 0x9cb4b2f8129337db;
  x ^= x >> 33;
  x *= 0x4f74430c22a54005;
  return x ^ (x >> 33);
}

/**
 * Whether a header has the tag of its run, whichever that is: keys follow from the run's identity.
 *
 * @param orderMask - Of the order in which that run's sectors sort: 0 or all ones.
 */
export function hasTag(source: usize, orderMask: u64): bool {
  const stamp = load<u64>(source, 24);
  const kind = stamp & 0xff;
  if (kind > KIND_TEXT) return false;
  const run = load<u64>(source, 8);
  const x = mix(bswap<u64>(load<u64>(source)) ^ orderMask ^ mix(run + 1));
  const y = mix(load<u64>(source, 16) ^ mix(run + 2));
  return ((((x ^ (kind << 56)) + rotl<u64>(y, 32)) * TAG_MULTIPLIER & ~0xff) | kind) == stamp;
}

/** Bits that are set in a block, counted no further than a little above `most`. */
export function bitsSet(source: usize, byteCount: usize, most: u32): u32 {
  let count: u32 = 0;
  for (const end = source + byteCount; source < end && count <= most; source += 8) {
    count += <u32>popcnt<u64>(load<u64>(source));
  }
  return count;
}

/**
 * Whether no sector of a block has the header of any run, nor a 64-byte line that one of this run could have: then
 * nothing is to be learnt from it.
 */
export function saysNothing(context: usize, source: usize, sectorCount: u32): bool {
  for (let sector: u32 = 0; sector < sectorCount; sector++) {
    if (hasTag(source, 0) || hasTag(source, ~0)) return false;
    for (let line: usize = 64; line < SECTOR; line += 64) {
      if (isLine(context, source, line, 0, sectorCount) || isLine(context, source, line, 1, sectorCount)) return false;
      if (isSpelled(v128.load(source + line))) return false;
    }
    source += SECTOR;
  }
  return true;
}

/** Whether all lanes of a line have one key, and that leads to a sector there is. Lines that are spelled are not asked about. */
function isLine(context: usize, source: usize, line: usize, kind: u32, sectorCount: u32): bool {
  const table = context + CONTEXT_TABLES + <usize>kind * SECTOR + line;
  const from = source + line;
  const key = v128.xor(v128.load(from), v128.load(table));
  for (let lane: usize = 16; lane < 64; lane += 16) {
    if (v128.any_true(v128.xor(v128.xor(v128.load(from + lane), v128.load(table + lane)), key))) return false;
  }
  const low = i64x2.extract_lane(key, 0);
  const y = i64x2.extract_lane(key, 1) - low;
  const address = unmix(y) ^ load<u64>(context, CONTEXT_ADDRESS_KEY);
  const vd = unmix(low - y) ^ load<u64>(context, CONTEXT_VALUE_KEY);
  return (address & 0xff) < sectorCount && kindOf(context, vd) == kind;
}

/** Whether sixteen bytes are all letters that text is spelled with. */
function isSpelled(text: v128): bool {
  let known = i64x2.splat(0);
  for (let letter: usize = 0; letter < 16; letter++) {
    known = v128.or(known, i8x16.eq(text, i8x16.swizzle(alphabet, i8x16.splat(<i8>letter))));
  }
  return i8x16.all_true(known);
}

/** The descriptor that the sector's header claims. */
@inline
export function claimedVd(context: usize, source: usize): u64 {
  return bswap<u64>(load<u64>(source)) ^ load<u64>(context, CONTEXT_ORDER_MASK);
}
