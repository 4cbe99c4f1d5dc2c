import { parse } from "yaml";
import { expect, test } from "vitest";
import { configFor, type Looks, ownParts, ownTarget } from "../../../src/reproduce/shrink/looks.ts";
import { parseConfig } from "../../../src/runner/config/load.ts";
import type { ConfigInput } from "../../../src/runner/config/schema.ts";
import { planConfig } from "../../../src/runner/perform-history.ts";
import { drawnPlan } from "./histories.ts";

const plan = drawnPlan(5n, [0, 13, 20, 2, 1, 24, 6, 30]);
const dumped = parseConfig(
  `geometry: { volumes: 2, volumeSize: 64MiB, extentSize: 64KiB }
window: { size: 100 }
operations: { blocks: { min: 2, max: 16 }, compareAndWriteBlocksMax: 4 }
checks: { recent: { every: 30, extents: 7 }, snapshots: { extents: 0 }, visible: { every: 5 }, livenessLimit: 200s, clones: false }
floors: { versions: 50 }
runner: { kind: concurrent, depth: 8, overlap: allow, stopAfterTargetErrors: 77 }
target: { kind: embedded, directory: /somewhere, volatileCache: true, queueDepth: 19 }
`,
  "dumped",
);

test.for<Looks>(["plain", "close", "dumped"])(
  "a history that is looked at as %s is performed alike with the parts that are written down",
  (looks) => {
    for (const one of [plan, { ...plan, depth: 4 }]) {
      const config = configFor(dumped, one, looks);
      const parts = ownParts(config, one);
      // As from a file.
      const again = planConfig(one, {
        target: ownTarget(config),
        ...(parse(JSON.stringify(parts)) as ConfigInput),
      });
      expect(again.checks).toEqual(config.checks);
      expect(again.runner).toEqual(config.runner);
      expect(again.geometry).toEqual(config.geometry);
    }
  },
);

test("a history that is looked at plainly needs no more written down than what it may wait for", () => {
  expect(ownParts(configFor(dumped, plan, "plain"), plan)).toEqual({ checks: { livenessLimit: 200_000 } });
});

test("closer looks are those of the run, after each lts", () => {
  const { checks } = configFor(dumped, plan, "close");
  expect(checks).toMatchObject({
    ...{ recent: { every: 1, extents: 7 }, snapshots: { extents: "all" }, visible: { every: 1 } },
    clones: false,
  });
});

test("a target is written down without what is made for each run", () => {
  expect(ownTarget(dumped)).toEqual({ kind: "embedded", queueDepth: 19 });
});
