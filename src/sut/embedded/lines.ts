/**
 * Lines of text out of a stream of parts, none longer than a limit.
 *
 * @packageDocumentation
 */

export class LineReader {
  readonly #lengthMax: number;
  readonly #onLine: (line: string) => void;
  readonly #onTooLong: () => void;
  #text = "";
  /** The rest of a line that was too long is dropped. */
  #isSkipping = false;

  /**
   * @param options.lengthMax - In characters, without the line break.
   * @param options.onTooLong - Called once for each line that exceeds it, before the line has ended.
   */
  constructor(options: {
    readonly lengthMax: number;
    readonly onLine: (line: string) => void;
    readonly onTooLong: () => void;
  }) {
    this.#lengthMax = options.lengthMax;
    this.#onLine = options.onLine;
    this.#onTooLong = options.onTooLong;
  }

  /** Takes the next part of the stream; an end without a line break is no line. */
  feed(part: string): void {
    let start = 0;
    for (let end = part.indexOf("\n"); end >= 0; end = part.indexOf("\n", start)) {
      this.#extend(part.slice(start, end));
      if (!this.#isSkipping) this.#onLine(this.#text);
      this.#text = "";
      this.#isSkipping = false;
      start = end + 1;
    }
    this.#extend(part.slice(start));
  }

  #extend(text: string): void {
    if (this.#isSkipping) return;
    if (this.#text.length + text.length <= this.#lengthMax) {
      this.#text += text;
      return;
    }
    this.#text = "";
    this.#isSkipping = true;
    this.#onTooLong();
  }
}
