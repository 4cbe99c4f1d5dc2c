/**
 * Sets what lies in the blocks of a volume against what the history says is due there.
 *
 * Nothing is read: what was found is known, and what is due is worked out extent by extent. Where no state of the
 * run is known, the operations of the last few lts may have been in flight, or never begun: a block that differs by
 * these alone is right.
 *
 * @packageDocumentation
 */
import { readEvidence } from "../../model/block-evidence.ts";
import { damageOf } from "../../model/damaged-block.ts";
import { addressText, stateText } from "../../model/origin.ts";
import { type Ambiguity, Reconciler, sameContent } from "../../model/reconciler.ts";
import type { Tracker } from "../../model/tracker.ts";
import { ltsMaxOf, type View } from "../../model/view.ts";
import type { Extent } from "../../selectors/geometry.ts";
import type { History } from "../../selectors/history.ts";
import { ltsOf } from "../../selectors/operations.ts";
import type { ScanClassName } from "./classes.ts";
import { codes, type FoundBlocks, type Mark } from "./found-blocks.ts";
import { writes } from "./newest-write.ts";
import { rememberedVisits } from "./remembered-visits.ts";
import type { Tally, Wrong } from "./tally.ts";

export interface JudgeOptions {
  readonly history: History;
  readonly tracker: Tracker;
  readonly volume: number;
  /** What is due. */
  readonly due: View;
  /** The same, with the operations that may have been begun after it; {@link due} if there are none. */
  readonly begun: View;
  /** Operations above this lts may not have been performed; the last lts of {@link due} if all are known to be. */
  readonly ltsSettled: number;
}

/** A wrong block and what is due there. */
interface Judged {
  readonly extent: Extent;
  /** Counted from the start of the extent. */
  readonly index: number;
  /** Of the volume. */
  readonly block: number;
  readonly code: number;
  readonly due: number;
}

export class Judge {
  readonly #options: JudgeOptions;
  readonly #history: History;
  readonly #reconciler: Reconciler;
  /** The same, for who asks of many blocks of one extent. */
  readonly #remembering: Reconciler;
  readonly #states: Float64Array;

  constructor(options: JudgeOptions) {
    this.#options = options;
    this.#history = rememberedVisits(options.history);
    this.#reconciler = new Reconciler(options.history, options.tracker);
    this.#remembering = new Reconciler(this.#history, options.tracker);
    this.#states = new Float64Array(options.history.geometry.extentBlocks);
  }

  /** Judges the blocks of one extent that were looked at. */
  judge(extent: Extent, found: FoundBlocks, tally: Tally): void {
    const states = this.#states;
    const ambiguities = this.#reconciler.stateOf(extent, this.#options.due, states);
    const { firstBlock: start } = extent;
    const { codes: all, firstBlock: origin } = found;
    const end = Math.min(start + extent.blockCount, origin + found.blockCount);
    for (let block = Math.max(start, origin); block < end; block++) {
      const code = all[block - origin]!;
      const due = states[block - start]!;
      if (code === due && code > 0) tally.right(block, "latest");
      else if (code === 0 && due <= 0) tally.right(block, "zeros");
      else this.#differing({ extent, index: block - start, block, code, due }, ambiguities, found, tally);
    }
  }

