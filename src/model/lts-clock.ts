/**
 * When each lts began, in bounded memory: lts to real time and back.
 *
 * It keeps the first lts, the last, and between them every n-th that was recorded; when it is full, n doubles.
 * In between time is taken to have passed evenly. It reads no clock: the caller says what the time is, and saves
 * {@link LtsClock.toJSON} with the run.
 *
 * @packageDocumentation
 */

/** What is saved of an {@link LtsClock}; plain JSON. */
export interface LtsClockRecord {
  readonly pointsMax: number;
  /** Of the records, every one of this many is kept. */
  readonly keepEvery: number;
  /** Records since the last point but one; the last point is kept for good once they are `keepEvery`. */
  readonly recordsSinceKept: number;
  /** [lts, milliseconds] of each point, ascending. */
  readonly points: readonly (readonly [number, number])[];
}

interface Point {
  readonly lts: number;
  readonly rtsMs: number;
}

const pointsMaxDefault = 4096;
/** More than anyone needs, and less than would hurt. */
const pointsMaxLimit = 2 ** 20;

export class LtsClock {
  readonly #pointsMax: number;
  readonly #points: Point[] = [];
  #keepEvery = 1;
  #recordsSinceKept = 0;

  /** @param options.pointsMax - Points that are remembered at most, 4 to 2^20; 4096 if absent. */
  constructor(options: { readonly pointsMax?: number } = {}) {
    this.#pointsMax = options.pointsMax ?? pointsMaxDefault;
    const size = this.#pointsMax;
    if (!(Number.isSafeInteger(size) && size >= 4 && size <= pointsMaxLimit)) {
      throw new RangeError(`pointsMax: expected 4 to ${pointsMaxLimit} points, got ${size}`);
    }
  }

  /** Points that are remembered now. */
  get pointCount(): number {
    return this.#points.length;
  }

