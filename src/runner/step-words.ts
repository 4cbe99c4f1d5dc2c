/**
 * Control steps in words, for people who read what a run did.
 *
 * @packageDocumentation
 */
import type { ControlStep } from "../selectors/control-schedule.ts";

/** Names the step and what it is about, such as `diff of snapshot 3 since snapshot 2`. */
export function stepWords(step: ControlStep): string {
  switch (step.kind) {
    case "snapshot":
      return `snapshot ${step.snapshot}, ${step.isHot ? "under load" : "at rest"}`;
    case "diff":
      return `diff of snapshot ${step.snapshot}${since(step.base)}`;
    case "diffDeletedBase":
      return `diff of snapshot ${step.snapshot}${since(step.base)}, which is deleted`;
    case "sync":
      return `sync of snapshot ${step.snapshot}${since(step.base)}`;
    case "clone":
      return `clone ${step.clone} of snapshot ${step.snapshot}`;
    case "checkClone":
      return `check of clone ${step.clone}`;
    case "deleteClone":
      return `deletion of clone ${step.clone}`;
    case "deleteSnapshot":
      return `deletion of snapshot ${step.snapshot}`;
    case "rollback":
      return `rollback to snapshot ${step.snapshot}`;
    case "resize":
      return `resize ${step.step} of the volumes to ${step.blockCounts.join(", ")} blocks`;
    case "crash":
      return "crash of the target";
    case "resetConnections":
      return "reset of the connections";
    case "cutConnections":
      return `connections cut for ${step.durationMs} ms`;
    case "slow":
      return `answers ${step.delayMs} ms late for ${step.ltsCount} lts`;
    case "custom":
      return step.label;
  }
}

function since(base: number | undefined): string {
  return base === undefined ? ", without base" : ` since snapshot ${base}`;
}
