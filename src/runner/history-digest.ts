/**
 * One hash over all that a run did: equal for equal histories.
 *
 * @packageDocumentation
 */
import { createHash } from "node:crypto";
import type { ControlStep } from "../selectors/control-schedule.ts";
import { operationKinds } from "../selectors/operations.ts";
import type { Visit, Workload } from "../selectors/workload.ts";

export class HistoryDigest {
  readonly #hash = createHash("sha256");
  #pending: string[];

  constructor({ geometry, run: { format } }: Workload) {
    const { blockSizeBytes, extentBlocks, volumeBlocks } = geometry;
    const content = [
      format.runId.toString(16),
      format.orderMask.toString(16),
      ...format.kindSlots,
      ...format.tables[1]!,
    ];
    this.#pending = [`h ${blockSizeBytes} ${extentBlocks} ${volumeBlocks} ${content}`];
  }

  visit({ lts, extent, operations }: Visit): void {
    let line = `v ${lts} ${extent.pd}`;
    for (const { kind, operationId, batch, firstBlock, blockCount } of operations)
      line += ` ${operationKinds.indexOf(kind)}.${operationId}.${batch}.${firstBlock}.${blockCount}`;
    this.#add(line);
  }

  control(lts: number, step: ControlStep): void {
    this.#add(`c ${lts} ${step.kind} ${step.snapshot}${"base" in step ? ` ${step.base ?? "none"}` : ""}`);
  }

  /** Hexadecimal; the digest may go on. */
  read(): string {
    this.#drain();
    return this.#hash.copy().digest("hex");
  }

  #add(line: string): void {
    this.#pending.push(line);
    if (this.#pending.length >= 1000) this.#drain();
  }

  #drain(): void {
    if (this.#pending.length === 0) return;
    this.#hash.update(`${this.#pending.join("\n")}\n`);
    this.#pending = [];
  }
}
