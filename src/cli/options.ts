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
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 65_535)
    throw new InvalidArgumentError("expected a port from 0 to 65535");
  return value;
}

export function anySeed(text: string): bigint {
  if (!/^\d{1,20}$/.test(text) || BigInt(text) >= 2n ** 64n)
    throw new InvalidArgumentError("expected an integer from 0 to 2^64 - 1");
  return BigInt(text);
}

/** How often something is done. */
export function count(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > 10_000)
    throw new InvalidArgumentError("expected an integer from 1 to 10000");
  return value;
}

export function cacheSeed(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 0xffff_ffff)
    throw new InvalidArgumentError("expected an integer from 0 to 4294967295");
  return value;
}
