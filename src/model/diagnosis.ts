/**
 * Names what is wrong with a block: the evidence of its bytes against what the model expects.
 *
 * A block that is whole, or zeros, is named here, from what the history did to it; one whose bytes are damaged, in
 * `damaged-block.ts`.
 *
 * @packageDocumentation
 */
import type { Extent } from "../selectors/geometry.ts";
import type { History } from "../selectors/history.ts";
import { effectOf, operationAt, positionOf } from "../selectors/operations.ts";
import { readEvidence, type Source } from "./block-evidence.ts";
import type { WrongBlock } from "./content-checker.ts";
import { damageOf, type Finding } from "./damaged-block.ts";
import { someZeros } from "./linearization.ts";
import { addressText, originOf, stateText } from "./origin.ts";
import type { Reconciler } from "./reconciler.ts";
import type { Tracker } from "./tracker.ts";
import type { OperationReference, Rule, Violation } from "./violation.ts";
import { ltsMaxOf, type View } from "./view.ts";

/** A block that does not hold what it may. */
export interface BadBlock {
  readonly extent: Extent;
  readonly wrong: WrongBlock;
  /** As what it was checked. */
  readonly view: View;
  readonly rule: Rule;
  /** Number of the snapshot that it was read from; absent for the volume itself. */
  readonly snapshot?: number;
  /** A snapshot that shows the volume's fault as well. */
  readonly alsoInSnapshot?: number;
  /** The block was right when this snapshot was read before. */
  readonly provenBefore: boolean;
  readonly bytes: Uint8Array;
  readonly rereads: NonNullable<Violation["rereads"]>;
  /**
   * Whether another block of the extent, counted from its start, shows a state; as far as it was read together with
   * this one. Absent if nothing can be concluded from others.
   */
  readonly shows?: (block: number, state: number) => boolean;
  /** A look at rest had found the expected state here. */
  readonly wasProven?: boolean;
}

/** So many of the operations that a block may show are referred to. */
const expectedNamedMax = 4;

export class Diagnosis {
  readonly #workload: History;
  readonly #tracker: Tracker;
  readonly #reconciler: Reconciler;

  constructor(workload: History, tracker: Tracker, reconciler: Reconciler) {
    this.#workload = workload;
    this.#tracker = tracker;
    this.#reconciler = reconciler;
  }

