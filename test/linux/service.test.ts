/**
 * The volume service of a Linux host, against Debian's own kernel in a guest: dm-thin, nvmet and thin_delta.
 *
 * @packageDocumentation
 */
import { randomUUID } from "node:crypto";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { brokenContract, reportedBlocks } from "../../src/model/diff-contract.ts";
import { systemClock } from "../../src/sut/clock.ts";
import { connectController } from "../../src/sut/initiator/controller.ts";
import { DmPool } from "../../src/sut/linux/dm-pool.ts";
import { connectLinux, type LinuxVolumeService } from "../../src/sut/linux/service.ts";
import type { Shell } from "../../src/sut/linux/shell.ts";
import { silentLog } from "../../src/sut/log.ts";
import { type BlockDevice, ok, type Outcome, type Volume } from "../../src/sut/port.ts";
import { type LinuxGuest, startLinuxGuest } from "../../src/sut/vm/linux-guest.ts";
import { vmDirectory } from "./vm-directory.ts";
import { unavailable } from "./unavailable.ts";

const subsystemNqn = "nqn.2014-08.org.harrow:service-test";
const mib = 2 ** 20;
const blockBytes = 4096;
const chunkBlocks = 16;
const hostId = randomUUID();

function connectNamespaces({
  endpoints: [endpoint],
}: {
  readonly endpoints: readonly { readonly host: string; readonly port: number }[];
}) {
  return connectController({
    ...endpoint!,
    ...{ subsystemNqn, hostId, hostNqn: `nqn.2014-08.org.nvmexpress:uuid:${hostId}` },
  });
}

