/**
 * Where a run says what happens to it; results go elsewhere.
 *
 * @packageDocumentation
 */
import { type Log, silentLog } from "../sut/log.ts";

export interface RunLog {
  info(message: string, fields?: object): void;
  warn(message: string, fields?: object): void;
}

/** For targets and initiators, whose details and errors are told elsewhere. */
export function asLog(log: RunLog): Log {
  return { ...silentLog, info: (message) => log.info(message), warn: (message) => log.warn(message) };
}
