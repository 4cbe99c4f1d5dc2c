/**
 * What can be switched off, or on, of a history that failed: one thing at a time, all else as it was.
 *
 * @packageDocumentation
 */
import type { Config } from "../runner/config/schema.ts";
import type { ControlStep } from "../selectors/control-schedule.ts";
import type { HistoryPlan } from "../selectors/history-builder.ts";
import { wordOf } from "../selectors/history-words.ts";
import { effectOf, type OperationKind, operationKinds } from "../selectors/operations.ts";
import { planOfHistory } from "../selectors/plan-of-history.ts";
import type { WrittenVisit } from "../selectors/written-history.ts";
import { historyOf } from "./history-of.ts";

/** A history, and what it is performed on. */
export interface Setup {
  readonly config: Config;
  readonly plan: HistoryPlan;
}

/** A change of the setup. */
export interface Switch {
  /** For machines. */
  readonly id: string;
  /** For people: how the history is performed then. */
  readonly title: string;
  /** What the failure needs if it vanishes with the switch. */
  readonly need: string;
  /** Switches that do a part of what this one does. */
  readonly parts: readonly string[];
  readonly apply: () => Setup;
}

export interface SwitchesOptions {
  /** Between harrow and the volumes are connections that can carry digests. */
  readonly hasWire: boolean;
}

/** Those that change anything. */
export function switchesOf(setup: Setup, { hasWire }: SwitchesOptions): readonly Switch[] {
  return [
    ...orderSwitches(setup),
    ...operationSwitches(setup),
    ...stepSwitches(setup),
    ...readSwitches(setup),
    ...contentSwitches(setup, hasWire),
  ];
}

/** Fewer things at a time. */
function* orderSwitches(setup: Setup): Generator<Switch> {
  const { config, plan } = setup;
  const depth = plan.depth ?? 1;
  if (depth > 1)
    yield {
      id: "sequential",
      title: "one lts after another",
      need: "several lts in flight",
      parts: depth > 2 ? ["depth-2"] : [],
      apply: () => withPlan(setup, withoutDepth(plan)),
    };
  if (depth > 2)
    yield {
      id: "depth-2",
      title: "two lts in flight",
      need: "more than two lts in flight",
      parts: [],
      apply: () => withPlan(setup, { ...plan, depth: 2 }),
    };
  if (config.runner.overlap === "allow" && depth > 1)
    yield {
      id: "no-overlap",
      title: "no operations on the same blocks in flight together",
      need: "operations on the same blocks in flight together",
      parts: [],
      apply: () => ({ plan, config: { ...config, runner: { ...config.runner, overlap: "wait" } } }),
    };
  if (
    plan.visits.some(({ operations }) =>
      operations.some(({ batch }, at) => operations[at - 1]?.batch === batch),
    )
  )
    yield {
      id: "one-operation",
      title: "the operations of an lts one after another",
      need: "several operations of an lts in flight",
      parts: [],
      apply: () =>
        withVisits(setup, (visit) => ({
          ...visit,
          operations: visit.operations.map((operation, batch) => ({ ...operation, batch })),
        })),
    };
}

/** Several kinds that may be to blame together, as each of them does the same. */
const groups: readonly {
  readonly id: string;
  readonly what: string;
  readonly kinds: readonly OperationKind[];
}[] = [
  {
    id: "data",
    what: "anything that writes data",
    kinds: operationKinds.filter((kind) => effectOf(kind) === "data"),
  },
  {
    id: "deallocations",
    what: "any kind of deallocation",
    kinds: ["deallocate", "deallocateTail", "deallocateExtent"],
  },
  {
    id: "zeros",
    what: "anything that makes zeros",
    kinds: operationKinds.filter((kind) => effectOf(kind) === "zeros"),
  },
  {
    id: "compares",
    what: "anything that compares",
    kinds: ["compareAndWrite", "compareAndWriteMiss"],
  },
];

/** Without operations of a kind, on volumes and clones. */
function* operationSwitches(setup: Setup): Generator<Switch> {
  const { visits, clones } = setup.plan;
  const used = new Set<OperationKind>();
  for (const { operations } of [...visits, ...[...clones.values()].flat()])
    for (const { kind } of operations) used.add(kind);
  const without = (kinds: readonly OperationKind[]): Setup => {
    const isKept = ({ kind }: { readonly kind: OperationKind }): boolean => !kinds.includes(kind);
    const left = [...clones].map(([clone, some]) => {
      const kept = some.map((visit) => ({ ...visit, operations: visit.operations.filter(isKept) }));
      return [clone, kept.filter(({ operations }) => operations.length > 0)] as const;
    });
    const plan = { ...setup.plan, clones: new Map(left) };
    return withVisits({ ...setup, plan }, (visit) => ({
      ...visit,
      operations: visit.operations.filter(isKept),
    }));
  };
  for (const kind of operationKinds)
    if (used.has(kind))
      yield {
        id: `no-${wordOf(kind)}`,
        title: `without ${wordOf(kind)}`,
        need: wordOf(kind),
        parts: [],
        apply: () => without([kind]),
      };
  for (const { id, what, kinds } of groups) {
    const some = kinds.filter((kind) => used.has(kind));
    if (some.length < 2) continue;
    yield {
      id: `no-${id}`,
      title: `without ${what}`,
      need: what.replace(/^any kind of/, "some kind of").replace(/^anything/, "something"),
      parts: [...some.map((kind) => `no-${wordOf(kind)}`), ...(id === "zeros" ? ["no-deallocations"] : [])],
      apply: () => without(kinds),
    };
  }
}

