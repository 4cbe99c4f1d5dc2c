/**
 * Kernels: 64-bit work on whole buffers in the module's linear memory.
 *
 * Positions travel as f64: a safe integer p > 0 means "written by operation p", −p "made zero by operation p",
 * 0 "never touched". Block numbers and draws are f64 as well, so that no call makes a BigInt.
 */
import { initialiseTables, increment, jump, power, rng, rngInverse, shuffle, sum, unshuffle, MULTIPLIER, inverseOdd, unsum } from "./pcg";
import {
  bitsSet,
  claimedVd,
  equalsBlock,
  hasTag,
  inflateBlock,
  isZero,
  saysNothing,
  CONTEXT_ORDER_MASK,
  CONTEXT_RUN,
  CONTEXT_SEED,
  SECTOR,
} from "./content";

initialiseTables();

/** First free byte of the linear memory. */
export const heapBase: usize = __heap_base;

/** Bits 57…62 hold the purpose, 45…56 the volume, 0…44 the block; see `../streams.ts`. */
const VALUE_PURPOSE: u64 = 1;

@inline
function valueStream(volume: u32, block: u64): u64 {
  return (VALUE_PURPOSE << 57) | (<u64>volume << 45) | block;
}

@inline
function sectorAddress(volume: u32, block: u64): u64 {
  return (block << 20) | (<u64>volume << 8);
}

export function rngAt(seed: u64, i: u64, stream: u64): u64 {
  return rng(seed, i, stream);
}

export function rngPositionOf(seed: u64, value: u64, stream: u64): u64 {
  return rngInverse(seed, value, stream);
}

/** out[k] = rng(seed, positions[k], stream) for u64 arrays. */
export function rngBatch(seed: u64, stream: u64, positions: usize, out: usize, count: u32): void {
  const c = increment(stream);
  for (const end = positions + (<usize>count << 3); positions < end; positions += 8) {
    jump(load<u64>(positions));
    store<u64>(out, shuffle(power * seed + c * sum));
    out += 8;
  }
}

/** out[k] = the position of values[k] in the stream. */
export function rngInverseBatch(seed: u64, stream: u64, values: usize, out: usize, count: u32): void {
  const factor = inverseOdd((MULTIPLIER - 1) * seed + increment(stream));
  for (const end = values + (<usize>count << 3); values < end; values += 8) {
    store<u64>(out, unsum((unshuffle(load<u64>(values)) - seed) * factor));
    out += 8;
  }
}

/** A number of [0, bound), by the high half of a 128-bit product; bound ≤ 2^53, bias below bound / 2^64. */
export function drawBelow(context: usize, position: f64, purpose: u32, index: f64, bound: f64): f64 {
  const value = rng(load<u64>(context, CONTEXT_SEED), <u64>position, (<u64>purpose << 57) | <u64>index);
  const n = <u64>bound;
  const valueHigh = value >> 32;
  const valueLow = value & 0xffffffff;
  const nHigh = n >> 32;
  const nLow = n & 0xffffffff;
  const middle = valueHigh * nLow + ((valueLow * nLow) >> 32);
  const other = valueLow * nHigh + (middle & 0xffffffff);
  return <f64>(valueHigh * nHigh + (middle >> 32) + (other >> 32));
}

/** Value descriptors of consecutive blocks, each at a position of its own; 0 and negative positions give 0. */
export function values(context: usize, volume: u32, block: f64, count: u32, positions: usize, out: usize): void {
  const seed = load<u64>(context, CONTEXT_SEED);
  let c = increment(valueStream(volume, <u64>block));
  let last: f64 = 0;
  for (let k: u32 = 0; k < count; k++) {
    const position = load<f64>(positions + (<usize>k << 3));
    if (position > 0) {
      if (position != last) jump(<u64>(last = position));
      store<u64>(out + (<usize>k << 3), shuffle(power * seed + c * sum));
    } else {
      store<u64>(out + (<usize>k << 3), 0);
    }
    c += 2;
  }
}

/** Writes consecutive blocks, all by the operation at `position`. */
export function inflate(context: usize, target: usize, sectorCount: u32, volume: u32, block: f64, count: u32, position: f64): void {
  const seed = load<u64>(context, CONTEXT_SEED);
  jump(<u64>position);
  const base = power * seed;
  const factor = sum;
  let c = increment(valueStream(volume, <u64>block));
  let address = sectorAddress(volume, <u64>block);
  const step = <usize>sectorCount * SECTOR;
  for (let k: u32 = 0; k < count; k++) {
    inflateBlock(context, target, sectorCount, shuffle(base + c * factor), address);
    target += step;
    address += 1 << 20;
    c += 2;
  }
}

/**
 * Compares consecutive blocks with what `positions` says that they hold: one byte a block into `verdicts`,
 * 0 for equal, 1 for different. Returns how many differ.
 */
export function verify(
  context: usize,
  source: usize,
  sectorCount: u32,
  volume: u32,
  block: f64,
  count: u32,
  positions: usize,
  verdicts: usize,
): u32 {
  const seed = load<u64>(context, CONTEXT_SEED);
  let c = increment(valueStream(volume, <u64>block));
  let address = sectorAddress(volume, <u64>block);
  const step = <usize>sectorCount * SECTOR;
  let last: f64 = 0;
  let differing: u32 = 0;
  for (let k: u32 = 0; k < count; k++) {
    const position = load<f64>(positions + (<usize>k << 3));
    let equal: bool;
    if (position > 0) {
      if (position != last) jump(<u64>(last = position));
      equal = equalsBlock(context, source, sectorCount, shuffle(power * seed + c * sum), address);
    } else {
      equal = isZero(source, step);
    }
    store<u8>(verdicts + k, equal ? 0 : 1);
    differing += equal ? 0 : 1;
    source += step;
    address += 1 << 20;
    c += 2;
  }
  return differing;
}

