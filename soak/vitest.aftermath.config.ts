import { defineConfig } from "vitest/config";

/** For tests that `harrow shrink` has written. */
export default defineConfig({
  test: { include: ["**/shrunk/failure.test.ts"], testTimeout: 120_000, reporters: ["default"] },
});
