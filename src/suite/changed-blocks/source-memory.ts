/**
 * What the suite knows of its two volumes from one test to the next: the version of every block, and what was touched.
 *
 * @packageDocumentation
 */
import type { BlockRange } from "../../sut/port.ts";
import { BlockVersions } from "./block-versions.ts";

export class SourceMemory {
  /** What the source holds. */
  readonly versions: BlockVersions;
  /** What the target holds, by what was copied to it. */
  copied: BlockVersions;
  /** What was touched, in order; the number of an entry, from 1, is the version that it made. */
  readonly #touched: (readonly BlockRange[])[] = [];

  /** Whether each volume was made for the suite, so that whatever it holds, the suite wrote. */
  constructor({ source, target }: { readonly source: boolean; readonly target: boolean }) {
    this.versions = new BlockVersions(source ? 0 : Number.NaN);
    this.copied = new BlockVersions(target ? 0 : Number.NaN);
  }

  /** How often something was touched. */
  get touchCount(): number {
    return this.#touched.length;
  }

  /** Notes that blocks are about to be written, or made zero: whatever comes of it, a diff may report them. */
  touch(ranges: readonly BlockRange[]): number {
    return this.#touched.push(ranges);
  }

  /** What was touched after one count of touches, up to another. */
  touchedBetween(from: number, to: number): readonly BlockRange[] {
    return this.#touched.slice(from, to).flat();
  }

  /** A copy ended nobody knows where. */
  forgetTarget(): void {
    this.copied = new BlockVersions(Number.NaN);
  }
}
