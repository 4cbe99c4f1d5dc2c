/**
 * A process that writes, flushes, snapshots and deletes without pause until it is killed.
 *
 * What it does is a function of the version number alone (`crash-history.ts`); what was acknowledged it says
 * on standard output, a line at a time, before it goes on. With a second argument it has a volatile cache of
 * that seed.
 *
 * @packageDocumentation
 */
import { writeSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { openStore } from "../../../src/sut/store/open.ts";
import { blockCount, blockSizeBytes, operationOf } from "./crash-history.ts";

const say = (...words: readonly (string | number)[]): void => {
  writeSync(1, `${words.join(" ")}\n`);
};

const [, , path, seed] = process.argv;
const store = await openStore({
  kind: "directory",
  path: path!,
  ...(seed !== undefined && { volatileCache: { sizeBytesMax: 2 ** 18, seed: Number(seed) } }),
});
const { nsid, uuid } = await store.createVolume({
  name: "stormy",
  sizeBytes: blockCount * blockSizeBytes,
  blockSizeBytes,
});
const namespace = store.namespace(nsid)!;
const taken: string[] = [];
let isTaking = false;
let isDeleting = false;

async function takeSnapshot(cut: number): Promise<void> {
  isTaking = true;
  const snapshot = await store.createSnapshot({ name: `cut-${cut}`, volumeUuid: uuid });
  say("snapshot", cut);
  taken.push(snapshot.uuid);
  isTaking = false;
}

async function deleteSnapshot(snapshotUuid: string): Promise<void> {
  isDeleting = true;
  const { name } = store.snapshot(snapshotUuid)!;
  say("deleting", name.slice("cut-".length));
  await store.deleteSnapshot(snapshotUuid);
  say("deleted", name.slice("cut-".length));
  isDeleting = false;
}

async function flush(version: number): Promise<void> {
  await namespace.flush();
  say("flushed", version);
}

say("ready");
for (let version = 1; ; version++) {
  const operation = operationOf(version);
  if (operation.kind === "zero") {
    namespace.zero(operation.block, operation.blockCount);
  } else {
    const words = new Uint32Array((operation.blockCount * blockSizeBytes) / 4).fill(version);
    namespace.write(operation.block, operation.blockCount, new Uint8Array(words.buffer));
  }
  // Nothing of this is waited for: it all runs into the writes that follow.
  if (version % 37 === 0) void flush(version);
  if (version % 101 === 0 && !isTaking) void takeSnapshot(version);
  // From the middle, mostly.
  if (taken.length > 4 && !isDeleting) void deleteSnapshot(taken.splice(version % 4, 1)[0]!);
  if (version % 10 === 0) await setImmediate();
}
