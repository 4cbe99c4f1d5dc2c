/**
 * Keeps operations on the same blocks apart, in the order of the history.
 *
 * Whatever works on blocks of an extent enters in that order, and goes ahead when nothing that entered before it
 * and is not through yet touches the same blocks. So each block sees its operations one after another, by lts, while
 * everything else is in flight together. A look (a check of an extent at rest) waits and holds up in the same way,
 * which makes rest on one extent under load elsewhere; looks do not mind each other.
 *
 * With overlap allowed, operations wait for each other only until they are submitted.
 *
 * @packageDocumentation
 */

/** A turn on some blocks of an extent. */
export interface Turn {
  readonly pd: number;
  readonly firstBlock: number;
  readonly blockCount: number;
  readonly kind: TurnKind;
  /** The position of an operation; 0 for a look. */
  readonly position: number;
}

/** `exclusive`: an operation that needs to know what its blocks hold, and so overlaps with nothing. */
export type TurnKind = "operation" | "exclusive" | "look";

const none: readonly number[] = [];

interface Entry extends Turn {
  state: "waiting" | "submitted";
  /** Earlier entries that hold it up. */
  holdups: number;
  proceed: (() => void) | undefined;
}

export class BlockOrder {
  readonly #overlap: boolean;
  readonly #extents = new Map<number, Entry[]>();

  constructor({ overlap }: { readonly overlap: boolean }) {
    this.#overlap = overlap;
  }

  /** Takes a place behind all that entered before. */
  enter(turn: Turn): Turn {
    const { pd, firstBlock, blockCount, kind, position } = turn;
    // Named one by one: a spread takes microseconds.
    const entry: Entry = {
      pd,
      firstBlock,
      blockCount,
      kind,
      position,
      state: "waiting",
      holdups: 0,
      proceed: undefined,
    };
    const entries = this.#extents.get(turn.pd);
    if (entries === undefined) this.#extents.set(turn.pd, [entry]);
    else {
      for (const earlier of entries) if (this.#holdsUp(earlier, entry)) entry.holdups++;
      entries.push(entry);
    }
    return entry;
  }

  /** Resolves when it is this one's turn; `undefined` if that is now. */
  ready(turn: Turn): Promise<void> | undefined {
    const entry = turn as Entry;
    if (entry.holdups === 0) return undefined;
    return new Promise((resolve) => {
      entry.proceed = resolve;
    });
  }

  /** An operation goes out: those that only waited for that may follow. */
  submitted(turn: Turn): void {
    if (!this.#overlap) return;
    const entry = turn as Entry;
    const held = this.#behind(entry).filter((later) => this.#holdsUp(entry, later));
    entry.state = "submitted";
    for (const later of held) if (!this.#holdsUp(entry, later)) release(later);
  }

  /** Positions of operations that are under way on blocks of this one. */
  overlapping(turn: Turn): readonly number[] {
    if (!this.#overlap) return none;
    const found: number[] = [];
    for (const other of this.#extents.get(turn.pd) ?? [])
      if (other !== turn && other.state === "submitted" && touch(other, turn)) found.push(other.position);
    return found;
  }

  /** It is through. */
  leave(turn: Turn): void {
    const entry = turn as Entry;
    const entries = this.#extents.get(entry.pd)!;
    const index = entries.indexOf(entry);
    if (index < 0) throw new Error(`a turn on extent ${entry.pd} ends twice`);
    for (let later = index + 1; later < entries.length; later++)
      if (this.#holdsUp(entry, entries[later]!)) release(entries[later]!);
    if (entries.length === 1) this.#extents.delete(entry.pd);
    else entries.splice(index, 1);
  }

  #behind(entry: Entry): readonly Entry[] {
    const entries = this.#extents.get(entry.pd)!;
    return entries.slice(entries.indexOf(entry) + 1);
  }

  #holdsUp(earlier: Entry, later: Entry): boolean {
    if (earlier.kind === "look" && later.kind === "look") return false;
    if (!touch(earlier, later)) return false;
    return !(
      this.#overlap &&
      earlier.kind === "operation" &&
      later.kind === "operation" &&
      earlier.state === "submitted"
    );
  }
}

function touch(a: Turn, b: Turn): boolean {
  return a.firstBlock < b.firstBlock + b.blockCount && b.firstBlock < a.firstBlock + a.blockCount;
}

function release(entry: Entry): void {
  if (--entry.holdups > 0) return;
  entry.proceed?.();
}
