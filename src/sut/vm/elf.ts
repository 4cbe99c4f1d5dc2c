/**
 * What an ELF file says about itself: the libraries that it needs, and the bytes of a section by name.
 *
 * Reads 64-bit little-endian files, as x86-64 has them. Every offset and length of the file is checked against
 * the bytes that are there. Finding and loading libraries is the caller's.
 *
 * @see System V ABI, chapters "Object Files" and "Program Loading and Dynamic Linking".
 *
 * @packageDocumentation
 */

import { ServiceError } from "../port.ts";

export interface ElfNeeds {
  /** Path of the program loader; a static program and most libraries have none. */
  readonly interpreter: string | undefined;
  /** Names of shared libraries (DT_NEEDED), in order. */
  readonly libraries: readonly string[];
  /** Directories to look into first (DT_RUNPATH, or else DT_RPATH), with `$ORIGIN` as it stands there. */
  readonly runPaths: readonly string[];
}

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly lengthBytes: number;
}

const segmentType = { load: 1, dynamic: 2, interpreter: 3 } as const;
const dynamicTag = {
  end: 0,
  needed: 1,
  stringTable: 5,
  stringTableBytes: 10,
  rpath: 15,
  runpath: 29,
} as const;
const machineX86_64 = 62;
const noBitsSection = 8;

export function isElf(bytes: Uint8Array): boolean {
  return bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
}

/**
 * Reads what a program or shared library needs to be loaded; nothing if it is static.
 *
 * @param name - The file, for messages.
 * @throws {ServiceError} `ERR_BAD_ANSWER` if the file is damaged, cut short or not for x86-64.
 */
export function readElfNeeds(bytes: Uint8Array, name: string): ElfNeeds {
  const file = new ElfFile(bytes, name);
  const segments = file.segments();
  const interpreterSegment = segments.find(({ type }) => type === segmentType.interpreter);
  const interpreter =
    interpreterSegment && file.string(interpreterSegment.offset, interpreterSegment.lengthBytes);
  const dynamic = segments.find(({ type }) => type === segmentType.dynamic);
  if (dynamic === undefined) return { interpreter, libraries: [], runPaths: [] };

  const values = new Map<number, number[]>();
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.lengthBytes; at += 16) {
    const tag = file.u64(at);
    if (tag === dynamicTag.end) break;
    values.set(tag, [...(values.get(tag) ?? []), file.u64(at + 8)]);
  }
  const needed = values.get(dynamicTag.needed) ?? [];
  const paths = values.get(dynamicTag.runpath) ?? values.get(dynamicTag.rpath) ?? [];
  if (needed.length === 0 && paths.length === 0) return { interpreter, libraries: [], runPaths: [] };

  const tableAddress = values.get(dynamicTag.stringTable)?.[0];
  const tableBytes = values.get(dynamicTag.stringTableBytes)?.[0];
  if (tableAddress === undefined || tableBytes === undefined)
    throw file.damaged("it needs libraries but has no table of their names");
  const table = file.offsetOf(tableAddress, segments);
  const string = (index: number): string => {
    if (index >= tableBytes)
      throw file.damaged(`a name starts at ${index} of a table of ${tableBytes} bytes`);
    return file.string(table + index, tableBytes - index);
  };
  return {
    interpreter,
    libraries: needed.map(string),
    runPaths: paths.flatMap((index) => string(index).split(":")).filter((path) => path !== ""),
  };
}

/**
 * The bytes of the first section of that name, not copied; `undefined` if there is none.
 *
 * @param name - The file, for messages.
 * @throws {ServiceError} `ERR_BAD_ANSWER` if the file is damaged, cut short or not for x86-64.
 */
