/**
 * Snapshots that are open: each is exported once, for as long as anybody reads it.
 *
 * @packageDocumentation
 */

/** How to export a snapshot, and how to end that; both may be repeated. */
export interface SnapshotExport {
  readonly begin: () => Promise<void>;
  readonly end: () => Promise<void>;
}

export class OpenSnapshots {
  readonly #open = new Map<string, { count: number; last: Promise<void> }>();

  /** Those that are open, or being opened or closed. */
  get uuids(): readonly string[] {
    return [...this.#open.keys()];
  }

  has(uuid: string): boolean {
    return this.#open.has(uuid);
  }

  /** @returns How to let go of it: whoever is the last ends the export. To be called once. */
  async take(uuid: string, { begin, end }: SnapshotExport): Promise<() => Promise<void>> {
    const entry = this.#open.get(uuid) ?? { count: 0, last: Promise.resolve() };
    this.#open.set(uuid, entry);
    entry.count += 1;
    const inTurn = (run: () => Promise<void>): Promise<void> => {
      const done = entry.last.then(run, run);
      entry.last = done.then(undefined, () => {});
      return done;
    };
    const letGo = async (): Promise<void> => {
      await inTurn(async () => {
        entry.count -= 1;
        if (entry.count > 0) return;
        try {
          await end();
        } finally {
          if (entry.count === 0) this.#open.delete(uuid);
        }
      });
    };
    try {
      await inTurn(begin);
    } catch (error) {
      await letGo().catch(() => {});
      throw error;
    }
    return letGo;
  }
}
