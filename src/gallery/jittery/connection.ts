/**
 * The way to a target on which calls take their time, and which can be lost.
 *
 * A call is some effects, each at an instant of its own after the submission, and a completion after all of them.
 * When the connection is lost, every call in flight ends `unknown`; each of its effects that is still to come never
 * comes, or comes later, but before the connection stands again. Calls that are made meanwhile wait for that.
 *
 * @packageDocumentation
 */
import { ok, type Outcome } from "../../sut/port.ts";
import type { JitteryClock } from "./clock.ts";

/** Does something to the target; @returns what it refused. */
export type Effect = () => Promise<Outcome>;

export interface Call {
  readonly effects: readonly Effect[];
  /** Its effects need no longer come once nobody waits for it. */
  readonly isRead?: boolean;
  /** Nothing of it is still to come: it has completed, or the connection that it was lost with is over. */
  readonly onOver?: () => void;
  /** What the completion of a call that went well does, after that. */
  readonly onOk?: () => void;
  /** It has been sent. */
  readonly onSent?: () => void;
}

interface Flight {
  readonly call: Call;
  readonly left: Set<Effect>;
  readonly resolve: (outcome: Outcome) => void;
  refusal: Outcome | undefined;
}

const lost: Outcome = { kind: "unknown", code: "ERR_CONNECTION_LOST", message: "the connection was lost" };
/** One of so many calls that wait for the connection is lost with it. */
const lostWaitingOneOf = 12;

export class JitteryConnection {
  readonly #clock: JitteryClock;
  readonly #inFlight = new Set<Flight>();
  #waiting: Flight[] = [];
  /** Those that were lost since the connection last stood. */
  #lost: Call[] = [];
  #delayTurns = 0;
  /** Whoever asked for it to be away has not taken that back. */
  #isCut = false;
  /** Before this, effects of calls that were lost may still come. */
  #upAt = 0;

  constructor(clock: JitteryClock) {
    this.#clock = clock;
  }

  get inFlightCount(): number {
    return this.#inFlight.size;
  }

  set delayTurns(turns: number) {
    this.#delayTurns = turns;
  }

  submit(call: Call): Promise<Outcome> {
    return new Promise((resolve) => {
      const flight: Flight = { call, left: new Set(call.effects), resolve, refusal: undefined };
      if (this.#isUp) this.#send(flight);
      else this.#waiting.push(flight);
    });
  }

  /**
   * Ends all calls in flight; resolves when the connection stands again.
   *
   * @param options.isTargetGone - Nothing that has not happened yet happens any more.
   * @param options.turns - How long it is away.
   */
  async lose({
    isTargetGone,
    turns,
  }: {
    readonly isTargetGone: boolean;
    readonly turns: number;
  }): Promise<void> {
    const { choices } = this.#clock;
    this.#upAt = Math.max(this.#upAt, this.#clock.now() + turns + 2);
    for (const { left, resolve, call } of this.#inFlight) {
      for (const effect of left)
        if (!isTargetGone && call.isRead !== true && choices.below(3) === 0)
          this.#clock.setTimeout(() => void effect(), 1 + choices.below(turns));
      left.clear();
      this.#lost.push(call);
      this.#clock.setTimeout(() => resolve(lost), 1 + choices.below(turns));
    }
    this.#inFlight.clear();
    for (const flight of this.#waiting.splice(0)) {
      if (choices.below(lostWaitingOneOf) === 0) flight.resolve(lost);
      else this.#waiting.push(flight);
    }
    await this.#stands();
  }

  /** Stays away until it is told otherwise. */
  async setCut(isCut: boolean): Promise<void> {
    this.#isCut = isCut;
    if (!isCut) await this.#stands();
  }

  get #isUp(): boolean {
    return !this.#isCut && this.#clock.now() >= this.#upAt;
  }

  async #stands(): Promise<void> {
    while (this.#clock.now() < this.#upAt)
      await new Promise<void>((resolve) => this.#clock.setTimeout(resolve, this.#upAt - this.#clock.now()));
    if (!this.#isUp) return;
    for (const call of this.#lost.splice(0)) call.onOver?.();
    for (const flight of this.#waiting.splice(0)) this.#send(flight);
  }

  #send(flight: Flight): void {
    const { call, left } = flight;
    this.#inFlight.add(flight);
    call.onSent?.();
    if (call.effects.length === 0) this.#completeSoon(flight);
    for (const effect of call.effects) this.#soon(() => this.#apply(flight, effect));
    if (left.size !== call.effects.length) throw new Error("effects of a call are not different");
  }

  #apply(flight: Flight, effect: Effect): void {
    if (!this.#inFlight.has(flight) || !flight.left.delete(effect)) return;
    effect().then((outcome) => {
      if (outcome.kind !== "ok") flight.refusal ??= outcome;
      if (flight.left.size === 0) this.#completeSoon(flight);
    });
  }

  #completeSoon(flight: Flight): void {
    this.#clock.soon(() => {
      if (!this.#inFlight.delete(flight)) return;
      flight.call.onOver?.();
      if (flight.refusal === undefined) flight.call.onOk?.();
      flight.resolve(flight.refusal ?? ok);
    });
  }

  #soon(callback: () => void): void {
    if (this.#delayTurns === 0) this.#clock.soon(callback);
    else this.#clock.setTimeout(() => this.#clock.soon(callback), this.#delayTurns);
  }
}
