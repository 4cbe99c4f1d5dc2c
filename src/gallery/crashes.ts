/**
 * What bugs that show after a crash have in common.
 *
 * @packageDocumentation
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ConfigInput } from "../runner/config/schema.ts";
import type { VolumeRange } from "../sut/store/thin-volume.ts";
import type { Chance } from "./mutant.ts";

/**
 * A target with a volatile cache that crashes a few times, and of which nothing but what was at stake is looked at.
 *
 * Nothing is zeroed, and the volume is small: each block is soon on stable media, with data and not with zeros, so
 * that what is wrong after a crash is an older version. One lts at a time, so that none hides it before anyone looks.
 */
export const crashing = {
  geometry: { volumeSize: "512KiB" },
  operations: { weights: { writeZeroes: 0, deallocate: 0, deallocateTail: 0, deallocateExtent: 0 } },
  faults: { crash: { every: 60 } },
  checks: {
    recent: { every: 0 },
    sample: { every: 0 },
    all: { atEnd: false },
    durability: true,
  },
  runner: { kind: "sequential", lts: 215 },
  target: { kind: "embedded", directory: "of its own", volatileCache: true },
} as const satisfies ConfigInput;

/** Whether a flush is of a block: without a range it is of all. */
export function covers(range: VolumeRange | undefined, block: number): boolean {
  return range === undefined || (block >= range.block && block < range.block + range.blockCount);
}

/** What a bug leaves beside the volumes, so that it strikes when the next process opens them. */
export class SideFile<Content extends object> {
  readonly #name: string;
  readonly #chance: Chance;
  #path: string | undefined;
  #content: Content | undefined;
  #hasStruck = false;

  constructor(name: string, chance: Chance) {
    this.#name = name;
    this.#chance = chance;
  }

  /** What was left by this process. */
  get content(): Content | undefined {
    return this.#content;
  }

  /** Hands over what the last process left, once. Without a directory nothing is left to anyone. */
  open(directory: string | undefined, strike: (content: Content) => void): void {
    if (directory === undefined) return;
    this.#path = join(directory, this.#name);
    const left = contentOf(this.#path);
    if (left === undefined) return;
    rmSync(this.#path);
    strike(JSON.parse(left) as Content);
    this.#hasStruck = true;
  }

  /** Tells of a strike at the opening; to be called later, for a target says nothing before it serves. */
  tell(): void {
    if (this.#hasStruck) this.#chance.struck();
    this.#hasStruck = false;
  }

  write(content: Content): void {
    if (this.#path === undefined) return;
    writeFileSync(this.#path, JSON.stringify(content));
    this.#content = content;
  }

  remove(): void {
    if (this.#path !== undefined) rmSync(this.#path, { force: true });
    this.#content = undefined;
  }
}

function contentOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