describe.skipIf(unavailable !== undefined)("the service of a Linux guest", () => {
  let linux: LinuxGuest;
  let service: LinuxVolumeService;

  beforeAll(async () => {
    linux = await startLinuxGuest({
      ...{ directory: vmDirectory, subsystemNqn, connectNamespaces, clock: systemClock, log: silentLog },
      machine: { blockSizeBytes: 4096, diskMiB: 1024 },
      onUnexpectedExit: (message) => console.error(message),
    });
    service = linux.service;
  });
  afterAll(() => linux?.[Symbol.asyncDispose]());

  async function volumeOf(sizeBytes: number): Promise<{ volume: Volume; device: BlockDevice }> {
    const volume = await service.createVolume({ name: "v", sizeBytes, sectorSizeBytes: blockBytes });
    const device = await service.openVolume(volume.uuid);
    onTestFinished(async () => {
      await device[Symbol.asyncDispose]();
      for (const { uuid } of await service.listSnapshots()) await service.deleteSnapshot(uuid);
      for (const { uuid } of await service.listVolumes()) await service.deleteVolume(uuid);
    });
    return { volume, device };
  }

  async function changedChunks(snapshotUuid: string, baseSnapshotUuid?: string): Promise<number[]> {
    const pages = [];
    const base = baseSnapshotUuid === undefined ? {} : { baseSnapshotUuid };
    for await (const page of service.diff({ snapshotUuid, ...base })) pages.push(page);
    const { sizeBytes } = await service.getSnapshot(snapshotUuid);
    expect(brokenContract(pages, sizeBytes / blockBytes, chunkBlocks)).toBeUndefined();
    const blocks = [...reportedBlocks(pages).blocks()];
    const chunks = new Set(blocks.map((block) => Math.floor(block / chunkBlocks)));
    for (const chunk of chunks) {
      const ofChunk = blocks.filter((block) => Math.floor(block / chunkBlocks) === chunk);
      expect(ofChunk.length).toBe(Math.min(chunkBlocks, sizeBytes / blockBytes - chunk * chunkBlocks));
    }
    return [...chunks].sort((a, b) => a - b);
  }

  const snapshotOf = (volumeUuid: string) => service.createSnapshot({ name: "s", volumeUuid });

  test("says what it can promise before there is a volume", () => {
    expect(service.diffCapabilities).toEqual({ granularityBlocks: 16, chunkBlocks: 16 });
  });

  test("refuses blocks that the disks below do not have, and says which they have", async () => {
    const request = { name: "v", sizeBytes: 8 * mib, sectorSizeBytes: 512 };
    await expect(service.createVolume(request)).rejects.toThrow(
      /blocks of 512 bytes can not be had from dm-thin pool harrow at .*, whose disks have 4096/,
    );
  });

  test("diffs are what was written and discarded, chunk by chunk, and snapshots hold what was there", async () => {
    // The last chunk is cut short by the end of the volume.
    const blockCount = 4096 + 5;
    const { volume, device } = await volumeOf(blockCount * blockBytes);
    expect(device.blockCount).toBe(blockCount);
    const truth = new Truth(device, blockCount);
    const first = await snapshotOf(volume.uuid);
    expect(await changedChunks(first.uuid)).toEqual([]);
    let base = first;
    let before = truth.mapped();
    for (let round = 0; round < 3; round++) {
      await truth.shake(60, round * 7919 + 1);
      const next = await snapshotOf(volume.uuid);
      const held = truth.copy();
      const mapped = truth.mapped();
      expect(await changedChunks(next.uuid)).toEqual([...mapped.keys()].sort((a, b) => a - b));
      expect(await changedChunks(next.uuid, base.uuid)).toEqual(differing(before, mapped));
      // What is written from here on is not seen.
      await truth.shake(10, round + 5000);
      const opened = await service.openSnapshot(next.uuid);
      await expectContent(opened, held);
      await opened[Symbol.asyncDispose]();
      [base, before] = [next, mapped];
    }
    // An answer may begin anywhere.
    const pages = [];
    for await (const page of service.diff({ snapshotUuid: base.uuid, offsetLba: 2000 })) pages.push(page);
    const from = Math.floor(2000 / chunkBlocks);
    const told = new Set([...reportedBlocks(pages).blocks()].map((block) => Math.floor(block / chunkBlocks)));
    expect([...told]).toEqual([...before.keys()].filter((chunk) => chunk >= from).sort((a, b) => a - b));
  });

  test("a snapshot under load is one instant: no write acknowledged before is missing, none begun after is in", async () => {
    const { volume, device } = await volumeOf(8 * mib);
    const blockCount = 2048;
    const begun = new Uint32Array(blockCount);
    const done = new Uint32Array(blockCount);
    let isOver = false;
    const writer = async (lane: number): Promise<void> => {
      for (let turn = 0; !isOver; turn++) {
        const block = (lane + 16 * ((turn * 37) % 128)) % blockCount;
        const generation = (begun[block]! += 1);
        const from = new Uint8Array(blockBytes);
        new Uint32Array(from.buffer).fill(generation);
        expect(await device.write({ block, blockCount: 1, from })).toEqual(ok);
        done[block] = generation;
      }
    };
    const writers = Array.from({ length: 16 }, (_, lane) => writer(lane));
    const snapshots = [];
    for (let count = 0; count < 3; count++) {
      await sleep(300);
      const atLeast = done.slice();
      const { uuid } = await snapshotOf(volume.uuid);
      snapshots.push({ uuid, atLeast, atMost: begun.slice() });
    }
    isOver = true;
    await Promise.all(writers);
    for (const { uuid, atLeast, atMost } of snapshots) {
      const opened = await service.openSnapshot(uuid);
      const all = await contentOf(opened, blockCount);
      for (let block = 0; block < blockCount; block++) {
        const words = new Uint32Array(all.buffer, block * blockBytes, blockBytes / 4);
        expect(words.every((word) => word === words[0])).toBe(true);
        expect(words[0]).toBeGreaterThanOrEqual(atLeast[block]!);
        expect(words[0]).toBeLessThanOrEqual(atMost[block]!);
      }
      await opened[Symbol.asyncDispose]();
    }
  });

  test("a snapshot can be open twice, is read only, and is not deleted meanwhile", async () => {
    const { volume, device } = await volumeOf(8 * mib);
    await device.write({ block: 3, blockCount: 1, from: filled(7) });
    const { uuid } = await snapshotOf(volume.uuid);
    const [one, other] = await Promise.all([service.openSnapshot(uuid), service.openSnapshot(uuid)]);
    expect(one.identity.uuid).toBe(uuid);
    expect(await one.write({ block: 3, blockCount: 1, from: filled(8) })).toMatchObject({ kind: "failed" });
    await one[Symbol.asyncDispose]();
    await expect(service.deleteSnapshot(uuid)).rejects.toMatchObject({ code: "ERR_BUSY" });
    expect((await contentOf(other, 4))[3 * blockBytes]).toBe(7);
    await other[Symbol.asyncDispose]();
    await service.deleteSnapshot(uuid);
    await expect(service.openSnapshot(uuid)).rejects.toMatchObject({ code: "ERR_NOT_FOUND" });
    await expect(changedChunks(uuid)).rejects.toMatchObject({ code: "ERR_NOT_FOUND" });
    await expect(service.openSnapshot(volume.uuid)).rejects.toMatchObject({ code: "ERR_NOT_FOUND" });
  });

  test("clones, rolls back and grows while hosts have the volume open", async () => {
    const { volume, device } = await volumeOf(8 * mib);
    await device.write({ block: 0, blockCount: 1, from: filled(1) });
    const snapshot = await snapshotOf(volume.uuid);
    await device.write({ block: 0, blockCount: 1, from: filled(2) });

    const clone = await service.cloneSnapshot({ name: "c", snapshotUuid: snapshot.uuid });
    expect(clone).toMatchObject({ sourceSnapshotUuid: snapshot.uuid, sizeBytes: 8 * mib });
    const cloned = await service.openVolume(clone.uuid);
    expect((await contentOf(cloned, 1))[0]).toBe(1);
    await cloned.write({ block: 0, blockCount: 1, from: filled(3) });
    await cloned[Symbol.asyncDispose]();

    const grown = await service.resizeVolume({ uuid: volume.uuid, sizeBytes: 12 * mib });
    expect(grown.sizeBytes).toBe(12 * mib);
    await until(() => device.blockCount === 3072);
    expect(await device.write({ block: 3000, blockCount: 1, from: filled(4) })).toEqual(ok);
    await expect(service.resizeVolume({ uuid: volume.uuid, sizeBytes: 8 * mib })).rejects.toMatchObject({
      code: "ERR_UNSUPPORTED",
    });

    await service.rollbackVolume({ volumeUuid: volume.uuid, snapshotUuid: snapshot.uuid });
    await until(() => device.blockCount === 2048);
    expect((await contentOf(device, 1))[0]).toBe(1);
    expect((await service.getVolume(volume.uuid)).sizeBytes).toBe(8 * mib);
    // What was beyond does not come back.
    await service.resizeVolume({ uuid: volume.uuid, sizeBytes: 12 * mib });
    await until(() => device.blockCount === 3072);
    expect(new Set(await contentOf(device, 3072, 3000))).toEqual(new Set([0]));
  });

  test("bringing up again changes nothing, and resumes what was left suspended", async () => {
    const { volume, device } = await volumeOf(8 * mib);
    const before = await service.getVolume(volume.uuid);
    await service.bringUp();
    await service.bringUp();
    expect(await service.getVolume(volume.uuid)).toEqual(before);
    expect(device.association).toBe((await reopened(device, volume.uuid)).association);
    await linux.guest.shell.run(`dmsetup suspend harrow-${volume.uuid}`);
    const written = device.write({ block: 0, blockCount: 1, from: filled(1) });
    expect(await Promise.race([written, sleep(500)])).toBeUndefined();
    await service.bringUp();
    expect(await written).toEqual(ok);
  });

  async function reopened(device: BlockDevice, uuid: string): Promise<BlockDevice> {
    const again = await service.openVolume(uuid);
    onTestFinished(async () => again[Symbol.asyncDispose]());
    expect(again.identity).toEqual(device.identity);
    return again;
  }

  test("after a loss of power all is as it was, and devices and snapshots that are open go on", async () => {
    const { volume, device } = await volumeOf(8 * mib);
    await device.write({ block: 9, blockCount: 1, from: filled(5) });
    await device.flush();
    const snapshot = await snapshotOf(volume.uuid);
    const opened = await service.openSnapshot(snapshot.uuid);
    const [volumes, snapshots] = [await service.listVolumes(), await service.listSnapshots()];
    // Diffs leave a metadata snapshot behind when the power goes while they read.
    await linux.guest.shell.run("dmsetup message harrow 0 reserve_metadata_snap; sync");
    await linux.guest.crash();
    await service.bringUp();
    expect(await service.listVolumes()).toEqual(volumes);
    expect(await service.listSnapshots()).toEqual(snapshots);
    for (const each of [device, opened]) expect((await contentOf(each, 10))[9 * blockBytes]).toBe(5);
    expect(await changedChunks(snapshot.uuid)).toEqual([0]);
    await opened[Symbol.asyncDispose]();
  });

  test("a snapshot whose answer is lost with the power is settled, and is there if the service says so", async () => {
    const { volume, device } = await volumeOf(8 * mib);
    for (let round = 0; round < 3; round++) {
      await device.write({ block: round, blockCount: 1, from: filled(round + 1) });
      await device.flush();
      const taken = service.createSnapshot({ name: `r${round}`, volumeUuid: volume.uuid }).then(
        () => true,
        (error: { code: string }) => {
          expect(["ERR_UNREACHABLE", "ERR_TIMEOUT"]).toContain(error.code);
          return false;
        },
      );
      await sleep(60 * (round + 1));
      await linux.guest.crash();
      await service.bringUp();
      const isTaken = await taken;
      const names = (await service.listSnapshots()).map(({ name }) => name);
      expect(names.includes(`r${round}`)).toBe(isTaken);
    }
  });

  test("resets connections, and cuts hosts off until they are let back", async () => {
    const { device } = await volumeOf(8 * mib);
    const associations = device.association!;
    await service.resetConnections();
    expect(await device.write({ block: 0, blockCount: 1, from: filled(1) })).toEqual(ok);
    expect(device.association).toBe(associations + 1);
    await service.setCut(true);
    await service.setCut(true);
    let isSettled = false;
    const waiting = device.read({ block: 0, blockCount: 1, into: new Uint8Array(blockBytes) });
    void waiting.finally(() => (isSettled = true));
    await sleep(1500);
    expect(isSettled).toBe(false);
    await service.setCut(false);
    expect(await waiting).toEqual(ok);
  });

  describe("a service that takes over from one that was killed", () => {
    /**
     * Runs what is to be killed on a copy of the catalogue, and gives what takes over from it with that copy. The
     * service of all tests does not hear of it.
     */
    async function killed(
      isLast: (script: string) => boolean,
      run: (service: LinuxVolumeService) => Promise<unknown>,
    ): Promise<LinuxVolumeService> {
      const { guest } = linux;
      const catalogue = join(guest.directory, `catalogue-${randomUUID()}.json`);
      await copyFile(join(guest.directory, "catalogue.json"), catalogue);
      let reached: () => void;
      const isReached = new Promise<void>((resolve) => {
        reached = resolve;
      });
      const cutOff: Shell = {
        description: "shell that is killed",
        run: async (script, options) => {
          const result = await guest.shell.run(script, options);
          if (!isLast(script)) return result;
          reached();
          return new Promise(() => {});
        },
        [Symbol.asyncDispose]: async () => {},
      };
      const first = await connect(cutOff, catalogue);
      void run(first);
      await isReached;
      const second = await connect(guest.shell, catalogue);
      await first[Symbol.asyncDispose]();
      onTestFinished(async () => second[Symbol.asyncDispose]());
      return second;
    }

    async function connect(shell: Shell, catalogue: string): Promise<LinuxVolumeService> {
      const pool = await DmPool.open({
        ...{ shell, name: "harrow", create: true, catalogue },
        ...{ metadataDevice: "serial:meta", dataDevice: "serial:data" },
      });
      const { nvmeEndpoint: endpoint } = linux.guest;
      const listen = { address: "0.0.0.0", port: 4420 };
      return connectLinux({ shell, pool, subsystemNqn, endpoint, listen, connectNamespaces });
    }

    const thinIds = async (): Promise<string[]> => {
      const { stdout } = await linux.guest.shell.run(
        `dmsetup message harrow 0 reserve_metadata_snap; trap 'dmsetup message harrow 0 release_metadata_snap' EXIT
for each in /sys/block/*/serial; do [ "$(cat "$each")" != meta ] || disk=\${each%/serial}; done
thin_ls --metadata-snap --no-headers -o DEV "/dev/\${disk##*/}"`,
      );
      return stdout.split("\n").flatMap((line) => (line.trim() === "" ? [] : [line.trim()]));
    };

    test("takes out a snapshot that the pool has made and nobody was told of", async () => {
      const { volume } = await volumeOf(8 * mib);
      const before = await thinIds();
      const next = await killed(
        (script) => script.includes('message "create_snap'),
        (first) => first.createSnapshot({ name: "orphan", volumeUuid: volume.uuid }),
      );
      expect(await next.listSnapshots()).toEqual([]);
      expect(await thinIds()).toEqual(before);
    });

    test("hides a snapshot that was left open", async () => {
      const { volume } = await volumeOf(8 * mib);
      const snapshot = await snapshotOf(volume.uuid);
      const next = await killed(
        (script) => script.includes(`export_device '${snapshot.uuid}'`),
        (first) => first.openSnapshot(snapshot.uuid),
      );
      const { stdout } = await linux.guest.shell.run(
        "dmsetup ls; cat /sys/kernel/config/nvmet/subsystems/*/namespaces/*/device_uuid",
      );
      expect(stdout).toContain(volume.uuid);
      expect(stdout).not.toContain(snapshot.uuid);
      expect((await next.listSnapshots()).map(({ uuid }) => uuid)).toEqual([snapshot.uuid]);
    });

    test("goes on with a rollback whose device has changed over", async () => {
      const { volume, device } = await volumeOf(8 * mib);
      await device.write({ block: 0, blockCount: 1, from: filled(1) });
      const snapshot = await snapshotOf(volume.uuid);
      await device.write({ block: 0, blockCount: 1, from: filled(2) });
      const next = await killed(
        (script) => script.includes(`\nshow_if_active 'harrow-${volume.uuid}'`),
        (first) => first.rollbackVolume({ volumeUuid: volume.uuid, snapshotUuid: snapshot.uuid }),
      );
      expect((await contentOf(device, 1))[0]).toBe(1);
      expect(await thinIds()).toHaveLength(2);
      // Taken of what the volume is now.
      const later = await next.createSnapshot({ name: "later", volumeUuid: volume.uuid });
      const pages = [];
      for await (const page of next.diff({ snapshotUuid: later.uuid, baseSnapshotUuid: snapshot.uuid }))
        pages.push(page);
      expect(reportedBlocks(pages).size).toBe(0);
      for (const { uuid } of await next.listSnapshots()) await next.deleteSnapshot(uuid);
      await next.deleteVolume(volume.uuid);
    });
  });

  test("the kernel has logged no error of disks, pool or target", async () => {
    const lines = await linux.guest.kernelLog();
    const isError = (line: string) =>
      /device-mapper.*(error|fail)|nvmet.*(error|fail)|I\/O error/i.test(line);
    // Somebody who asks whether the port is open, and goes away.
    expect(lines.filter((line) => isError(line) && !line.includes("failed to allocate queue"))).toEqual([]);
  });
});

