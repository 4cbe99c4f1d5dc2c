import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

const library = new URL("../../dist/testing/node-test.js", import.meta.url).href;
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "harrow-test-"));
});
afterAll(() => rm(directory, { recursive: true }));

/** Runs a test file with node:test, as a user does. */
async function run(options: string): Promise<{ readonly code: number; readonly text: string }> {
  const file = join(directory, "volumes.test.mjs");
  await writeFile(
    file,
    `import { volumeTest } from ${JSON.stringify(library)};
volumeTest("a snapshot does not change", {}, (history) => {
  history.extent(0).writes(4).finish().snapshot("before");
  history.extent(0).writes(4).finish();
}, ${options});
`,
  );
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  return new Promise((resolve) => {
    execFile(process.execPath, ["--test", file], { env }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
      resolve({ code, text: `${stdout}${stderr}` });
    });
  });
}

test("a volume test under node:test passes on a target that keeps its word", async () => {
  const { code, text } = await run("{ seeds: 3 }");
  expect(text).toMatch(/pass 1\b/);
  expect(code).toBe(0);
});

test("a volume test under node:test fails with what is wrong and the history that is left", async () => {
  const { code, text } = await run('{ seeds: 3, bug: "M46" }');
  expect(text).toContain("mutated, with seed ");
  expect(text).toContain("The smallest history that fails so:");
  expect(code).toBe(1);
});
