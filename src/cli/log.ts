/**
 * Logs, on standard error: results have standard output to themselves.
 *
 * @packageDocumentation
 */
import { type Logger, pino } from "pino";

export interface Log {
  debug(message: string, fields?: object): void;
  info(message: string, fields?: object): void;
  warn(message: string, fields?: object): void;
  error(message: string, fields?: object): void;
}

export const logLevels = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

const labels: Readonly<Record<number, string>> = { 20: "debug", 30: "info", 40: "warn", 50: "error" };

/** Lines of JSON, or for people `level message key=value …`. */
export function createLog({ level, json }: { readonly level: LogLevel; readonly json: boolean }): Log {
  const logger: Logger = pino(
    { level, base: null },
    { write: (line) => process.stderr.write(json ? line : readable(line)) },
  );
  return {
    debug: (message, fields) => logger.debug(fields ?? {}, message),
    info: (message, fields) => logger.info(fields ?? {}, message),
    warn: (message, fields) => logger.warn(fields ?? {}, message),
    error: (message, fields) => logger.error(fields ?? {}, message),
  };
}

function readable(line: string): string {
  const { level, time: _, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const extra = Object.entries(fields).map(([key, value]) => ` ${key}=${JSON.stringify(value)}`);
  return `${labels[Number(level)] ?? level}: ${msg}${extra.join("")}\n`;
}
