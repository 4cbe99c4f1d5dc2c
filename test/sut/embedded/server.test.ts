import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { PassThrough } from "node:stream";
import { describe, expect, test } from "vitest";
import { serveProcess } from "../../../src/sut/embedded/process.ts";
import { parseReadyLine, readyLine } from "../../../src/sut/embedded/ready-line.ts";
import { type EmbeddedTarget, serveEmbedded } from "../../../src/sut/embedded/server.ts";
import { discover } from "../../../src/sut/initiator/discovery.ts";
import { connectLightbits } from "../../../src/sut/lightbits/service.ts";
import { overTcp } from "../../support/over-tcp.ts";

function serviceOf(target: EmbeddedTarget) {
  return connectLightbits({
    endpoint: target.apiUrl,
    waitTimeoutMs: 5000,
    connectNamespaces: overTcp(),
  });
}

describe("serveEmbedded", () => {
  test("shows what was written over NVMe/TCP in the diff over REST, and in an opened snapshot", async () => {
    await using target = await serveEmbedded({ store: { kind: "memory" }, creatingMs: 20 });
    await using service = await serviceOf(target);
    const volume = await service.createVolume({ name: "v", sizeBytes: 2 ** 20, sectorSizeBytes: 4096 });
    const base = await service.createSnapshot({ name: "base", volumeUuid: volume.uuid });
    const from = new Uint8Array(2 * 4096).fill(9);
    {
      await using device = await service.openVolume(volume.uuid);
      expect(device.identity.uuid).toBe(volume.uuid);
      expect(device.blockCount).toBe(256);
      expect(await device.write({ block: 63, blockCount: 2, from })).toEqual({ kind: "ok" });
    }
    const { uuid: snapshotUuid } = await service.createSnapshot({ name: "s", volumeUuid: volume.uuid });
    const pages = [];
    for await (const page of service.diff({ snapshotUuid, baseSnapshotUuid: base.uuid })) pages.push(page);
    expect(pages).toEqual([
      {
        offsetLba: 0,
        ranges: [
          { lbaStart: 0, bitmap: Buffer.from([0, 0, 0, 0, 0, 0, 0, 0x80]) },
          { lbaStart: 64, bitmap: Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]) },
        ],
        nextOffsetLba: 0,
      },
    ]);
    {
      await using opened = await service.openSnapshot(snapshotUuid);
      const into = new Uint8Array(2 * 4096);
      expect(await opened.read({ block: 63, blockCount: 2, into })).toEqual({ kind: "ok" });
      expect(into).toEqual(from);
    }
    expect(await service.listVolumes()).toHaveLength(1);
  });

  test("closes what it has opened when an address cannot be bound", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const { port } = other.address() as AddressInfo;
    await expect(serveEmbedded({ store: { kind: "memory" }, apiPort: port })).rejects.toThrow(
      /cannot listen/,
    );
    await expect(serveEmbedded({ store: { kind: "memory" }, nvmePort: port })).rejects.toThrow(/EADDRINUSE/);
    other.close();
  });

  test("does not serve other hosts without a token", async () => {
    await expect(serveEmbedded({ store: { kind: "memory" }, host: "0.0.0.0" })).rejects.toThrow(
      /without a token/,
    );
  });

  test("has its discovery name what is advertised, and says itself where it is", async () => {
    await using target = await serveEmbedded({ store: { kind: "memory" }, advertise: "10.0.2.2" });
    const port = target.nvmeEndpoint.split(":")[1]!;
    expect(target.nvmeEndpoint).toBe(`127.0.0.1:${port}`);
    const hostId = "5c1c5a2e-6c9e-4f1f-9d5c-000000000002";
    const hostNqn = `nqn.2014-08.org.nvmexpress:uuid:${hostId}`;
    const entries = await discover({ host: "127.0.0.1", port: Number(port), hostNqn, hostId });
    expect(entries).toMatchObject([
      { address: "10.0.2.2", serviceId: port },
      { address: "10.0.2.2", serviceId: port, subsystemNqn: target.subsystemNqn },
    ]);
    const misspelt = serveEmbedded({ store: { kind: "memory" }, advertise: "target.example" });
    await expect(misspelt).rejects.toThrow('an IPv6 address in brackets expected, got "target.example"');
  });

  test("may be closed twice", async () => {
    const target = await serveEmbedded({ store: { kind: "memory" } });
    await target[Symbol.asyncDispose]();
    await target[Symbol.asyncDispose]();
  });
});

describe("serveProcess", () => {
  const serve = (stop: AbortSignal, parent?: PassThrough) => {
    const output = new PassThrough().setEncoding("utf8");
    const done = serveProcess({ store: { kind: "memory" } }, { output, parent, stop });
    const line = new Promise<string>((resolve) => output.once("data", resolve));
    return { done, line };
  };

  test("says where it serves, until it is told to stop", async () => {
    const stop = new AbortController();
    const { done, line } = serve(stop.signal);
    const ready = parseReadyLine(await line);
    expect((await fetch(`${ready?.api}/api/v2/version`)).status).toBe(200);
    stop.abort();
    await done;
    await expect(fetch(`${ready?.api}/api/v2/version`)).rejects.toThrow();
  });

  test("ends with its parent, and minds nothing that the parent says before", async () => {
    const parent = new PassThrough();
    const { done, line } = serve(new AbortController().signal, parent);
    await line;
    parent.write("hello");
    parent.end();
    await done;
  });
});

describe("the ready line", () => {
  test("is one line of JSON", () => {
    const target = { apiUrl: "http://127.0.0.1:8080", nvmeEndpoint: "127.0.0.1:4420", subsystemNqn: "nqn.x" };
    expect(readyLine(target)).toBe(
      '{"ready":{"api":"http://127.0.0.1:8080","nvme":"127.0.0.1:4420","subsystemNqn":"nqn.x"}}\n',
    );
  });

  test.for([
    "",
    "{}",
    '{"ready":{}}',
    '{"ready":{"api":"ftp://x","nvme":"a:1","subsystemNqn":"n"}}',
    "null",
    "[1",
  ])("is not '%s'", (line) => {
    expect(parseReadyLine(line)).toBeUndefined();
  });
});
