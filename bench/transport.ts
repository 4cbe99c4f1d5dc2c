/**
 * harrow's initiator and embedded target over loopback, against sockets that carry as many bytes without NVMe.
 *
 * The target is a process of its own, with its volumes in memory, started as a run starts it; the initiator is in
 * this process. Both are the built ones: tsx names every closure when it is made, which would be measured too.
 * One I/O queue, no digests, one command per request, random addresses of a volume that was written before. The
 * limit, `raw-sockets.ts`, has the same two processes, depth, bytes each way, and memory that they come from.
 *
 * @packageDocumentation
 */
import { randomUUID } from "node:crypto";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { hostNqnOfUuid } from "../src/sut/nvme/names.ts";
import type { BlockDevice, Outcome } from "../src/sut/port.ts";
import { type Bench, type BenchContext, type Comparison, compare, interleave } from "./harness.ts";
import { type Exchange, volumeBytes } from "./raw-exchange.ts";
import { RawPeer } from "./raw-sockets.ts";

const blockBytes = 4096;
const blockCountMax = volumeBytes / blockBytes;
/** CapsuleCmd; C2HData header (with SUCCESS, no capsule follows); CapsuleResp. */
const wire = { command: 72, data: 24, completion: 24 };
const built = new URL("../dist/", import.meta.url);
const goal = { atLeast: 0.5 };

interface Case {
  readonly label: string;
  readonly kind: "read" | "write";
  readonly blockCount: number;
  readonly depth: number;
}

const cases: readonly Case[] = [
  { label: "4 KiB random writes, depth 32", kind: "write", blockCount: 1, depth: 32 },
  { label: "4 KiB random writes, depth 128", kind: "write", blockCount: 1, depth: 128 },
  { label: "4 KiB random reads, depth 32", kind: "read", blockCount: 1, depth: 32 },
  { label: "4 KiB random reads, depth 128", kind: "read", blockCount: 1, depth: 128 },
  { label: "128 KiB random reads, depth 8", kind: "read", blockCount: 32, depth: 8 },
];

export const transportBench: Bench = {
  name: "transport",
  summary: "NVMe/TCP initiator and target over loopback, against corked sockets with the same bytes",
  run: measure,
};

async function measure({ signal, progress }: BenchContext): Promise<Comparison[]> {
  const { launchEmbedded, connectController } = await loadBuilt();
  const hostId = randomUUID();
  await using launched = await launchEmbedded({
    command: [process.execPath, fileURLToPath(new URL("cli/main.js", built)), "serve"],
    service: {
      connectNamespaces: ({ endpoints: [endpoint], subsystemNqn }) => {
        if (endpoint === undefined) throw new Error("the target names no endpoint");
        return connectController({
          ...endpoint,
          subsystemNqn,
          hostNqn: hostNqnOfUuid(hostId),
          hostId,
          queueDepth: 128,
        });
      },
    },
  });
  await using peer = await RawPeer.start();
  const volume = await launched.service.createVolume({
    name: "bench",
    sizeBytes: volumeBytes,
    sectorSizeBytes: blockBytes,
  });
  await using device = await launched.service.openVolume(volume.uuid);
  await fill(device);
  const rows: Comparison[] = [];
  for (const one of cases) {
    progress(one.label);
    using raw = await peer.open(exchangeOf(one));
    const rates = await interleave(
      {
        harrow: async (forMs) => (await drive(device, one, forMs)) / 1000,
        sockets: async (forMs) => (await raw.measure(forMs)) / 1000,
      },
      { rounds: 9, sliceMs: 350, signal },
    );
    rows.push(
      compare(rates, {
        what: one.label,
        name: "harrow",
        rival: "corked sockets",
        rivalName: "sockets",
        unit: "k/s",
        goal,
      }),
    );
  }
  return rows;
}

/** @throws {Error} If harrow was not built. */
async function loadBuilt() {
  const launch: typeof import("../src/sut/embedded/launch.ts") = await import(
    new URL("sut/embedded/launch.js", built).href
  );
  const controller: typeof import("../src/sut/initiator/controller.ts") = await import(
    new URL("sut/initiator/controller.js", built).href
  );
  return { launchEmbedded: launch.launchEmbedded, connectController: controller.connectController };
}

function exchangeOf({ kind, blockCount, depth }: Case): Exchange {
  return {
    kind,
    depth,
    requestHeaderBytes: wire.command,
    answerHeaderBytes: kind === "read" ? wire.data : wire.completion,
    payloadBytes: blockCount * blockBytes,
  };
}

/** Keeps `depth` requests in flight for a time; returns requests a second. */
async function drive(device: BlockDevice, { kind, blockCount, depth }: Case, forMs: number): Promise<number> {
  let done = 0;
  const start = performance.now();
  const end = start + forMs;
  const lane = async (seed: number) => {
    const bytes = Buffer.alloc(blockCount * blockBytes, seed);
    const slotCount = blockCountMax / blockCount;
    // A linear congruential generator of 32 bits, of which the upper ones choose the address.
    let state = seed * 2654435769;
    while (performance.now() < end) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const block = Math.floor((state / 2 ** 32) * slotCount) * blockCount;
      assertOk(
        kind === "write"
          ? await device.write({ block, blockCount, from: bytes })
          : await device.read({ block, blockCount, into: bytes }),
      );
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: depth }, (_, index) => lane(index + 1)));
  return (done * 1000) / (performance.now() - start);
}

/** Writes the whole volume: a block that was never written is read in another way. */
async function fill(device: BlockDevice): Promise<void> {
  const blockCount = 256;
  const from = Buffer.alloc(blockCount * blockBytes, 0x77);
  for (let block = 0; block < blockCountMax; block += blockCount)
    assertOk(await device.write({ block, blockCount, from }));
}

function assertOk(outcome: Outcome): void {
  if (outcome.kind !== "ok") throw new Error(`${outcome.kind}: ${outcome.code}, ${outcome.message}`);
}
