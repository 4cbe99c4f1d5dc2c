/**
 * Small ELF files, laid out field by field after the System V ABI: what Debian's programs and modules are made of.
 */

export interface Section {
  readonly name: string;
  readonly content: Uint8Array;
}

/** A relocatable file with these sections, as a kernel module is. */
export function elfWithSections(sections: readonly Section[]): Uint8Array {
  const names = Buffer.from(`\0${[...sections.map(({ name }) => name), ".shstrtab"].join("\0")}\0`);
  const all = [...sections, { name: ".shstrtab", content: names }];
  const contents = Buffer.concat(all.map(({ content }) => content));
  const headers = Buffer.alloc((all.length + 1) * 64);
  let offset = 64;
  all.forEach(({ name, content }, index) => {
    const at = (index + 1) * 64;
    headers.writeUInt32LE(names.indexOf(`\0${name}\0`) + 1, at); // sh_name
    headers.writeUInt32LE(1, at + 4); // sh_type: PROGBITS
    headers.writeBigUInt64LE(BigInt(offset), at + 24); // sh_offset
    headers.writeBigUInt64LE(BigInt(content.length), at + 32); // sh_size
    offset += content.length;
  });
  const header = elfHeader(1);
  header.writeBigUInt64LE(BigInt(offset), 40); // e_shoff
  header.writeUInt16LE(64, 58); // e_shentsize
  header.writeUInt16LE(all.length + 1, 60); // e_shnum
  header.writeUInt16LE(all.length, 62); // e_shstrndx
  return Buffer.concat([header, contents, headers]);
}

/** A module that says these things about itself. */
export function kernelModule(fields: readonly string[]): Uint8Array {
  return elfWithSections([
    { name: ".text", content: Buffer.alloc(16, 0x90) },
    { name: ".modinfo", content: Buffer.from(fields.map((field) => `${field}\0`).join("")) },
  ]);
}

/** A program or library with a dynamic section: tags and values, where a text stands for a place in the names. */
export function dynamicElf(
  entries: readonly (readonly [tag: number, value: string | number])[],
  interpreter?: string,
): Uint8Array {
  const address = 0x40_0000;
  const loader = Buffer.from(interpreter === undefined ? "" : `${interpreter}\0`);
  const texts = entries.map(([, value]) => value).filter((value) => typeof value === "string");
  const names = Buffer.from(`\0${texts.map((text) => `${text}\0`).join("")}`);
  const segments: (readonly [type: number, offset: number, lengthBytes: number])[] = [];
  const start = 64 + 3 * 56;
  const namesAt = start + loader.length;
  const dynamicAt = namesAt + names.length;
  const table: (readonly [number, number])[] = [
    ...entries.map(
      ([tag, value]) => [tag, typeof value === "string" ? names.indexOf(`\0${value}\0`) + 1 : value] as const,
    ),
    [5, address + namesAt], // DT_STRTAB
    [10, names.length], // DT_STRSZ
    [0, 0], // DT_NULL
  ];
  const dynamic = Buffer.alloc(table.length * 16);
  table.forEach(([tag, value], index) => {
    dynamic.writeBigUInt64LE(BigInt(tag), index * 16);
    dynamic.writeBigUInt64LE(BigInt(value), index * 16 + 8);
  });
  segments.push([1, 0, dynamicAt + dynamic.length], [2, dynamicAt, dynamic.length]); // PT_LOAD, PT_DYNAMIC
  if (interpreter !== undefined) segments.push([3, start, loader.length]); // PT_INTERP
  const headers = Buffer.alloc(3 * 56);
  segments.forEach(([type, offset, lengthBytes], index) => {
    const at = index * 56;
    headers.writeUInt32LE(type, at); // p_type
    headers.writeBigUInt64LE(BigInt(offset), at + 8); // p_offset
    headers.writeBigUInt64LE(BigInt(address + offset), at + 16); // p_vaddr
    headers.writeBigUInt64LE(BigInt(lengthBytes), at + 32); // p_filesz
  });
  const header = elfHeader(3);
  header.writeBigUInt64LE(64n, 32); // e_phoff
  header.writeUInt16LE(56, 54); // e_phentsize
  header.writeUInt16LE(segments.length, 56); // e_phnum
  return Buffer.concat([header, headers, loader, names, dynamic]);
}

function elfHeader(type: number): Buffer {
  const header = Buffer.alloc(64);
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]); // Magic, 64-bit, little-endian, version
  header.writeUInt16LE(type, 16); // e_type
  header.writeUInt16LE(62, 18); // e_machine: x86-64
  return header;
}
