/**
 * A snapshot does not change, whatever is done to its volume afterwards.
 *
 *   npx vitest run examples/snapshot-isolation.test.ts
 *   HARROW_BUG=M46 npx vitest run examples/snapshot-isolation.test.ts     # a target that gets it wrong
 */
import { volumeTest } from "../src/testing/vitest.ts";

volumeTest("a snapshot does not change", { extentBlocks: { min: 8, max: 32 } }, (history) => {
  // Which blocks, and how many, is drawn from the seed: what is not said does not matter.
  history.extent(0).randomOrder().writes(6).deallocate().finish();
  history.snapshot("before");
  // What was there is replaced, made zeros, and written anew; what was not is written.
  history.extent(0).randomOrder().writes(6).writeZeroes().deallocates(2).finish();
  history.extent(1).simultaneously().writes(3).finish();
  // Snapshots are read when they are taken, before they are deleted, and at the end.
  history.snapshot("after");
  history.extent(0).writes(2).finish();
});
