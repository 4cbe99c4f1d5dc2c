import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { shellWords } from "../../src/reproduce/shell-words.ts";

test("words come out of a shell as they went in", () => {
  const words = ["a b", "it's", "$HOME", "", "--seed=0x5eed", "über", "a\\b", "*"];
  const line = shellWords(["printf", "%s\\n", ...words]);
  expect(execFileSync("/bin/sh", ["-c", line], { encoding: "utf8" })).toBe(`${words.join("\n")}\n`);
});

test("plain words are left as they are", () => {
  expect(shellWords(["harrow", "run", "./a/history.txt"])).toBe("harrow run ./a/history.txt");
});
