/**
 * Errors of system calls as outcomes, with the kernel's numbers; and what a failed flush does to later ones.
 *
 * @packageDocumentation
 */
import { expect, test } from "vitest";
import { failureOf, outcomeOf } from "../../../src/sut/block/errno.ts";
import { deviceNumber, mountPointsOf } from "../../../src/sut/block/in-use.ts";
import { deviceOver, inert } from "./device-over.ts";

/** As Node makes them: a negative number, and a name where it knows one. */
const systemError = (errno: number) => Object.assign(new Error(`errno ${errno}`), { errno: -errno });

// include/uapi/asm-generic/errno-base.h and errno.h of the Linux kernel.
test.each([
  ["EIO", 5, "unknown", "ERR_MEDIA"],
  ["ENODATA, a medium error", 61, "unknown", "ERR_MEDIA"],
  ["EILSEQ, a protection error", 84, "unknown", "ERR_MEDIA"],
  ["ENOSPC", 28, "unknown", "ERR_CAPACITY"],
  ["EDQUOT", 122, "unknown", "ERR_CAPACITY"],
  ["ENODEV", 19, "unknown", "ERR_NAMESPACE_GONE"],
  ["ETIMEDOUT", 110, "unknown", "ERR_TIMEOUT"],
  ["ENOLINK", 67, "unknown", "ERR_CONNECTION_LOST"],
  ["EBADE, a reservation conflict", 52, "unknown", "ERR_TARGET"],
  ["EREMOTEIO", 121, "unknown", "ERR_TARGET"],
  ["a number that nobody knows", 4000, "unknown", "ERR_TARGET"],
  ["EINVAL", 22, "failed", "ERR_INVALID_REQUEST"],
  ["EBADF", 9, "failed", "ERR_CLOSED"],
  ["EROFS", 30, "failed", "ERR_TARGET"],
  ["EFBIG", 27, "failed", "ERR_OUT_OF_RANGE"],
])("a write that ends with %s (%i) is %s", (_name, errno, kind, code) => {
  expect(outcomeOf(failureOf(systemError(errno), 0), true, "write")).toMatchObject({ kind, code });
});

test("a read that ends with any error is failed, a write whose first part was done is unknown", () => {
  expect(outcomeOf(failureOf(systemError(5), 4096), false, "read")).toEqual({
    kind: "failed",
    code: "ERR_MEDIA",
    message: "read: errno 5",
  });
  expect(outcomeOf(failureOf(systemError(22), 4096), true, "write")).toEqual({
    kind: "unknown",
    code: "ERR_INVALID_REQUEST",
    message: "write: errno 22; 4096 bytes were done before",
  });
});

test("what is no error of a system call is a bug, and is thrown on", () => {
  const bug = new TypeError("bug");
  expect(() => failureOf(bug, 0)).toThrow(bug);
});

test("no flush is ok after a durable write that failed, whatever the kernel says", async () => {
  let error: Error | undefined;
  const device = deviceOver({
    ...inert,
    write: () => (error === undefined ? undefined : failureOf(error, 0)),
  });
  const write = (fua: boolean) => device.write({ block: 0, blockCount: 1, from: new Uint8Array(512), fua });
  error = systemError(5);
  expect(await write(false)).toMatchObject({ kind: "unknown", code: "ERR_MEDIA" });
  expect(await device.flush()).toEqual({ kind: "ok" });
  expect(await write(true)).toMatchObject({ kind: "unknown", code: "ERR_MEDIA" });
  error = undefined;
  expect(await write(true)).toEqual({ kind: "ok" });
  expect(await device.flush()).toEqual({
    kind: "unknown",
    code: "ERR_MEDIA",
    message:
      "flush of file: promises nothing since an earlier failure (write with FUA of 1 block at 0 on file: errno 5): open the device again",
  });
});

test("a deallocation that stopped half way is unknown, and tells how much was done", async () => {
  const device = deviceOver({ ...inert, writeZeros: () => failureOf(systemError(28), 512) });
  expect(await device.deallocate({ ranges: [{ block: 0, blockCount: 4 }] })).toMatchObject({
    kind: "unknown",
    code: "ERR_CAPACITY",
    message: "deallocate of 4 blocks at 0 on file: errno 28; 512 bytes were done before",
  });
});

test("mount points are found by number and by source, with their spaces", () => {
  // proc_pid_mountinfo(5): id, parent, major:minor, root, mount point, options, optional fields, -, type, source.
  const mountinfo = [
    "36 35 8:1 / /data\\040one rw,noatime master:1 - ext4 /dev/sda1 rw,errors=continue",
    "37 35 8:17 / /other rw - ext4 /dev/sdb1 rw",
    "38 35 0:45 /sub /pool rw,relatime shared:7 - btrfs /dev/sda1 rw",
    "",
  ].join("\n");
  expect(mountPointsOf(mountinfo, "/dev/sda1", "8:1")).toEqual(["/data one", "/pool"]);
  expect(mountPointsOf(mountinfo, "/dev/sdc1", "8:33")).toEqual([]);
});

test("a device number is unpacked as the kernel prints it", () => {
  expect(deviceNumber(0x0801)).toBe("8:1");
  // 259:300, as NVMe partitions have: minor 0x12c, its upper bits above the major.
  expect(deviceNumber(0x11032c)).toBe("259:300");
});
