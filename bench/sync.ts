/**
 * How fast a snapshot is copied by its diff, against `dd bs=1M` of as many bytes from file to file.
 *
 * Three copies: between two files, by a diff that reports every block, or every other; and on an embedded target, a
 * process of its own with its volumes in memory, from a snapshot to a volume over NVMe/TCP. The files are in the page
 * cache, and both sides have what they wrote on the disk before they count as done; or they are in /dev/shm where
 * that has room, which leaves the cost of the copy itself. The code is the built one.
 *
 * @packageDocumentation
 */
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { closeSync, fdatasyncSync, openSync, statfsSync, writeSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { hostNqnOfUuid } from "../src/sut/nvme/names.ts";
import type { BlockDevice, DiffPage, VolumeService } from "../src/sut/port.ts";
import type { SyncOptions } from "../src/sut/sync/sync-snapshot.ts";
import { type Bench, type BenchContext, type Comparison, compare, interleave } from "./harness.ts";

const mebibyte = 2 ** 20;
const fileBytes = 512 * mebibyte;
const blockBytes = 4096;
const blockCount = fileBytes / blockBytes;
const chunkBlocks = 64;
const pageChunks = 10_000;
const rounds = 7;
const sharedMemory = "/dev/shm";
const built = new URL("../dist/", import.meta.url);
const goal = { atLeast: 0.5 };
const run = promisify(execFile);

export const syncBench: Bench = {
  name: "sync",
  summary: "copying a snapshot by its diff, against dd bs=1M of as many bytes from file to file",
  run: async (context) => [
    ...(await betweenFiles(tmpdir(), "files", context)),
    ...(hasRoom(sharedMemory) ? await betweenFiles(sharedMemory, "files in memory", context) : []),
    ...(await onEmbedded(context)),
  ],
};

/** Copies everything once, and says how many bytes that were. */
type CopyOnce = () => Promise<number>;

async function betweenFiles(parent: string, label: string, context: BenchContext): Promise<Comparison[]> {
  const { openBlockDevice, copySnapshot } = await loadBuilt();
  const directory = await mkdtemp(join(parent, "harrow-bench-sync-"));
  try {
    const paths = { from: join(directory, "from"), to: join(directory, "to"), dd: join(directory, "dd") };
    fillFile(paths.from, 0x11);
    fillFile(paths.to, 0x22);
    fillFile(paths.dd, 0x33);
    const open = (path: string) => openBlockDevice({ path, blockSizeBytes: blockBytes, io: "threads" });
    await using from = await open(paths.from);
    await using to = await open(paths.to);
    const copying =
      (bits: number, isVerified: boolean): CopyOnce =>
      async () => {
        const service = reporting(bits);
        const { signal } = context;
        const result = await copySnapshot({ service, snapshotUuid: "", from, to, isVerified, signal });
        return result.bytesCopied;
      };
    const dd = ddOf(paths.from, paths.dd);
    return [
      await measured(`${label}, all blocks`, copying(0xff, false), dd, context, goal),
      await measured(`${label}, every other block`, copying(0x55, false), dd, context),
      await measured(`${label}, all blocks, verified`, copying(0xff, true), dd, context),
    ];
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function onEmbedded(context: BenchContext): Promise<Comparison[]> {
  const { launchEmbedded, connectController, syncSnapshot } = await loadBuilt();
  const { signal } = context;
  const hostId = randomUUID();
  const directory = await mkdtemp(join(tmpdir(), "harrow-bench-sync-"));
  try {
    await using launched = await launchEmbedded({
      command: [process.execPath, fileURLToPath(new URL("cli/main.js", built)), "serve"],
      service: {
        connectNamespaces: ({ endpoints: [endpoint], subsystemNqn }) => {
          if (endpoint === undefined) throw new Error("the target names no endpoint");
          return connectController({
            ...{ ...endpoint, subsystemNqn, hostNqn: hostNqnOfUuid(hostId), hostId },
            ioQueueCount: 2,
          });
        },
      },
    });
    const { service } = launched;
    const paths = { from: join(directory, "from"), to: join(directory, "to") };
    fillFile(paths.from, 0x11);
    fillFile(paths.to, 0x22);
    const create = async (name: string) =>
      (await service.createVolume({ name, sizeBytes: fileBytes, sectorSizeBytes: blockBytes })).uuid;
    const sourceUuid = await create("source");
    await using source = await service.openVolume(sourceUuid);
    await using to = await service.openVolume(await create("target"));
    await fill(source);
    const { uuid: snapshotUuid } = await service.createSnapshot({ name: "s", volumeUuid: sourceUuid });
    const dd = ddOf(paths.from, paths.to);
    const copying =
      (isVerified: boolean): CopyOnce =>
      async () =>
        (await syncSnapshot({ service, snapshotUuid, to, isVerified, signal } satisfies SyncOptions))
          .bytesCopied;
    return [
      await measured("embedded volumes, all blocks", copying(false), dd, context),
      await measured("embedded volumes, all blocks, verified", copying(true), dd, context),
    ];
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function measured(
  what: string,
  copy: CopyOnce,
  dd: CopyOnce,
  { signal, progress }: BenchContext,
  rowGoal?: Comparison["goal"],
): Promise<Comparison> {
  progress(what);
  const contender = (once: CopyOnce) => async () => {
    const start = performance.now();
    const bytes = await once();
    return ((bytes / mebibyte) * 1000) / (performance.now() - start);
  };
  // Each copies everything, however long it takes.
  const rates = await interleave(
    { harrow: contender(copy), dd: contender(dd) },
    { rounds, sliceMs: 0, signal },
  );
  return compare(rates, {
    ...{ what, name: "harrow", rival: "dd bs=1M", rivalName: "dd", unit: "MiB/s" },
    ...(rowGoal === undefined ? {} : { goal: rowGoal }),
  });
}

function ddOf(from: string, to: string): CopyOnce {
  return async () => {
    await run("dd", [`if=${from}`, `of=${to}`, "bs=1M", "conv=notrunc,fdatasync", "status=none"]);
    return fileBytes;
  };
}

/** A service whose one diff has `bits` in every byte of its bitmaps. */
function reporting(bits: number): VolumeService {
  const diff = async function* (): AsyncGenerator<DiffPage> {
    const chunkCount = blockCount / chunkBlocks;
    const bitmap = new Uint8Array(chunkBlocks / 8).fill(bits);
    for (let chunk = 0; chunk < chunkCount; chunk += pageChunks) {
      const count = Math.min(pageChunks, chunkCount - chunk);
      const next = chunk + count;
      yield {
        offsetLba: chunk * chunkBlocks,
        ranges: Array.from({ length: count }, (_, index) => ({
          lbaStart: (chunk + index) * chunkBlocks,
          bitmap,
        })),
        nextOffsetLba: next < chunkCount ? next * chunkBlocks : 0,
      };
    }
  };
  return { diffCapabilities: { granularityBlocks: 1, chunkBlocks }, diff } as Pick<
    VolumeService,
    "diffCapabilities" | "diff"
  > as VolumeService;
}

function hasRoom(directory: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(directory);
    return bavail * bsize > 4 * fileBytes;
  } catch {
    return false;
  }
}

function fillFile(path: string, byte: number): void {
  const bytes = Buffer.alloc(mebibyte, byte);
  const descriptor = openSync(path, "w");
  try {
    for (let at = 0; at < fileBytes; at += mebibyte) writeSync(descriptor, bytes, 0, mebibyte, at);
    fdatasyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

async function fill(device: BlockDevice): Promise<void> {
  const from = Buffer.alloc(mebibyte, 0x77);
  const step = mebibyte / blockBytes;
  for (let block = 0; block < blockCount; block += step) {
    const outcome = await device.write({ block, blockCount: step, from });
    if (outcome.kind !== "ok") throw new Error(`filling: ${outcome.message}`);
  }
}

/** @throws {Error} If harrow was not built. */
async function loadBuilt() {
  const load = (path: string) => import(new URL(path, built).href);
  const open: typeof import("../src/sut/block/open.ts") = await load("sut/block/open.js");
  const launch: typeof import("../src/sut/embedded/launch.ts") = await load("sut/embedded/launch.js");
  const controller: typeof import("../src/sut/initiator/controller.ts") = await load(
    "sut/initiator/controller.js",
  );
  const sync: typeof import("../src/sut/sync/sync-snapshot.ts") = await load("sut/sync/sync-snapshot.js");
  const { copySnapshot, syncSnapshot } = sync;
  return {
    openBlockDevice: open.openBlockDevice,
    launchEmbedded: launch.launchEmbedded,
    connectController: controller.connectController,
    copySnapshot,
    syncSnapshot,
  };
}
