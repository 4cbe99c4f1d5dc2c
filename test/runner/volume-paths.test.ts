/**
 * Volumes of a service by the devices at which this host has attached them, from the configuration on.
 *
 * @packageDocumentation
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseConfig } from "../../src/runner/config/load.ts";
import { openTarget } from "../../src/runner/target.ts";
import { mismatchOf } from "../../src/runner/volume-paths.ts";
import { serveEmbedded } from "../../src/sut/embedded/server.ts";
import { connectLightbits } from "../../src/sut/lightbits/service.ts";
import { overTcp } from "../support/over-tcp.ts";

const sizeBytes = 2 ** 20;
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "harrow-volume-paths-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A file of zeros in the place of an attached device. */
function attached(name: string): string {
  const path = join(folder, name);
  writeFileSync(path, new Uint8Array(sizeBytes));
  return path;
}

function opened(target: object, volumeCount = 1) {
  const operations = { weights: { compareAndWrite: 0, compareAndWriteMiss: 0 } };
  const geometry = { volumes: volumeCount, volumeSize: "1MiB", extentSize: "256KiB" };
  const config = parseConfig(JSON.stringify({ geometry, target, operations, window: { size: 2 } }), "test");
  return openTarget({
    ...{ config, seed: 1n, name: "run", serveCommand: [], environment: { LIGHTBITS_JWT: "t" } },
    ...{ log: { info: () => {}, warn: () => {} }, signal: AbortSignal.timeout(20_000) },
  });
}

const uuid = "6b3c1f0a-57e2-4d5e-9f1c-0a2b3c4d5e6f";
const other = "7b3c1f0a-57e2-4d5e-9f1c-0a2b3c4d5e6f";
const lightbits = { kind: "lightbits", endpoint: "http://127.0.0.1:1" };

describe("target.devices", () => {
  test("carries the data, while snapshots are the service's and are read over NVMe/TCP", async () => {
    await using server = await serveEmbedded({ store: { kind: "memory" } });
    await using service = await connectLightbits({ endpoint: server.apiUrl, connectNamespaces: overTcp() });
    const request = { sizeBytes, sectorSizeBytes: 4096 };
    const first = await service.createVolume({ ...request, name: "first" });
    const second = await service.createVolume({ ...request, name: "second" });
    const devices = [attached("a"), attached("b")];
    await using target = await opened(
      { ...lightbits, endpoint: server.apiUrl, volumes: [first.uuid, second.uuid], devices },
      2,
    );
    expect(target.description).toContain(`by way of ${devices.join(", ")}`);
    const from = new Uint8Array(4096).fill(7);
    for (const { device } of target.volumes)
      expect(await device.write({ block: 3, blockCount: 1, from, fua: true })).toEqual({ kind: "ok" });
    for (const path of devices) expect(readFileSync(path)[3 * 4096]).toBe(7);
    // The service's own volume was not written to, for a file stands in for its device.
    const snapshot = await target.service.createSnapshot({ name: "s", volumeUuid: first.uuid });
    await using device = await target.service.openSnapshot(snapshot.uuid);
    const into = new Uint8Array(4096).fill(1);
    expect(await device.read({ block: 3, blockCount: 1, into })).toEqual({ kind: "ok" });
    expect(into).toEqual(new Uint8Array(4096));
  });

  test.each([
    [{ devices: ["/a"] }, /target.devices needs target.volumes: the UUIDs of the volumes/],
    [{ devices: ["/a", "/b"], volumes: [uuid] }, /target.devices names 2 devices, target.volumes 1 volumes/],
  ])("%o is refused before anything is connected to", async (keys, message) => {
    await expect(opened({ ...lightbits, ...keys })).rejects.toThrow(message);
  });

  test("with one device twice is refused", async () => {
    const keys = { devices: ["/a", "/a"], volumes: [uuid, other] };
    await expect(opened({ ...lightbits, ...keys }, 2)).rejects.toThrow("names a device twice");
  });
});

describe("a device in the place of a volume", () => {
  const volume = { uuid, sizeBytes, sectorSizeBytes: 4096 };
  const name = "/dev/nvme0n1 (Linux, serial 1, 1 MiB)";
  const device = { blockCount: 256, identity: { name, uuid: undefined, nsid: undefined } };

  test("is taken if it has the volume's size and UUID, or tells none", () => {
    expect(mismatchOf(device, volume)).toBeUndefined();
    expect(mismatchOf({ ...device, identity: { ...device.identity, uuid } }, volume)).toBeUndefined();
    expect(
      mismatchOf(
        { ...device, identity: { ...device.identity, uuid } },
        { ...volume, uuid: uuid.toUpperCase() },
      ),
    ).toBeUndefined();
  });

  test("is refused if it is another namespace, or of another size", () => {
    expect(mismatchOf({ ...device, identity: { ...device.identity, uuid: other } }, volume)).toBe(
      `${name} is the namespace ${other}, and not volume ${uuid}: name the devices in the order of the volumes`,
    );
    expect(mismatchOf({ ...device, blockCount: 255 }, volume)).toBe(
      `${name} has 1044480 bytes, and volume ${uuid} has 1048576: it is another volume's`,
    );
  });
});
