/**
 * A clone and its origin go their own ways, also where one of them only makes zeros.
 *
 *   npx vitest run examples/clone-divergence.test.ts
 *   HARROW_BUG=M31 npx vitest run examples/clone-divergence.test.ts     # a target that gets it wrong
 */
import { volumeTest } from "../src/testing/vitest.ts";

volumeTest(
  "a clone and its origin do not see each other",
  { extentBlocks: { min: 16, max: 32 } },
  (history) => {
    history.extent(0).write({ block: 0, blocks: 12 }).finish();
    history.snapshot("origin");
    history.clone("clone", "origin", (clone) => {
      clone.write(0, { block: 0, blocks: 4 }).deallocate(0, { block: 6, blocks: 3 }).write(1);
    });
    history.extent(0).write({ block: 2, blocks: 4 }).deallocateRange(8, 2).finish();
    // The clone shows its own blocks and its origin's, the snapshot its own, the volume its own.
    history.checkClone("clone").deleteClone("clone");
    history.deleteSnapshot("origin");
  },
);