const stepGroups: readonly {
  readonly id: string;
  readonly what: string;
  readonly kinds: readonly ControlStep["kind"][];
}[] = [
  {
    id: "snapshots",
    what: "snapshots",
    kinds: [
      ...(["snapshot", "deleteSnapshot", "diff", "diffDeletedBase", "sync"] as const),
      ...(["clone", "checkClone", "deleteClone", "rollback"] as const),
    ],
  },
  { id: "diffs", what: "diffs", kinds: ["diff", "diffDeletedBase"] },
  { id: "syncs", what: "syncs", kinds: ["sync"] },
  { id: "clones", what: "clones", kinds: ["clone", "checkClone", "deleteClone"] },
  { id: "rollbacks", what: "rollbacks", kinds: ["rollback"] },
  { id: "deletions", what: "deletions of snapshots", kinds: ["deleteSnapshot"] },
  { id: "crashes", what: "crashes", kinds: ["crash"] },
  { id: "resets", what: "resets of connections", kinds: ["resetConnections"] },
  { id: "cuts", what: "cuts of connections", kinds: ["cutConnections"] },
  { id: "slowness", what: "slowness", kinds: ["slow"] },
];

/** Without some of what is asked of the control plane, or befalls the target. */
function* stepSwitches(setup: Setup): Generator<Switch> {
  const steps = setup.plan.visits.flatMap(({ steps: some = [] }) => some);
  const has = (kind: ControlStep["kind"]): boolean => steps.some((step) => step.kind === kind);
  const used = stepGroups.filter(({ kinds }) => kinds.some(has));
  for (const { id, what, kinds } of used)
    yield {
      id: `no-${id}`,
      title: `without ${what}`,
      need: what,
      parts:
        id === "snapshots"
          ? ["no-diffs", "no-syncs", "no-clones", "no-rollbacks", "no-deletions", "snapshots-at-rest"]
          : [],
      apply: () => withSteps(setup, (step) => (kinds.includes(step.kind) ? undefined : step)),
    };
  if (steps.some((step) => step.kind === "snapshot" && step.isHot))
    yield {
      id: "snapshots-at-rest",
      title: "snapshots at rest",
      need: "snapshots under load",
      parts: [],
      apply: () => withSteps(setup, (step) => (step.kind === "snapshot" ? { ...step, isHot: false } : step)),
    };
  if (has("resize"))
    yield {
      id: "no-resizes",
      title: "with volumes of their last size from the start",
      need: "resizes",
      parts: [],
      apply: () => {
        const last = steps.findLast((step) => step.kind === "resize")!;
        const { extentBlocks } = setup.plan.geometry;
        const startExtents = last.blockCounts.map((count) => Math.ceil(count / extentBlocks));
        return withSteps({ ...setup, plan: { ...setup.plan, startExtents } }, (step) =>
          step.kind === "resize" ? undefined : step,
        );
      },
    };
}

function* readSwitches(setup: Setup): Generator<Switch> {
  if (setup.plan.visits.some(({ reads = [] }) => reads.length > 0))
    yield {
      id: "no-reads",
      title: "without reads under load",
      need: "reads under load",
      parts: [],
      apply: () => withVisits(setup, (visit) => ({ ...visit, reads: [] })),
    };
}

function* contentSwitches({ config, plan }: Setup, hasWire: boolean): Generator<Switch> {
  const { target, content } = config;
  if (hasWire && "headerDigest" in target && !(target.headerDigest && target.dataDigest))
    yield {
      id: "digests",
      title: "with header and data digests",
      need: "digests to be off",
      parts: [],
      apply: () => ({
        plan,
        config: { ...config, target: { ...target, headerDigest: true, dataDigest: true } },
      }),
    };
  if (content.weights.compressible + content.weights.text > 0)
    yield {
      id: "incompressible",
      title: "with incompressible content only",
      need: "content that compresses",
      parts: [],
      apply: () => ({
        plan,
        config: {
          ...config,
          content: { ...content, weights: { incompressible: 1, compressible: 0, text: 0 } },
        },
      }),
    };
}

function withPlan(setup: Setup, plan: HistoryPlan): Setup {
  return { ...setup, plan };
}

function withoutDepth({ depth: _, ...plan }: HistoryPlan): HistoryPlan {
  return plan;
}

function withVisits(setup: Setup, change: (visit: WrittenVisit) => WrittenVisit): Setup {
  return withPlan(setup, { ...setup.plan, visits: setup.plan.visits.map(change) });
}

/** The steps that are left are put in order again: what they name has other numbers, or is gone. */
function withSteps(setup: Setup, change: (step: ControlStep) => ControlStep | undefined): Setup {
  const changed = withVisits(setup, (visit) => ({
    ...visit,
    steps: (visit.steps ?? []).flatMap((step) => change(step) ?? []),
  }));
  const { seed, depth, visits } = changed.plan;
  const plan = planOfHistory(historyOf({ ...changed, seed }), {
    ...{ seed, ltsCount: visits.length },
    ...(depth === undefined ? {} : { depth }),
  });
  return withPlan(setup, plan);
}
