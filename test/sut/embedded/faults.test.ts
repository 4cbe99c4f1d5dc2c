/**
 * Faults of a launched target: a process that is crashed, cut off, paused and reset under its hosts.
 *
 * @packageDocumentation
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { launchEmbedded } from "../../../src/sut/embedded/launch.ts";
import { type BlockDevice, ServiceError } from "../../../src/sut/port.ts";
import { TargetFaultError } from "../../../src/sut/target-faults.ts";
import { overTcp } from "../../support/over-tcp.ts";

const fixture = fileURLToPath(new URL("./serve-fixture.ts", import.meta.url));
const connectNamespaces = overTcp({
  reconnect: { delayMsMin: 20, delayMsMax: 100, attemptsMax: 200, random: () => 0.5 },
});
const command = [process.execPath, "--import", "tsx", fixture];
const service = { connectNamespaces, waitTimeoutMs: 10_000 };
const sizeBytes = 2 ** 20;
const sectorSizeBytes = 4096;

async function temporaryDirectory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "harrow-faults-"));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

function filled(value: number, blockCount: number): Uint8Array {
  return new Uint8Array(blockCount * 4096).fill(value);
}

/** First byte of each block, each of which is of one value. */
async function valuesOf(device: BlockDevice, block: number, blockCount: number): Promise<number[]> {
  const into = new Uint8Array(blockCount * 4096);
  expect(await device.read({ block, blockCount, into })).toEqual({ kind: "ok" });
  return Array.from({ length: blockCount }, (_, index) => {
    const own = into.subarray(index * 4096, (index + 1) * 4096);
    return own.every((byte) => byte === own[0]) ? own[0]! : Number.NaN;
  });
}

describe("a crash of a launched target with a volatile cache", () => {
  test.for([1, 2])(
    "loses unflushed blocks only, and open devices go on (seed %i)",
    async (volatileCacheSeed) => {
      const exits: string[] = [];
      await using target = await launchEmbedded({
        ...{
          command,
          service,
          directory: await temporaryDirectory(),
          volatileCache: true,
          volatileCacheSeed,
        },
        onUnexpectedExit: (message) => exits.push(message),
      });
      const { uuid } = await target.service.createVolume({ name: "v", sizeBytes, sectorSizeBytes });
      await using device = await target.service.openVolume(uuid);
      expect(device.capabilities).toMatchObject({ volatileWriteCache: true, atomicWriteBlocksPowerFail: 1 });
      const ok = { kind: "ok" };
      const write = (block: number, blockCount: number, value: number, fua = false) =>
        device.write({ block, blockCount, from: filled(value, blockCount), fua });

      for (let block = 0; block < 128; block += 32) expect(await write(block, 32, 1)).toEqual(ok);
      expect(await device.flush()).toEqual(ok);
      // Blocks 200 to 231 are written and not flushed when the snapshot is taken.
      expect(await write(200, 32, 5)).toEqual(ok);
      const snapshot = await target.service.createSnapshot({ name: "s", volumeUuid: uuid });
      for (let block = 0; block < 64; block += 32) expect(await write(block, 32, 2)).toEqual(ok);
      expect(await device.flush()).toEqual(ok);
      for (let block = 0; block < 64; block += 32) expect(await write(block, 32, 3)).toEqual(ok);
      expect(await write(100, 4, 4, true)).toEqual(ok);
      const { pid, apiUrl, nvmeEndpoint } = target;

      await target.faults.crash();

      expect(target.pid).not.toBe(pid);
      expect(target).toMatchObject({ apiUrl, nvmeEndpoint });
      const found = await valuesOf(device, 0, 64);
      expect(new Set(found)).toEqual(new Set([2, 3]));
      expect(await valuesOf(device, 100, 4)).toEqual(Array(4).fill(4));
      expect(await valuesOf(device, 104, 24)).toEqual(Array(24).fill(1));
      {
        await using opened = await target.service.openSnapshot(snapshot.uuid);
        expect(await valuesOf(opened, 0, 128)).toEqual(Array(128).fill(1));
        expect(await valuesOf(opened, 200, 32)).toEqual(Array(32).fill(5));
      }
      expect(await write(0, 1, 6, true)).toEqual(ok);
      expect(await valuesOf(device, 0, 1)).toEqual([6]);
      expect(exits).toEqual([]);
    },
  );

  test("ends calls in flight with a clear error, and is over when it resolves, twice in a row", async () => {
    await using target = await launchEmbedded({ command, service, directory: await temporaryDirectory() });
    const { uuid: volumeUuid } = await target.service.createVolume({ name: "v", sizeBytes, sectorSizeBytes });
    await using device = await target.service.openVolume(volumeUuid);
    const from = filled(1, 1);
    const calls = Array.from({ length: 40 }, (_, index) =>
      index % 2 === 0
        ? target.service.createSnapshot({ name: `s${index}`, volumeUuid })
        : target.service.createVolume({ name: `v${index}`, sizeBytes, sectorSizeBytes }),
    );
    const writes = Array.from({ length: 40 }, (_, block) => device.write({ block, blockCount: 1, from }));
    const [settled] = await Promise.all([
      Promise.allSettled(calls),
      target.faults.crash(),
      target.faults.crash(),
    ]);
    const refusals = settled.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
    expect(refusals.length).toBeGreaterThan(0);
    for (const refusal of refusals) {
      expect(refusal).toBeInstanceOf(ServiceError);
      // Not found: it was creating when the target crashed, and was looked for when that was back.
      expect(["ERR_UNREACHABLE", "ERR_NOT_FOUND"]).toContain(refusal.code);
    }
    for (const { kind } of await Promise.all(writes)) expect(["ok", "unknown"]).toContain(kind);
    expect((await target.service.listVolumes()).map(({ uuid }) => uuid)).toContain(volumeUuid);
    expect(await device.write({ block: 0, blockCount: 1, from })).toEqual({ kind: "ok" });
  });
});

