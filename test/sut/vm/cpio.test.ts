import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeArchive, type LoadedEntry, writeArchive } from "../../../src/sut/vm/cpio.ts";
import { readArchive } from "./cpio-reader.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "harrow-cpio-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const sample: readonly LoadedEntry[] = [
  { kind: "directory", path: "dev" },
  { kind: "device", path: "dev/console", mode: 0o600, major: 5, minor: 1 },
  { kind: "directory", path: "etc", mode: 0o700 },
  { kind: "file", path: "etc/token", mode: 0o640, content: Buffer.from("abcde") },
  { kind: "file", path: "etc/nothing", mode: 0o644, content: new Uint8Array(0) },
  { kind: "link", path: "bin", target: "usr/bin" },
];

describe("an archive for the kernel", () => {
  test("has the header of the format, field by field", () => {
    const archive = encodeArchive([{ kind: "file", path: "a", mode: 0o644, content: Buffer.from("hello") }]);
    const header = [
      "070701", // Magic.
      "00000001", // Inode.
      "000081a4", // Mode: regular file, rw-r--r--.
      "00000000", // User: root.
      "00000000", // Group: root.
      "00000001", // Links.
      "00000000", // Time of change.
      "00000005", // Length of the content.
      "00000000", // Device of the file, major.
      "00000000", // Device of the file, minor.
      "00000000", // Device that it is, major.
      "00000000", // Device that it is, minor.
      "00000002", // Length of the name, with its zero.
      "00000000", // No checksum.
    ];
    expect(Buffer.from(archive).toString("latin1", 0, 120)).toBe(`${header.join("")}a\0hello\0\0\0`);
  });

  test("is read back by the table of the format, with root as the owner of everything", () => {
    expect(
      readArchive(encodeArchive(sample)).map(({ path, body, fields }) => [
        path,
        body,
        fields[1]?.toString(8),
        fields[9],
        fields[10],
      ]),
    ).toEqual([
      ["dev", "", "40755", 0, 0],
      ["dev/console", "", "20600", 5, 1],
      ["etc", "", "40700", 0, 0],
      ["etc/token", "abcde", "100640", 0, 0],
      ["etc/nothing", "", "100644", 0, 0],
      ["bin", "usr/bin", "120777", 0, 0],
    ]);
  });

  test("keeps names and contents of every length, in whole blocks", () => {
    const name = fc.string({ unit: fc.constantFrom("a", "é", "-", "7"), minLength: 1, maxLength: 20 });
    const file = fc.record({ name, content: fc.uint8Array({ maxLength: 40 }) });
    fc.assert(
      fc.property(fc.array(file, { maxLength: 8 }), (files) => {
        const entries = files.map(
          ({ name, content }) => ({ kind: "file", path: name, mode: 0o600, content }) as const,
        );
        const archive = encodeArchive(entries);
        expect(archive.length % 512).toBe(0);
        expect(readArchive(archive).map(({ path, body }) => [path, body])).toEqual(
          files.map(({ name, content }) => [name, Buffer.from(content).toString("latin1")]),
        );
      }),
    );
  });

  const readers = [["cpio"], ["busybox", "cpio"]].filter(
    ([program]) => spawnSync(program!, ["--help"]).error === undefined,
  );
  test.each(readers.map((reader) => [reader.join(" "), reader] as const))(
    "is read by %s",
    (_, [program = "", ...first]) => {
      const listed = spawnSync(program, [...first, "-it"], {
        input: encodeArchive(sample),
        encoding: "utf8",
      });
      expect(listed.stdout.trim().split("\n")).toEqual(sample.map(({ path }) => path));
      const target = mkdtempSync(join(directory, "out-"));
      const files = encodeArchive(sample.filter(({ kind }) => kind !== "device"));
      const unpacked = spawnSync(program, [...first, "-idm"], { input: files, cwd: target });
      expect(unpacked.status).toBe(0);
      expect(readFileSync(join(target, "etc/token"), "utf8")).toBe("abcde");
    },
  );

  test("is the same in a file, with contents from files, as in memory", async () => {
    const source = join(directory, "source");
    writeFileSync(source, "abcde");
    const file = join(directory, "archive");
    const entries = sample.map((entry) =>
      entry.path === "etc/token" && entry.kind === "file" ? { ...entry, content: { source } } : entry,
    );
    const lengthBytes = await writeArchive(file, entries);
    expect(readFileSync(file)).toEqual(Buffer.from(encodeArchive(sample)));
    expect(lengthBytes).toBe(readFileSync(file).length);
  });

  test("never takes the place of a file", async () => {
    const file = join(directory, "taken");
    writeFileSync(file, "mine");
    await expect(writeArchive(file, sample)).rejects.toThrow("EEXIST");
    expect(readFileSync(file, "utf8")).toBe("mine");
  });

  test.each(["/etc/passwd", "../x", "a//b", "a/./b", "", "a\0b", "TRAILER!!!", "x".repeat(4096)])(
    "refuses the path %j",
    (path) => {
      expect(() => encodeArchive([{ kind: "directory", path }])).toThrow("cannot be a path in an archive");
    },
  );
});
