/**
 * Where targets and initiator say what happens to them: one line of text each, without a line end.
 *
 * The shape is a part of most loggers' (pino, console), so that any of them can be handed in.
 *
 * @packageDocumentation
 */
export interface Log {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

/** Says nothing, for whoever was given no log. */
export const silentLog: Log = Object.freeze({ debug() {}, info() {}, warn() {}, error() {} });
