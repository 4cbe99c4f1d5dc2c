/**
 * Writes failure folders until it is killed.
 *
 * @packageDocumentation
 */
import { dumpedRun } from "./dumped.ts";

const failures = process.argv[2];
if (failures === undefined)
  throw new Error("dump-worker.ts DIRECTORY: name where failure folders are to be made");
for (;;) await dumpedRun({ failures, config: { dump: "image" } });
