import { expect, test } from "vitest";
import { findSnapshot, findVolume } from "../../../src/sut/lightbits/names.ts";
import { memoryService } from "../../../src/sut/memory.ts";

test("volumes and snapshots are found by UUID in any case, or by name", async () => {
  await using service = await memoryService();
  const volume = await service.createVolume({ name: "v", sizeBytes: 4096, sectorSizeBytes: 4096 });
  const snapshot = await service.createSnapshot({ name: "s", volumeUuid: volume.uuid });
  for (const text of [volume.uuid, volume.uuid.toUpperCase(), "v"])
    expect((await findVolume(service, text)).uuid).toBe(volume.uuid);
  for (const text of [snapshot.uuid, "s"])
    expect((await findSnapshot(service, text)).uuid).toBe(snapshot.uuid);
});

test("a volume whose name has the form of a UUID is found, unless that is another's", async () => {
  await using service = await memoryService();
  const first = await service.createVolume({ name: "v", sizeBytes: 4096, sectorSizeBytes: 4096 });
  const free = "ffffffff-0000-4000-8000-000000000000";
  const second = await service.createVolume({ name: free, sizeBytes: 4096, sectorSizeBytes: 4096 });
  expect((await findVolume(service, free)).uuid).toBe(second.uuid);
  const third = await service.createVolume({ name: first.uuid, sizeBytes: 4096, sectorSizeBytes: 4096 });
  expect(third.uuid).not.toBe(first.uuid);
  expect((await findVolume(service, first.uuid)).uuid).toBe(first.uuid);
});

test("what is not there is refused with the names that are", async () => {
  await using service = await memoryService();
  await expect(findVolume(service, "v")).rejects.toMatchObject({
    code: "ERR_NOT_FOUND",
    message: "no volume has the UUID or name v: the project has none",
  });
  for (let index = 0; index < 12; index++)
    await service.createVolume({ name: `w${index}`, sizeBytes: 4096, sectorSizeBytes: 4096 });
  await expect(findVolume(service, "\u001b[2J")).rejects.toMatchObject({
    message: expect.stringMatching(/name {2}?\[2J: the project has w\d+(, w\d+){9} and 2 more$/),
  });
});
