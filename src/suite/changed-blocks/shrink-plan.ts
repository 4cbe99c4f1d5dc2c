/**
 * Makes a case that fails smaller: halves of its steps are left out, then halves of those, as long as it still fails.
 *
 * @packageDocumentation
 */
import type { CasePlan, CaseStep } from "./fuzz-plan.ts";

export interface ShrinkLimits {
  readonly triesMax: number;
  readonly timeMs: number;
}

/**
 * @param isFailing - Performs a case anew, and says whether it fails in the same way.
 * @returns The smallest case found to fail, which may be the one given.
 */
export async function smallerCase(
  plan: CasePlan,
  isFailing: (plan: CasePlan) => Promise<boolean>,
  { triesMax, timeMs }: ShrinkLimits,
): Promise<CasePlan> {
  const deadline = performance.now() + timeMs;
  let steps: readonly CaseStep[] = plan.steps;
  let tries = 0;
  for (
    let length = Math.ceil(steps.length / 2);
    length >= 1;
    length = length === 1 ? 0 : Math.ceil(length / 2)
  )
    // From the end: what is asked last fails, if it is not that, it is not needed.
    for (let at = steps.length - length; at > -length; at -= length) {
      if (tries++ >= triesMax || performance.now() > deadline) return { ...plan, steps };
      const from = Math.max(0, at);
      const fewer = [...steps.slice(0, from), ...steps.slice(at + length)];
      if (fewer.length < steps.length && (await isFailing({ ...plan, steps: fewer }))) steps = fewer;
    }
  return { ...plan, steps };
}
