import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ServiceError } from "../../../src/sut/port.ts";
import { readElfNeeds, readElfSection } from "../../../src/sut/vm/elf.ts";
import { dynamicElf, elfWithSections } from "./elf-builder.ts";

const needed = 1;
const rpath = 15;
const runpath = 29;

const program = dynamicElf(
  [
    [needed, "libaio.so.1"],
    [needed, "libc.so.6"],
    [runpath, "$ORIGIN/../lib:/usr/lib/x86_64-linux-gnu/ceph"],
  ],
  "/lib64/ld-linux-x86-64.so.2",
);
const module = elfWithSections([
  { name: ".modinfo.more", content: Buffer.from("not this") },
  { name: ".modinfo", content: Buffer.from("depends=\0") },
]);

/** Whether reading gives an answer or a refusal in words; anything else is thrown on. */
function isAnsweredOrRefused(read: () => unknown): boolean {
  try {
    read();
    return true;
  } catch (error) {
    if (error instanceof ServiceError && error.code === "ERR_BAD_ANSWER") return true;
    throw error;
  }
}

describe("the reader of ELF files", () => {
  test("tells the loader, the libraries in order, and where to look first", () => {
    expect(readElfNeeds(program, "program")).toEqual({
      interpreter: "/lib64/ld-linux-x86-64.so.2",
      libraries: ["libaio.so.1", "libc.so.6"],
      runPaths: ["$ORIGIN/../lib", "/usr/lib/x86_64-linux-gnu/ceph"],
    });
  });

  test("goes by the newer of the two lists of directories, if there are both", () => {
    const both = dynamicElf([
      [rpath, "/old"],
      [runpath, "/new"],
    ]);
    expect(readElfNeeds(both, "library").runPaths).toEqual(["/new"]);
  });

  test("finds that a static file needs nothing", () => {
    expect(readElfNeeds(module, "static")).toEqual({ interpreter: undefined, libraries: [], runPaths: [] });
  });

  test("finds a section by its whole name", () => {
    expect(Buffer.from(readElfSection(module, ".modinfo", "module")!).toString()).toBe("depends=\0");
    expect(readElfSection(module, ".mod", "module")).toBeUndefined();
  });

  test.each([
    ["no ELF file", Buffer.from("#!/bin/sh\n"), "it is not an ELF file"],
    ["a file cut within its header", program.slice(0, 40), "it ends at byte 40, before byte 64"],
    ["a 32-bit file", changed(program, 4, 1), "it is not 64-bit little-endian"],
    ["a file for another processor", changed(program, 18, 183), "it is for machine 183, not x86-64 (62)"],
    ["headers beyond its end", changed(program, 39, 0x7f), "before byte"],
    [
      "a name outside of its table",
      dynamicElf([[needed, 4096]]),
      "a name starts at 4096 of a table of 1 bytes",
    ],
  ])("refuses %s, with the file's name", (_, bytes, why) => {
    expect(() => readElfNeeds(bytes, "bin/x")).toThrow(why);
    expect(() => readElfNeeds(bytes, "bin/x")).toThrow(/^bin\/x: cannot be read as a program/);
  });

  test("answers or refuses, wherever a file is cut short", () => {
    for (const [file, read] of [
      [program, (bytes: Uint8Array) => readElfNeeds(bytes, "cut")],
      [module, (bytes: Uint8Array) => readElfSection(bytes, ".modinfo", "cut")],
    ] as const) {
      for (let length = 0; length < file.length; length += 1) {
        expect(isAnsweredOrRefused(() => read(file.slice(0, length)))).toBe(true);
      }
    }
  });

  test("answers or refuses, whatever is damaged", () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), {
      minLength: 1,
      maxLength: 8,
    });
    fc.assert(
      fc.property(fc.constantFrom(program, module), damage, (file, bytes) => {
        const damaged = bytes.reduce((all, [at, value]) => changed(all, at % all.length, value), file);
        isAnsweredOrRefused(() => readElfNeeds(damaged, "damaged"));
        isAnsweredOrRefused(() => readElfSection(damaged, ".modinfo", "damaged"));
      }),
      { numRuns: 2000 },
    );
  });

  const reader = "readelf";
  const hasReadelf = spawnSync(reader, ["--version"]).status === 0;
  const programsHere = ["/bin/sh", "/usr/bin/env", process.execPath].filter((path) => existsSync(path));
  test.skipIf(!hasReadelf || process.arch !== "x64").each(programsHere)(
    "agrees with readelf on %s",
    (path) => {
      const said = execFileSync(reader, ["-dl", path], {
        encoding: "utf8",
        env: { ...process.env, LC_ALL: "C" },
      });
      const all = (pattern: RegExp) => [...said.matchAll(pattern)].map(([, text]) => text);
      const { interpreter, libraries } = readElfNeeds(readFileSync(path), path);
      expect(libraries).toEqual(all(/\(NEEDED\).*\[(.*)\]/g));
      expect([interpreter]).toEqual(all(/program interpreter: (.*)\]/g));
    },
  );
});

function changed(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[at] = value;
  return copy;
}
