/**
 * Durability: a process killed in the middle of everything, and what its directory holds afterwards.
 *
 * @packageDocumentation
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
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

/** Runs the worker, kills it when it has said `lastWord` so many times, and gives what it had said. */
async function runAndKill(
  directory: string,
  lastWord: string,
  count: number,
  volatileCacheSeed: number | undefined,
): Promise<Acknowledged> {
  // A file, not a pipe: the worker never waits for it, and nothing is lost with the process.
  const log = join(temporaryDirectory(), "said.txt");
  const fd = openSync(log, "a");
  const seed = volatileCacheSeed === undefined ? [] : [String(volatileCacheSeed)];
  const child = spawn(process.execPath, ["--import", "tsx", worker, directory, ...seed], {
    stdio: ["ignore", fd, "inherit"],
  });
  closeSync(fd);
  const words = (): (readonly [word: string, cut: number])[] =>
    readFileSync(log, "utf8")
      .split("\n")
      .map((line) => line.split(" "))
      .map(([word, cut]) => [word!, Number(cut)]);
  const exited = once(child, "exit");
  while (child.exitCode === null && words().filter(([word]) => word === lastWord).length < count) {
    await setTimeout(5);
  }
  child.kill("SIGKILL");
  await exited;
  expect(child.signalCode).toBe("SIGKILL");
  const said = words();
  const cuts = (word: string): ReadonlySet<number> =>
    new Set(said.filter(([saidWord]) => saidWord === word).map(([, cut]) => cut));
  return {
    flushed: Math.max(0, ...cuts("flushed")),
    cuts: cuts("snapshot"),
    deleting: cuts("deleting"),
    deleted: cuts("deleted"),
  };
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

test.for([
  { lastWord: "flushed", count: 3, cache: "no cache" },
  { lastWord: "snapshot", count: 4, cache: "no cache" },
  { lastWord: "deleting", count: 2, cache: "no cache" },
  { lastWord: "deleted", count: 4, cache: "no cache" },
  { lastWord: "flushed", count: 5, cache: "a volatile cache", seed: 1 },
  { lastWord: "deleting", count: 3, cache: "a volatile cache", seed: 2 },
])("keeps, with $cache, what was acknowledged when it is killed after $lastWord × $count", async (row) => {
  const path = temporaryDirectory();
  const said = await runAndKill(path, row.lastWord, row.count, row.seed);
  // The second time finds what the first one settled.
  for (let opened = 0; opened < 2; opened++) {
    const store = await openStore({ kind: "directory", path });
    checkVolume(store, said.flushed);
    await checkSnapshots(store, said);
    await store[Symbol.asyncDispose]();
  }
});
