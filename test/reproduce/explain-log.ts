/**
 * Runs on volumes in memory with a log of their own of what was really done: what was written to which block, in which
 * order and with which outcome, what each snapshot really holds, and what each diff really reported.
 *
 * The log stands between the run and the volumes, and knows of nothing but the ports.
 *
 * @packageDocumentation
 */
import { JitteryClock } from "../../src/gallery/jittery/clock.ts";
import { type JitteryOptions, JitteryTarget } from "../../src/gallery/jittery/target.ts";
import type { RollbackRecord } from "../../src/model/lineage.ts";
import type { SnapshotRecord } from "../../src/model/snapshot-record.ts";
import { parseConfig } from "../../src/runner/config/load.ts";
import type { Config } from "../../src/runner/config/schema.ts";
import { Run } from "../../src/runner/run.ts";
import type { RunMemory } from "../../src/runner/run-store.ts";
import { performRun, type RunResult } from "../../src/runner/runner.ts";
import { serviceTarget } from "../../src/runner/service-target.ts";
import { systemClock } from "../../src/sut/clock.ts";
import { memoryService } from "../../src/sut/memory.ts";
import type { BlockDevice, BlockRange, Outcome, VolumeService } from "../../src/sut/port.ts";
import { replaced } from "../../src/sut/replaced.ts";

/** Something that was done to a block. */
export interface Deed {
  readonly kind: "write" | "writeFua" | "writeZeroes" | "deallocate" | "compareAndWrite";
  /** Of the block; absent for zeros, and for a compare-and-write that would write what it expects. */
  readonly bytes: Uint8Array | undefined;
  outcome: Outcome["kind"] | undefined;
}

class TruthLog {
  /** By name of the volume, then by block; in the order of submission. */
  readonly deeds = new Map<string, Map<number, Deed[]>>();
  /** By name: all bytes. */
  readonly snapshots = new Map<string, Uint8Array>();
  /** By names of snapshot and base: the blocks that were reported. */
  readonly diffs = new Map<string, Set<number>>();
  readonly #names = new Map<string, string>();

  deedsOn(volume: string, block: number): readonly Deed[] {
    return this.deeds.get(volume)?.get(block) ?? [];
  }

  /** @param beneath - The same volumes, without jitter. */
  over(service: VolumeService, beneath: VolumeService): VolumeService {
    return replaced(service, {
      createVolume: async (request) => {
        const volume = await service.createVolume(request);
        this.#names.set(volume.uuid, request.name);
        return volume;
      },
      cloneSnapshot: async (request) => {
        const volume = await service.cloneSnapshot(request);
        this.#names.set(volume.uuid, request.name);
        return volume;
      },
      openVolume: async (uuid) => this.#device(await service.openVolume(uuid), this.#names.get(uuid)!),
      createSnapshot: async (request) => {
        const snapshot = await service.createSnapshot(request);
        this.#names.set(snapshot.uuid, request.name);
        await using device = await beneath.openSnapshot(snapshot.uuid);
        this.snapshots.set(request.name, await contentOf(device));
        return snapshot;
      },
      diff: (request) => this.#diff(service, request),
    });
  }

  async *#diff(service: VolumeService, request: Parameters<VolumeService["diff"]>[0]) {
    const reported = new Set<number>();
    for await (const page of service.diff(request)) {
      for (const { lbaStart, bitmap } of page.ranges)
        for (let bit = 0; bit < bitmap.length * 8; bit++)
          if ((bitmap[bit >> 3]! & (1 << (bit & 7))) !== 0) reported.add(lbaStart + bit);
      yield page;
    }
    const { snapshotUuid, baseSnapshotUuid } = request;
    const base = baseSnapshotUuid === undefined ? "nothing" : this.#names.get(baseSnapshotUuid);
    this.diffs.set(`${this.#names.get(snapshotUuid)} ${base}`, reported);
  }

  #device(device: BlockDevice, name: string): BlockDevice {
    const { blockSizeBytes: size } = device.capabilities;
    const note = async (
      kind: Deed["kind"],
      { block, blockCount }: BlockRange,
      from: Uint8Array | undefined,
      act: () => Promise<Outcome>,
    ): Promise<Outcome> => {
      const ofVolume = this.deeds.get(name) ?? new Map<number, Deed[]>();
      this.deeds.set(name, ofVolume);
      const deeds = Array.from({ length: blockCount }, (_, index): Deed => {
        const bytes = from?.slice(index * size, (index + 1) * size);
        const deed: Deed = { kind, bytes, outcome: undefined };
        const ofBlock = ofVolume.get(block + index);
        if (ofBlock === undefined) ofVolume.set(block + index, [deed]);
        else ofBlock.push(deed);
        return deed;
      });
      const outcome = await act();
      for (const deed of deeds) deed.outcome = outcome.kind;
      return outcome;
    };
    return replaced(device, {
      write: (request) =>
        note(request.fua === true ? "writeFua" : "write", request, request.from, () => device.write(request)),
      writeZeroes: (request) => note("writeZeroes", request, undefined, () => device.writeZeroes(request)),
      deallocate: (request) =>
        note("deallocate", request.ranges[0]!, undefined, () => device.deallocate(request)),
      compareAndWrite: (request) => {
        const isMiss = Buffer.compare(request.from, request.expected) === 0;
        const act = () => device.compareAndWrite(request);
        return note("compareAndWrite", request, isMiss ? undefined : request.from, act);
      },
    });
  }
}

