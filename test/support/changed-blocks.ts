/**
 * The changed-blocks suite on volumes in memory, small and quick.
 *
 * @packageDocumentation
 */

import { classesById } from "../../src/gallery/catalogue.ts";
import { isBuilt, mutantStream } from "../../src/gallery/mutant.ts";
import { Choices } from "../../src/generators/choices.ts";
import { parseConfig } from "../../src/runner/config/load.ts";
import { fuzzChangedBlocks } from "../../src/suite/changed-blocks/fuzz.ts";
import { changedBlocksTests, runChangedBlocks } from "../../src/suite/changed-blocks/suite.ts";
import type { SuiteReporter, SuiteResult } from "../../src/suite/report.ts";
import { systemClock } from "../../src/sut/clock.ts";
import { memoryService } from "../../src/sut/memory.ts";
import type { VolumeService } from "../../src/sut/port.ts";
import type { StoreBug } from "../../src/sut/store/bug.ts";

/** Regions of a chunk or a few. */
export const scale = 0.025;
const sectorSizeBytes = 4096;
const volumeBytes = 64 * 2 ** 20;
/** Few ranges to a page, so that there are several. */
const diffPageRanges = 4;

/** Puts a mistake in the way of a service, or into its store. */
export interface Mistake {
  readonly service?: (service: VolumeService) => VolumeService;
  readonly bug?: StoreBug;
}

/** A class of the gallery, as a mistake that is made whenever it can be. */
export function galleryMistake(id: string): Mistake {
  const entry = classesById.get(id);
  if (entry === undefined || !isBuilt(entry)) throw new Error(`no class ${id}`);
  const { mutant } = entry;
  const chance = { choices: new Choices(1n, mutantStream), isEager: true, struck: () => undefined };
  if (mutant.level === "target") return { bug: mutant.bug(chance) };
  if (mutant.level === "wire" || mutant.service === undefined)
    throw new Error(`${id} does not lie at the port`);
  const scene = { ...chance, seed: 1n, config: parseConfig("", "defaults"), clock: systemClock };
  const { service: spoil } = mutant;
  return { service: (service) => spoil(service, scene) };
}

/** Runs tests on new volumes, in the order of the suite; @returns What became of each, by name. */
export async function resultsOf(
  names: readonly string[],
  mistake: Mistake = {},
): Promise<ReadonlyMap<string, SuiteResult>> {
  await using plain = await memoryService({ diffPageRanges, ...(mistake.bug && { bug: mistake.bug }) });
  const service = mistake.service?.(plain) ?? plain;
  const volume = async (name: string) => {
    const { uuid } = await service.createVolume({ name, sizeBytes: volumeBytes, sectorSizeBytes });
    return { uuid, device: await service.openVolume(uuid), wasEmpty: true };
  };
  const [source, target] = [await volume("source"), await volume("target")];
  const results = new Map<string, SuiteResult>();
  await runChangedBlocks({
    ...{ service, source, target, scale, contentSeed: 1n, prefix: "t" },
    tests: changedBlocksTests.filter(({ name }) => names.includes(name)),
    signal: new AbortController().signal,
    warn: () => undefined,
    reporter: collecting(results),
  });
  return results;
}

/** Runs cases from a seed on, up to the first that fails; @returns That one's result. */
export async function fuzzFailure(
  caseCount: number,
  mistake: Mistake = {},
  seed = 1n,
): Promise<Extract<SuiteResult, { kind: "fail" }> | undefined> {
  await using plain = await memoryService({ diffPageRanges, ...(mistake.bug && { bug: mistake.bug }) });
  const results = new Map<string, SuiteResult>();
  await fuzzChangedBlocks({
    service: mistake.service?.(plain) ?? plain,
    ...{ seed, caseCount, contentSeed: 1n, prefix: "t", again: "again" },
    blockSizeBytes: sectorSizeBytes,
    signal: new AbortController().signal,
    warn: () => undefined,
    reporter: collecting(results),
  });
  return [...results.values()].find((result) => result.kind === "fail");
}

function collecting(results: Map<string, SuiteResult>): SuiteReporter {
  return {
    started() {},
    finished: ({ name }, result) => void results.set(name, result),
    done() {},
  };
}
