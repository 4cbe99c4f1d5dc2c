/**
 * The history of a run, for whoever only asks and performs nothing.
 *
 * @packageDocumentation
 */
import { Kernel } from "../generators/kernel.ts";
import { writtenHistory } from "../runner/perform-history.ts";
import { workloadShape } from "../runner/workload-shape.ts";
import type { History } from "../selectors/history.ts";
import { Workload } from "../selectors/workload.ts";
import type { Case } from "./again.ts";

const memoryBytesDefault = 8 * 2 ** 20;

/** @param options.memoryBytes - Of the kernels' memory, for what the caller allocates there; 8 MiB if left out. */
export function historyOf(
  { config, seed, plan }: Case,
  { memoryBytes = memoryBytesDefault }: { readonly memoryBytes?: number } = {},
): History {
  const kernel = new Kernel({ memoryBytes });
  return plan === undefined
    ? new Workload(kernel, seed, workloadShape(config))
    : writtenHistory(plan, config, kernel);
}