/** A run that has ended, with what the model kept of it, and what was really done. */
export interface LoggedRun {
  readonly config: Config;
  readonly seed: bigint;
  readonly name: string;
  readonly run: Run;
  readonly result: RunResult;
  /** As a process that ends keeps it, with the snapshots that were deleted. */
  readonly memory: RunMemory;
  readonly log: TruthLog;
  /** What the volumes really hold. */
  readonly volumes: readonly Uint8Array[];
}

export interface LoggedRunOptions {
  readonly config: string;
  readonly seed: bigint;
  /** At random instants, if there are any. */
  readonly jitter?: JitteryOptions & { readonly turnsMax: number };
}

export async function performLogged({ config: text, seed, jitter }: LoggedRunOptions): Promise<LoggedRun> {
  const config = parseConfig(text, "explain-test");
  const name = "harrow-test";
  await using plain = await memoryService({ diffPageRanges: 3 });
  const jittery = jitter === undefined ? undefined : new JitteryClock({ seed, ...jitter });
  const shaken = jittery === undefined ? undefined : new JitteryTarget(plain, jittery, jitter);
  const log = new TruthLog();
  const target = await serviceTarget({
    service: log.over(shaken?.service ?? plain, plain),
    config,
    name,
    ...(shaken === undefined ? {} : { faults: shaken.faults }),
  });
  const run = new Run({
    ...{ config, seed, name, target },
    log: { info: () => {}, warn: () => {} },
    signal: new AbortController().signal,
    onViolation: () => {},
    clock: jittery ?? systemClock,
  });
  const memoryOfRun = keeping(run);
  try {
    const performed = performRun(run, { onProgress: () => {} });
    const result = await (jittery === undefined ? performed : Promise.race([performed, jittery.stalled]));
    const volumes: Uint8Array[] = [];
    for (const { uuid } of target.volumes) {
      await using device = await plain.openVolume(uuid);
      volumes.push(await contentOf(device));
    }
    return { config, seed, name, run, result, memory: memoryOfRun(), log, volumes };
  } finally {
    jittery?.stop();
  }
}

/** Keeps all that a run's tracker tells of; @returns the memory of the run as it is when that is asked for. */
function keeping({ tracker, ltsClock, ...run }: Run): () => RunMemory {
  const snapshots = new Map<string, SnapshotRecord>();
  const decisions = new Map<string, { position: number; block: number; happened: boolean }>();
  const rollbacks: RollbackRecord[] = [];
  tracker.listen({
    ltsComplete: () => {},
    exception: () => {},
    decision: (position, block, happened) => {
      if (happened === undefined) decisions.delete(`${position}:${block}`);
      else decisions.set(`${position}:${block}`, { position, block, happened });
    },
    snapshot: (record) => snapshots.set(`${record.volume}:${record.snapshot}`, record),
    snapshotForgotten: () => {},
    rollback: (rollback) => rollbacks.push(rollback),
  });
  return () => ({
    about: {
      ...{ version: "test", configYaml: "", seed: String(run.seed), name: run.name, target: {} },
      startedAt: new Date(0).toISOString(),
    },
    documents: new Map([["progress", { clock: ltsClock.toJSON() }]]),
    event: tracker.lastEvent,
    ltsReserved: tracker.ltsStartedMax,
    ltsComplete: tracker.ltsCompleteMax,
    exceptions: [...tracker.exceptions()],
    decisions: [...decisions.values()],
    snapshots: [...snapshots.values()],
    rollbacks,
  });
}

async function contentOf(device: BlockDevice): Promise<Uint8Array> {
  const { blockSizeBytes } = device.capabilities;
  const into = new Uint8Array(device.blockCount * blockSizeBytes);
  const outcome = await device.read({ block: 0, blockCount: device.blockCount, into });
  if (outcome.kind !== "ok") throw new Error(outcome.message);
  return into;
}
