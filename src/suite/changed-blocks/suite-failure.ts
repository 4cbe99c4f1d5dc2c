/**
 * A test of the suite found something wrong, and says what it is called and where it is.
 *
 * @packageDocumentation
 */
import type { FaultClass } from "../../model/violation.ts";

export class SuiteFailure extends Error {
  override readonly name = "SuiteFailure";
  /** Absent where a test's own bound was missed, and no block is wrong. */
  readonly faultClass: FaultClass | undefined;
  /** First block concerned. */
  readonly block: number | undefined;

  constructor(
    message: string,
    { faultClass, block }: { readonly faultClass?: FaultClass; readonly block?: number } = {},
  ) {
    super(faultClass === undefined ? message : `${faultClass}: ${message}`);
    this.faultClass = faultClass;
    this.block = block;
  }
}