export function readElfSection(bytes: Uint8Array, section: string, name: string): Uint8Array | undefined {
  const file = new ElfFile(bytes, name);
  const tableOffset = file.u64(40);
  const entryBytes = file.u16(58);
  const count = file.u16(60);
  const namesIndex = file.u16(62);
  if (count === 0) return undefined;
  if (entryBytes < 64) throw file.damaged(`a section header of ${entryBytes} bytes`);
  if (namesIndex >= count) throw file.damaged(`section ${namesIndex} of ${count} holds the names`);
  const header = (index: number) => tableOffset + index * entryBytes;
  const names = file.slice(file.u64(header(namesIndex) + 24), file.u64(header(namesIndex) + 32));
  for (let index = 0; index < count; index += 1) {
    const at = header(index);
    const nameOffset = file.u32(at);
    if (nameOffset >= names.length || !startsWith(names.subarray(nameOffset), section)) continue;
    if (file.u32(at + 4) === noBitsSection) return new Uint8Array(0);
    return file.slice(file.u64(at + 24), file.u64(at + 32));
  }
  return undefined;
}

/** Bounds-checked access to the bytes of one file. */
class ElfFile {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #name: string;

  constructor(bytes: Uint8Array, name: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#name = name;
    if (!isElf(bytes)) throw this.damaged("it is not an ELF file");
    this.#check(0, 64);
    if (bytes[4] !== 2 || bytes[5] !== 1) throw this.damaged("it is not 64-bit little-endian");
    const machine = this.u16(18);
    if (machine !== machineX86_64) throw this.damaged(`it is for machine ${machine}, not x86-64 (62)`);
  }

  segments(): readonly Segment[] {
    const tableOffset = this.u64(32);
    const entryBytes = this.u16(54);
    const count = this.u16(56);
    if (count > 0 && entryBytes < 56) throw this.damaged(`a program header of ${entryBytes} bytes`);
    return Array.from({ length: count }, (_, index) => {
      const at = tableOffset + index * entryBytes;
      return {
        type: this.u32(at),
        offset: this.u64(at + 8),
        address: this.u64(at + 16),
        lengthBytes: this.u64(at + 32),
      };
    });
  }

  /** Where in the file the byte is that is loaded at an address. */
  offsetOf(address: number, segments: readonly Segment[]): number {
    const segment = segments.find(
      ({ type, address: start, lengthBytes }) =>
        type === segmentType.load && address >= start && address < start + lengthBytes,
    );
    if (segment === undefined) throw this.damaged(`address ${address} is in no loaded segment`);
    return segment.offset + (address - segment.address);
  }

  u16(at: number): number {
    this.#check(at, 2);
    return this.#view.getUint16(at, true);
  }

  u32(at: number): number {
    this.#check(at, 4);
    return this.#view.getUint32(at, true);
  }

  u64(at: number): number {
    this.#check(at, 8);
    const value = this.#view.getBigUint64(at, true);
    // What is beyond is beyond every file; it is refused where it is used.
    return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(value);
  }

  slice(at: number, lengthBytes: number): Uint8Array {
    this.#check(at, lengthBytes);
    return this.#bytes.subarray(at, at + lengthBytes);
  }

  /** Text that ends with a zero byte, within so many bytes. */
  string(at: number, lengthBytesMax: number): string {
    this.#check(at, 1);
    const bytes = this.#bytes.subarray(at, at + lengthBytesMax);
    const end = bytes.indexOf(0);
    if (end < 0) throw this.damaged(`the text at byte ${at} does not end`);
    return Buffer.from(bytes.subarray(0, end)).toString("latin1");
  }

  damaged(what: string): ServiceError {
    return new ServiceError("ERR_BAD_ANSWER", `${this.#name}: cannot be read as a program: ${what}`);
  }

  #check(at: number, lengthBytes: number): void {
    if (at + lengthBytes > this.#bytes.length)
      throw this.damaged(`it ends at byte ${this.#bytes.length}, before byte ${at + lengthBytes}`);
  }
}

function startsWith(bytes: Uint8Array, text: string): boolean {
  if (bytes[text.length] !== 0) return false;
  for (let index = 0; index < text.length; index += 1) {
    if (bytes[index] !== text.charCodeAt(index)) return false;
  }
  return true;
}
