/**
 * Deallocated blocks are zeros, stay zeros beside what is written again, and are new when they are.
 *
 *   npx vitest run examples/trim-and-rewrite.test.ts
 *   HARROW_BUG=M30 npx vitest run examples/trim-and-rewrite.test.ts     # a target that gets it wrong
 */
import { volumeTest } from "../src/testing/vitest.ts";

volumeTest("deallocated blocks are zeros until they are written again", {}, (history) => {
  history.extent(0).write({ block: 0, blocks: 8 }).deallocateRange(1, 5).finish();
  history.extent(0).write({ block: 3, blocks: 2 }).readExtent().finish();
  history.snapshot("trimmed");
  history.extent(0).deallocateExtent().write({ block: 7 }).finish();
  history.snapshot("again").diff("trimmed", "again");
  // The tail of another extent, from wherever the seed says.
  history.extent(1).simultaneously().writes(3).finish();
  history.extent(1).deallocateTail().write().readExtent().finish();
});
