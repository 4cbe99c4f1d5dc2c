/**
 * What was flushed before a crash is there after it, and so is a snapshot that was taken in between.
 *
 *   npx vitest run examples/crash-after-flush.test.ts
 *   HARROW_BUG=M24 HARROW_TARGET=embedded npx vitest run examples/crash-after-flush.test.ts     # one that gets it wrong
 *
 * In memory, writes take effect at random instants, and a crash loses what is in the volatile cache; on the embedded
 * target it is the process that is killed.
 */
import { volumeTest } from "../src/testing/vitest.ts";

volumeTest("what was flushed survives a crash", { extents: { min: 4, max: 6 } }, (history) => {
  history.extent(0).writes(4).flush().finish();
  // Between the flush and the snapshot: nothing of the flushed may be missing, and the snapshot has it.
  history.crash();
  history.extent(0).readExtent().finish();
  history.snapshot("flushed");
  // Not flushed: after the crash each of these blocks may be old or new, once.
  history.extent(0).writes(3).finish();
  history.extent(1).writeFua({ block: 0, blocks: 4 }).writes(2).finish();
  history.crash();
  history.extent(1).write().flush().finish();
  history.snapshot("after").diff("flushed", "after");
});
