/**
 * How fast a volume is scanned, against reading as many bytes and doing nothing with them.
 *
 * The volume is what a run of the default configuration leaves, with every extent visited. As a file in the page cache
 * it is read by both sides in the same pieces, as many at a time; in memory a read is one memcpy.
 *
 * @packageDocumentation
 */
import { mkdtempSync, openSync, closeSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sectorBytes } from "../src/generators/content.ts";
import { Reconciler } from "../src/model/reconciler.ts";
import { Tracker } from "../src/model/tracker.ts";
import { volumeView } from "../src/model/view.ts";
import { historyOf } from "../src/reproduce/history-of.ts";
import { scan, wrongCount } from "../src/reproduce/scan/scan.ts";
import { type ReadableDevice, surveyorBytes } from "../src/reproduce/scan/survey.ts";
import { parseConfig } from "../src/runner/config/load.ts";
import type { History } from "../src/selectors/history.ts";
import { openBlockDevice } from "../src/sut/block/open.ts";
import { pageAligned } from "../src/sut/block/aligned-memory.ts";
import { ok } from "../src/sut/port.ts";
import { cpuSecondsSince } from "./fio-file.ts";
import {
  type Bench,
  type BenchContext,
  type Comparison,
  type Contender,
  compare,
  interleave,
} from "./harness.ts";

const volumeBytes = 512 * 2 ** 20;
const blockBytes = 4096;
const pieceBytes = 2 ** 20;
const piecesInFlight = 4;
const seed = 42n;
const config = parseConfig(`{ geometry: { volumeSize: ${volumeBytes} }, target: { kind: memory } }`, "bench");
/** All 512 extents have been visited by then, and most of them for good. */
const ltsMax = 66_000;
const goal = { atLeast: 0.5 };

export const scanBench: Bench = {
  name: "scan",
  summary: "classifying every block of a volume from its seed, against reading it",
  run: measure,
};

async function measure({ signal, progress }: BenchContext): Promise<Comparison[]> {
  progress("filling a volume");
  const bytes = imageOf(newHistory());
  const folder = mkdtempSync(join(tmpdir(), "harrow-bench-"));
  try {
    const path = join(folder, "volume");
    write(path, bytes);
    await using file = await openBlockDevice({
      path,
      blockSizeBytes: blockBytes,
      io: "threads",
      access: "read",
    });
    const memory = inMemory(bytes);
    const rows: Comparison[] = [];
    for (const { what, rival, device, clock } of [
      { what: "a file in the page cache", rival: "reading it", device: file, clock: wallClock },
      { what: "a file, by CPU time", rival: "reading it", device: file, clock: cpuClock },
      { what: "memory, by CPU time", rival: "memcpy", device: memory, clock: cpuClock },
    ]) {
      progress(what);
      const rates = await interleave(
        { scan: repeatedly(scanning(device, signal), clock), read: repeatedly(reading(device), clock) },
        { rounds: 7, sliceMs: 1000, signal },
      );
      rows.push(
        compare(rates, {
          ...{ what: `scan of ${what}`, name: "scan", rival, rivalName: "read" },
          ...{ unit: "GiB/s", goal },
        }),
      );
    }
    return rows;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const newHistory = (): History => historyOf({ config, seed }, { memoryBytes: surveyorBytes + 2 ** 22 });

function imageOf(history: History): Uint8Array {
  const { geometry, run } = history;
  const tracker = new Tracker();
  const reconciler = new Reconciler(history, tracker);
  const states = new Float64Array(geometry.extentBlocks);
  const block = run.kernel.allocate(blockBytes);
  const bytes = pageAligned(volumeBytes);
  for (let first = 0; first < volumeBytes / blockBytes; first += geometry.extentBlocks) {
    const extent = geometry.extent(geometry.pdOf(0, first));
    reconciler.stateOf(extent, volumeView(tracker, 0, ltsMax), states);
    for (let index = 0; index < extent.blockCount; index++) {
      if (states[index]! <= 0) continue;
      const at = { volume: 0, block: first + index, blockCount: 1, sectorCount: blockBytes / sectorBytes };
      run.inflate(at, block.address, states[index]!);
      bytes.set(block.bytes, at.block * blockBytes);
    }
  }
  return bytes;
}

function write(path: string, bytes: Uint8Array): void {
  const descriptor = openSync(path, "w");
  try {
    for (let at = 0; at < bytes.length; at += pieceBytes) writeSync(descriptor, bytes, at, pieceBytes, at);
  } finally {
    closeSync(descriptor);
  }
}

function inMemory(bytes: Uint8Array): ReadableDevice {
  const done = Promise.resolve(ok);
  return {
    identity: { name: "memory", uuid: undefined, nsid: undefined },
    capabilities: { blockSizeBytes: blockBytes, deallocatedReads: "zeros" } as ReadableDevice["capabilities"],
    blockCount: bytes.length / blockBytes,
    read: ({ block, blockCount, into }) => {
      into.set(bytes.subarray(block * blockBytes, (block + blockCount) * blockBytes));
      return done;
    },
  };
}

type Pass = () => Promise<void>;

/** A whole scan, as a new process would make it. */
function scanning(device: ReadableDevice, signal: AbortSignal): Pass {
  return async () => {
    const report = await scan({ device, history: newHistory(), depth: 32, limit: 10, signal });
    if (wrongCount(report) > 0) throw new Error(`${wrongCount(report)} blocks are not as they were written`);
  };
}

function reading(device: ReadableDevice): Pass {
  const pieces = Array.from({ length: piecesInFlight }, () => pageAligned(pieceBytes));
  const blockCount = pieceBytes / blockBytes;
  return async () => {
    let next = 0;
    const work = async (into: Uint8Array): Promise<void> => {
      while (next < device.blockCount) {
        const block = next;
        next += blockCount;
        const outcome = await device.read({ block, blockCount, into });
        if (outcome.kind !== "ok") throw new Error(outcome.message);
      }
    };
    await Promise.all(pieces.map(work));
  };
}

/** In seconds, from any instant. */
type Clock = () => number;
const wallClock: Clock = () => performance.now() / 1000;
/** Of all threads of this process. */
const cpuClock: Clock = () => cpuSecondsSince({ user: 0, system: 0 });

function repeatedly(pass: Pass, clock: Clock): Contender {
  return async (forMs) => {
    const deadline = performance.now() + forMs;
    const start = clock();
    let passes = 0;
    do {
      await pass();
      passes += 1;
    } while (performance.now() < deadline);
    return (passes * volumeBytes) / 2 ** 30 / (clock() - start);
  };
}
