/**
 * A corruption demo by hand: a real target over NVMe/TCP, a liar before it, the alarm, and the folder that it leaves.
 *
 *   npx tsx examples/corruption-demo.ts
 *
 * `harrow demo corruption` does the same for each class of the gallery. This is how to do it with a fault of your own.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  describeViolation,
  FailureFolder,
  openTarget,
  parseConfig,
  performRun,
  Run,
  withServiceFaults,
} from "../src/index.ts";

const seed = 2026n;
const failures = mkdtempSync(join(tmpdir(), "harrow-demo-"));

// 1. What is to be run. The target is harrow's own; a `lightbits` target with its endpoint would do as well.
const config = parseConfig(
  `
geometry: { volumeSize: 16MiB, extentSize: 256KiB }
window: { size: 4 }
checks: { recent: { every: 1, extents: 2 } }
runner: { kind: sequential, lts: 1000 }
target: { kind: embedded }
failures: ${failures}
`,
  "demo",
);
const log = { info: () => {}, warn: (message: string) => console.warn(message) };
const signal = new AbortController().signal;

// 2. The fault: the 500th write to the volume lands four blocks further on. Only what goes to the device is changed,
//    never the buffers of whoever writes: to the run all went well. What was written last is looked at all the while,
//    so that nothing is overwritten before it is seen.
let writes = 0;
const misdirect = { kind: "redirect" } as const;

// 3. The target in a process of its own, with the liar between it and the run.
await using target = await openTarget({
  config,
  seed,
  name: "harrow-demo",
  log,
  // `harrow serve`, from these sources.
  serveCommand: [
    process.execPath,
    ...process.execArgv,
    join(import.meta.dirname, "../src/cli/main.ts"),
    "serve",
  ],
  environment: process.env,
  signal,
  spoiled: {
    service: (service) =>
      withServiceFaults(service, {
        volume: () => ({
          write: ({ block }) => (++writes === 500 ? { ...misdirect, block: block + 4 } : undefined),
        }),
      }),
  },
});
console.log(target.description);

// 4. The run. Each violation is explained from its bytes, and goes into a failure folder.
const folder = new FailureFolder({ version: "demo" });
const run: Run = new Run({
  config,
  seed,
  name: "harrow-demo",
  target,
  log,
  signal,
  onViolation: (violation, exhibit) => {
    console.log(`\n${describeViolation(violation)}\n`);
    folder.add(violation, exhibit, run);
  },
});
const result = await performRun(run, { onProgress: () => {} });
await folder.finish(run);

// 5. What is left: how soon it was noticed, and where the evidence is.
console.log(`${result.verdict} after ${result.ltsCount} lts and ${writes} writes`);
console.log(`evidence in ${folder.path}`);
if (result.verdict !== "violation") process.exitCode = 1;
