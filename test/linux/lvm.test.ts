/**
 * The volume service on a thin pool of LVM, in a guest: Debian's own LVM, kernel and thin_delta.
 *
 * @packageDocumentation
 */
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { reportedBlocks } from "../../src/model/diff-contract.ts";
import { connectController } from "../../src/sut/initiator/controller.ts";
import { reconnectPolicyDefault } from "../../src/sut/initiator/reconnect.ts";
import { LvmPool } from "../../src/sut/linux/lvm-pool.ts";
import { connectLinux, type LinuxVolumeService } from "../../src/sut/linux/service.ts";
import { silentLog } from "../../src/sut/log.ts";
import { type BlockDevice, ok } from "../../src/sut/port.ts";
import { Guest } from "../../src/sut/vm/guest.ts";
import { prepareGuest } from "../../src/sut/vm/prepare.ts";
import { vmDirectory } from "./vm-directory.ts";
import { unavailable } from "./unavailable.ts";

const subsystemNqn = "nqn.2014-08.org.harrow:lvm-test";
const mib = 2 ** 20;
const blockBytes = 4096;
const chunkBlocks = 16;
/** Hyphens are doubled in the names of the device mapper. */
const where = { volumeGroup: "vg-0", pool: "thin-pool" };

/** What others have in the group, one named as ours are. */
const foreign = ["foreign", "foreign-thin", "harrow-00000000-0000-4000-8000-000000000000"];

const setUp = `set -eu
for file in /sys/block/*/serial; do
  if [ "$(cat "$file")" = data ]; then disk=\${file%/serial}; disk=/dev/\${disk##*/}; fi
done
modprobe dm-snapshot
pvcreate -qq "$disk"
vgcreate -qq vg-0 "$disk"
lvcreate -qq -y --type thin-pool -L 256m -n thin-pool vg-0
lvcreate -qq -y -L 16m -n foreign vg-0
lvcreate -qq -y -V 32m -T vg-0/thin-pool -n foreign-thin
lvcreate -qq -y -V 32m -T vg-0/thin-pool -n ${foreign[2]}
for name in ${foreign.join(" ")}; do dd if=/dev/urandom of=/dev/vg-0/$name bs=1M count=8 2>/dev/null; done
sync`;

const lookAtForeign = `set -eu
for name in ${foreign.join(" ")}; do
  lvchange -ay -K vg-0/$name 2>/dev/null
  md5sum /dev/vg-0/$name
  lvs --noheadings -o lv_uuid,lv_size,lv_tags,pool_lv vg-0/$name
done`;

type Connecting = Parameters<typeof connectLinux>[0]["connectNamespaces"];
const hostId = randomUUID();
const connectNamespaces: Connecting = ({ endpoints }) =>
  connectController({
    ...endpoints[0]!,
    ...{ subsystemNqn, hostId, hostNqn: `nqn.2014-08.org.nvmexpress:uuid:${hostId}` },
    ...{ ioQueueCount: 1, queueDepth: 64 },
    reconnect: { ...reconnectPolicyDefault, delayMsMax: 500, attemptsMax: 200 },
  });

