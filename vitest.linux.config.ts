/** Whole scenarios on a real Linux kernel in QEMU: `npm run test:linux`. One guest at a time is enough for two cores. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/linux/**/*.test.ts"],
    testTimeout: 600_000,
    hookTimeout: 600_000,
    pool: "forks",
    fileParallelism: false,
    reporters: ["default"],
  },
});
