/**
 * What has to hold before something is asked of LVM, and what is said if it does not.
 *
 * @packageDocumentation
 */
import { ServiceError } from "../port.ts";
import { printable } from "../wording.ts";
import type { LvmPoolState, LvmVolume } from "./lvm-report.ts";

export function assertUsable({ isZeroing, health }: LvmPoolState, description: string, path: string): void {
  if (!isZeroing)
    throw new ServiceError(
      "ERR_UNSUPPORTED",
      `${description} does not fill new chunks with zeros, so volumes would show what others have left in them: ` +
        `lvchange -Zy ${path}`,
    );
  // A pool that is merely full can be used again once something was removed.
  if (health !== "" && health !== "out_of_data")
    throw new ServiceError(
      "ERR_TARGET",
      `${description} is not well: LVM says ${printable(health, 60)}; lvconvert --repair ${path} may help`,
    );
}

/** LVM removes these along with it. */
export function assertRemovable({ lvName, hasForeignDependents }: LvmVolume): void {
  if (!hasForeignDependents) return;
  throw new ServiceError(
    "ERR_BUSY",
    `${lvName} is the origin of a snapshot outside the pool, or of another pool's volumes, which would go with it: ` +
      "whoever made those has to remove them first",
  );
}

export function activeIn({ active }: LvmPoolState): NonNullable<LvmPoolState["active"]> {
  if (active !== undefined) return active;
  throw new ServiceError("ERR_UNREACHABLE", "the pool is not active: was its host started again?");
}

export function blockSize(text: string): number {
  const value = Number(text);
  if (value === 512 || value === 4096) return value;
  throw new ServiceError("ERR_BAD_ANSWER", `the pool has blocks of '${printable(text.trim(), 20)}' bytes`);
}

export function checkedSize(sizeBytes: number): number {
  if (Number.isSafeInteger(sizeBytes) && sizeBytes > 0) return sizeBytes;
  throw invalid(`${sizeBytes} bytes: a volume has a whole number of them, from 1`);
}

/** @see lvm(8), "Valid names" */
export function lvmName(what: string, name: string): string {
  if (/^[\w+.][\w+.-]{0,126}$/.test(name) && name !== "." && name !== "..") return name;
  throw invalid(
    `${what} cannot be called '${printable(name, 40)}': LVM takes 1 to 127 letters, digits and +_.-, ` +
      "the first of which is no -",
  );
}

export function tagName(tag: string): string {
  if (/^\w[\w-]{0,63}$/.test(tag)) return tag;
  throw invalid(
    `the tag cannot be '${printable(tag, 40)}': 1 to 64 letters, digits, _ and -, the first of which is no -`,
  );
}

export function invalid(message: string): ServiceError {
  return new ServiceError("ERR_INVALID_REQUEST", message);
}
