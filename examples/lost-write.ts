/**
 * A volume that forgets one write, and how a run names it: the whole of harrow in one process, without a wire.
 *
 *   npx tsx examples/lost-write.ts
 */
import {
  describeViolation,
  memoryService,
  parseConfig,
  performRun,
  Run,
  withServiceFaults,
} from "../src/index.ts";

const config = parseConfig(
  `
geometry: { volumeSize: 16MiB }
window: { size: 4 }
# What was written last is looked at all the while, so that nothing is overwritten before it is seen.
checks: { recent: { every: 1, extents: 4 } }
runner: { kind: sequential, lts: 2000 }
target: { kind: memory }
`,
  "example",
);

let writes = 0;
const service = withServiceFaults(await memoryService(), {
  volume: () => ({ write: () => (++writes === 500 ? { kind: "drop" } : undefined) }),
});
const { uuid } = await service.createVolume({
  name: "example",
  sizeBytes: 16 * 2 ** 20,
  sectorSizeBytes: 4096,
});

const run = new Run({
  config,
  seed: 42n,
  name: "example",
  target: {
    description: "a volume in memory that drops its 500th write",
    service,
    volumes: [{ uuid, device: await service.openVolume(uuid), isCreated: true }],
    faults: undefined,
    failure: undefined,
    isLasting: false,
    keep: () => {},
    [Symbol.asyncDispose]: async () => service[Symbol.asyncDispose](),
  },
  log: { info: () => {}, warn: console.warn },
  signal: new AbortController().signal,
  onViolation: (violation) => console.log(describeViolation(violation)),
});
const result = await performRun(run, { onProgress: () => {} });
console.log(`\n${result.verdict} after ${result.ltsCount} lts and ${writes} writes`);
if (!result.violations.some((violation) => violation.class === "lost-write")) process.exit(1);
