/**
 * The folder that a failure leaves: what is needed to understand it, and to run the same history again.
 *
 *   run.yml          the whole configuration with its seed, bounded where the run ended
 *   failure.json     violations and context
 *   failure.txt      the same for people
 *   observed-N.bin   bytes of the N-th wrong block, as they were read
 *   history.txt      the history, if it was written and not drawn; "run.yml" says then only what it was performed on
 *
 * Each file is written whole or not at all, and anew with every violation, so that a later crash loses nothing.
 * No token and no secret is part of a configuration, so none can get in.
 *
 * @packageDocumentation
 */
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describeViolation, type Violation } from "../model/violation.ts";
import type { Config } from "../runner/config/schema.ts";
import { configToYaml } from "../runner/config/write.ts";
import type { Exhibit } from "../runner/exhibit.ts";
import type { Run } from "../runner/run.ts";

/** What a failure folder says beside what the run knows of itself. */
export interface FailureContext {
  readonly version: string;
  /** The text of the history, if it was written and not drawn. */
  readonly history?: string;
  /** The mistake that the target made on purpose. */
  readonly bug?: BugNote | undefined;
}

/** A class of the gallery that was switched on, so that it can be again. */
export interface BugNote {
  readonly class: string;
  /** Decimal. */
  readonly seed: string;
  readonly isEager: boolean;
  readonly setting: "memory" | "jittery" | "embedded";
}

/** Violations of which bytes and text are kept. */
const keptMax = 100;

export class FailureFolder {
  readonly #context: FailureContext;
  readonly #startedAt = new Date();
  readonly #violations: Violation[] = [];
  #path: string | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(context: FailureContext) {
    this.#context = context;
  }

  /** Where the folder is; `undefined` while there is no failure. */
  get path(): string | undefined {
    return this.#path;
  }

  /** Adds a violation; its files are written in the background, in order. See {@link FailureFolder.finish}. */
  add(violation: Violation, exhibit: Exhibit | undefined, run: Run): void {
    if (this.#violations.length >= keptMax) return;
    const number = this.#violations.push(violation) - 1;
    const violations = [...this.#violations];
    const bytes = exhibit?.kind === "block" ? exhibit.found : undefined;
    const ltsCount = run.ltsBegun;
    this.#writing = this.#writing.then(() => this.#write(run, violations, { number, bytes, ltsCount }));
    // The caller learns of a failed write from `finish`.
    this.#writing.catch(() => {});
  }

  /**
   * Waits until all is written; to be called when the run is over, and its target still open.
   *
   * @throws {Error} If something could not be; what was written before stays.
   */
  async finish(run: Run): Promise<void> {
    try {
      await this.#writing;
    } catch (cause) {
      const where = this.#path ?? run.config.failures;
      throw new Error(
        `the failure folder ${where} is not complete: ${cause instanceof Error ? cause.message : String(cause)}`,
        {
          cause,
        },
      );
    }
  }

  async #write(
    run: Run,
    violations: readonly Violation[],
    { number, bytes, ltsCount }: { number: number; bytes: Uint8Array | undefined; ltsCount: number },
  ): Promise<void> {
    const { version, history } = this.#context;
    const { config, seed } = run;
    const target = run.target.description;
    const folder = (this.#path ??= await this.#create(run, violations[0]!));
    if (bytes !== undefined) await writeWhole(join(folder, `observed-${number}.bin`), bytes);
    const again: Config = {
      ...config,
      seed,
      runner: { ...config.runner, lts: ltsCount, duration: undefined },
    };
    await writeWhole(join(folder, "run.yml"), configToYaml(again));
    if (history !== undefined) await writeWhole(join(folder, "history.txt"), history);
    const json = {
      version,
      seed: `0x${seed.toString(16)}`,
      target,
      startedAt: this.#startedAt.toISOString(),
      ltsCount,
      violations,
    };
    await writeWhole(join(folder, "failure.json"), `${JSON.stringify(json, null, 2)}\n`);
    const head = `harrow ${version}, seed ${json.seed}, after ${ltsCount} lts on ${target}\n\n`;
    await writeWhole(
      join(folder, "failure.txt"),
      `${head}${violations.map(describeViolation).join("\n\n")}\n`,
    );
  }

  async #create({ config, seed }: Run, first: Violation): Promise<string> {
    const time = this.#startedAt.toISOString().replaceAll(/[-:]|\.\d+Z/g, "");
    const name = `${time}-${first.class}-${seed.toString(16)}`;
    await mkdir(config.failures, { recursive: true });
    for (let suffix = 0; ; suffix++) {
      const path = join(config.failures, suffix === 0 ? name : `${name}-${suffix}`);
      try {
        await mkdir(path);
        return path;
      } catch (error) {
        if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
      }
    }
  }
}

async function writeWhole(path: string, content: string | Uint8Array): Promise<void> {
  const unfinished = `${path}.unfinished`;
  await writeFile(unfinished, content, { flush: true });
  await rename(unfinished, path);
}
