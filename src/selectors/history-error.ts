/**
 * Mistakes in a history that was written by hand, told with the line of the test that made them.
 *
 * @packageDocumentation
 */
/** The history can not be what was asked for; the message says why, and at which line of the test. */
export class HistoryError extends Error {
  override readonly name = "HistoryError";
  /** Why, without the line. */
  readonly problem: string;

  /** @param line - Where it was asked for, as `lineOfCaller` gives it. */
  constructor(problem: string, line: string) {
    super(`${problem}\n  at ${line}`);
    this.problem = problem;
  }
}

/** Frames of these are the builder's own. */
const ownFrame =
  /\/selectors\/(history-builder|history-error|operation-group|snapshot-names|clone-writer)\.[jt]s:/;

/** File, line and column of the first caller outside of the builder. */
export function lineOfCaller(): string {
  const frames = new Error().stack?.split("\n").slice(1) ?? [];
  const frame = frames.find((one) => !ownFrame.test(one));
  const place = /\(?((?:file:\/\/)?[^\s()]+:\d+:\d+)\)?$/.exec(frame ?? "")?.[1] ?? "an unknown line";
  if (!place.startsWith("file://")) return place;
  const [, url = "", position = ""] = /^(.*?)(:\d+:\d+)$/.exec(place) ?? [];
  return `${decodeURIComponent(new URL(url).pathname)}${position}`;
}
