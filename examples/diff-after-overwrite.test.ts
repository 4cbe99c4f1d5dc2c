/**
 * The diff of two snapshots has every block that was written between them, also one that was written before both.
 *
 *   npx vitest run examples/diff-after-overwrite.test.ts
 *   HARROW_BUG=M52 npx vitest run examples/diff-after-overwrite.test.ts     # a target that gets it wrong
 */
import { volumeTest } from "../src/testing/vitest.ts";

volumeTest("a diff has what was overwritten in part", { blockSizes: [512, 4096] }, (history) => {
  history.extent(0).write({ block: 0, blocks: 8 }).finish();
  history.snapshot("first");
  // Parts of what is there already: of 4 KiB where blocks are smaller, else of the eight blocks.
  history.extent(0).write({ block: 3, blocks: 2 }).updates(2).finish();
  history.extent(1).write().finish();
  history.snapshot("second");
  history.diff("first", "second").diff(undefined, "second");
  // Nothing happens in between: nothing may be reported.
  history.snapshot("third").diff("second", "third");
  // A backup by these diffs alone equals the snapshots.
  history.sync("first").sync("second").sync("third");
});
