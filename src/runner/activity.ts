/**
 * What a run has under way on its volumes, and the way to rest.
 *
 * Everything that touches a volume counts: visits, reads, checks. Whoever needs rest closes the gate, so that
 * nothing new begins, waits until all is through, and opens it again. Load goes on during an upheaval, such as a crash
 * of the target, but the model does not know yet what it has done: what is read meanwhile can not be judged.
 *
 * @packageDocumentation
 */
export class Activity {
  #count = 0;
  #gate: Promise<void> | undefined;
  #open: (() => void) | undefined;
  #whenIdle: (() => void)[] = [];
  #whenFewer: { readonly count: number; readonly resolve: () => void }[] = [];
  #visits = 0;
  #upheaval: Promise<void> | undefined;
  #upheavals = 0;
  #hold: Promise<void> | undefined;

  /** Pending while someone needs rest. */
  get gate(): Promise<void> | undefined {
    return this.#gate;
  }

  /** Pending while nothing new is to begin, for whatever reason. */
  get pause(): Promise<void> | undefined {
    return this.#gate ?? this.#upheaval ?? this.#hold;
  }

  /** Does something while no visit begins; what is under way goes on, and what the work itself looks at is read. */
  async holdingBack<Result>(work: () => Promise<Result>): Promise<Result> {
    const working = work();
    const over = working.then(
      () => {},
      () => {},
    );
    this.#hold = over;
    try {
      return await working;
    } finally {
      if (this.#hold === over) this.#hold = undefined;
    }
  }

  get visitCount(): number {
    return this.#visits;
  }

  /** Pending during an upheaval. */
  get upheaval(): Promise<void> | undefined {
    return this.#upheaval;
  }

  /** Counts upheavals, as they begin: whether one came between two moments. */
  get upheavalCount(): number {
    return this.#upheavals;
  }

  /** Does something after which volumes need not hold what they did; ends when the model knows of it. */
  async throughUpheaval(work: () => Promise<void>): Promise<void> {
    this.#upheavals++;
    const working = work();
    const over = working.then(
      () => {},
      () => {},
    );
    this.#upheaval = over;
    try {
      await working;
    } finally {
      if (this.#upheaval === over) this.#upheaval = undefined;
    }
  }

  begin(): void {
    this.#count++;
  }

  end(): void {
    if (--this.#count > 0) return;
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  beginVisit(): void {
    this.#visits++;
    this.begin();
  }

  endVisit(): void {
    this.#visits--;
    this.end();
    const ready = this.#whenFewer.filter(({ count }) => this.#visits < count);
    if (ready.length === 0) return;
    this.#whenFewer = this.#whenFewer.filter(({ count }) => this.#visits >= count);
    for (const { resolve } of ready) resolve();
  }

  /** Resolves when fewer than `count` visits are under way; `undefined` if that is so now. */
  fewerVisitsThan(count: number): Promise<void> | undefined {
    if (this.#visits < count) return undefined;
    return new Promise((resolve) => this.#whenFewer.push({ count, resolve }));
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    while (this.#count > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  /** Does something that counts, after the gate has opened. */
  async during<Result>(work: () => Promise<Result>): Promise<Result> {
    while (this.#gate !== undefined) await this.#gate;
    this.begin();
    try {
      return await work();
    } finally {
      this.end();
    }
  }

  /** Does something while nothing else is under way. One at a time; not from within what counts. */
  async atRest<Result>(work: () => Promise<Result>): Promise<Result> {
    while (this.#gate !== undefined) await this.#gate;
    this.#gate = new Promise((resolve) => {
      this.#open = resolve;
    });
    try {
      await this.idle();
      return await work();
    } finally {
      this.#gate = undefined;
      this.#open?.();
    }
  }
}
