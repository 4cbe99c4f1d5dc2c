import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts", "examples/*.test.ts"],
    exclude: ["test/linux/**"],
    testTimeout: 30_000,
    pool: "forks",
    reporters: ["default"],
  },
});