describe("a launched target", () => {
  test("is reset, paused, slowed down, cut off and restored on command", async () => {
    await using target = await launchEmbedded({ command, service });
    const { faults } = target;
    const { uuid } = await target.service.createVolume({ name: "v", sizeBytes, sectorSizeBytes });
    await using device = await target.service.openVolume(uuid);
    const read = () => device.read({ block: 0, blockCount: 1, into: new Uint8Array(4096) });
    const timed = async () => {
      const startMs = performance.now();
      expect(await read()).toEqual({ kind: "ok" });
      return performance.now() - startMs;
    };
    /** A read, and whether it has settled 50 ms later. */
    const isHeld = async () => {
      const reading = read();
      const first = await Promise.race([
        reading,
        new Promise<"held">((resolve) => setTimeout(resolve, 50, "held")),
      ]);
      return { reading, isHeld: first === "held" };
    };
    await timed();

    await faults.setDelay(60);
    expect(await timed()).toBeGreaterThan(55);
    await faults.setDelay(0);

    await faults.setPaused(true);
    const paused = await isHeld();
    expect(paused.isHeld).toBe(true);
    await faults.setPaused(false);
    expect(await paused.reading).toEqual({ kind: "ok" });

    await faults.setCut(true);
    // The volume is out of reach, the control plane is not.
    const cut = await isHeld();
    expect((await target.service.getVolume(uuid)).state).toBe("available");
    await faults.setCut(false);
    if (cut.isHeld) expect(await cut.reading).toEqual({ kind: "ok" });
    await timed();

    await faults.setPaused(true);
    const lost = read();
    await faults.resetConnections();
    expect((await lost).kind).toBe("unknown");
    await faults.setPaused(false);
    await timed();
  });

  test("without a directory does not crash, and says why", async () => {
    await using target = await launchEmbedded({ command, service });
    const { pid } = target;
    await expect(target.faults.crash()).rejects.toThrow(/in memory.*launch it with a directory/);
    expect(target.pid).toBe(pid);
    await target.faults.stop();
    await expect(target.faults.setCut(true)).rejects.toThrow("the target has ended with code 0");
    await target.faults.restart();
    await target.faults.setCut(true);
  });

  test("that is disposed of is not started again, and what comes after it is refused", async () => {
    const target = await launchEmbedded({ command, service, directory: await temporaryDirectory() });
    const disposed = target[Symbol.asyncDispose]();
    await expect(target.faults.crash()).rejects.toThrow(TargetFaultError);
    await disposed;
    expect(target.pid).toBeUndefined();
  });
});
