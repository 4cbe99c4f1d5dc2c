/**
 * Mixes a history that was written with traffic on other extents, and with trouble for the target.
 *
 * @packageDocumentation
 */
import { Choices } from "../generators/choices.ts";
import type { FaultStep } from "../selectors/fault-schedule.ts";
import type { HistoryPlan } from "../selectors/history-builder.ts";
import type { Wish } from "../selectors/operation-group.ts";
import { operationsOf, placed, readsOf } from "../selectors/placement.ts";
import type { WrittenVisit } from "../selectors/written-history.ts";

/** Traffic to be mixed in. */
export interface Traffic {
  /** How many lts of it; the seed decides where each goes. */
  readonly lts: number;
}

/** Trouble to be mixed in: how often each happens, wherever the seed has it. */
export interface Trouble {
  readonly crashes?: number;
  readonly connectionResets?: number;
}

const interleaveStream = 2023n;
/** Operations of an lts of the traffic, at most. */
const operationsMax = 4;
const kinds: readonly Wish["kind"][] = [
  ...Array<Wish["kind"]>(6).fill("write"),
  "writeFua",
  "writeZeroes",
  "deallocate",
  "deallocate",
  "flush",
  "read",
];

/**
 * The visits of the history stay in their order, and what follows each still does.
 *
 * @throws {Error} If the history leaves no extent for the traffic.
 */
export function interleaved(
  plan: HistoryPlan,
  {
    traffic,
    trouble = {},
  }: { readonly traffic?: Traffic | undefined; readonly trouble?: Trouble | undefined },
): HistoryPlan {
  const choices = new Choices(plan.seed, interleaveStream);
  const drawn = traffic === undefined ? [] : trafficOf(plan, traffic, choices);
  return { ...plan, visits: withTrouble(mix(plan.visits, drawn, choices), trouble, choices) };
}

function trafficOf(plan: HistoryPlan, { lts }: Traffic, choices: Choices): readonly WrittenVisit[] {
  const { geometry, startExtents } = plan;
  const used = new Set([
    ...plan.visits.map(({ pd }) => pd),
    ...[...plan.clones.values()].flatMap((visits) => visits.map(({ pd }) => pd)),
  ]);
  const free = startExtents.flatMap((count, volume) =>
    Array.from({ length: count }, (_, index) => geometry.keys.deflate([volume, index])).filter(
      (pd) => !used.has(pd),
    ),
  );
  if (free.length === 0)
    throw new Error(
      `the history uses all ${geometry.extentCount} extents, and leaves none for traffic: give the geometry more`,
    );
  return Array.from({ length: lts }, () => {
    const pd = free[choices.below(free.length)]!;
    const wishes = Array.from({ length: 1 + choices.below(operationsMax) }, () => ({
      kind: kinds[choices.below(kinds.length)]!,
      line: "interleaved traffic",
    }));
    const all = placed(wishes, {
      choices,
      blockCount: geometry.extent(pd).blockCount,
      blockSizeBytes: geometry.blockSizeBytes,
      compareAndWriteBlocksMax: 1,
    });
    return { pd, operations: operationsOf(all), reads: readsOf(all) };
  });
}

/** Both in their own order, each place as likely as any other. */
function mix<Item>(some: readonly Item[], others: readonly Item[], choices: Choices): Item[] {
  const result: Item[] = [];
  let [a, b] = [0, 0];
  while (a < some.length || b < others.length) {
    const left = some.length - a;
    const takesFirst = choices.below(left + others.length - b) < left;
    result.push(takesFirst ? some[a++]! : others[b++]!);
  }
  return result;
}

function withTrouble(
  visits: readonly WrittenVisit[],
  trouble: Trouble,
  choices: Choices,
): readonly WrittenVisit[] {
  const steps: FaultStep[] = [
    ...Array<FaultStep>(trouble.crashes ?? 0).fill({ kind: "crash" }),
    ...Array<FaultStep>(trouble.connectionResets ?? 0).fill({ kind: "resetConnections" }),
  ];
  const at = new Map<number, FaultStep[]>();
  for (const step of steps) {
    const lts = choices.below(visits.length);
    at.set(lts, [...(at.get(lts) ?? []), step]);
  }
  return visits.map((visit, lts) =>
    at.has(lts) ? { ...visit, steps: [...(visit.steps ?? []), ...at.get(lts)!] } : visit,
  );
}
