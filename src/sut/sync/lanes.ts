/**
 * Work on items as they come in, several at a time, until one fails.
 *
 * @packageDocumentation
 */

export interface LanesOptions<Item> {
  /** Makes the items; the signal is aborted when no more are wanted. */
  readonly items: (signal: AbortSignal) => AsyncGenerator<Item, void, undefined>;
  /** May tell of a failure before it settles, so that all else stops at once; the signal is aborted then. */
  readonly work: (item: Item, lane: number, stop: LaneStop) => Promise<void>;
  readonly laneCount: number;
  readonly signal: AbortSignal;
}

interface LaneStop {
  readonly signal: AbortSignal;
  readonly fail: (cause: unknown) => void;
}

/**
 * Resolves when all items are done; settles only when no work is under way any more.
 *
 * @throws {unknown} What the first failure was, or the signal's reason.
 */
export async function inLanes<Item>({ items, work, laneCount, signal }: LanesOptions<Item>): Promise<void> {
  const stop = new AbortController();
  const onAbort = (): void => stop.abort(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  const source = items(stop.signal);
  let failure: { readonly cause: unknown } | undefined;
  const fail = (cause: unknown): void => {
    failure ??= { cause: signal.aborted ? signal.reason : cause };
    stop.abort();
  };
  const run = async (lane: number): Promise<void> => {
    try {
      while (!stop.signal.aborted) {
        // Whoever asks an asynchronous generator waits for its turn.
        const next = await source.next();
        if (next.done === true) return;
        stop.signal.throwIfAborted();
        await work(next.value, lane, { signal: stop.signal, fail });
      }
    } catch (error) {
      fail(error);
    }
  };
  try {
    await Promise.all(Array.from({ length: laneCount }, (_, lane) => run(lane)));
    await source.return().catch(fail);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
  signal.throwIfAborted();
  if (failure !== undefined) throw failure.cause;
}
