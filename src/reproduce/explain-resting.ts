/**
 * Records of snapshots that nobody saw being taken: as they are if nothing was under way.
 *
 * @packageDocumentation
 */
import { Cut } from "../model/cut.ts";
import type { OperationTimes } from "../model/operation-times.ts";
import type { SnapshotRecord } from "../model/snapshot-record.ts";

type About = Pick<SnapshotRecord, "snapshot" | "volume" | "lts" | "branch">;

/** A snapshot of which only the schedule is known. */
export function guessedRecord(about: About): SnapshotRecord {
  // Whatever is out of the ordinary, and ended before or after it, leaves it open.
  const submitted = Number.MAX_SAFE_INTEGER - 1;
  return restingRecord(about, { submitted, completed: submitted + 1 });
}

/** A snapshot that was taken while nothing was under way, and all up to its lts was complete. */
export function restingRecord(
  about: About,
  call: { readonly submitted: number; readonly completed: number },
): SnapshotRecord {
  return new RestingRecord(about, call);
}

const nothingInside: ReadonlySet<number> = new Set();
const nothingOpen: ReadonlyMap<number, OperationTimes> = new Map();

/** There may be many, for each rollback keeps one: what hardly anyone asks for is made when somebody does. */
class RestingRecord implements SnapshotRecord {
  readonly snapshot: number;
  readonly volume: number;
  readonly lts: number;
  readonly branch: number;
  readonly submittedEvent: number;
  readonly completedEvent: number;
  #shown: Map<number, number> | undefined;
  #cut: Cut | undefined;

  constructor(
    { snapshot, volume, lts, branch }: About,
    { submitted, completed }: { readonly submitted: number; readonly completed: number },
  ) {
    this.snapshot = snapshot;
    this.volume = volume;
    this.lts = lts;
    this.branch = branch;
    this.submittedEvent = submitted;
    this.completedEvent = completed;
  }

  get name(): string {
    return `snapshot ${this.snapshot}`;
  }

  get ltsBefore(): number {
    return this.lts;
  }

  get ltsMax(): number {
    return this.lts;
  }

  get inside(): ReadonlySet<number> {
    return nothingInside;
  }

  get open(): ReadonlyMap<number, OperationTimes> {
    return nothingOpen;
  }

  get shown(): Map<number, number> {
    return (this.#shown ??= new Map());
  }

  get cut(): Cut {
    return (this.#cut ??= Cut.within({ submitted: this.submittedEvent, completed: this.completedEvent }));
  }
}