  /**
   * Notes that `lts` begins.
   *
   * @param lts - Above all that were recorded; some may be left out.
   * @param rtsMs - Milliseconds since 1970. A clock that was set back between two processes shows times that
   *   passed before: they count as the last one.
   * @throws {RangeError} `lts` is not above the last, or either is no number of its kind.
   */
  record(lts: number, rtsMs: number): void {
    const last = this.#points.at(-1);
    if (!(Number.isSafeInteger(lts) && lts > (last?.lts ?? -1))) {
      const limit = last === undefined ? "0 or more" : `above ${last.lts}, which began before`;
      throw new RangeError(`an lts began as ${lts}: expected an integer ${limit}`);
    }
    if (!Number.isFinite(rtsMs)) throw new RangeError(`lts ${lts} began at ${rtsMs}: expected milliseconds`);
    // The last point gives way until it is one of those to be kept; the first is kept in any case.
    if (this.#points.length > 1 && this.#recordsSinceKept < this.#keepEvery) this.#points.pop();
    else this.#recordsSinceKept = 0;
    this.#recordsSinceKept += 1;
    this.#points.push({ lts, rtsMs: Math.max(rtsMs, last?.rtsMs ?? rtsMs) });
    if (this.#points.length === this.#pointsMax) this.#thinOut();
  }

  /** When `lts` began, in milliseconds; `undefined` before the first and after the last that was recorded. */
  rtsOf(lts: number): number | undefined {
    const index = lastIndexWhere(this.#points, (point) => point.lts <= lts);
    const from = this.#points[index];
    if (from === undefined || from.lts === lts) return from?.rtsMs;
    const to = this.#points[index + 1];
    return to === undefined ? undefined : between(from, to, lts);
  }

  /** The last lts that had begun at `rtsMs`; `undefined` before the first. */
  ltsAt(rtsMs: number): number | undefined {
    const index = lastIndexWhere(this.#points, (point) => point.rtsMs <= rtsMs);
    const from = this.#points[index];
    const to = this.#points[index + 1];
    if (from === undefined || to === undefined) return from?.lts;
    // Searched rather than computed, so that it is the inverse of what rtsOf rounds to.
    let [begun, later] = [from.lts, to.lts];
    while (later - begun > 1) {
      const middle = begun + Math.floor((later - begun) / 2);
      if (between(from, to, middle) <= rtsMs) begun = middle;
      else later = middle;
    }
    return begun;
  }

  toJSON(): LtsClockRecord {
    return {
      pointsMax: this.#pointsMax,
      keepEvery: this.#keepEvery,
      recordsSinceKept: this.#recordsSinceKept,
      points: this.#points.map(({ lts, rtsMs }) => [lts, rtsMs]),
    };
  }

  /**
   * Takes up a clock that was saved; it goes on as if it had not been away.
   *
   * @throws {TypeError} The value was not made by {@link toJSON}, or was damaged since.
   */
  static fromJSON(value: unknown): LtsClock {
    const { pointsMax, keepEvery, recordsSinceKept, points } = objectOf(value);
    const clock = new LtsClock({ pointsMax: count("pointsMax", pointsMax, 4, pointsMaxLimit) });
    if (!Array.isArray(points) || points.length >= clock.#pointsMax) {
      throw damaged(`points: expected a list of fewer than ${clock.#pointsMax}`);
    }
    clock.#keepEvery = count("keepEvery", keepEvery, 1, Number.MAX_SAFE_INTEGER);
    const sinceMin = points.length === 0 ? 0 : 1;
    const sinceMax = points.length === 0 ? 0 : clock.#keepEvery;
    clock.#recordsSinceKept = count("recordsSinceKept", recordsSinceKept, sinceMin, sinceMax);
    for (const [index, point] of points.entries()) {
      clock.#points.push(pointOf(index, point, clock.#points.at(-1)));
    }
    return clock;
  }

  /** Drops every second point but the last. */
  #thinOut(): void {
    const last = this.#points.length - 1;
    const kept = this.#points.filter((_, index) => index % 2 === 0 || index === last);
    // Where the point before the last goes too, the last is that much further from the one before.
    if (last % 2 === 0) this.#recordsSinceKept += this.#keepEvery;
    this.#keepEvery *= 2;
    this.#points.splice(0, this.#points.length, ...kept);
  }
}

/** Index of the last point for which a condition holds that holds for all before it; -1 if there is none. */
function lastIndexWhere(points: readonly Point[], holds: (point: Point) => boolean): number {
  let [yes, no] = [-1, points.length];
  while (no - yes > 1) {
    const middle = (yes + no) >> 1;
    if (holds(points[middle]!)) yes = middle;
    else no = middle;
  }
  return yes;
}

/** Between two points time passes evenly. */
function between(from: Point, to: Point, lts: number): number {
  const share = (lts - from.lts) / (to.lts - from.lts);
  return Math.min(to.rtsMs, from.rtsMs + (to.rtsMs - from.rtsMs) * share);
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  throw damaged(`expected an object, got ${value === null ? "null" : typeof value}`);
}

function count(name: string, value: unknown, min: number, max: number): number {
  if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) {
    return value as number;
  }
  throw damaged(`${name}: expected an integer from ${min} to ${max}, got ${shown(value)}`);
}

function pointOf(index: number, value: unknown, before: Point | undefined): Point {
  const [lts, rtsMs] = Array.isArray(value) && value.length === 2 ? (value as unknown[]) : [];
  const isPoint = Number.isSafeInteger(lts) && Number.isFinite(rtsMs);
  const point = { lts: lts as number, rtsMs: rtsMs as number };
  if (isPoint && point.lts > (before?.lts ?? -1) && point.rtsMs >= (before?.rtsMs ?? point.rtsMs))
    return point;
  const after = before === undefined ? "" : ` after [${before.lts}, ${before.rtsMs}]`;
  throw damaged(`points[${index}]: expected [lts, milliseconds]${after}, ascending, got ${shown(value)}`);
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? String(value)).slice(0, 60);
}

function damaged(message: string): TypeError {
  return new TypeError(`the saved clock is damaged: ${message}`);
}
