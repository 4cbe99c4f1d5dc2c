/**
 * One hash over all that a run did: equal for equal histories.
 *
 * A chain of hashes, one link for every 1024 lts, so that a run that goes on later needs only the last link.
 *
 * @packageDocumentation
 */
import { createHash } from "node:crypto";
import type { ControlStep } from "../selectors/control-schedule.ts";
import { operationKinds } from "../selectors/operations.ts";
import type { History, Visit } from "../selectors/history.ts";

/** The last link of the chain, and the lts that comes next after it. */
export interface DigestLink {
  readonly hash: string;
  readonly lts: number;
}

const linkLts = 1024;

export class HistoryDigest {
  readonly #workload: History;
  #link: DigestLink;
  #pending: string[] = [];

  constructor(workload: History) {
    const {
      geometry: { blockSizeBytes, extentBlocks, volumeBlocks },
      run: { format },
    } = workload;
    const content = [
      format.runId.toString(16),
      format.orderMask.toString(16),
      ...format.kindSlots,
      ...format.tables[1]!,
    ];
    this.#workload = workload;
    this.#link = { hash: sha256(`h ${blockSizeBytes} ${extentBlocks} ${volumeBlocks} ${content}`), lts: 0 };
  }

  /** Goes on from a link, up to and without an lts. */
  resume(link: DigestLink, ltsEnd: number): void {
    this.#link = link;
    this.#pending = [];
    for (let { lts } = link; lts < ltsEnd; lts++)
      this.add(this.#workload.visit(lts), this.#workload.control.stepsAfter(lts));
  }

  get link(): DigestLink {
    return this.#link;
  }

  /** What is to be done at an lts, and after it; to be told lts by lts. */
  add({ lts, extent, operations }: Visit, steps: readonly ControlStep[]): void {
    let line = `v ${lts} ${extent.pd}`;
    for (const { kind, operationId, batch, firstBlock, blockCount } of operations)
      line += ` ${operationKinds.indexOf(kind)}.${operationId}.${batch}.${firstBlock}.${blockCount}`;
    this.#pending.push(line);
    for (const { kind, ...rest } of steps) this.#pending.push(`c ${lts} ${kind} ${JSON.stringify(rest)}`);
    if (lts % linkLts !== linkLts - 1) return;
    this.#link = { hash: this.read(), lts: lts + 1 };
    this.#pending = [];
  }

  /** Hexadecimal; the digest may go on. */
  read(): string {
    return this.#pending.length === 0
      ? this.#link.hash
      : sha256(`${this.#link.hash}\n${this.#pending.join("\n")}\n`);
  }
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
