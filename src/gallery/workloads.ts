/**
 * The workloads that the gallery shows its classes on: one base for each setting, over which a class lays its own.
 *
 * They are small, so that every class can be shown with many seeds: the quiescent checker alone looks, and classes
 * that are another checker's business switch that one on.
 *
 * @packageDocumentation
 */
import { stringify } from "yaml";
import { parseConfig } from "../runner/config/load.ts";
import type { Config, ConfigInput } from "../runner/config/schema.ts";
import type { Setting } from "./mutant.ts";

/** 512 blocks of 4096 bytes in 16 extents, each of which is written a few dozen times. */
const base: ConfigInput = {
  geometry: { volumeSize: "2MiB", extentSize: "128KiB", blockSize: 4096 },
  window: { size: 4, slideAfterRepeats: 3 },
  operations: {
    blocks: { min: 1, max: 8 },
    // Both look at their blocks first.
    weights: { compareAndWrite: 0, compareAndWriteMiss: 0 },
  },
  reads: { perLts: { min: 0, max: 0 }, preRead: "0/1" },
  snapshots: { every: 0, clones: "0/1", far: "0/1", withoutBase: "0/1", deletedBase: "0/1", hot: "0/1" },
  checks: {
    // After each lts, so that nothing is overwritten before anyone looks.
    recent: { every: 1, extents: 2 },
    sample: { every: 20, extents: 4 },
    snapshots: { extents: 0, atEnd: false },
    diffs: { enabled: false },
    cut: false,
    clones: false,
    sync: false,
    durability: false,
    compare: false,
    exhaustive: false,
  },
  runner: { lts: 300, stopAfterViolations: 20, stopAfterTargetErrors: 1_000_000 },
  record: "never",
};

const bySetting: Readonly<Record<Setting, ConfigInput>> = {
  memory: { runner: { kind: "sequential" }, target: { kind: "memory" } },
  // As far as the configuration goes it is an embedded target, which can be put to trouble.
  jittery: {
    runner: { kind: "concurrent", depth: 16 },
    target: { kind: "embedded", directory: "in memory, at random instants" },
  },
  embedded: { runner: { kind: "concurrent", depth: 8 }, target: { kind: "embedded", queueDepth: 32 } },
};

/** The configuration of a class, with what else is asked for laid over it, part after part. */
export function galleryConfig(setting: Setting, ...parts: readonly (ConfigInput | undefined)[]): Config {
  const all = [base, bySetting[setting], ...parts].filter((part) => part !== undefined);
  return parseConfig(stringify(all.reduce((under, over) => laidOver(under, over))), "gallery");
}

type Section = Readonly<Record<string, unknown>>;

/** Mappings are joined key by key; whatever else stands in `over` replaces what is under it. */
function laidOver<Part extends object>(under: Part, over: Part): Part {
  const joined: Record<string, unknown> = { ...(under as Section) };
  for (const [key, value] of Object.entries(over)) {
    const before = (under as Section)[key];
    joined[key] = isSection(before) && isSection(value) ? laidOver<object>(before, value) : value;
  }
  return joined as Part;
}

function isSection(value: unknown): value is Section {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
