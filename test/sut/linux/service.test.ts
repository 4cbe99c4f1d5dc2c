import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import type { NamespaceConnection } from "../../../src/sut/data-path/data-path.ts";
import { DmPool } from "../../../src/sut/linux/dm-pool.ts";
import { connectLinux, type LinuxOptions, type LinuxVolumeService } from "../../../src/sut/linux/service.ts";
import { memoryService } from "../../../src/sut/memory.ts";
import { FakeHost } from "./fake-host.ts";

const folder = mkdtempSync(join(tmpdir(), "harrow-linux-service-"));
afterAll(() => rmSync(folder, { recursive: true }));

const mib = 2 ** 20;
const subsystemNqn = "nqn.2014-08.org.harrow:test";
const code = (name: string) => expect.objectContaining({ code: name });
let host: FakeHost;
let catalogue: string;
let fileCount = 0;
/** UUIDs in the order in which they were asked for. */
let opened: string[];

beforeEach(() => {
  host = new FakeHost();
  catalogue = join(folder, `${fileCount++}.json`);
  opened = [];
});

/** Opens whatever is exported, as an empty device. */
async function connection(): Promise<NamespaceConnection> {
  const memory = await memoryService();
  return {
    openNamespace: async ({ uuid }) => {
      expect(host.namespaces.has(uuid)).toBe(true);
      opened.push(uuid);
      const volume = await memory.createVolume({
        name: `${opened.length}`,
        sizeBytes: mib,
        sectorSizeBytes: 4096,
      });
      return memory.openVolume(volume.uuid);
    },
    [Symbol.asyncDispose]: () => memory[Symbol.asyncDispose]().then(() => {}),
  };
}

async function connect(options: Partial<LinuxOptions> = {}, waitTimeoutMs = 0): Promise<LinuxVolumeService> {
  const pool = await DmPool.open({
    ...{ shell: host, name: "harrow", metadataDevice: "serial:meta", dataDevice: "serial:data" },
    ...{ create: true, catalogue, waitTimeoutMs },
  });
  return connectLinux({
    ...{ shell: host, pool, subsystemNqn, endpoint: { host: "127.0.0.1", port: 4420 } },
    connectNamespaces: connection,
    ...options,
  });
}

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const taken = [];
  for await (const item of items) taken.push(item);
  return taken;
}

const sized = { sizeBytes: 8 * mib, sectorSizeBytes: 4096 };