/**
 * Reads what consecutive blocks say of themselves. Per block: a class into `classes` (0 zeros, 1 a whole block of
 * this run at its own address, 2 anything else), and for class 1 its descriptor into `vds` and its position in
 * the block's stream into `positions`, both u64; else 0.
 */
export function deflate(
  context: usize,
  source: usize,
  sectorCount: u32,
  volume: u32,
  block: f64,
  count: u32,
  classes: usize,
  vds: usize,
  positions: usize,
): void {
  const seed = load<u64>(context, CONTEXT_SEED);
  const step = <usize>sectorCount * SECTOR;
  for (let k: u32 = 0; k < count; k++) {
    const at = <usize>k << 3;
    const number = <u64>block + <u64>k;
    const vd = claimedVd(context, source);
    if (equalsBlock(context, source, sectorCount, vd, sectorAddress(volume, number))) {
      store<u8>(classes + k, 1);
      store<u64>(vds + at, vd);
      store<u64>(positions + at, rngInverse(seed, vd, valueStream(volume, number)));
    } else {
      store<u8>(classes + k, isZero(source, step) ? 0 : 2);
      store<u64>(vds + at, 0);
      store<u64>(positions + at, 0);
    }
    source += step;
  }
}

/** What {@link survey} says of a block in the place of a position; see `../kernel.ts`. */
const DAMAGED: f64 = -1;
const GARBAGE: f64 = -2;
const STRANGE: f64 = -3;
const MISPLACED: f64 = -4;
const FOREIGN: f64 = -5;
/** Positions above are no operation's: 2^53. */
const POSITION_END: u64 = 1 << 53;
/** Bits set in a block of zeros that may have been flipped. */
const FLIPPED_MAX: u32 = 32;

/** The position of a value in its block's stream, or {@link STRANGE} if that is no operation's. */
@inline
function positionIn(seed: u64, vd: u64, volume: u32, block: u64): f64 {
  const position = rngInverse(seed, vd, valueStream(volume, block));
  return position == 0 || position >= POSITION_END ? STRANGE : <f64>position;
}

/**
 * Names what consecutive blocks hold, one f64 each into `codes`: the position of a whole block at its own address,
 * 0 for zeros, a code below 0 for anything else. Of a misplaced or foreign block two u64 into `details`: the address
 * that its first sector claims, and its position there (f64 bits), or its run. Returns how many are not zeros.
 */
export function survey(
  context: usize,
  source: usize,
  sectorCount: u32,
  volume: u32,
  block: f64,
  count: u32,
  codes: usize,
  details: usize,
): u32 {
  const seed = load<u64>(context, CONTEXT_SEED);
  const step = <usize>sectorCount * SECTOR;
  let filled: u32 = 0;
  // Neighbours were mostly written together: that the last position is this block's too costs less to find out than
  // which one is.
  let last: f64 = STRANGE;
  for (let k: u32 = 0; k < count; k++) {
    const number = <u64>block + <u64>k;
    const vd = claimedVd(context, source);
    let code: f64 = 0;
    if (equalsBlock(context, source, sectorCount, vd, sectorAddress(volume, number))) {
      if (last > 0 && shuffle(power * seed + increment(valueStream(volume, number)) * sum) == vd) {
        code = last;
      } else {
        code = positionIn(seed, vd, volume, number);
        if (code > 0) jump(<u64>code);
        last = code;
      }
    } else if (!isZero(source, step)) {
      code = strangeBlock(context, source, sectorCount, vd, details + (<usize>k << 4));
    }
    store<f64>(codes + (<usize>k << 3), code);
    filled += code == 0 ? 0 : 1;
    source += step;
  }
  return filled;
}

function strangeBlock(context: usize, source: usize, sectorCount: u32, vd: u64, detail: usize): f64 {
  const address = load<u64>(source, 16);
  const run = load<u64>(source, 8);
  if (run == load<u64>(context, CONTEXT_RUN) && (address & 0xff) == 0 && equalsBlock(context, source, sectorCount, vd, address)) {
    store<u64>(detail, address);
    store<f64>(detail, positionIn(load<u64>(context, CONTEXT_SEED), vd, <u32>((address >> 8) & 0xfff), address >> 20), 8);
    return MISPLACED;
  }
  if (isOfOtherRun(context, source, sectorCount, run)) {
    store<u64>(detail, address);
    store<u64>(detail, run, 8);
    return FOREIGN;
  }
  if (bitsSet(source, <usize>sectorCount * SECTOR, FLIPPED_MAX) > FLIPPED_MAX && saysNothing(context, source, sectorCount)) return GARBAGE;
  return DAMAGED;
}

/** Whether all sectors are stamped by one run that is not this one, or sorts the other way round. */
function isOfOtherRun(context: usize, source: usize, sectorCount: u32, run: u64): bool {
  const own = load<u64>(context, CONTEXT_ORDER_MASK);
  const isOwnRun = run == load<u64>(context, CONTEXT_RUN);
  for (let sector: u32 = 0; sector < sectorCount; sector++) {
    if (load<u64>(source, 8) != run) return false;
    if (!hasTag(source, ~own) && (isOwnRun || !hasTag(source, own))) return false;
    source += SECTOR;
  }
  return true;
}
