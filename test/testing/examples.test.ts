import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const vitest = fileURLToPath(new URL("../../node_modules/vitest/vitest.mjs", import.meta.url));

/** Runs an example in a process of its own. */
function run(example: string, environment: Record<string, string>): Promise<{ code: number; text: string }> {
  return new Promise((resolve) => {
    const env = { ...process.env, NO_COLOR: "1", HARROW_SEEDS: "3", HARROW_GEOMETRIES: "1", ...environment };
    execFile(
      process.execPath,
      [vitest, "run", `examples/${example}.test.ts`],
      { env },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
        resolve({ code, text: `${stdout}${stderr}` });
      },
    );
  });
}

/** What the examples say themselves that one must do to see them fail, and the name that they then give. */
test.for([
  ["snapshot-isolation", { HARROW_BUG: "M46" }, "mutated"],
  ["diff-after-overwrite", { HARROW_BUG: "M52" }, "omission"],
  ["clone-divergence", { HARROW_BUG: "M31" }, "lost-write"],
  ["trim-and-rewrite", { HARROW_BUG: "M30" }, "resurrected"],
  ["crash-after-flush", { HARROW_BUG: "M24", HARROW_TARGET: "embedded" }, "lost-write"],
  ["own-adapter", { HARROW_SHARE: "1" }, "mutated"],
] as const)(
  "example %s fails on a target with its bug, by the right name",
  { timeout: 120_000 },
  async ([example, environment, name]) => {
    const { code, text } = await run(example, environment);
    expect(text).toContain(`VolumeTestError: ${name}, with seed `);
    expect(text).toContain("The smallest history that fails so:");
    expect(text).toMatch(/HARROW_SEED=0x[0-9a-f]+ HARROW_GEOMETRY=\S+ npx vitest run -t '/);
    expect(code).toBe(1);
  },
);