describe("connectLinux", () => {
  test("exports volumes as long as they exist, under their own UUIDs", async () => {
    await using service = await connect();
    const { uuid, nsid } = await service.createVolume({ name: "a", ...sized });
    expect([...host.namespaces]).toEqual([[uuid, nsid]]);
    await using _device = await service.openVolume(uuid);
    expect(opened).toEqual([uuid]);
    await service.deleteVolume(uuid);
    expect(host.namespaces.size + host.devices.size + host.ids.size).toBe(0);
    await expect(service.openVolume(uuid)).rejects.toThrow(code("ERR_NOT_FOUND"));
  });

  test("exports a snapshot as long as anybody has it open", async () => {
    await using service = await connect();
    const volume = await service.createVolume({ name: "a", ...sized });
    const { uuid } = await service.createSnapshot({ name: "s", volumeUuid: volume.uuid });
    expect(host.namespaces.has(uuid)).toBe(false);
    const [one, other] = await Promise.all([service.openSnapshot(uuid), service.openSnapshot(uuid)]);
    const exports = host.scripts.filter((script) => script.includes(`\nexport_device '${uuid}'`));
    expect(exports.length).toBe(1);
    await one[Symbol.asyncDispose]();
    await one[Symbol.asyncDispose]();
    expect(host.namespaces.has(uuid)).toBe(true);
    await expect(service.deleteSnapshot(uuid)).rejects.toThrow(code("ERR_BUSY"));
    await other[Symbol.asyncDispose]();
    expect(host.namespaces.has(uuid)).toBe(false);
    expect(host.devices.has(`harrow-${uuid}`)).toBe(false);
    await service.deleteSnapshot(uuid);
    await expect(service.openSnapshot(uuid)).rejects.toThrow(code("ERR_NOT_FOUND"));
  });

  test("does not take a volume for a snapshot, or a snapshot for a volume", async () => {
    await using service = await connect();
    const volume = await service.createVolume({ name: "a", ...sized });
    const snapshot = await service.createSnapshot({ name: "s", volumeUuid: volume.uuid });
    const wrong: Record<string, () => Promise<unknown>> = {
      openSnapshot: () => service.openSnapshot(volume.uuid),
      deleteSnapshot: () => service.deleteSnapshot(volume.uuid),
      deleteVolume: () => service.deleteVolume(snapshot.uuid),
      getVolume: () => service.getVolume(snapshot.uuid),
      createSnapshot: () => service.createSnapshot({ name: "x", volumeUuid: snapshot.uuid }),
      cloneSnapshot: () => service.cloneSnapshot({ name: "x", snapshotUuid: volume.uuid }),
      diff: () => all(service.diff({ snapshotUuid: volume.uuid })),
    };
    for (const [name, call] of Object.entries(wrong))
      await expect(call(), name).rejects.toThrow(code("ERR_NOT_FOUND"));
  });

  test("brings all that was open back after the host was started anew, under the same numbers", async () => {
    await using service = await connect();
    const volume = await service.createVolume({ name: "a", ...sized });
    const snapshot = await service.createSnapshot({ name: "s", volumeUuid: volume.uuid });
    const other = await service.createSnapshot({ name: "closed", volumeUuid: volume.uuid });
    await using _open = await service.openSnapshot(snapshot.uuid);
    const before = new Map(host.namespaces);
    host.restart();
    await service.bringUp();
    expect(host.namespaces).toEqual(before);
    expect(host.isLinked).toBe(true);
    expect(host.devices.has(`harrow-${other.uuid}`)).toBe(false);
    const linked = host.scripts.findLast((script) => script.endsWith("\nopen_port\n"))!;
    // The port comes last, so that hosts find everything.
    expect(linked).toMatch(/\nexport_device '.*\nexport_device '.*\nopen_port\n$/s);
  });

  test("hides snapshots that a process that was killed had open", async () => {
    const first = await connect();
    const volume = await first.createVolume({ name: "a", ...sized });
    const snapshot = await first.createSnapshot({ name: "s", volumeUuid: volume.uuid });
    await first.openSnapshot(snapshot.uuid);
    await using _second = await connect();
    expect([...host.namespaces.keys()]).toEqual([volume.uuid]);
    expect([...host.devices.keys()]).toEqual([`harrow-${volume.uuid}`]);
    await first[Symbol.asyncDispose]();
  });

  test("closes a snapshot whose host does not answer, and ends its export when it is deleted", async () => {
    await using service = await connect();
    const volume = await service.createVolume({ name: "a", ...sized });
    const { uuid } = await service.createSnapshot({ name: "s", volumeUuid: volume.uuid });
    const device = await service.openSnapshot(uuid);
    host.plan = (script) => (script.includes("\nunexport '") ? "before" : undefined);
    await device[Symbol.asyncDispose]();
    host.plan = () => undefined;
    expect(host.namespaces.has(uuid)).toBe(true);
    await service.deleteSnapshot(uuid);
    expect(host.namespaces.has(uuid)).toBe(false);
  });

  test("leaves no volume behind that can not be exported", async () => {
    await using service = await connect();
    host.plan = (script) => (script.includes("\nexport_device '") ? 1 : undefined);
    await expect(service.createVolume({ name: "a", ...sized })).rejects.toThrow(code("ERR_TARGET"));
    expect(host.ids.size).toBe(0);
  });

  test("has the blocks that the disks have, and no others", async () => {
    host.blockSizeBytes = 512;
    await using service = await connect();
    expect(service.diffCapabilities).toEqual({ granularityBlocks: 128, chunkBlocks: 128 });
    await expect(service.createVolume({ name: "a", ...sized })).rejects.toThrow(
      /blocks of 4096 bytes can not be had from .*, whose disks have 512/,
    );
  });

  test("tells what has changed in pages of whole chunks, from any offset on", async () => {
    await using service = await connect();
    const volume = await service.createVolume({ name: "a", ...sized });
    const { uuid } = await service.createSnapshot({ name: "s", volumeUuid: volume.uuid });
    host.answer = [
      '<superblock uuid="" time="1" transaction="0" flags="0" version="2" data_block_size="128" nr_data_blocks="0">',
      '  <device dev_id="2" mapped_blocks="3" transaction="0" creation_time="0" snap_time="1">',
      '    <range_mapping origin_begin="2" data_begin="0" length="2" time="0"/>',
      '    <single_mapping origin_block="127" data_block="5" time="0"/>',
      "  </device>",
      "</superblock>",
    ].join("\n");
    const pages = await all(service.diff({ snapshotUuid: uuid, offsetLba: 50 }));
    expect(pages).toEqual([
      {
        offsetLba: 50,
        ranges: [
          { lbaStart: 48, bitmap: new Uint8Array([255, 255]) },
          { lbaStart: 2032, bitmap: new Uint8Array([255, 255]) },
        ],
        nextOffsetLba: 0,
      },
    ]);
    const beyond = all(service.diff({ snapshotUuid: uuid, offsetLba: 2048 }));
    await expect(beyond).rejects.toThrow(code("ERR_INVALID_REQUEST"));
  });

  test("ends what waits for a host that does not come back when it is closed", async () => {
    const service = await connect({}, 3_600_000);
    const { uuid } = await service.createVolume({ name: "a", ...sized });
    host.plan = () => "before";
    const waiting = service.createSnapshot({ name: "s", volumeUuid: uuid });
    setTimeout(() => service[Symbol.asyncDispose](), 50);
    await expect(waiting).rejects.toThrow(code("ERR_UNREACHABLE"));
  });

  test("cuts hosts off by closing the port, and says so as a fault if that fails", async () => {
    await using service = await connect();
    await service.setCut(true);
    expect(host.isLinked).toBe(false);
    await service.resetConnections();
    expect(host.isLinked).toBe(true);
    host.plan = () => "before";
    await expect(service.setCut(true)).rejects.toThrow(expect.objectContaining({ name: "TargetFaultError" }));
  });

  test("refuses addresses and names that the kernel could not take", async () => {
    const wrong: readonly Partial<LinuxOptions>[] = [
      { endpoint: { host: "storage.example", port: 4420 } },
      { listen: { address: "0.0.0.0", port: 70_000 } },
      { subsystemNqn: "no name" },
      { subsystemNqn: "nqn.2014-08.org.harrow:a/b" },
    ];
    for (const options of wrong) await expect(connect(options)).rejects.toThrow(code("ERR_INVALID_REQUEST"));
  });
});
