/**
 * What thin_delta and thin_dump print about the chunks of thin devices.
 *
 * Both print one element a line, in the versions 0.9 and 1.x alike. They are read by that form, and not as XML in
 * general: what is not known, out of order or out of bounds makes the answer a bad one.
 *
 * @packageDocumentation
 */
import { ServiceError } from "../port.ts";
import { printable } from "../wording.ts";
import type { ChunkRange } from "./thin-pool.ts";

export interface ThinAnswer {
  readonly text: string;
  /** Chunks of the device, or of the longer of two. */
  readonly chunkCount: number;
  /** Size of a chunk that the pool is known to have, in sectors of 512 bytes. */
  readonly chunkSectors: number;
}

interface Element {
  readonly name: string;
  readonly kind: "open" | "close" | "empty";
  readonly attributes: ReadonlyMap<string, string>;
  /** For messages, counted from 1. */
  readonly line: number;
}

const changed: ReadonlySet<string> = new Set(["different", "left_only", "right_only"]);

/**
 * Chunks that thin_delta found to differ between two devices, neighbours joined.
 *
 * @param ids - Thin ids of the devices that were compared, which the answer has to name.
 * @throws {ServiceError} `ERR_BAD_ANSWER`
 */
export function changedChunks(
  answer: ThinAnswer,
  ids: { readonly left: number; readonly right: number },
): ChunkRange[] {
  const ranges = new RisingRanges("thin_delta", answer.chunkCount);
  const nesting = new Nesting("thin_delta", ["superblock", "diff"]);
  for (const element of elements("thin_delta", answer.text)) {
    if (element.name === "superblock") {
      checkSuperblock("thin_delta", element, answer.chunkSectors);
      nesting.take(element);
    } else if (element.name === "diff") {
      nesting.take(element);
      if (element.kind === "close") continue;
      if (
        count("thin_delta", element, "left") !== ids.left ||
        count("thin_delta", element, "right") !== ids.right
      )
        throw bad("thin_delta", element.line, `it is not about devices ${ids.left} and ${ids.right}`);
    } else if (element.kind === "empty" && (changed.has(element.name) || element.name === "same")) {
      nesting.expectDepth(2, element);
      const range = {
        begin: count("thin_delta", element, "begin"),
        count: count("thin_delta", element, "length"),
      };
      ranges.add(range, element.line, changed.has(element.name));
    } else {
      throw unknown("thin_delta", element);
    }
  }
  nesting.expectEnd();
  return ranges.taken;
}

/**
 * Chunks that thin_dump shows as mapped in a device, neighbours joined.
 *
 * Leaves that devices share may be told once, before the devices, and referred to.
 *
 * @throws {ServiceError} `ERR_BAD_ANSWER`
 */
export function mappedChunks(answer: ThinAnswer, id: number): ChunkRange[] {
  const ranges = new RisingRanges("thin_dump", answer.chunkCount);
  const nesting = new Nesting("thin_dump", ["superblock", "device"]);
  const shared = new Map<string, RisingRanges>();
  let definition: RisingRanges | undefined;
  let deviceCount = 0;
  for (const element of elements("thin_dump", answer.text)) {
    const { name, kind, line } = element;
    if (name === "superblock") {
      checkSuperblock("thin_dump", element, answer.chunkSectors);
      nesting.take(element);
    } else if (name === "def" && kind !== "empty") {
      nesting.expectDepth(1, element);
      if ((kind === "open") !== (definition === undefined)) throw unknown("thin_dump", element);
      definition = kind === "open" ? new RisingRanges("thin_dump", answer.chunkCount) : undefined;
      if (definition !== undefined) shared.set(text("thin_dump", element, "name"), definition);
    } else if (name === "device") {
      nesting.take(element);
      if (kind === "open" && (++deviceCount > 1 || count("thin_dump", element, "dev_id") !== id))
        throw bad("thin_dump", line, `it is not about device ${id} alone`);
    } else if (kind === "empty" && name === "ref") {
      nesting.expectDepth(2, element);
      const referred = shared.get(text("thin_dump", element, "name"));
      if (referred === undefined) throw bad("thin_dump", line, "it refers to what was not defined");
      for (const range of referred.taken) ranges.add(range, line, true);
    } else if (kind === "empty" && (name === "single_mapping" || name === "range_mapping")) {
      nesting.expectDepth(definition === undefined ? 2 : 1, element);
      const isOne = name === "single_mapping";
      const range = {
        begin: count("thin_dump", element, isOne ? "origin_block" : "origin_begin"),
        count: isOne ? 1 : count("thin_dump", element, "length"),
      };
      (definition ?? ranges).add(range, line, true);
    } else {
      throw unknown("thin_dump", element);
    }
  }
  nesting.expectEnd();
  if (deviceCount === 0) throw bad("thin_dump", undefined, `device ${id} is not in it`);
  return ranges.taken;
}