  explain(bad: BadBlock): Violation {
    const { extent, wrong, snapshot, view } = bad;
    const { block, allowed } = wrong;
    const versions = [...this.#reconciler.versions(extent, block, view)];
    const finding = this.#mutated(bad, this.#seenOtherwise(bad) ?? this.#find(bad, versions));
    const operations: OperationReference[] = [];
    for (const state of allowed.slice(0, expectedNamedMax))
      if (state !== 0 && state !== someZeros && state !== finding.position)
        operations.push(this.#reference(state, "expected"));
    if (finding.position !== undefined) operations.push(this.#reference(finding.position, "observed"));
    if (finding.missing !== undefined) operations.push(this.#reference(finding.missing, "missing"));
    return {
      rule: finding.class === "torn-cut" ? "cut" : bad.rule,
      class: finding.class,
      summary:
        bad.alsoInSnapshot === undefined
          ? finding.summary
          : `${finding.summary}; snapshot ${bad.alsoInSnapshot} shows it as well`,
      volume: extent.volume,
      block: extent.firstBlock + block,
      blockCount: 1,
      ...(snapshot === undefined ? {} : { snapshot }),
      ltsMax: ltsMaxOf(view),
      expected: allowed.map((state) => this.#stateText(state)).join(", or "),
      observed: finding.observed,
      operations,
      rereads: bad.rereads,
    };
  }

  /** What was right before and is wrong now has changed, whatever it holds now. */
  #mutated({ snapshot, provenBefore }: BadBlock, finding: Finding): Finding {
    if (snapshot === undefined || !provenBefore) return finding;
    return {
      ...finding,
      class: "mutated",
      summary: `the snapshot held the right content when it was read before, and has changed since: ${finding.summary}`,
    };
  }

  /** The bytes are an allowed version, which only what was seen elsewhere, or before, forbids. */
  #seenOtherwise({ wrong: { shown, contradiction }, snapshot }: BadBlock): Finding | undefined {
    if (shown === undefined) return undefined;
    const observed = this.#stateText(shown);
    const position = shown === 0 || shown === someZeros ? {} : { position: shown };
    if (contradiction === undefined)
      return {
        class: snapshot === undefined ? "went-back" : "torn-cut",
        summary:
          snapshot === undefined
            ? "each of these versions could be there, but not after what reads of this block have shown before"
            : "the snapshot shows a version that reads of the volume around its call rule out",
        observed,
        ...position,
      };
    const missing = contradiction.missing === 0 ? undefined : contradiction.missing;
    const witness = contradiction.shown === 0 ? undefined : contradiction.shown;
    return {
      class: "torn-cut",
      summary:
        missing !== undefined && witness !== undefined
          ? `the snapshot is no single instant: ${this.#name(witness)} is in it, and ${this.#name(missing)} is not, though that had completed before the first was submitted`
          : missing !== undefined
            ? `the snapshot lacks ${this.#name(missing)}, which had completed before the call`
            : "the snapshot shows what no instant of its call had",
      observed,
      ...(witness === undefined ? position : { position: witness }),
      ...(missing === undefined ? {} : { missing }),
    };
  }

  #stateText(state: number): string {
    return stateText(state, this.#workload);
  }

  #name(state: number): string {
    const { lts, operationId } = operationAt(state);
    return `operation ${operationId} of lts ${lts}`;
  }

  #find(bad: BadBlock, versions: readonly number[]): Finding {
    const evidence = readEvidence(this.#workload.run.format, bad.bytes);
    if (evidence.every(({ kind }) => kind === "zeros")) return this.#zeros(bad, versions);
    const foreign = evidence.find((sector) => sector.kind === "foreign");
    if (foreign !== undefined)
      return {
        class: "foreign",
        summary: `another run of harrow wrote this, for ${addressText(foreign.address)}`,
        observed: `content of run ${foreign.runId.toString(16)}`,
      };
    const sources = evidence.map((sector) => (sector.kind === "ours" ? sector.source : undefined));
    const whole = wholeBlock(sources);
    const isExact = evidence.every((sector) => sector.kind === "ours" && sector.differingBits === 0);
    if (whole !== undefined && isExact) return this.#otherContent(bad, versions, whole);
    return damageOf(evidence, {
      workload: this.#workload,
      volume: bad.extent.volume,
      block: bad.extent.firstBlock + bad.wrong.block,
      expected: bad.wrong.allowed[0]!,
      bytes: bad.bytes,
    });
  }

  /** The block reads as zeros, though it should not. */
  #zeros(bad: BadBlock, versions: readonly number[]): Finding {
    const { snapshot } = bad;
    const observed = "zeros";
    if (snapshot !== undefined) {
      const later = this.#laterZeroing(bad, versions);
      if (later !== undefined)
        return {
          class: "late-leak",
          summary: "the snapshot shows an operation that was submitted after it was taken",
          observed: this.#stateText(later),
          position: later,
        };
    }
    const floor = versions.indexOf(bad.wrong.allowed.at(-1)!);
    const late = this.#lateZeroing(bad);
    if (late !== undefined) return { ...this.#late(bad, late), observed, position: late };
    if (versions[floor + 1]! <= 0) return this.#olderVersion(bad, 1, observed);
    return { class: "zeroed", summary: "data was replaced by zeros that no operation made", observed };
  }

  /** The block is whole and of this run, but not what it should hold. */
  #otherContent(bad: BadBlock, versions: readonly number[], source: Source): Finding {
    const { extent, wrong, view, snapshot } = bad;
    const here = extent.firstBlock + wrong.block;
    const { volume, block: from } = source.address;
    const position = originOf(source, this.#workload);
    if (volume !== extent.volume || from !== here) {
      const distance =
        volume === extent.volume
          ? `, ${Math.abs(from - here)} blocks ${from < here ? "before" : "after"}`
          : "";
      return {
        class: "misdirected",
        summary: `the content of another block is here: it belongs to ${addressText(source.address)}${distance}`,
        observed: position === undefined ? "content of another block" : this.#stateText(position),
        ...(position === undefined ? {} : { position }),
      };
    }
    if (position === undefined)
      return {
        class: "garbage",
        summary: "the block is well-formed, but no operation of this history wrote such a value here",
        observed: `descriptor ${source.vd.toString(16)}`,
      };
    const observed = this.#stateText(position);
    if (this.#tracker.outcomeOf(position) === "failed")
      return {
        class: "refused-write",
        summary: "the target refused this write, and stored it all the same",
        observed,
        position,
      };
    const age = versions.indexOf(position) - versions.indexOf(wrong.allowed.at(-1)!);
    const isNeverHappened = this.#tracker.decisionOn(position, here) === false;
    if (isNeverHappened || (versions.includes(position) && age > 0 && this.#mayBeLate(bad, position)))
      return { ...this.#late(bad, position), observed, position };
    if (!versions.includes(position)) {
      const { lts } = operationAt(position);
      const isSubmitted =
        lts <= this.#tracker.ltsCompleteMax || this.#tracker.timesOf(position) !== undefined;
      const isUndone = view.segments.some(({ ltsMin }) => lts <= ltsMin);
      if (snapshot !== undefined && isSubmitted)
        return {
          class: "late-leak",
          summary: "the snapshot shows an operation that was submitted after it was taken",
          observed,
          position,
        };
      if (isSubmitted && isUndone)
        return {
          class: "resurrected",
          summary: "data is back that a rollback had undone",
          observed,
          position,
        };
      return {
        class: "foreign",
        summary: "this run has not come so far yet: an earlier run of the same seed left this here",
        observed,
        position,
      };
    }
    return { ...this.#olderVersion(bad, age, observed), position };
  }

  /**
   * Whether an older operation shows because it took effect only after newer ones: its outcome is unknown, and nobody
   * has seen it take effect in time. What a crash undid, and what a snapshot does not have, is another matter.
   */
  #mayBeLate({ extent, wrong, snapshot, rule, rereads }: BadBlock, state: number): boolean {
    const position = Math.abs(state);
    return (
      snapshot === undefined &&
      rule !== "durability" &&
      rereads === "same" &&
      this.#tracker.outcomeOf(position) === "unknown" &&
      this.#tracker.decisionOn(position, extent.firstBlock + wrong.block) !== true
    );
  }

  /** An operation in doubt has happened when it could not any more. */
  #late({ extent, wrong, wasProven }: BadBlock, state: number): Pick<Finding, "class" | "summary"> {
    const what = state > 0 ? "a write" : "a zeroing";
    const isNeverHappened =
      this.#tracker.decisionOn(Math.abs(state), extent.firstBlock + wrong.block) === false;
    return {
      class: "ghost-write",
      summary: isNeverHappened
        ? `${what} whose outcome was unknown had been shown not to have happened, and is here now`
        : wasProven === true
          ? `${what} whose outcome was unknown is here now, over a newer one that had been read back: it happened too late`
          : `${what} whose outcome was unknown is here, and a newer one is not that completed after it could not happen any more: it happened too late`,
    };
  }

  /** The newest zeroing of the block that may have happened too late, of those before what it should hold. */
  #lateZeroing(bad: BadBlock): number | undefined {
    const { extent, wrong } = bad;
    const expected = wrong.allowed.at(-1)!;
    let newest: number | undefined;
    for (const { position, outcome } of this.#tracker.exceptions()) {
      if (outcome !== "unknown" || position >= expected || position < -(newest ?? 0)) continue;
      const { lts, operationId } = operationAt(position);
      if (this.#workload.window.pd(lts) !== extent.pd) continue;
      const operation = this.#workload.operationOn(lts, wrong.block);
      if (operation?.operationId !== operationId || effectOf(operation.kind) !== "zeros") continue;
      if (this.#mayBeLate(bad, -position)) newest = -position;
    }
    return newest;
  }

  /** Another block of the write that is missing here, counted from the start of the extent, which shows it. */
  #otherPart({ wrong, view, rule, shows }: BadBlock): number | undefined {
    const expected = wrong.allowed.at(-1)!;
    if (shows === undefined || expected <= 0 || (rule !== "quiescent" && rule !== "exhaustive"))
      return undefined;
    const found = this.#workload.operationOf(expected);
    // What a rollback brought back was whole once.
    if (found === undefined || operationAt(expected).lts <= view.segments[0]!.ltsMin) return undefined;
    const { firstBlock, blockCount } = found.operation;
    for (let block = firstBlock; block < firstBlock + blockCount; block++)
      if (block !== wrong.block && shows(block, expected)) return block;
    return undefined;
  }

  /** The block holds a version `age` writes older than the oldest that it may hold. */
  #olderVersion(bad: BadBlock, age: number, observed: string): Finding {
    const { extent, snapshot, rereads, wrong, wasProven } = bad;
    const expected = wrong.allowed.at(-1)!;
    if (snapshot !== undefined)
      return {
        class: "early-miss",
        summary: "the snapshot lacks an operation that had completed before it was taken",
        observed,
      };
    if (expected <= 0)
      return { class: "resurrected", summary: "data is back that was made zeros since", observed };
    const isStored = rereads === "same";
    const isBack = isStored && wasProven === true;
    if (age === 1 && isBack)
      return {
        class: "lost-write",
        summary:
          "the newest write had been read back, and the block is again as it was before: an old copy has come back",
        observed,
      };
    if (age === 1 && isStored) {
      const part = this.#otherPart(bad);
      if (part !== undefined)
        return {
          class: "torn",
          summary: `part of the newest write is there: block ${extent.firstBlock + part} has it, this one is as it was before`,
          observed,
        };
      return {
        class: "lost-write",
        summary: "the newest write was acknowledged, and the block is still as it was before",
        observed,
      };
    }
    const behind = `${age} ${age === 1 ? "write" : "writes"} behind`;
    return {
      class: "stale",
      summary: isBack
        ? `the newest write had been read back, and an old version has come back: ${behind}`
        : `the block holds an old version: ${behind}`,
      observed,
    };
  }

  /** A zeroing of the block that was submitted, and is not in the snapshot. */
  #laterZeroing({ extent, wrong, view }: BadBlock, versions: readonly number[]): number | undefined {
    const { window } = this.#workload;
    const ltsMin = view.segments[0]!.record?.ltsBefore ?? ltsMaxOf(view);
    const last = window.lastLts(extent.pd, ltsMin);
    let lts = last === undefined ? window.firstLts(extent.pd) : window.nextLts(last);
    for (; lts <= this.#tracker.ltsStartedMax; lts = window.nextLts(lts)) {
      const operation = this.#workload.operationOn(lts, wrong.block);
      if (operation === undefined || effectOf(operation.kind) !== "zeros") continue;
      const state = -positionOf(lts, operation.operationId);
      if (!versions.includes(state)) return state;
    }
    return undefined;
  }

  #reference(state: number, role: OperationReference["role"]): OperationReference {
    const { extent, operation } = this.#workload.operationOf(state)!;
    const { lts, operationId } = operationAt(state);
    return {
      lts,
      operationId,
      kind: operation.kind,
      block: extent.firstBlock + operation.firstBlock,
      blockCount: operation.blockCount,
      role,
    };
  }
}

/** The one source of all sectors, each in its place; `undefined` if there is none. */
function wholeBlock(sources: readonly (Source | undefined)[]): Source | undefined {
  const [first] = sources;
  const isWhole = sources.every(
    (source, sector) =>
      source !== undefined &&
      source.vd === first?.vd &&
      source.address.sector === sector &&
      source.address.block === first.address.block &&
      source.address.volume === first.address.volume,
  );
  return isWhole ? first : undefined;
}
