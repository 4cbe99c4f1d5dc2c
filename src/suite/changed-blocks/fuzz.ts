/**
 * The checks of the suite as properties: cases drawn from seeds, each judged by the model, copied and compared.
 *
 * Where volumes can be made, each case has two new ones of a size of its own, so that it stands for itself and also
 * reaches the ends of volumes; given volumes are used by one case after another.
 *
 * @packageDocumentation
 */
import type { VolumeService } from "../../sut/port.ts";
import { type SuiteReporter, type SuiteResult, type SuiteSummary, summaryOf } from "../report.ts";
import type { SuiteVolume } from "./bench-options.ts";
import { Content } from "./content.ts";
import { performCase, stepText } from "./fuzz-case.ts";
import { type CasePlan, drawCase } from "./fuzz-plan.ts";
import { Layout } from "./layout.ts";
import { smallerCase } from "./shrink-plan.ts";
import { SourceMemory } from "./source-memory.ts";
import { type ChangedBlocksGround, resultOf, unitOf } from "./suite.ts";
import { SuiteFailure } from "./suite-failure.ts";
import { Workbench } from "./workbench.ts";

export interface FuzzOptions extends Omit<ChangedBlocksGround, "source" | "target"> {
  readonly caseCount: number;
  /** Of the first case; the next has the next. */
  readonly seed: bigint;
  /** The volumes to use; new ones for each case if they are not given. */
  readonly given?: { readonly source: SuiteVolume; readonly target: SuiteVolume };
  readonly blockSizeBytes: number;
  /** For people: how to run one case again, of which the seed follows. */
  readonly again: string;
  readonly reporter: SuiteReporter;
}

const shrinkLimits = { triesMax: 80, timeMs: 20_000 };
/** Steps told of a case that failed. */
const stepsToldMax = 40;

/** Runs cases one after another; the first that fails is the last. */
export async function fuzzChangedBlocks(options: FuzzOptions): Promise<SuiteSummary> {
  const { service, seed, caseCount, signal, reporter, blockSizeBytes, given } = options;
  const content = new Content({ seed: options.contentSeed, blockSizeBytes });
  const memory = given && new SourceMemory({ source: given.source.wasEmpty, target: given.target.wasEmpty });
  const blockCount = given && Math.min(given.source.device.blockCount, given.target.device.blockCount);
  const runner = new CaseRunner(options, content, memory);
  const started = performance.now();
  const results: SuiteResult[] = [];
  for (let index = 0; index < caseCount && !signal.aborted; index++) {
    const plan = drawCase({
      seed: BigInt.asUintN(64, seed + BigInt(index)),
      chunkBlocks: service.diffCapabilities.chunkBlocks,
      ...(blockCount === undefined ? {} : { blockCount }),
    });
    const reported = {
      ...{ number: index + 1, name: `case_${plan.seed}`, group: "fuzz" },
      title: `${plan.steps.length} steps on ${plan.blockCount} blocks`,
    };
    reporter.started(reported);
    let result = await runner.run(plan);
    if (signal.aborted && result.kind === "fail") break;
    if (result.kind === "fail") result = await runner.explained(plan, result);
    results.push(result);
    reporter.finished(reported, result);
    if (result.kind === "fail") break;
  }
  const durationMs = performance.now() - started;
  const summary = summaryOf(results, { durationMs, isInterrupted: signal.aborted });
  reporter.done(summary);
  return summary;
}

class CaseRunner {
  readonly #options: FuzzOptions;
  readonly #content: Content;
  /** Of given volumes, which outlasts a case. */
  readonly #memory: SourceMemory | undefined;
  #runs = 0;
  /** What the latest failure is called; the message if it has no name. */
  #failure: string | undefined;

  constructor(options: FuzzOptions, content: Content, memory: SourceMemory | undefined) {
    this.#options = options;
    this.#content = content;
    this.#memory = memory;
  }

  async run(plan: CasePlan): Promise<SuiteResult> {
    const { given } = this.#options;
    const name = `${this.#options.prefix}-f${++this.#runs}`;
    if (given !== undefined) return this.#perform(plan, name, given.source, given.target, this.#memory!);
    const volumes: SuiteVolume[] = [];
    try {
      for (const which of ["source", "target"]) volumes.push(await this.#made(`${name}-${which}`, plan));
      const memory = new SourceMemory({ source: true, target: true });
      return await this.#perform(plan, name, volumes[0]!, volumes[1]!, memory);
    } finally {
      for (const { uuid, device } of volumes) await this.#remove(uuid, device);
    }
  }

  /** A failure with the steps that lead to it, as few as are found quickly. */
  async explained(plan: CasePlan, result: SuiteResult & { kind: "fail" }): Promise<SuiteResult> {
    const { given, signal, again, isGone } = this.#options;
    const failure = this.#failure;
    const isFailing = async (fewer: CasePlan): Promise<boolean> => {
      if (signal.aborted || isGone?.()) return false;
      this.#failure = undefined;
      const { kind } = await this.run(fewer);
      return kind === "fail" && this.#failure === failure;
    };
    // Given volumes are not as they were before the case.
    const smaller = given === undefined ? await smallerCase(plan, isFailing, shrinkLimits) : plan;
    const told = smaller.steps.slice(0, stepsToldMax).map((step) => `  ${stepText(step)}`);
    const more = smaller.steps.length - told.length;
    const lines = [
      result.message,
      `the case again: ${again} --seed ${plan.seed}`,
      `${smaller.steps.length} of its ${plan.steps.length} steps, on ${plan.blockCount} blocks:`,
      ...told,
      ...(more > 0 ? [`  and ${more} more`] : []),
    ];
    return { ...result, message: lines.join("\n") };
  }

  async #perform(
    plan: CasePlan,
    prefix: string,
    source: SuiteVolume,
    target: SuiteVolume,
    memory: SourceMemory,
  ): Promise<SuiteResult> {
    const { service, signal, blockSizeBytes } = this.#options;
    const unitBlocks = unitOf(service.diffCapabilities);
    const layout = new Layout({ blockSizeBytes, unitBlocks, offsetBytes: 0, scale: 1 });
    const bench = new Workbench({
      ...{ service, source, target, layout, memory, signal, prefix },
      content: this.#content,
    });
    return resultOf(bench, this.#options, () =>
      performCase(plan, bench).catch((error: unknown) => {
        this.#failure = nameOf(error);
        throw error;
      }),
    );
  }

  async #made(name: string, { blockCount }: CasePlan): Promise<SuiteVolume> {
    const { service, signal, blockSizeBytes } = this.#options;
    const sizeBytes = blockCount * blockSizeBytes;
    const { uuid } = await service.createVolume({ name, sizeBytes, sectorSizeBytes: blockSizeBytes });
    return { uuid, device: await openOrRemove(service, uuid, signal), wasEmpty: true };
  }

  async #remove(uuid: string, device: SuiteVolume["device"]): Promise<void> {
    const { service, warn } = this.#options;
    try {
      await device[Symbol.asyncDispose]();
      await service.deleteVolume(uuid);
    } catch (error) {
      warn(`volume ${uuid} stays: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

async function openOrRemove(service: VolumeService, uuid: string, signal: AbortSignal) {
  try {
    return await service.openVolume(uuid, { signal });
  } catch (error) {
    await service.deleteVolume(uuid).catch(() => undefined);
    throw error;
  }
}

function nameOf(error: unknown): string {
  if (error instanceof SuiteFailure && error.faultClass !== undefined) return error.faultClass;
  return error instanceof Error ? error.message : String(error);
}
