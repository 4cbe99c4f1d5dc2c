/**
 * The words of a history's text for operations and for what follows an lts.
 *
 * @packageDocumentation
 */
import type { ControlStep } from "./control-schedule.ts";
import type { HistoryPlan } from "./history-builder.ts";
import { type OperationKind, operationKinds } from "./operations.ts";

/** What each kind of operation is called. */
export const operationWords: ReadonlyMap<string, OperationKind> = new Map(
  operationKinds.map((kind) => [wordOf(kind), kind]),
);

export function wordOf(kind: OperationKind): string {
  return kind.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** A step that text can hold, as the rest of a line that begins with its place. */
export function stepText(
  step: Exclude<ControlStep, { readonly kind: "custom" }>,
  { snapshotNames, cloneNames, geometry }: HistoryPlan,
): string {
  const snapshot = (number: number): string => snapshotNames[number]!;
  switch (step.kind) {
    case "snapshot":
      return `snapshot ${snapshot(step.snapshot)}${step.isHot ? "" : " at rest"}`;
    case "deleteSnapshot":
      return `delete-snapshot ${snapshot(step.snapshot)}`;
    case "diff":
      return `diff ${step.base === undefined ? "-" : snapshot(step.base)} ${snapshot(step.snapshot)}`;
    case "diffDeletedBase":
      return `diff ${snapshot(step.base)} ${snapshot(step.snapshot)}`;
    case "sync":
      return `sync ${snapshot(step.snapshot)}`;
    case "clone":
      return `clone ${cloneNames[step.clone]!} of ${snapshot(step.snapshot)}`;
    case "checkClone":
      return `check-clone ${cloneNames[step.clone]!}`;
    case "deleteClone":
      return `delete-clone ${cloneNames[step.clone]!}`;
    case "rollback":
      return `rollback ${snapshot(step.snapshot)}`;
    case "resize":
      return `resize ${Math.max(...step.blockCounts.map((count) => Math.ceil(count / geometry.extentBlocks)))}`;
    case "crash":
      return "crash";
    case "resetConnections":
      return "reset-connections";
    case "cutConnections":
      return `cut-connections ${step.durationMs}ms`;
    case "slow":
      return `slow ${step.delayMs}ms for ${step.ltsCount} lts`;
  }
}
