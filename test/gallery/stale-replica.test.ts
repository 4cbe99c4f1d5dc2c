import { expect, test } from "vitest";
import { staleReplica } from "../../src/gallery/classes/m21-stale-replica.ts";
import { galleryConfig } from "../../src/gallery/workloads.ts";
import { Choices } from "../../src/generators/choices.ts";
import { systemClock } from "../../src/sut/clock.ts";
import { memoryService } from "../../src/sut/memory.ts";

const writesUntilFailoverMax = 500;

test("a replica that took over is gone with its volume's device, and so is the snapshot that it was made from", async () => {
  await using inner = await memoryService();
  let struckCount = 0;
  const service = staleReplica.service!(inner, {
    seed: 1n,
    choices: new Choices(1n, 1n),
    config: galleryConfig("memory", staleReplica.config),
    clock: systemClock,
    struck: () => void struckCount++,
  });
  const request = { name: "v", sizeBytes: 64 * 4096, sectorSizeBytes: 4096 };
  const { uuid } = await service.createVolume(request);
  const device = await service.openVolume(uuid);
  for (let count = 0; count < writesUntilFailoverMax; count++)
    await device.write({ block: 0, blockCount: 1, from: new Uint8Array(4096).fill(1) });
  expect(struckCount).toBe(1);
  expect(await inner.listVolumes()).toHaveLength(2);
  await device[Symbol.asyncDispose]();
  expect((await inner.listVolumes()).map((volume) => volume.uuid)).toEqual([uuid]);
  expect(await inner.listSnapshots()).toEqual([]);
});
