/**
 * QEMU's monitor, by the QEMU Machine Protocol: lines of JSON over a Unix socket.
 *
 * A connection is opened for a few commands and closed again, since the monitor serves one at a time. Events are
 * passed over: whoever waits for a state asks for it.
 *
 * @see QEMU, docs/interop/qmp-spec
 * @packageDocumentation
 */

import { connect, type Socket } from "node:net";
import { z } from "zod";
import { LineReader } from "../embedded/lines.ts";
import { ServiceError } from "../port.ts";
import { printable } from "../wording.ts";

/** Longest line that is taken, in characters. */
const lineLengthMax = 2 ** 20;
/** Longest wait for the greeting, and for the answer to one command. */
const timeoutMsDefault = 10_000;

const greeting = z.object({ QMP: z.object({ version: z.unknown() }) });
const answer = z.object({
  id: z.number(),
  return: z.unknown().optional(),
  error: z.object({ class: z.string(), desc: z.string() }).optional(),
});

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class QmpConnection implements Disposable {
  readonly #socket: Socket;
  readonly #timeoutMs: number;
  readonly #waiting = new Map<number, Waiting>();
  /** Commands have ids from 1; the greeting counts as the answer to 0. */
  #id = 0;
  #failure: ServiceError | undefined;

  private constructor(path: string, timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
    this.#socket = connect({ path });
    const lines = new LineReader({
      lengthMax: lineLengthMax,
      onLine: (line) => this.#onLine(line),
      onTooLong: () =>
        this.#fail("ERR_BAD_ANSWER", `the monitor said a line of more than ${lineLengthMax} characters`),
    });
    this.#socket
      .setEncoding("utf8")
      .on("data", (part: string) => lines.feed(part))
      .on("error", (error) => this.#fail("ERR_UNREACHABLE", `the monitor: ${error.message}`, error))
      .on("close", () => this.#fail("ERR_UNREACHABLE", "the monitor closed the connection"));
  }

  /** @throws {ServiceError} `ERR_UNREACHABLE`, `ERR_TIMEOUT` or `ERR_BAD_ANSWER`. */
  static async open(path: string, timeoutMs = timeoutMsDefault): Promise<QmpConnection> {
    const connection = new QmpConnection(path, timeoutMs);
    try {
      await connection.#answerTo(0, "greeting");
      await connection.execute("qmp_capabilities");
      return connection;
    } catch (error) {
      connection[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * @throws {ServiceError} `ERR_TARGET` if QEMU refused the command; `ERR_UNREACHABLE`, `ERR_TIMEOUT` or
   * `ERR_BAD_ANSWER` if it is not known what became of it.
   */
  async execute(command: string, parameters?: Readonly<Record<string, unknown>>): Promise<unknown> {
    const id = ++this.#id;
    const result = this.#answerTo(id, `answer to ${command}`);
    this.#socket.write(
      `${JSON.stringify({ execute: command, ...(parameters && { arguments: parameters }), id })}\n`,
    );
    try {
      return await result;
    } catch (error) {
      if (error instanceof ServiceError && error.code === "ERR_TARGET")
        throw new ServiceError("ERR_TARGET", `QEMU refused ${command}: ${error.message}`, { cause: error });
      throw error;
    }
  }

  /** Closes the connection; commands that were not answered fail. */
  [Symbol.dispose](): void {
    this.#fail("ERR_UNREACHABLE", "the connection to the monitor was closed here");
  }

  #answerTo(id: number, what: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) {
        reject(this.#failure);
        return;
      }
      const timer = setTimeout(
        () => this.#fail("ERR_TIMEOUT", `the monitor gave no ${what} within ${this.#timeoutMs} ms`),
        this.#timeoutMs,
      );
      const settled =
        <Argument>(settle: (argument: Argument) => void) =>
        (argument: Argument) => {
          clearTimeout(timer);
          settle(argument);
        };
      this.#waiting.set(id, { resolve: settled(resolve), reject: settled(reject) });
    });
  }

  #onLine(line: string): void {
    if (this.#failure !== undefined || line.trim() === "") return;
    let message: unknown;
    try {
      message = JSON.parse(line);
    } catch {
      this.#notUnderstood(line);
      return;
    }
    const first = this.#waiting.get(0);
    if (first !== undefined) {
      if (!greeting.safeParse(message).success) this.#notUnderstood(line);
      else {
        this.#waiting.delete(0);
        first.resolve(undefined);
      }
      return;
    }
    if (typeof message === "object" && message !== null && "event" in message) return;
    const { data, success } = answer.safeParse(message);
    const waiting = success ? this.#waiting.get(data.id) : undefined;
    if (!success || waiting === undefined) {
      this.#notUnderstood(line);
      return;
    }
    this.#waiting.delete(data.id);
    if (data.error === undefined) waiting.resolve(data.return);
    else waiting.reject(new ServiceError("ERR_TARGET", printable(data.error.desc, 300)));
  }

  #notUnderstood(line: string): void {
    this.#fail("ERR_BAD_ANSWER", `the monitor said what QMP does not know: ${printable(line, 120)}`);
  }

  /** The first failure is kept, and ends everything. */
  #fail(code: ServiceError["code"], message: string, cause?: unknown): void {
    this.#failure ??= new ServiceError(code, message, { cause });
    this.#socket.destroy();
    for (const { reject } of this.#waiting.values()) reject(this.#failure);
    this.#waiting.clear();
  }
}
