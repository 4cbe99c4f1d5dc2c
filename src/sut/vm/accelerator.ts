/**
 * How a guest's processors are made: by the hardware (KVM), or by translation (TCG), about ten times slower.
 *
 * @packageDocumentation
 */

import { closeSync, existsSync, openSync } from "node:fs";

export type Accelerator = "kvm" | "tcg";

/**
 * KVM if this process may use it and the processor's own support is behind it. Some virtual machines offer a KVM
 * without that, which does not run a firmware.
 */
export function accelerator(): Accelerator {
  const isHardware = ["kvm_intel", "kvm_amd"].some((name) => existsSync(`/sys/module/${name}`));
  if (!isHardware) return "tcg";
  try {
    closeSync(openSync("/dev/kvm", "r+"));
    return "kvm";
  } catch {
    return "tcg";
  }
}
