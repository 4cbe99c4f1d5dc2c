/**
 * Faults on command: what the parent of a target in a process of its own tells it, and what that answers.
 *
 * Lines of JSON. The parent writes `{"id":7,"fault":{"kind":"delay","delayMs":20}}` to the target's standard
 * input; when that has happened the target writes `{"done":7}` to its standard output, or
 * `{"failed":7,"message":"…"}`. Ids are the parent's choice. What is no command is logged and not answered.
 * The parent's side is in `fault-channel.ts`.
 *
 * @packageDocumentation
 */

import type { Readable, Writable } from "node:stream";
import { z } from "zod";
import type { Log } from "../log.ts";
import { delayMsMax } from "../target-faults.ts";
import type { HostFaults } from "../target/server.ts";
import { LineReader } from "./lines.ts";

const faultSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("reset") }),
  z.strictObject({ kind: z.literal("pause"), isPaused: z.boolean() }),
  z.strictObject({ kind: z.literal("delay"), delayMs: z.int().min(0).max(delayMsMax) }),
  z.strictObject({ kind: z.literal("cut"), isCut: z.boolean() }),
]);
const commandSchema = z.strictObject({ id: z.int().nonnegative(), fault: faultSchema });
const answerSchema = z.union([
  z.strictObject({ done: z.int() }),
  z.strictObject({ failed: z.int(), message: z.string() }),
]);

export type Fault = z.infer<typeof faultSchema>;
export type FaultCommand = z.infer<typeof commandSchema>;
export type FaultAnswer = z.infer<typeof answerSchema>;

/** Longest line that is read, in characters. */
const faultLineLengthMax = 4096;
/** Commands that may wait for their turn. */
const waitingCountMax = 64;

/** What a line says, or `undefined` if it is no answer. */
export function parseFaultAnswer(line: string): FaultAnswer | undefined {
  return parse(answerSchema, line);
}

/**
 * Does what the lines of `parent` say, one after the other, until it ends.
 *
 * @param faults - Those of the target that is served.
 */
export function obeyFaultCommands(io: {
  readonly parent: Readable;
  readonly output: Writable;
  readonly faults: HostFaults;
  readonly log: Log;
}): void {
  const { parent, output, faults, log } = io;
  let waitingCount = 0;
  let last: Promise<void> = Promise.resolve();
  const answer = (said: FaultAnswer) => void output.write(`${JSON.stringify(said)}\n`);
  const obey = async ({ id, fault }: FaultCommand) => {
    try {
      await inflict(faults, fault);
      log.info(`fault on command: ${JSON.stringify(fault)}`);
      answer({ done: id });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      log.warn(`fault on command ${JSON.stringify(fault)} failed: ${message}`);
      answer({ failed: id, message: message.slice(0, faultLineLengthMax / 8) });
    } finally {
      waitingCount--;
    }
  };
  const lines = new LineReader({
    lengthMax: faultLineLengthMax,
    onTooLong: () =>
      log.warn(`ignoring a line of more than ${faultLineLengthMax} characters on standard input`),
    onLine: (line) => {
      const command = parse(commandSchema, line);
      if (command === undefined) {
        log.warn(
          `ignoring a line on standard input that is no command: ${JSON.stringify(line.slice(0, 200))}`,
        );
      } else if (waitingCount === waitingCountMax) {
        log.warn(`ignoring command ${command.id}: ${waitingCountMax} others wait for their turn`);
      } else {
        waitingCount++;
        last = last.then(() => obey(command));
      }
    },
  });
  parent.setEncoding("utf8").on("data", (part: string) => lines.feed(part));
}

async function inflict(faults: HostFaults, fault: Fault): Promise<void> {
  switch (fault.kind) {
    case "reset":
      return faults.resetConnections();
    case "pause":
      return faults.setPaused(fault.isPaused);
    case "delay":
      return faults.setDelay(fault.delayMs);
    case "cut":
      return faults.setCut(fault.isCut);
    default:
      return unreachable(fault);
  }
}

function parse<Message>(schema: z.ZodType<Message>, line: string): Message | undefined {
  try {
    return schema.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}

function unreachable(fault: never): never {
  throw new TypeError(`unknown fault: ${JSON.stringify(fault)}`);
}
