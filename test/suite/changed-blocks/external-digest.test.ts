import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { SuiteVolume } from "../../../src/suite/changed-blocks/bench-options.ts";
import { externalDigest } from "../../../src/suite/changed-blocks/external-digest.ts";
import { changedBlocksTests, runChangedBlocks } from "../../../src/suite/changed-blocks/suite.ts";
import type { SuiteResult } from "../../../src/suite/report.ts";
import { openBlockDevice } from "../../../src/sut/block/open.ts";
import { memoryService } from "../../../src/sut/memory.ts";
import type { BlockDevice, VolumeService } from "../../../src/sut/port.ts";
import { replaced } from "../../../src/sut/replaced.ts";
import { scale } from "../../support/changed-blocks.ts";

const { signal } = new AbortController();
let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "harrow-digest-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("the digest by programs of the system", () => {
  test("is that of the piece, at any place", async () => {
    const bytes = randomBytes(3 * 2 ** 20 + 4096);
    const path = join(folder, "piece");
    await writeFile(path, bytes);
    for (const [offsetBytes, lengthBytes] of [
      [0, bytes.length],
      [4096, 2 ** 20],
      [2 ** 20 + 512, 2 * 2 ** 20 + 512],
    ] as const) {
      const expected = createHash("sha256")
        .update(bytes.subarray(offsetBytes, offsetBytes + lengthBytes))
        .digest("hex");
      expect(await externalDigest({ path, offsetBytes, lengthBytes }, signal)).toBe(expected);
    }
  });

  test("is refused of a piece that is not all there, and of a path that is not", async () => {
    const path = join(folder, "short");
    await writeFile(path, "four");
    await expect(externalDigest({ path, offsetBytes: 0, lengthBytes: 5 }, signal)).rejects.toThrow(
      /there are only 4 bytes/,
    );
    const missing = { path: join(folder, "missing"), offsetBytes: 0, lengthBytes: 1 };
    await expect(externalDigest(missing, signal)).rejects.toThrow(/ENOENT/);
  });

  test("ends at once when it is not wanted any more", async () => {
    const stop = new AbortController();
    const endless = { path: "/dev/zero", offsetBytes: 0, lengthBytes: 2 ** 45 };
    const digest = externalDigest(endless, stop.signal);
    setTimeout(() => stop.abort(new Error("enough")), 50);
    await expect(digest).rejects.toThrow("enough");
  });
});

describe("the suite with devices that the host finds", () => {
  const names = ["incremental_sync_integrity", "write_after_snapshot_isolation"];

  test("has them confirmed by programs of the system", async () => {
    await using service = await memoryService();
    const volumes = { source: await mirrored(service, "s1"), target: await mirrored(service, "t1") };
    expect((await resultsOf(service, volumes)).map(({ kind }) => kind)).toEqual(["pass", "pass"]);
  });

  test("fails if they see something else than harrow", async () => {
    await using service = await memoryService();
    const volumes = {
      source: await mirrored(service, "s2"),
      target: await mirrored(service, "t2", { isLosing: true }),
    };
    const [first] = await resultsOf(service, volumes);
    expect(first).toMatchObject({
      kind: "fail",
      message: expect.stringMatching(/sha256sum says .*t2, the target/),
    });
  });

  async function resultsOf(
    service: VolumeService,
    volumes: { readonly source: SuiteVolume; readonly target: SuiteVolume },
  ): Promise<readonly SuiteResult[]> {
    const results: SuiteResult[] = [];
    await runChangedBlocks({
      ...{ service, ...volumes, scale, contentSeed: 3n, prefix: "t", signal },
      tests: changedBlocksTests.filter(({ name }) => names.includes(name)),
      warn: (message) => expect.unreachable(message),
      reporter: { started() {}, finished: (_test, result) => void results.push(result), done() {} },
    });
    return results;
  }

  /** A volume of the service whose writes also go to a file. */
  async function mirrored(
    service: VolumeService,
    name: string,
    { isLosing = false } = {},
  ): Promise<SuiteVolume> {
    const sizeBytes = 64 * 2 ** 20;
    const path = join(folder, name);
    const { uuid } = await service.createVolume({ name, sizeBytes, sectorSizeBytes: 4096 });
    const device = await service.openVolume(uuid);
    const file: BlockDevice = await openBlockDevice({ path, blockSizeBytes: 4096, sizeBytes, io: "threads" });
    let writes = 0;
    const both = replaced(device, {
      write: async (request, options) => {
        if (!(isLosing && ++writes === 1)) await file.write(request, options);
        return device.write(request, options);
      },
    });
    return { uuid, device: both, wasEmpty: true, path };
  }
});
