/**
 * From a setting of the gallery to an open target, spoiled by a mutant or not.
 *
 * @packageDocumentation
 */
import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Choices } from "../generators/choices.ts";
import type { Config } from "../runner/config/schema.ts";
import type { RunLog } from "../runner/run-log.ts";
import { serviceTarget } from "../runner/service-target.ts";
import type { Stage } from "../runner/stage.ts";
import { openTarget, type SpoiledTarget } from "../runner/target.ts";
import { systemClock } from "../sut/clock.ts";
import { memoryService } from "../sut/memory.ts";
import type { VolumeService } from "../sut/port.ts";
import type { TargetFaults } from "../sut/target-faults.ts";
import { JitteryClock } from "./jittery/clock.ts";
import { JitteryTarget } from "./jittery/target.ts";
import { type BuiltClass, mutantStream, type Scene, type Setting } from "./mutant.ts";
import { saysStruck } from "./serve-bug.ts";
import { serveNvmeProxy } from "./wire/nvme-proxy.ts";
import { serveRestProxy } from "./wire/rest-proxy.ts";

export interface StageOptions {
  /** The class that spoils it; what is opened keeps its word if there is none. */
  readonly entry: BuiltClass | undefined;
  /** Whether it strikes whenever it can; if not, now and then in the middle of a run. */
  readonly isEager?: boolean;
  /** `embedded` opens what the configuration names, whatever that is; the others, volumes in memory. */
  readonly setting: Setting;
  readonly config: Config;
  readonly seed: bigint;
  /** What the run's objects on the target are called. */
  readonly name: string;
  readonly log: RunLog;
  /** How to start `harrow serve`. */
  readonly serveCommand: readonly string[];
  readonly signal: AbortSignal;
  readonly onStruck: () => void;
}

/** Longest time in which something takes effect on a jittery target, in turns. */
const turnsMax = 20;
/** Ranges in a page of a diff: few, so that there are several pages. */
const diffPageRanges = 3;

export function openStage(options: StageOptions): Promise<Stage> {
  return options.setting === "embedded" ? openReal(options) : openInMemory(options);
}

async function openInMemory(options: StageOptions): Promise<Stage> {
  const { setting, config, seed, name, isEager = false, onStruck } = options;
  const mutant = options.entry?.mutant;
  const choices = new Choices(seed, mutantStream);
  const chance = { choices, isEager, struck: onStruck };
  const bug = mutant?.level === "target" ? mutant.bug(chance) : undefined;
  const plain = await memoryService({ diffPageRanges, ...(bug !== undefined && { bug }) });
  const jittery = setting === "jittery" ? new JitteryClock({ seed, turnsMax }) : undefined;
  const clock = jittery ?? systemClock;
  const hasVolatileCache = config.target.kind === "embedded" && config.target.volatileCache;
  const shaken = jittery === undefined ? undefined : new JitteryTarget(plain, jittery, { hasVolatileCache });
  const scene: Scene = { ...chance, seed, config, clock };
  const port = mutant?.level === "port" ? mutant : undefined;
  const honest = shaken?.service ?? plain;
  const service = port?.service?.(honest, scene) ?? honest;
  const faults =
    shaken === undefined ? undefined : (port?.faults?.(shaken.faults, service, scene) ?? shaken.faults);
  const target = await serviceTarget({
    service,
    config,
    name,
    description: `volumes in memory${jittery === undefined ? "" : ", at random instants"}`,
    ...(faults === undefined ? {} : { faults }),
  });
  return {
    target,
    clock,
    stalled: jittery?.stalled,
    [Symbol.asyncDispose]: async () => {
      jittery?.stop();
      await plain[Symbol.asyncDispose]();
    },
  };
}

async function openReal(options: StageOptions): Promise<Stage> {
  const { entry, isEager = false, seed, name, log, serveCommand, signal } = options;
  const closers: (() => Promise<unknown>)[] = [];
  /** The last first, and all of them, whatever one of them says. */
  const close = async (): Promise<void> => {
    const failures: unknown[] = [];
    for (let closer = closers.pop(); closer !== undefined; closer = closers.pop())
      await closer().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  };
  try {
    const config = await inDirectory(options.config, closers);
    const target = await openTarget({
      config,
      seed,
      name,
      log,
      serveCommand:
        entry?.mutant.level === "target"
          ? [
              ...serveCommand,
              "--bug",
              entry.id,
              "--bug-seed",
              String(seed),
              ...(isEager ? ["--bug-eager"] : []),
            ]
          : serveCommand,
      environment: process.env,
      signal,
      ...(entry === undefined ? {} : { spoiled: spoil(entry, options, closers) }),
    });
    closers.push(async () => target[Symbol.asyncDispose]());
    return { target, clock: systemClock, stalled: undefined, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A target that keeps its volumes in a directory gets one of its own, which goes with it. */
async function inDirectory(config: Config, closers: (() => Promise<unknown>)[]): Promise<Config> {
  const { target } = config;
  if (target.kind !== "embedded" || target.directory === undefined) return config;
  const directory = await mkdtemp(join(tmpdir(), "harrow-gallery-"));
  // Also when the process is ended at once, as by a second Ctrl-C.
  const removeAtExit = (): void => rmSync(directory, { recursive: true, force: true });
  process.on("exit", removeAtExit);
  closers.push(async () => {
    await rm(directory, { recursive: true, force: true });
    process.off("exit", removeAtExit);
  });
  return { ...config, target: { ...target, directory } };
}

function spoil(
  { mutant }: BuiltClass,
  { seed, config, log, isEager = false, onStruck }: StageOptions,
  closers: (() => Promise<unknown>)[],
): SpoiledTarget {
  const chance = { choices: new Choices(seed, mutantStream), isEager, struck: onStruck };
  const { level } = mutant;
  switch (level) {
    case "port": {
      const scene: Scene = { ...chance, seed, config, clock: systemClock };
      const { service, faults } = mutant;
      return {
        ...(service === undefined ? {} : { service: (inner: VolumeService) => service(inner, scene) }),
        ...(faults === undefined
          ? {}
          : { faults: (inner: TargetFaults, of: VolumeService) => faults(inner, of, scene) }),
      };
    }
    case "wire": {
      const { nvme, rest } = mutant;
      const opened = <Proxy extends AsyncDisposable>(proxy: Proxy): Proxy => {
        closers.push(async () => proxy[Symbol.asyncDispose]());
        return proxy;
      };
      return {
        ...(nvme === undefined
          ? {}
          : {
              nvmeVia: async (upstream) =>
                opened(await serveNvmeProxy({ upstream, interceptor: nvme(chance), log })).address,
            }),
        ...(rest === undefined
          ? {}
          : {
              restVia: async (upstream) =>
                opened(await serveRestProxy({ upstream, interceptor: rest(chance), log })).url,
            }),
      };
    }
    case "target":
      return {
        onLine: (line) => {
          if (saysStruck(line)) onStruck();
        },
      };
  }
}
