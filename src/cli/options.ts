/**
 * Options that several commands have, and how their values are read.
 *
 * @packageDocumentation
 */
import { InvalidArgumentError, Option } from "commander";
import { logLevels } from "./log.ts";

/** What every command is told beside its flags. */
export interface CommandContext {
  readonly version: string;
  /** How to start `harrow serve`. */
  readonly serveCommand: readonly string[];
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}

export function logLevel(): Option {
  return new Option("--log-level <level>", "what to log to standard error")
    .choices(logLevels)
    .default("warn");
}

export function logJson(): Option {
  return new Option("--log-json", "log as lines of JSON");
}

export function port(text: string): number {
  const value = wholeNumber(text, { max: 65_535 });
  if (value === undefined) throw new InvalidArgumentError("expected a port from 0 to 65535");
  return value;
}

export function anySeed(text: string): bigint {
  if (!/^\d{1,20}$/.test(text) || BigInt(text) >= 2n ** 64n)
    throw new InvalidArgumentError("expected an integer from 0 to 2^64 - 1");
  return BigInt(text);
}

/** How often something is done. */
export const count = integer({ min: 1, max: 10_000 });

export const cacheSeed = integer({ max: 0xffff_ffff });

interface Bounds {
  /** 0 if left out. */
  readonly min?: number;
  readonly max: number;
}

/** Makes the reader of an option. */
export function integer({ min = 0, max }: Bounds): (text: string) => number {
  return (text) => {
    const value = wholeNumber(text, { min, max });
    if (value === undefined) throw new InvalidArgumentError(`expected an integer from ${min} to ${max}`);
    return value;
  };
}

/** @returns `undefined` if it is none, or out of bounds. */
export function wholeNumber(text: string, { min = 0, max }: Bounds): number | undefined {
  const value = Number(text);
  return /^\d+$/.test(text) && value >= min && value <= max ? value : undefined;
}
