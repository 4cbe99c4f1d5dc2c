import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseConfig } from "../../src/runner/config/load.ts";
import { type OpenServiceOptions, openService } from "../../src/runner/open-service.ts";
import { withVolumePaths } from "../../src/runner/volume-paths.ts";
import { memoryService } from "../../src/sut/memory.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "harrow-open-service-"));
});
afterAll(() => rm(folder, { recursive: true }));

const options = (yaml: string): OpenServiceOptions => ({
  ...{ target: parseConfig(`target: ${yaml}`, "test").target, seed: 1n, serveCommand: [], environment: {} },
  log: { info: () => {}, warn: () => {} },
});
const request = { name: "v", sizeBytes: 65_536, sectorSizeBytes: 4096 };

describe("opening a service", () => {
  test("gives volumes in memory without faults", async () => {
    await using opened = await openService(options("{ kind: memory }"));
    expect(opened).toMatchObject({ faults: undefined, failure: undefined });
    expect(opened.description).toBe("volumes in this process's memory, without a wire");
    expect(await opened.service.createVolume(request)).toMatchObject(request);
  });

  test("refuses a file, which has no snapshots", async () => {
    await expect(openService(options("{ kind: block, path: /dev/none }"))).rejects.toThrow(
      "target.kind: block: /dev/none is one volume without snapshots",
    );
  });

  test("asks for the token of a cluster where its keys say, unless one is given", async () => {
    const lightbits = options("{ kind: lightbits, endpoint: 'http://127.0.0.1:1' }");
    await expect(openService(lightbits)).rejects.toThrow("a JWT or LIGHTBITS_JWT is required");
    for (const more of [{ token: "t" }, { environment: { LIGHTBITS_JWT: "t" } }]) {
      await using opened = await openService({ ...lightbits, ...more });
      expect(opened.description).toBe("Lightbits cluster at http://127.0.0.1:1, project default");
    }
  });
});

describe("volumes that are reached by a path", () => {
  test("are opened there, with the blocks that they have; others are opened by the service", async () => {
    const service = await memoryService();
    const [there, elsewhere] = [
      await service.createVolume(request),
      await service.createVolume({ ...request, name: "w" }),
    ];
    const path = join(folder, "device");
    await writeFile(path, new Uint8Array(request.sizeBytes));
    const given = withVolumePaths(service, new Map([[there.uuid, path]]), { direct: false });
    const from = new Uint8Array(4096).fill(7);
    for (const { uuid } of [there, elsewhere]) {
      await using device = await given.openVolume(uuid);
      expect(device).toMatchObject({ blockCount: 16, capabilities: { blockSizeBytes: 4096 } });
      expect(await device.write({ block: 1, blockCount: 1, from })).toEqual({ kind: "ok" });
    }
    expect((await readFile(path)).subarray(4095, 4097)).toEqual(Buffer.from([0, 7]));
    expect(await given.listVolumes()).toHaveLength(2);
  });

  test("are refused if they are of another size, or not there", async () => {
    const service = await memoryService();
    const { uuid } = await service.createVolume(request);
    const path = join(folder, "other");
    await writeFile(path, new Uint8Array(8192));
    await expect(
      withVolumePaths(service, new Map([[uuid, path]]), { direct: false }).openVolume(uuid),
    ).rejects.toThrow(`${path} has 8192 bytes, and volume ${uuid} has 65536: it is another volume's`);
    const nowhere = join(folder, "nowhere");
    await expect(
      withVolumePaths(service, new Map([[uuid, nowhere]]), { direct: false }).openVolume(uuid),
    ).rejects.toMatchObject({ code: "ERR_NOT_FOUND" });
  });
});
