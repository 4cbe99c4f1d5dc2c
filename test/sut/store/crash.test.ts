/**
 * Durability: a process killed in the middle of everything, and what its directory holds afterwards.
 *
 * @packageDocumentation
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { openStore } from "../../../src/sut/store/open.ts";
import type { VolumeStore } from "../../../src/sut/store/port.ts";
import { blockCount, blockSizeBytes, operationOf } from "./crash-history.ts";
import { changedBlocks, namespaceOf, readAll, readSnapshot, temporaryDirectory } from "./store-access.ts";

const worker = fileURLToPath(new URL("crash-worker.ts", import.meta.url));

interface Acknowledged {
  readonly flushed: number;
  readonly cuts: ReadonlySet<number>;
  readonly deleting: ReadonlySet<number>;
  readonly deleted: ReadonlySet<number>;
}

/** Runs the worker, kills it after so many flushes, and gives what it had said. */
async function runAndKill(directory: string, flushCount: number): Promise<Acknowledged> {
  const child = spawn(process.execPath, ["--import", "tsx", worker, directory], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const said = { cuts: new Set<number>(), deleting: new Set<number>(), deleted: new Set<number>() };
  let flushed = 0;
  let leftFlushes = flushCount;
  for await (const line of createInterface({ input: child.stdout })) {
    const [word, number] = line.split(" ") as [string, string];
    if (word === "snapshot") said.cuts.add(Number(number));
    if (word === "deleting") said.deleting.add(Number(number));
    if (word === "deleted") said.deleted.add(Number(number));
    if (word !== "flushed") continue;
    flushed = Math.max(flushed, Number(number));
    if (--leftFlushes === 0) child.kill("SIGKILL");
  }
  if (child.signalCode === null && child.exitCode === null) await once(child, "exit");
  expect(child.signalCode).toBe("SIGKILL");
  return { flushed, ...said };
}

/** Version of each block after the first `version` operations; 0 if it reads as zeros. */
function stateAt(version: number): Uint32Array {
  const state = new Uint32Array(blockCount);
  for (let at = 1; at <= version; at++) {
    const operation = operationOf(at);
    const value = operation.kind === "zero" ? 0 : at;
    state.fill(value, operation.block, operation.block + operation.blockCount);
  }
  return state;
}

/** Version of each block as read, or NaN if the block is not of one version. */
function versionsOf(bytes: Uint8Array): readonly number[] {
  const words = new Uint32Array(bytes.buffer);
  const wordsPerBlock = blockSizeBytes / 4;
  return Array.from({ length: blockCount }, (_, block) => {
    const own = words.subarray(block * wordsPerBlock, (block + 1) * wordsPerBlock);
    return own.every((word) => word === own[0]) ? own[0]! : Number.NaN;
  });
}

function checkVolume(store: VolumeStore, flushed: number): void {
  const volume = store.volumeByName("stormy")!;
  expect(volume.state).toBe("available");
  const atFlush = stateAt(flushed);
  // Unflushed operations may survive: no more than these, whatever the speed of the machine.
  const later = new Map<number, Set<number>>();
  for (let version = flushed + 1; version < flushed + 100_000; version++) {
    const { kind, block, blockCount: length } = operationOf(version);
    for (let at = block; at < block + length; at++) {
      let versions = later.get(at);
      if (versions === undefined) later.set(at, (versions = new Set()));
      versions.add(kind === "zero" ? 0 : version);
    }
  }
  const wrong = versionsOf(readAll(namespaceOf(store, volume)))
    .map((version, block) => ({ block, version, flushed: atFlush[block]! }))
    .filter(({ block, version, flushed: safe }) => version !== safe && !later.get(block)?.has(version));
  expect(wrong).toEqual([]);
}

async function checkSnapshots(store: VolumeStore, said: Acknowledged): Promise<void> {
  const found = store.snapshots
    .filter(({ state }) => state !== "deleted")
    .map(({ uuid, name }) => ({ uuid, cut: Number(name.slice("cut-".length)) }))
    .sort((a, b) => a.cut - b.cut);
  const foundCuts = new Set(found.map(({ cut }) => cut));
  for (const cut of said.cuts) if (!said.deleting.has(cut)) expect(foundCuts).toContain(cut);
  for (const cut of said.deleted) expect(foundCuts).not.toContain(cut);
  for (const { uuid, cut } of found) {
    expect(versionsOf(await readSnapshot(store, uuid)), `cut ${cut}`).toEqual([...stateAt(cut)]);
  }
  for (const [index, { uuid, cut }] of found.entries()) {
    const base = found[index - 1];
    const touched = new Set<number>();
    for (let version = (base?.cut ?? 0) + 1; version <= cut; version++) {
      const operation = operationOf(version);
      for (let at = operation.block; at < operation.block + operation.blockCount; at++) touched.add(at);
    }
    const request = base === undefined ? {} : { baseSnapshotUuid: base.uuid };
    expect(changedBlocks(store, { snapshotUuid: uuid, ...request })).toEqual(
      [...touched].sort((a, b) => a - b),
    );
  }
}

test.for([3, 60, 300])(
  "keeps what was acknowledged when it is killed after %i flushes",
  async (flushCount) => {
    const path = temporaryDirectory();
    const said = await runAndKill(path, flushCount);
    // The second time finds what the first one settled.
    for (let opened = 0; opened < 2; opened++) {
      const store = await openStore({ kind: "directory", path });
      checkVolume(store, said.flushed);
      await checkSnapshots(store, said);
      await store[Symbol.asyncDispose]();
    }
    if (flushCount >= 300) expect(said.deleted.size).toBeGreaterThan(0);
  },
);
