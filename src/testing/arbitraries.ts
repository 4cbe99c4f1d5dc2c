/**
 * Geometries and histories for those who test with fast-check.
 *
 * A history is made of a list of calls, of which any is right (`history-calls.ts`): what fast-check makes of such a
 * list when it shrinks is a history again.
 *
 * @packageDocumentation
 */
import fc from "fast-check";
import type { Range } from "../selectors/draws.ts";
import type { HistoryPlan } from "../selectors/history-builder.ts";
import { historyText } from "../selectors/history-text.ts";
import { completeSpec, type GeometrySpec, type TestGeometry } from "./geometries.ts";
import { type Call, calledPlan, cloneKinds, operationKinds } from "./history-calls.ts";

export interface HistoryArbitraryOptions {
  /** What histories are made for; their extents, blocks and volumes shrink as well. */
  readonly geometries?: GeometrySpec;
  /** Calls of the builder, at most; 20 if left out. */
  readonly callsMax?: number;
  /** Also crashes, for targets that can be crashed; none if left out. */
  readonly crashes?: boolean;
}

const callsMaxDefault = 20;
/** Operations on an extent by one call, and writes to a clone, at most. */
const operationsMax = 6;
/** Blocks of an operation, at most. */
const blocksMax = 8;
/** Numbers that count among what there is. */
const which = fc.nat(63);

/**
 * What `volumeTest` draws its geometries from. They shrink to the least that is allowed: of what is a list, the first.
 *
 * @throws {Error} If the specification allows no geometry.
 */
export function geometries(spec: GeometrySpec = {}): fc.Arbitrary<TestGeometry> {
  const { blockSizes, extentBlocks, extents, volumes, startExtents, contents } = completeSpec(spec);
  return fc.record({
    blockSize: fc.constantFrom(...blockSizes),
    extentBlocks: within(extentBlocks),
    extents: within(extents),
    volumes: within(volumes),
    startExtents: fc.constant(startExtents),
    content: fc.constantFrom(...contents),
  });
}

function within({ min, max }: Range): fc.Arbitrary<number> {
  return fc.integer({ min, max });
}

/**
 * Histories of any calls of the builder that are right where they stand.
 *
 * They shrink to fewer calls, fewer operations, and ones on lower extents and blocks. Failures show them as text,
 * which `harrow run` reads. With `startExtents` in the specification volumes are also made to grow.
 *
 * @example
 * fc.assert(fc.asyncProperty(histories(), async (plan) => { … perform it … }));
 */
export function histories(options: HistoryArbitraryOptions = {}): fc.Arbitrary<HistoryPlan> {
  const { geometries: spec = {}, callsMax = callsMaxDefault, crashes = false } = options;
  const call = callArbitrary({ crashes, resizes: spec.startExtents !== undefined });
  return fc
    .record({
      seed: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      geometry: geometries(spec),
      calls: fc.array(call, { maxLength: callsMax, size: "max" }),
    })
    .map(({ seed, geometry, calls }) => shown(calledPlan({ seed, geometry, calls })));
}

/** Has fast-check print the plan as text. */
function shown(plan: HistoryPlan): HistoryPlan {
  return Object.defineProperty(plan, fc.toStringMethod, { value: () => historyText(plan) });
}

function callArbitrary({
  crashes,
  resizes,
}: {
  readonly crashes: boolean;
  readonly resizes: boolean;
}): fc.Arbitrary<Call> {
  const blocks = { block: which, blocks: fc.integer({ min: 1, max: blocksMax }) };
  const operation = fc.record({ kind: fc.constantFrom(...operationKinds), ...blocks });
  const cloneWrite = fc.record({ kind: fc.constantFrom(...cloneKinds), extent: which, ...blocks });
  const several = { minLength: 1, maxLength: operationsMax, size: "max" } as const;
  const weighted: { arbitrary: fc.Arbitrary<Call>; weight: number }[] = [
    {
      weight: 8,
      arbitrary: fc.record({
        kind: fc.constant("operations"),
        extent: which,
        isSimultaneous: fc.boolean(),
        operations: fc.array(operation, several),
      }),
    },
    { weight: 4, arbitrary: fc.constant({ kind: "snapshot" }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("diff"), base: which, snapshot: which }) },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constantFrom("sync", "deleteSnapshot", "rollback"),
        snapshot: which,
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("clone"),
        snapshot: which,
        writes: fc.array(cloneWrite, several),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constantFrom("checkClone", "deleteClone"), clone: which }),
    },
  ];
  if (crashes) weighted.push({ weight: 1, arbitrary: fc.constant({ kind: "crash" }) });
  if (resizes)
    weighted.push({ weight: 1, arbitrary: fc.record({ kind: fc.constant("resize"), more: which }) });
  return fc.oneof(...weighted);
}
