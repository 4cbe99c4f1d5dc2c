/**
 * Where a run says what happens to it; results go elsewhere.
 *
 * @packageDocumentation
 */
export interface RunLog {
  info(message: string, fields?: object): void;
  warn(message: string, fields?: object): void;
}
