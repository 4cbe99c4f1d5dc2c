/**
 * The parent's side of faults on command: sends a command, and waits for the word that it was done.
 *
 * @packageDocumentation
 */

import { type ConnectionFaults, delayMsMax, TargetFaultError } from "../target-faults.ts";
import { type Fault, type FaultCommand, parseFaultAnswer } from "./fault-commands.ts";

/** Longest wait for an answer, in ms. */
const answerTimeoutMs = 10_000;

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: TargetFaultError) => void;
}

export class FaultChannel implements ConnectionFaults {
  readonly #write: (line: string) => void;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;
  #end: string | undefined;

  /** @param write - Takes a line, with its line break, to the target; never throws. */
  constructor(write: (line: string) => void) {
    this.#write = write;
  }

  resetConnections(): Promise<void> {
    return this.#command({ kind: "reset" });
  }

  setPaused(isPaused: boolean): Promise<void> {
    return this.#command({ kind: "pause", isPaused });
  }

  async setDelay(delayMs: number): Promise<void> {
    if (!Number.isInteger(delayMs) || delayMs < 0 || delayMs > delayMsMax) {
      throw new TargetFaultError(`a delay is an integer from 0 to ${delayMsMax} ms, not ${delayMs}`);
    }
    await this.#command({ kind: "delay", delayMs });
  }

  setCut(isCut: boolean): Promise<void> {
    return this.#command({ kind: "cut", isCut });
  }

  /** A line that the target said; @returns whether it is an answer, also if nobody waits for it any more. */
  said(line: string): boolean {
    const answer = parseFaultAnswer(line);
    if (answer === undefined) return false;
    if ("done" in answer) this.#waiting.get(answer.done)?.resolve();
    else this.#waiting.get(answer.failed)?.reject(new TargetFaultError(`the target said: ${answer.message}`));
    return true;
  }

  /** The target says nothing any more: whoever waits or comes is told why. */
  end(why: string): void {
    this.#end ??= why;
    for (const { reject } of [...this.#waiting.values()]) reject(new TargetFaultError(why));
  }

  async #command(fault: Fault): Promise<void> {
    if (this.#end !== undefined) throw new TargetFaultError(this.#end);
    const command: FaultCommand = { id: this.#nextId++, fault };
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#waiting.set(command.id, { resolve, reject });
        timer = setTimeout(() => {
          const what = JSON.stringify(fault);
          reject(
            new TargetFaultError(`the target did not say within ${answerTimeoutMs} ms that ${what} was done`),
          );
        }, answerTimeoutMs);
        this.#write(`${JSON.stringify(command)}\n`);
      });
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(command.id);
    }
  }
}
