import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SideFile } from "../../src/gallery/crashes.ts";
import { Choices } from "../../src/generators/choices.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "harrow-side-file-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

function opened() {
  const found: unknown[] = [];
  let struckCount = 0;
  const chance = { choices: new Choices(1n, 1n), struck: () => void struckCount++ };
  const file = new SideFile<{ readonly block: number }>("side.json", chance);
  file.open(directory, (content) => void found.push(content));
  return { file, found, struckCount: () => struckCount };
}

describe("a side file", () => {
  test("hands what one process left to the next, once, and tells of it later", () => {
    opened().file.write({ block: 7 });
    const next = opened();
    expect(next.found).toEqual([{ block: 7 }]);
    expect(next.struckCount()).toBe(0);
    next.file.tell();
    next.file.tell();
    expect(next.struckCount()).toBe(1);
    expect(next.file.content).toBeUndefined();
    expect(opened().found).toEqual([]);
  });

  test("that was removed is not there for the next process", () => {
    const { file } = opened();
    file.write({ block: 7 });
    expect(file.content).toEqual({ block: 7 });
    file.remove();
    expect(file.content).toBeUndefined();
    expect(readdirSync(directory)).toEqual([]);
    const next = opened();
    next.file.tell();
    expect(next.struckCount()).toBe(0);
  });

  test("is not made for a store in memory", () => {
    const chance = { choices: new Choices(1n, 1n), struck: () => {} };
    const file = new SideFile<{ readonly block: number }>("side.json", chance);
    file.open(undefined, () => {});
    file.write({ block: 7 });
    expect(file.content).toBeUndefined();
    expect(existsSync("side.json")).toBe(false);
  });
});
