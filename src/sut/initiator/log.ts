/**
 * Where the initiator says what happens to its connections. One line of text each.
 *
 * @packageDocumentation
 */
export interface Log {
  warn(message: string): void;
  info(message: string): void;
  debug(message: string): void;
}

export const silentLog: Log = { warn: () => {}, info: () => {}, debug: () => {} };