/** Ranges that follow one another within a device. */
class RisingRanges {
  readonly taken: ChunkRange[] = [];
  readonly #tool: string;
  readonly #chunkCount: number;
  #end = 0;

  constructor(tool: string, chunkCount: number) {
    this.#tool = tool;
    this.#chunkCount = chunkCount;
  }

  /** @param isTaken - Whether it belongs to the result; all are checked. */
  add(range: ChunkRange, line: number, isTaken: boolean): void {
    const { begin } = range;
    const end = begin + range.count;
    if (range.count === 0) throw bad(this.#tool, line, `a range at chunk ${begin} is empty`);
    if (begin < this.#end)
      throw bad(
        this.#tool,
        line,
        `the range at chunk ${begin} begins before the end of another, ${this.#end}`,
      );
    if (end > this.#chunkCount)
      throw bad(
        this.#tool,
        line,
        `${range.count} chunks at ${begin} reach beyond the device, which has ${this.#chunkCount}`,
      );
    this.#end = end;
    if (!isTaken) return;
    const last = this.taken.at(-1);
    if (last !== undefined && last.begin + last.count === begin)
      this.taken[this.taken.length - 1] = { begin: last.begin, count: last.count + range.count };
    else this.taken.push({ begin, count: range.count });
  }
}

/** That elements stand in one another as they should, each once. */
class Nesting {
  readonly #tool: string;
  readonly #names: readonly string[];
  #depth = 0;
  #isOver = false;

  constructor(tool: string, names: readonly string[]) {
    this.#tool = tool;
    this.#names = names;
  }

  take(element: Element): void {
    const { name, kind } = element;
    const isIn = kind === "open" && this.#names[this.#depth] === name && !this.#isOver;
    const isOut = kind === "close" && this.#names[this.#depth - 1] === name;
    if (!isIn && !isOut) throw unknown(this.#tool, element);
    this.#depth += isIn ? 1 : -1;
    this.#isOver = this.#depth === 0;
  }

  expectDepth(depth: number, element: Element): void {
    if (this.#depth !== depth) throw unknown(this.#tool, element);
  }

  /** An answer that was cut off would leave chunks out. */
  expectEnd(): void {
    if (!this.#isOver) throw bad(this.#tool, undefined, "it has no end");
  }
}

function checkSuperblock(tool: string, element: Element, chunkSectors: number): void {
  if (element.kind !== "open") return;
  const sectors = count(tool, element, "data_block_size");
  if (sectors !== chunkSectors)
    throw bad(tool, element.line, `a chunk has ${sectors} sectors, and in the pool ${chunkSectors}`);
}

const tag = /^<(\/?)([a-z_]{1,32})((?: [a-z_]{1,32}="[^"<>&]{0,128}")*) ?(\/?)>$/;
const attribute = / ([a-z_]+)="([^"]*)"/g;

function* elements(tool: string, text: string): Generator<Element, void, undefined> {
  let line = 0;
  for (let from = 0; from < text.length; ) {
    const found = text.indexOf("\n", from);
    const end = found < 0 ? text.length : found;
    const content = text.slice(from, Math.min(end, from + 2000)).trim();
    from = end + 1;
    line += 1;
    if (content === "") continue;
    const [, close, name, attributes, empty] = tag.exec(content) ?? [];
    if (
      name === undefined ||
      attributes === undefined ||
      (close !== "" && (empty !== "" || attributes !== ""))
    )
      throw bad(tool, line, `not an element: ${printable(content, 80)}`);
    yield {
      ...{ name, line },
      kind: close !== "" ? "close" : empty !== "" ? "empty" : "open",
      attributes: new Map(Array.from(attributes.matchAll(attribute), ([, key, value]) => [key!, value!])),
    };
  }
}

function text(tool: string, element: Element, name: string): string {
  const value = element.attributes.get(name);
  if (value === undefined) throw bad(tool, element.line, `<${element.name}> has no ${name}`);
  return value;
}

function count(tool: string, element: Element, name: string): number {
  const value = text(tool, element, name);
  if (!/^[0-9]{1,15}$/.test(value))
    throw bad(tool, element.line, `${name}="${printable(value, 40)}" is no number`);
  return Number(value);
}

function unknown(tool: string, { name, kind, line }: Element): ServiceError {
  return bad(tool, line, `${kind === "close" ? `</${name}>` : `<${name}>`} has no place here`);
}

function bad(tool: string, line: number | undefined, what: string): ServiceError {
  return new ServiceError(
    "ERR_BAD_ANSWER",
    `${tool}'s answer${line === undefined ? "" : `, line ${line}`}: ${what}`,
  );
}