  #differing(judged: Judged, ambiguities: readonly Ambiguity[], found: FoundBlocks, tally: Tally): void {
    const { block, code } = judged;
    if (code >= 0) this.#otherState(judged, ambiguities, tally);
    else if (code === codes.damaged) {
      const wrong = this.#damage(judged, found.bytesOf(block)!);
      tally.wrong(block, { class: wrong.class, name: `${wrong.class} ${wrong.text}` }, () => wrong);
    } else {
      const mark = found.markOf(code);
      const wrong = mark === undefined ? unmarked(code) : this.#marked(block, mark);
      tally.wrong(block, { class: wrong.class, name: String(code) }, () => wrong);
    }
  }

  /** The block is whole, or zeros, but not what is due. */
  #otherState(judged: Judged, ambiguities: readonly Ambiguity[], tally: Tally): void {
    const { extent, index, block, code, due } = judged;
    const open = ambiguities.find((one) => one.block === index);
    if (open?.candidates.some(({ state }) => sameContent(state, code))) {
      tally.right(block, "open");
      return;
    }
    const { begun, ltsSettled } = this.#options;
    const ltsMax = ltsMaxOf(this.#options.due);
    let staleBy = 0;
    let canBeOnTop = true;
    let shown: number | undefined;
    for (const state of this.#remembering.versions(extent, index, begun)) {
      if (sameContent(state, code)) {
        shown = state;
        break;
      }
      const lts = ltsOf(state);
      if (lts <= ltsMax) staleBy++;
      // Otherwise all so far may not have been performed, so that an older one is on top.
      if (lts <= ltsSettled) canBeOnTop = false;
    }
    if (shown === undefined) {
      this.#noVersion(judged, tally);
    } else if (canBeOnTop && this.#options.ltsSettled < ltsMaxOf(begun)) {
      tally.right(block, "open");
    } else {
      const name: ScanClassName = code === 0 ? "zeroed" : due <= 0 ? "resurrected" : "stale";
      const state = shown;
      tally.wrong(block, { class: name, name: `${name} ${state} ${due}`, staleBy }, () => ({
        class: name,
        text: `${this.#text(state)}${state === 0 ? "" : `, ${count(staleBy, "version")} behind`}; due is ${this.#text(due)}`,
        staleBy,
        ...(code > 0 ? { shows: code } : {}),
      }));
    }
  }

  /** No version of the block that there should ever have been. */
  #noVersion({ block, code, due }: Judged, tally: Tally): void {
    const { volume, tracker } = this.#options;
    if (!writes(this.#history, code, { volume, block })) {
      tally.wrong(block, { class: "garbage", name: "strange" }, () => unmarked(codes.strange));
      return;
    }
    const isAhead = ltsOf(code) > ltsMaxOf(this.#options.due);
    const name = isAhead ? "ahead" : "undone";
    const why = isAhead
      ? ""
      : tracker.outcomeOf(code) === "failed"
        ? ", which the target refused"
        : ", which never happened or was undone";
    tally.wrong(block, { class: name, name: `${name} ${code} ${due}` }, () => ({
      class: name,
      text: `${this.#text(code)}${why}; due is ${this.#text(due)}`,
      shows: code,
    }));
  }

  #marked(block: number, mark: Mark): Wrong {
    const { volume } = mark;
    const from = { volume, block: block + mark.distance };
    if (mark.kind === "foreign") return { class: "foreign", text: this.#foreignText(mark.runId, from), from };
    const { position } = mark;
    const isKnown = position !== undefined && writes(this.#history, position, from);
    return {
      class: "misplaced",
      text: `${isKnown ? this.#text(position) : "content"} of ${addressText(from)}${this.#distanceText(mark)}`,
      from,
      ...(isKnown ? { shows: position } : {}),
    };
  }

  #foreignText(runId: bigint, from: { readonly volume: number; readonly block: number }): string {
    const { format } = this.#history.run;
    return runId === format.runId
      ? "content of this seed that sorts the other way round: is content.order of the configuration right?"
      : `content of run ${runId.toString(16)}, for ${addressText(from)}`;
  }

  #distanceText({ volume, distance }: Mark): string {
    if (volume !== this.#options.volume || distance === 0) return "";
    return `, ${count(Math.abs(distance), "block")} ${distance < 0 ? "before" : "after"}`;
  }

  #damage({ block, due }: Judged, bytes: Uint8Array): Wrong {
    const { volume } = this.#options;
    const evidence = readEvidence(this.#history.run.format, bytes);
    for (const sector of evidence)
      if (sector.kind === "foreign")
        return {
          class: "foreign",
          text: this.#foreignText(sector.runId, sector.address),
          from: { volume: sector.address.volume, block: sector.address.block },
        };
    const finding = damageOf(evidence, { workload: this.#history, volume, block, expected: due, bytes });
    return {
      class: classOf(finding.class),
      text: `${finding.summary} (${finding.observed}); due is ${this.#text(due)}`,
    };
  }

  #text(state: number): string {
    return stateText(state, this.#history);
  }
}

function unmarked(code: number): Wrong {
  switch (code) {
    case codes.strange:
      return {
        class: "garbage",
        text: "well-formed content of this seed that no operation of this configuration wrote",
      };
    case codes.misplaced:
      return { class: "misplaced", text: "content of another block" };
    case codes.foreign:
      return { class: "foreign", text: "content of another run" };
    case codes.unreadable:
      return { class: "unreadable", text: "the device can not read it" };
    case codes.unseen:
      return { class: "damaged", text: "no whole block; there are too many of them to look at closely" };
    default:
      return { class: "garbage", text: "nothing that this run wrote" };
  }
}

/** Names of the model that a scan does not have: shifted content is misplaced, anything unknown is garbage. */
function classOf(name: string): ScanClassName {
  switch (name) {
    case "misdirected":
      return "misplaced";
    case "torn":
    case "mixed":
    case "bit-flip":
      return name;
    default:
      return "garbage";
  }
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}
