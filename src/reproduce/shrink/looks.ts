/**
 * How closely a shrunk history is looked at, and with which configuration it is performed.
 *
 * @packageDocumentation
 */
import { stringify } from "yaml";
import { parseConfig } from "../../runner/config/load.ts";
import type { Config, ConfigInput } from "../../runner/config/schema.ts";
import { writable } from "../../runner/config/write.ts";
import { planConfig } from "../../runner/perform-history.ts";
import type { HistoryPlan } from "../../selectors/history-builder.ts";
import { operationKinds } from "../../selectors/operations.ts";
import { againConfig } from "../again.ts";

/**
 * - `plain`: as `harrow run` looks at a history if nothing else is said: after each lts, with every check.
 * - `close`: with the checks that the run had, but after each lts, and at all of each snapshot.
 * - `dumped`: as the run did.
 */
export type Looks = "plain" | "close" | "dumped";

/** The configuration with which a plan is performed, in place of a run's own. */
export function configFor(config: Config, plan: HistoryPlan, looks: Looks): Config {
  const operations = operationsFor(plan);
  if (looks === "plain") {
    const { target, checks, overwrite } = writable({
      target: config.target,
      checks: checksOf(config, looks),
      overwrite: config.overwrite,
    }) as Required<Pick<ConfigInput, "target" | "checks" | "overwrite">>;
    return planConfig(plan, { target, checks, overwrite, operations });
  }
  const fitting: Config = {
    ...config,
    checks: checksOf(config, looks),
    // What the run was made for, such as more extents than are left, does not stand in the way.
    floors: {},
    window: { ...config.window, size: 1 },
    operations: { ...config.operations, ...(operations as Config["operations"]) },
  };
  return againConfig(fitting, plan);
}

function checksOf({ checks }: Config, looks: Looks): Config["checks"] {
  const { recent, snapshots, visible, livenessLimit } = checks;
  switch (looks) {
    case "dumped":
      return checks;
    case "close":
      return {
        ...checks,
        recent: { every: 1, extents: Math.max(recent.extents, 2) },
        snapshots: { ...snapshots, extents: "all" },
        visible: { ...visible, every: Math.min(visible.every, 1) },
      };
    case "plain":
      return {
        ...parseConfig("", "every check").checks,
        recent: { every: 1, extents: 2 },
        snapshots: { extents: "all", atEnd: true },
        livenessLimit,
      };
  }
}

/** What a target has to be able to do for a history: no more than the history does. */
export function operationsFor({
  geometry,
  visits,
  clones,
}: HistoryPlan): NonNullable<ConfigInput["operations"]> {
  const used = new Set<string>();
  let compareAndWriteBlocksMax = 1;
  for (const { operations } of [...visits, ...[...clones.values()].flat()])
    for (const { kind, blockCount } of operations) {
      used.add(kind);
      if (kind === "compareAndWrite" || kind === "compareAndWriteMiss")
        compareAndWriteBlocksMax = Math.max(compareAndWriteBlocksMax, blockCount);
    }
  if (used.size === 0) used.add("write");
  const weights = Object.fromEntries(operationKinds.map((kind) => [kind, used.has(kind) ? 1 : 0]));
  return { blocks: { min: 1, max: geometry.extentBlocks }, compareAndWriteBlocksMax, weights };
}

/** The parts of a configuration in which it is another than what the plan alone would have. */
export function ownParts(config: Config, plan: HistoryPlan): Pick<ConfigInput, "checks" | "runner"> {
  const target = writable(config.target) as NonNullable<ConfigInput["target"]>;
  const plain = planConfig(plan, { target });
  const checks = difference(config.checks, plain.checks, new Set(["recent", "snapshots"]));
  const { overlap, stopAfterTargetErrors } = config.runner;
  const runner = difference(
    { ...(plan.depth === undefined ? {} : { overlap }), stopAfterTargetErrors },
    plain.runner,
  );
  return {
    ...(checks === undefined ? {} : { checks: checks as NonNullable<ConfigInput["checks"]> }),
    ...(runner === undefined ? {} : { runner: runner as NonNullable<ConfigInput["runner"]> }),
  };
}

/** The target of a configuration, with what it says otherwise than a default, and nothing that is made for each run. */
export function ownTarget({ target }: Config): NonNullable<ConfigInput["target"]> {
  if (target.kind !== "embedded") return writable(target) as NonNullable<ConfigInput["target"]>;
  const { directory: _, volatileCache: __, ...own } = target;
  const plain = parseConfig(stringify({ target: { kind: "embedded" } }), "the embedded target").target;
  return { kind: "embedded", ...difference(own, plain) };
}

/** @param whole - Keys of which all is kept as soon as a part differs. */
function difference(
  value: object,
  from: object,
  whole: ReadonlySet<string> = new Set(),
): Readonly<Record<string, unknown>> | undefined {
  const own: Record<string, unknown> = {};
  for (const [key, one] of Object.entries(writable(value) as object)) {
    const other = (writable(from) as Record<string, unknown>)[key];
    if (one === undefined || JSON.stringify(one) === JSON.stringify(other)) continue;
    const isSection = typeof one === "object" && one !== null && typeof other === "object" && other !== null;
    own[key] = isSection && !whole.has(key) ? difference(one, other) : one;
  }
  return Object.keys(own).length === 0 ? undefined : own;
}
