/**
 * The snapshots of a history that is being written: which there are, and which stands on which.
 *
 * @packageDocumentation
 */
import { HistoryError } from "./history-error.ts";

interface Entry {
  readonly number: number;
  /** The snapshot that the volumes were on when it was taken. */
  readonly parent: string | undefined;
  isDeleted: boolean;
  /** Volumes have grown since. */
  isSmaller: boolean;
}

/** What snapshots and clones may be called. */
export const namePattern = /^[\w.-]{1,64}$/;

export class SnapshotNames {
  readonly #entries = new Map<string, Entry>();
  /** The newest snapshot that the volumes stand on. */
  #head: string | undefined;

  /** By number. */
  get names(): readonly string[] {
    return [...this.#entries.keys()];
  }

  take(name: string, line: string): number {
    if (this.#entries.has(name)) throw new HistoryError(`there is a snapshot '${name}' already`, line);
    if (!namePattern.test(name))
      throw new HistoryError(
        `snapshot '${name}': expected letters, digits, '.', '_' and '-', at most 64`,
        line,
      );
    const number = this.#entries.size;
    this.#entries.set(name, { number, parent: this.#head, isDeleted: false, isSmaller: false });
    this.#head = name;
    return number;
  }

  delete(name: string, line: string): number {
    const number = this.alive(name, line);
    this.#entries.get(name)!.isDeleted = true;
    return number;
  }

  /** Number of a snapshot that is there. */
  alive(name: string, line: string): number {
    const number = this.numberOf(name, line);
    if (this.isDeleted(name)) throw new HistoryError(`snapshot '${name}' was deleted`, line);
    return number;
  }

  numberOf(name: string, line: string): number {
    const entry = this.#entries.get(name);
    if (entry === undefined) {
      const known = this.names.length === 0 ? "none was taken" : `there are ${this.names.join(", ")}`;
      throw new HistoryError(`there is no snapshot '${name}': ${known}`, line);
    }
    return entry.number;
  }

  isDeleted(name: string): boolean {
    return this.#entries.get(name)?.isDeleted === true;
  }

  /** Whether the second snapshot stands on the first, and the first is still there. */
  isAncestor(name: string, of: string): boolean {
    if (this.isDeleted(name)) return false;
    for (let at = this.#entries.get(of)?.parent; at !== undefined; at = this.#entries.get(at)?.parent)
      if (at === name) return true;
    return false;
  }

  /** Whether the volumes were last equal to the first before the second was taken. */
  isParent(name: string, of: string): boolean {
    return this.#entries.get(of)?.parent === name;
  }

  ancestor(name: string, of: string, line: string): number {
    const number = this.alive(name, line);
    if (!this.isAncestor(name, of))
      throw new HistoryError(
        `the diff of '${of}' against '${name}': the first does not stand on the second`,
        line,
      );
    return number;
  }

  rollback(name: string, line: string): number {
    const number = this.alive(name, line);
    if (this.#entries.get(name)!.isSmaller)
      throw new HistoryError(`rollback to '${name}': the volumes have grown since it was taken`, line);
    this.#head = name;
    return number;
  }

  resized(): void {
    for (const entry of this.#entries.values()) entry.isSmaller = true;
  }
}
