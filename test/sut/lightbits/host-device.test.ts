import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { hostDeviceOf, namespaceUuidOf } from "../../../src/sut/lightbits/host-device.ts";

const uuid = "0f0e0d0c-0b0a-4908-8706-050403020100";
const other = "1f0e0d0c-0b0a-4908-8706-050403020100";

let root: string;
beforeEach(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), "harrow-host-")));
  await mkdir(join(root, "dev/disk/by-id"), { recursive: true });
  await mkdir(join(root, "sys/class/block"), { recursive: true });
});
afterEach(() => rm(root, { recursive: true }));

async function addDevice(name: string, files: Record<string, string>) {
  await writeFile(join(root, "dev", name), "");
  await mkdir(join(root, "sys/class/block", name));
  for (const [file, text] of Object.entries(files))
    await writeFile(join(root, "sys/class/block", name, file), text);
}

const link = (name: string) => symlink(`../../${name}`, join(root, "dev/disk/by-id", `nvme-uuid.${uuid}`));

test("the device of a volume is found by the link of udev", async () => {
  await addDevice("nvme2n7", { wwid: `uuid.${uuid}\n` });
  await link("nvme2n7");
  expect(await hostDeviceOf(uuid.toUpperCase(), { root })).toBe(join(root, "dev/nvme2n7"));
});

test("the device of a volume is found in sysfs where there is no udev, not by its hidden paths", async () => {
  await addDevice("nvme0c1n1", { wwid: `uuid.${uuid}\n` });
  await addDevice("nvme0n1", { wwid: `uuid.${other}\n` });
  await addDevice("nvme0n2", { wwid: "eui.0011223344556677\n", uuid: `${uuid}\n` });
  expect(await hostDeviceOf(uuid, { root })).toBe(join(root, "dev/nvme0n2"));
});

test("a link that leads to another volume by now is not believed", async () => {
  await addDevice("nvme0n1", { wwid: `uuid.${other}\n` });
  await link("nvme0n1");
  await expect(hostDeviceOf(uuid, { root })).rejects.toMatchObject({
    code: "ERR_NOT_FOUND",
    message: expect.stringMatching(/nvme connect.*ACL/),
  });
});

test("a given path says which volume it is, if it is one", async () => {
  await addDevice("nvme0n1", { wwid: `uuid.${uuid}\n` });
  await addDevice("nvme0n1p1", { wwid: `uuid.${uuid}\n` });
  await addDevice("sda", {});
  await link("nvme0n1");
  expect(await namespaceUuidOf(join(root, "dev/nvme0n1"), { root })).toBe(uuid);
  expect(await namespaceUuidOf(join(root, `dev/disk/by-id/nvme-uuid.${uuid}`), { root })).toBe(uuid);
  for (const name of ["nvme0n1p1", "sda", "nowhere"])
    expect(await namespaceUuidOf(join(root, "dev", name), { root })).toBeUndefined();
});
