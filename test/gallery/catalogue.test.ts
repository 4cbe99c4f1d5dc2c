import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { catalogue, classesById } from "../../src/gallery/catalogue.ts";
import { type FaultClass, faultClasses } from "../../src/model/violation.ts";
import { galleryMarkdown } from "../../src/gallery/report.ts";
import { isBuilt } from "../../src/gallery/mutant.ts";

test("the catalogue has 62 published classes and some of its own, in order, each with what people need to know", () => {
  const numbered = (letter: string, length: number) =>
    Array.from({ length }, (_, index) => `${letter}${String(index + 1).padStart(2, "0")}`);
  expect(catalogue.map(({ id }) => id)).toEqual([...numbered("M", 62), ...numbered("H", 9)]);
  for (const entry of catalogue) {
    expect(entry.title).toMatch(/^[a-z0-9-]+$/);
    expect(entry.fault.length).toBeGreaterThan(20);
    expect(entry.incident.length).toBeGreaterThan(5);
    expect(classesById.get(entry.id)).toBe(entry);
  }
  expect(new Set(catalogue.map(({ title }) => title)).size).toBe(catalogue.length);
});

test("at least 56 of the published classes are built, and the others say why not", () => {
  const built = catalogue.filter(isBuilt);
  expect(built.filter(({ id }) => id.startsWith("M")).length).toBeGreaterThanOrEqual(56);
  expect(new Set(built.map(({ mutant }) => mutant)).size).toBe(built.length);
  for (const { mutant } of catalogue)
    if (mutant.level === "none") expect(mutant.why.length).toBeGreaterThan(30);
});

/** What a mutant can not bring about: the first needs a second volume, which is there only if its checker is. */
const unshown: readonly FaultClass[] = ["volumes-differ", "wrong-size"];

test("every name that a violation can have is the right one of some class", () => {
  const shown = new Set(catalogue.filter(isBuilt).map(({ names }) => names[0]));
  expect(faultClasses.filter((name) => !shown.has(name) && !unshown.includes(name))).toEqual([]);
});

test("the README has a row for each class, as the command prints them", () => {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const rows = readme
    .split("<!-- gallery -->")[1]!
    .split("<!-- /gallery -->")[0]!
    .trim()
    .split("\n")
    .slice(2);
  const printed = galleryMarkdown(catalogue.map((entry) => ({ entry, verdict: undefined })))
    .trim()
    .split("\n")
    .slice(2);
  expect(printed).toHaveLength(1);
  expect(rows.map((row) => row.split(" | ").slice(0, 3).join(" | "))).toEqual(
    catalogue.map(({ id, title, fault, incident }) => `| ${id} ${title} | ${fault} | ${incident}`),
  );
  expect(rows).toContain(printed[0]);
});
