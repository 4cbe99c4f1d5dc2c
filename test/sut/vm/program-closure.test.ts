import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ProgramClosure } from "../../../src/sut/vm/program-closure.ts";
import { mergedPath, Sysroot } from "../../../src/sut/vm/sysroot.ts";
import { dynamicElf } from "./elf-builder.ts";

const needed = (name: string) => [1, name] as const;
const runpath = (path: string) => [29, path] as const;
const loader = "/lib64/ld-linux-x86-64.so.2";
const libraries = "/usr/lib/x86_64-linux-gnu";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "harrow-closure-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function put(path: string, content: Uint8Array | string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content);
}
function link(path: string, target: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  symlinkSync(target, join(root, path));
}
/** As Debian 12 has the C library and its loader: files in /lib, and an absolute link to one in /lib64. */
function putLibc(): void {
  put("/lib/x86_64-linux-gnu/libc.so.6", dynamicElf([needed("ld-linux-x86-64.so.2")]));
  put("/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", dynamicElf([]));
  link(loader, "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2");
}
async function pathsFor(...programs: readonly string[]): Promise<readonly string[]> {
  const closure = new ProgramClosure(new Sysroot(root));
  await closure.addPrograms(programs);
  return closure.entries.map(({ path }) => `/${path}`).sort();
}

describe("what programs need", () => {
  test("is put into /usr, wherever the packages have it", async () => {
    putLibc();
    put("/sbin/dmsetup", dynamicElf([needed("libdevmapper.so.1.02.1"), needed("libc.so.6")], loader));
    put("/lib/x86_64-linux-gnu/libdevmapper.so.1.02.1", dynamicElf([needed("libm.so.6")]));
    put(`${libraries}/libm.so.6.real`, dynamicElf([needed("libc.so.6")]));
    link(`${libraries}/libm.so.6`, "libm.so.6.real");
    put("/usr/bin/unwanted", dynamicElf([needed("libnothing.so.1")], loader));
    expect(await pathsFor("dmsetup")).toEqual([
      `${libraries}/ld-linux-x86-64.so.2`,
      `${libraries}/libc.so.6`,
      `${libraries}/libdevmapper.so.1.02.1`,
      `${libraries}/libm.so.6`,
      "/usr/lib64/ld-linux-x86-64.so.2",
      "/usr/sbin/dmsetup",
    ]);
  });

  test("has the links that lead to a program, and no others", async () => {
    put("/sbin/lvm", "#!/bin/sh\n");
    link("/sbin/lvs", "lvm");
    link("/usr/bin/lvm-here", "/sbin/lvm");
    link("/sbin/fsck.ext4", "e2fsck");
    link("/sbin/outside", "../../../../etc/passwd");
    expect(await pathsFor("lvm")).toEqual(["/usr/bin/lvm-here", "/usr/sbin/lvm", "/usr/sbin/lvs"]);
  });

  test("is looked for first where a file says", async () => {
    put("/usr/bin/fio", dynamicElf([needed("libcommon.so.2"), runpath("$ORIGIN/../lib/ceph:/usr/lib/ceph")]));
    put("/usr/lib/ceph/libcommon.so.2", dynamicElf([]));
    put(`${libraries}/libcommon.so.2`, dynamicElf([]));
    expect(await pathsFor("fio")).toEqual(["/usr/bin/fio", "/usr/lib/ceph/libcommon.so.2"]);
  });

  test("comes to an end when libraries need each other", async () => {
    put("/usr/bin/x", dynamicElf([needed("liba.so")]));
    put(`${libraries}/liba.so`, dynamicElf([needed("libb.so")]));
    put(`${libraries}/libb.so`, dynamicElf([needed("liba.so")]));
    expect(await pathsFor("x")).toEqual(["/usr/bin/x", `${libraries}/liba.so`, `${libraries}/libb.so`]);
  });

  test("leaves out what is there already", async () => {
    putLibc();
    put("/usr/bin/fio", dynamicElf([needed("libc.so.6"), needed("libaio.so.1")]));
    put(`${libraries}/libaio.so.1`, dynamicElf([needed("libc.so.6")]));
    const closure = new ProgramClosure(new Sysroot(root), ["usr/lib/x86_64-linux-gnu/libc.so.6"]);
    await closure.addPrograms(["fio"]);
    expect(closure.entries.map(({ path }) => path)).toEqual([
      "usr/bin/fio",
      "usr/lib/x86_64-linux-gnu/libaio.so.1",
    ]);
  });

  test("is refused if a library is missing, with who needs it", async () => {
    put("/usr/sbin/nvme", dynamicElf([needed("libnvme.so.1")]));
    put(`${libraries}/libnvme.so.1`, dynamicElf([needed("libjson-c.so.5")]));
    await expect(pathsFor("nvme")).rejects.toMatchObject({
      code: "ERR_NOT_FOUND",
      message: `library libjson-c.so.5, which ${libraries}/libnvme.so.1 needs, is in none of the packages`,
    });
  });

  test("is never taken from outside of the packages", async () => {
    const outside = mkdtempSync(join(tmpdir(), "harrow-outside-"));
    writeFileSync(join(outside, "libx.so"), dynamicElf([]));
    put("/usr/bin/x", dynamicElf([needed("libx.so")]));
    link(`${libraries}/libx.so`, join(outside, "libx.so"));
    await expect(pathsFor("x")).rejects.toMatchObject({ code: "ERR_NOT_FOUND" });
    rmSync(outside, { recursive: true });
  });

  test("is refused if links go in a circle", async () => {
    put("/usr/bin/x", dynamicElf([needed("liba.so")]));
    link(`${libraries}/liba.so`, "libb.so");
    link(`${libraries}/libb.so`, "liba.so");
    await expect(pathsFor("x")).rejects.toMatchObject({ code: "ERR_NOT_FOUND" });
  });
});

test.each([
  ["/bin/sh", "/usr/bin/sh"],
  ["/lib64/ld.so", "/usr/lib64/ld.so"],
  ["/usr/bin/../lib/x", "/usr/lib/x"],
  ["/library/x", "/library/x"],
  ["/etc/hosts", "/etc/hosts"],
])("%s is %s where /bin and the like are links into /usr", (path, merged) => {
  expect(mergedPath(path)).toBe(merged);
});