/** What a volume holds, and which of its chunks the pool has mapped, since when. */
class Truth {
  readonly #device: BlockDevice;
  readonly #blockCount: number;
  readonly #content: Uint8Array;
  /** By chunk, the time of its first write since the last snapshot or discard. */
  readonly #mapped = new Map<number, number>();
  #time = 0;

  constructor(device: BlockDevice, blockCount: number) {
    this.#device = device;
    this.#blockCount = blockCount;
    this.#content = new Uint8Array(blockCount * blockBytes);
  }

  copy(): Uint8Array {
    return this.#content.slice();
  }

  mapped(): Map<number, number> {
    return new Map(this.#mapped);
  }

  /** Writes that overlap, parts of chunks, zeros, and discards of whole chunks and of parts. */
  async shake(count: number, seed: number): Promise<void> {
    let state = seed;
    const draw = (below: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state % below;
    };
    for (let turn = 0; turn < count; turn++) {
      this.#time += 1;
      const kind = draw(8);
      if (kind === 0) await this.#discard(draw(252) * chunkBlocks, chunkBlocks * (1 + draw(4)));
      else if (kind === 1) await this.#discard(draw(this.#blockCount - 8), 1 + draw(8));
      else {
        // Often at the very end, where a chunk is cut short.
        const blockCount = 1 + draw(40);
        const block = kind === 2 ? this.#blockCount - blockCount : draw(this.#blockCount - blockCount);
        await this.#write(block, blockCount, draw(255) + 1);
      }
    }
    expect(await this.#device.flush()).toEqual(ok);
  }

  async #write(block: number, blockCount: number, value: number): Promise<void> {
    const from = new Uint8Array(blockCount * blockBytes).fill(value);
    expect(await this.#device.write({ block, blockCount, from })).toEqual(ok);
    this.#content.set(from, block * blockBytes);
    for (let chunk = Math.floor(block / chunkBlocks); chunk * chunkBlocks < block + blockCount; chunk++)
      this.#mapped.set(chunk, this.#time);
  }

  /** Only whole chunks are given back; what becomes of the rest is left open by NVMe, and dm-thin leaves it alone. */
  async #discard(block: number, blockCount: number): Promise<void> {
    expect(await this.#device.deallocate({ ranges: [{ block, blockCount }] })).toEqual(ok);
    for (
      let chunk = Math.ceil(block / chunkBlocks);
      (chunk + 1) * chunkBlocks <= block + blockCount;
      chunk++
    ) {
      this.#mapped.delete(chunk);
      this.#content.fill(0, chunk * chunkBlocks * blockBytes, (chunk + 1) * chunkBlocks * blockBytes);
    }
  }
}

/** Chunks that were mapped, unmapped or written anew between two times. */
function differing(before: ReadonlyMap<number, number>, after: ReadonlyMap<number, number>): number[] {
  const chunks = new Set([...before.keys(), ...after.keys()]);
  return [...chunks].filter((chunk) => before.get(chunk) !== after.get(chunk)).sort((a, b) => a - b);
}

function filled(value: number): Uint8Array {
  return new Uint8Array(blockBytes).fill(value);
}

async function contentOf(device: BlockDevice, past: number, first = 0): Promise<Uint8Array> {
  const all = new Uint8Array((past - first) * blockBytes);
  for (let block = first; block < past; block += 256) {
    const blockCount = Math.min(256, past - block);
    const into = all.subarray((block - first) * blockBytes, (block - first + blockCount) * blockBytes);
    const outcome: Outcome = await device.read({ block, blockCount, into });
    expect(outcome).toEqual(ok);
  }
  return all;
}

async function expectContent(device: BlockDevice, expected: Uint8Array): Promise<void> {
  const found = await contentOf(device, expected.length / blockBytes);
  const wrong = [];
  for (let block = 0; block * blockBytes < expected.length; block++) {
    const part = [block * blockBytes, (block + 1) * blockBytes] as const;
    if (Buffer.compare(found.subarray(...part), expected.subarray(...part)) !== 0) wrong.push(block);
  }
  expect(wrong).toEqual([]);
}

/** Hosts learn of a size by an event. */
async function until(isReached: () => boolean): Promise<void> {
  for (let waitedMs = 0; !isReached() && waitedMs < 10_000; waitedMs += 50) await sleep(50);
  expect(isReached()).toBe(true);
}