describe.skipIf(unavailable !== undefined)("the service on a thin pool of LVM in a guest", () => {
  let directory: string;
  let guest: Guest;
  let pool: LvmPool;
  let service: LinuxVolumeService;
  let foreignBefore: string;

  const must = async (script: string): Promise<string> => {
    const { status, stdout, stderr } = await guest.shell.run(script);
    if (status !== 0) throw new Error(`status ${status}: ${stderr}`);
    return stdout;
  };

  beforeAll(async () => {
    const images = await prepareGuest({ directory: vmDirectory, log: silentLog });
    directory = await mkdtemp(join(tmpdir(), "harrow-lvm-"));
    guest = await Guest.start({
      ...{ directory, images, role: "target", log: silentLog },
      ...{ diskMiB: 384, metadataMiB: 16, blockSizeBytes: 4096, cache: "unsafe" },
    });
    await must(setUp);
    foreignBefore = await must(lookAtForeign);
    pool = new LvmPool({ shell: guest.shell, ...where, isExclusive: true });
    service = await connectLinux({
      ...{ shell: guest.shell, pool, endpoint: guest.nvmeEndpoint, connectNamespaces, subsystemNqn },
      listen: { address: "0.0.0.0", port: 4420 },
    });
  });
  afterAll(async () => {
    await service?.[Symbol.asyncDispose]();
    await guest?.[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });

  const volumeOf = async (name: string, sizeBytes: number) => {
    const volume = await service.createVolume({ name, sizeBytes, sectorSizeBytes: blockBytes });
    return { volume, device: await service.openVolume(volume.uuid) };
  };
  const clear = async () => {
    for (const { uuid } of await service.listSnapshots()) await service.deleteSnapshot(uuid);
    for (const { uuid } of await service.listVolumes()) await service.deleteVolume(uuid);
  };
  const chunksOf = async (snapshotUuid: string, baseSnapshotUuid?: string): Promise<number[]> => {
    const base = baseSnapshotUuid === undefined ? {} : { baseSnapshotUuid };
    const pages = [];
    for await (const page of service.diff({ snapshotUuid, ...base })) pages.push(page);
    const chunks = new Set(
      [...reportedBlocks(pages).blocks()].map((block) => Math.floor(block / chunkBlocks)),
    );
    return [...chunks].sort((a, b) => a - b);
  };

  test("writes, snapshots, diffs, clones, grows and rolls back, as LVM shows by its own names", async () => {
    // Rounded up to whole extents of 4 MiB.
    const { volume, device } = await volumeOf("vol ä/1", 10 * mib);
    expect(volume).toMatchObject({ name: "vol ä/1", sizeBytes: 12 * mib, sectorSizeBytes: 4096 });
    await fill(device, 0, 64, 1);
    const first = await service.createSnapshot({ name: "first", volumeUuid: volume.uuid });
    await fill(device, 40, 8, 2);
    await fill(device, 320, 1, 3);
    expect(await device.deallocate({ ranges: [{ block: 0, blockCount: 16 }] })).toEqual(ok);
    expect(await device.flush()).toEqual(ok);
    const second = await service.createSnapshot({ name: "second", volumeUuid: volume.uuid });
    expect(await chunksOf(first.uuid)).toEqual([0, 1, 2, 3]);
    expect(await chunksOf(second.uuid)).toEqual([1, 2, 3, 20]);
    expect(await chunksOf(second.uuid, first.uuid)).toEqual([0, 2, 20]);

    await fill(device, 0, 64, 4);
    const opened = await service.openSnapshot(first.uuid);
    expect(await generations(opened, 0, 64)).toEqual(Array(64).fill(1));
    await opened[Symbol.asyncDispose]();

    const clone = await service.cloneSnapshot({ name: "clone", snapshotUuid: second.uuid });
    const cloned = await service.openVolume(clone.uuid);
    expect(await generations(cloned, 0, 49)).toEqual([
      ...Array(16).fill(0),
      ...Array(24).fill(1),
      ...Array(8).fill(2),
      1,
    ]);
    await fill(cloned, 0, 64, 9);
    await cloned[Symbol.asyncDispose]();

    expect(await service.resizeVolume({ uuid: volume.uuid, sizeBytes: 16 * mib })).toMatchObject({
      sizeBytes: 16 * mib,
    });
    await expect.poll(() => device.blockCount, { timeout: 20_000 }).toBe(4096);
    await fill(device, 4095, 1, 5);
    await expect(service.resizeVolume({ uuid: volume.uuid, sizeBytes: 4 * mib })).rejects.toMatchObject({
      code: "ERR_INVALID_REQUEST",
    });

    for (const [turn, snapshotUuid] of [first.uuid, second.uuid, first.uuid].entries()) {
      await service.rollbackVolume({ volumeUuid: volume.uuid, snapshotUuid });
      expect(await service.getVolume(volume.uuid)).toMatchObject({ sizeBytes: 12 * mib, name: "vol ä/1" });
      const again = await service.openVolume(volume.uuid);
      await expect.poll(() => again.blockCount, { timeout: 20_000 }).toBe(3072);
      const expected =
        snapshotUuid === first.uuid
          ? Array(64).fill(1)
          : [...Array(16).fill(0), ...Array(24).fill(1), ...Array(8).fill(2), ...Array(16).fill(1)];
      expect(await generations(again, 0, 64)).toEqual(expected);
      await fill(again, 0, 64, 100 + turn);
      expect(await again.flush()).toEqual(ok);
      await again[Symbol.asyncDispose]();
    }
    // It has its name back, and what it was before is gone.
    const names = (await must("lvs --noheadings -o lv_name vg-0")).trim().split(/\s+/);
    const ours = [volume, first, second, clone].map(({ uuid }) => `harrow-${uuid}`);
    expect(names.toSorted()).toEqual([...foreign, ...ours, where.pool].toSorted());
    await expect(
      service.rollbackVolume({ volumeUuid: clone.uuid, snapshotUuid: first.uuid }),
    ).rejects.toMatchObject({ code: "ERR_INVALID_REQUEST" });

    await device[Symbol.asyncDispose]();
    await clear();
    expect(await pool.list()).toEqual([]);
  });

  test("has all that was acknowledged after a loss of power, and goes on", async () => {
    const { volume, device } = await volumeOf("crash", 8 * mib);
    await fill(device, 0, 64, 1);
    expect(await device.flush()).toEqual(ok);
    const snapshot = await service.createSnapshot({ name: "before", volumeUuid: volume.uuid });
    await fill(device, 0, 16, 2);
    expect(await device.flush()).toEqual(ok);
    // As a diff leaves it that was cut short.
    await must("dmsetup message vg--0-thin--pool-tpool 0 reserve_metadata_snap");
    await guest.crash();
    await service.bringUp();
    expect(await service.listVolumes()).toMatchObject([
      { uuid: volume.uuid, name: "crash", sizeBytes: 8 * mib },
    ]);
    expect(await service.listSnapshots()).toMatchObject([
      { uuid: snapshot.uuid, sourceVolumeUuid: volume.uuid },
    ]);
    expect(await generations(device, 0, 64)).toEqual([...Array(16).fill(2), ...Array(48).fill(1)]);
    const after = await service.createSnapshot({ name: "after", volumeUuid: volume.uuid });
    expect(await chunksOf(after.uuid, snapshot.uuid)).toEqual([0]);
    await device[Symbol.asyncDispose]();
    await clear();
  });

  test("a volume whose rollback was cut by a loss of power is as it was, or back", async () => {
    const { volume, device } = await volumeOf("cut", 8 * mib);
    await fill(device, 0, 16, 1);
    const snapshot = await service.createSnapshot({ name: "s", volumeUuid: volume.uuid });
    await fill(device, 0, 16, 2);
    expect(await device.flush()).toEqual(ok);
    await device[Symbol.asyncDispose]();
    let generation = 2;
    for (const delayMs of [500, 1500]) {
      const rollback = service.rollbackVolume({ volumeUuid: volume.uuid, snapshotUuid: snapshot.uuid });
      const settled = rollback.then(
        () => "done",
        (error: Error) => error.message,
      );
      await sleep(delayMs);
      await guest.crash();
      // It asks what there is as soon as it can, and may go on.
      const [outcome] = await Promise.all([settled, service.bringUp()]);
      await service.bringUp();
      const again = await service.openVolume(volume.uuid);
      const found = await generations(again, 0, 16);
      expect([1, generation], outcome).toContain(found[0]);
      expect(found).toEqual(Array(16).fill(found[0]));
      if (outcome === "done") expect(found[0]).toBe(1);
      generation += 1;
      await fill(again, 0, 16, generation);
      expect(await again.flush()).toEqual(ok);
      await again[Symbol.asyncDispose]();
    }
    const names = (await must("lvs --noheadings -o lv_name vg-0")).trim().split(/\s+/);
    expect(names.filter((name) => !foreign.includes(name))).toHaveLength(3);
    await clear();
  });

  test("does not remove what others have made of its volumes", async () => {
    const { volume, device } = await volumeOf("origin", 4 * mib);
    await device[Symbol.asyncDispose]();
    await must(`lvcreate -qq -y -s -L 4m -n theirs vg-0/harrow-${volume.uuid}`);
    await expect(service.deleteVolume(volume.uuid)).rejects.toMatchObject({
      code: "ERR_BUSY",
      message: expect.stringContaining("whoever made those has to remove them first"),
    });
    await must("lvs vg-0/theirs && lvremove -qq -f -y vg-0/theirs");
    await clear();
  });

  test("tells its volumes from those of another tag, and leaves a snapshot of the metadata to others", async () => {
    const other = new LvmPool({ shell: guest.shell, ...where, tag: "other" });
    await other.bringUp();
    const made = await other.create({ name: "x", sizeBytes: mib });
    expect(await pool.list()).toEqual([]);
    await expect(pool.remove(made.uuid)).rejects.toMatchObject({ code: "ERR_NOT_FOUND" });
    await must("dmsetup message vg--0-thin--pool-tpool 0 reserve_metadata_snap");
    await expect(other.changes({ baseUuid: undefined, uuid: made.uuid })).rejects.toMatchObject({
      code: "ERR_BUSY",
    });
    await must("dmsetup message vg--0-thin--pool-tpool 0 release_metadata_snap");
    expect(await other.changes({ baseUuid: undefined, uuid: made.uuid })).toEqual([]);
    await other.remove(made.uuid);
    await expect(other.remove(made.uuid)).rejects.toMatchObject({ code: "ERR_NOT_FOUND" });
  });

  test("says what is wrong with a pool, and what to do", async () => {
    const bringUp = (change: Partial<typeof where>) =>
      new LvmPool({ shell: guest.shell, ...where, ...change }).bringUp();
    await expect(bringUp({ volumeGroup: "none" })).rejects.toMatchObject({
      code: "ERR_NOT_FOUND",
      message: expect.stringMatching(/"none" not found.*vgs lists/),
    });
    await expect(bringUp({ pool: "none" })).rejects.toMatchObject({
      code: "ERR_NOT_FOUND",
      message: expect.stringContaining("its thin pools are thin-pool"),
    });
    await expect(bringUp({ pool: "foreign" })).rejects.toMatchObject({
      code: "ERR_INVALID_REQUEST",
      message: expect.stringContaining("is no thin pool"),
    });
    await must("lvchange -qq -Zn vg-0/thin-pool");
    await expect(bringUp({})).rejects.toMatchObject({
      code: "ERR_UNSUPPORTED",
      message: expect.stringContaining("lvchange -Zy vg-0/thin-pool"),
    });
    await must("lvchange -qq -Zy vg-0/thin-pool");
    await bringUp({});
    // More than there is, which is no error.
    const { uuid } = await pool.create({ name: "huge", sizeBytes: 2 ** 40 });
    const path = await pool.activate(uuid);
    const holder = (await must(`sleep 1000 <${path} >/dev/null 2>&1 & echo $!; sleep 1`)).trim();
    await expect(pool.remove(uuid)).rejects.toMatchObject({
      code: "ERR_BUSY",
      message: expect.stringContaining("in use"),
    });
    await must(`kill ${holder}; sleep 1`);
    await pool.remove(uuid);
  });

  test("has not touched what is not its own", async () => {
    expect(await must(lookAtForeign)).toBe(foreignBefore);
    const names = (await must("lvs --noheadings -o lv_name vg-0")).trim().split(/\s+/);
    expect(names.toSorted()).toEqual([...foreign, where.pool].toSorted());
  });
});

/** Writes blocks that tell their generation. */
async function fill(
  device: BlockDevice,
  block: number,
  blockCount: number,
  generation: number,
): Promise<void> {
  const from = new Uint8Array(blockCount * blockBytes);
  new Uint32Array(from.buffer).fill(generation);
  expect(await device.write({ block, blockCount, from })).toEqual(ok);
}

/** -1 for a block that is torn. */
async function generations(device: BlockDevice, block: number, blockCount: number): Promise<number[]> {
  const into = new Uint8Array(blockCount * blockBytes);
  expect(await device.read({ block, blockCount, into })).toEqual(ok);
  return Array.from({ length: blockCount }, (_, index) => {
    const words = new Uint32Array(into.buffer, index * blockBytes, blockBytes / 4);
    return words.every((word) => word === words[0]) ? words[0]! : -1;
  });
}
