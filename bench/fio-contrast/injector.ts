/**
 * One fault for any program: a preloaded library that lets one write to one file go wrong, and tells what was written.
 *
 * The library is `inject.c`, built by the system's C compiler when it is wanted. It sees what goes through libc:
 * fio with `ioengine=psync`, and Node while libuv is told to leave io_uring alone.
 *
 * @packageDocumentation
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const faults = ["lost", "torn", "misdirected", "flipped"] as const;
/**
 * Of one write, which the program is told went well: nothing of it is written; its first half is; all of it, one
 * block too far; all of it, with one bit changed.
 */
export type Fault = (typeof faults)[number];

export interface Strike {
  readonly fault: Fault;
  /** Which write, in the order in which they were made, from 0. */
  readonly at: number;
}

/** A write as the program meant it. */
export interface TracedWrite {
  readonly offset: number;
  readonly lengthBytes: number;
  /** Zeros are what a volume is cleared with, too. */
  readonly isZeros: boolean;
}

export interface Trace {
  readonly writes: readonly TracedWrite[];
  /** The write that went wrong, if one did. */
  readonly struckAt: number | undefined;
}

const run = promisify(execFile);

/** @returns The library's path; `undefined` if there is no C compiler. */
export async function buildInjector(folder: string, signal: AbortSignal): Promise<string | undefined> {
  const source = fileURLToPath(new URL("inject.c", import.meta.url));
  const library = join(folder, "inject.so");
  try {
    await run("cc", ["-O2", "-shared", "-fPIC", "-o", library, source, "-ldl", "-pthread"], { signal });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
  return library;
}

/** The environment of a program whose writes to a file are traced, and one of them struck. */
export function injected({
  library,
  path,
  log,
  strike,
  shiftBytes,
}: {
  readonly library: string;
  readonly path: string;
  /** Where the trace is appended to. */
  readonly log: string;
  readonly strike: Strike | undefined;
  /** How much too far a misdirected write lands. */
  readonly shiftBytes: number;
}): NodeJS.ProcessEnv {
  return {
    ...process.env,
    LD_PRELOAD: library,
    UV_USE_IO_URING: "0",
    HARROW_INJECT_FILE: path,
    HARROW_INJECT_LOG: log,
    HARROW_INJECT_SHIFT: `${shiftBytes}`,
    ...(strike === undefined ? {} : { HARROW_INJECT_WHAT: strike.fault, HARROW_INJECT_AT: `${strike.at}` }),
  };
}

/** @throws {Error} If a line is none of the library's. */
export function parseTrace(text: string): Trace {
  const writes: TracedWrite[] = [];
  let struckAt: number | undefined;
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const [word, at, offset, lengthBytes, content] = line.split(" ");
    if (word === "struck") struckAt = Number(at);
    else if (word === "write" && Number(at) === writes.length)
      writes.push({
        offset: Number(offset),
        lengthBytes: Number(lengthBytes),
        isZeros: content === "zeros",
      });
    else throw new Error(`the injector's log has a line that is not expected there: ${line}`);
  }
  return { writes, struckAt };
}
