/**
 * How far shrinking has come: one file, written whole after each success, from which it goes on after a stop or a kill.
 *
 * @packageDocumentation
 */
import { mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import type { Violation } from "../../model/violation.ts";
import { writeWhole } from "../../sut/whole-file.ts";
import { DumpError } from "../dump.ts";

const tally = z.object({ failures: z.int().min(0), tries: z.int().min(0) });
const extensiveness = z.object({
  lts: z.int().min(0),
  operations: z.int().min(0),
  reads: z.int().min(0),
  steps: z.int().min(0),
});

const stateSchema = z.object({
  format: z.literal(1),
  /** What is shrunk, and where; another can not go on from here. */
  of: z.object({ seed: z.string(), rule: z.string(), class: z.string(), grounds: z.array(z.string()) }),
  /** What it began with. */
  from: extensiveness,
  ground: z.int().min(0),
  looks: z.literal(["plain", "close", "dumped"]),
  baseline: tally,
  /** The rate at which what is smaller must fail. */
  wanted: z.number().min(0).max(1),
  tries: z.int().min(0),
  lastFailed: z.int().min(0).optional(),
  elapsedMs: z.number().min(0),
  /** Keys of histories that did not fail. */
  passed: z.array(z.string()),
  /** The smallest that fails, as text. */
  history: z.string(),
  violation: z.custom<Violation>((value) => typeof value === "object" && value !== null && "rule" in value),
  /** Nothing more goes. */
  isDone: z.boolean(),
  rate: tally.optional(),
});

export type ShrinkState = z.output<typeof stateSchema>;

const fileName = "state.json";

/** Where shrinking keeps what it has, in the folder of a failure. */
export function shrunkFolder(dumpFolder: string): string {
  return join(dumpFolder, "shrunk");
}

/**
 * @returns What was kept, if there is something.
 * @throws {DumpError} If it can not be used.
 */
export function readState(folder: string): ShrinkState | undefined {
  const path = join(folder, fileName);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw new DumpError(`${path}: ${(error as Error).message}`);
  }
  const state = stateSchema.safeParse(jsonOf(text));
  if (state.success) return state.data;
  const [issue] = state.error.issues;
  throw new DumpError(
    `${path}: ${issue?.path.join(".") || "the file"}: ${issue?.message}; it is no state that shrinking can go on from: use --afresh`,
  );
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Replaces the file, so that there is the old one or the new one, whatever happens.
 *
 * @throws {DumpError} If it can not be written; the old one stays.
 */
export function writeState(folder: string, state: ShrinkState): void {
  writeShrunkFile(join(folder, fileName), JSON.stringify(state));
}

/**
 * Writes a file of the folder, which is made if it is not there, as a whole.
 *
 * @throws {DumpError} If it can not be written: because the disk is full, or nobody may write there.
 */
export function writeShrunkFile(path: string, content: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeWhole(path, content);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new DumpError(
      `${path}: can not be written (${why}): make room, or let it be written; the same command then goes on from what was kept`,
      { cause },
    );
  }
}
