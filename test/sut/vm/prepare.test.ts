import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { silentLog } from "../../../src/sut/log.ts";
import { prepareGuest } from "../../../src/sut/vm/prepare.ts";
import { readArchive } from "./cpio-reader.ts";
import { type FakeDebian, fakeDebian } from "./fake-debian.ts";

let root: string;
let directory: string;
let debian: FakeDebian;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "harrow-prepare-"));
  // Spaces and the like must not matter.
  directory = join(root, "my guests, 1");
  debian = fakeDebian(join(root, "debian"));
  vi.stubEnv("PATH", `${debian.programs}:/usr/bin:/bin`);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(root, { recursive: true, force: true });
});

const prepare = (options: { readonly refresh?: boolean; readonly signal?: AbortSignal } = {}) =>
  prepareGuest({ directory, log: silentLog, ...options });
const callsOf = (word: string) => debian.calls().filter((call) => call.includes(word)).length;
const leftovers = () => readdirSync(join(directory, "images")).filter((name) => name.startsWith("building-"));

describe.skipIf(process.platform !== "linux" || process.arch !== "x64")("the images of a guest", () => {
  test("hold the kernel, the programs and what runs in the guest", async () => {
    const images = await prepare();
    expect(readFileSync(images.kernel, "utf8")).toBe("kernel");
    expect(images.versions).toMatchObject({ "linux-image-6.1.0-56-cloud-amd64": "1:2.0-1", fio: "1:2.0-1" });
    const records = new Map(readArchive(readFileSync(images.initrd)).map((record) => [record.path, record]));
    const modules = "usr/lib/modules/6.1.0-56-cloud-amd64";
    expect(records.get("init")?.body).toMatch(/^#!\/usr\/bin\/busybox sh\n/);
    expect(records.get("init")?.fields[1]?.toString(8)).toBe("100755");
    expect(records.get("etc/hosts")?.fields[1]?.toString(8)).toBe("100644");
    expect(records.get("sbin")?.body).toBe("usr/sbin");
    expect(records.get("usr/sbin/dmsetup")?.body).toBe("#!/bin/sh\necho dmsetup\n");
    expect(records.get(`${modules}/load-target`)?.body).toMatch(/kernel\/nvmet\.ko\nkernel\/nvmet-tcp\.ko\n/);
    expect(records.get(`${modules}/modules.dep`)?.body).toContain("kernel/nvmet-tcp.ko: kernel/nvmet.ko\n");
    const extras = readArchive(readFileSync(images.extras)).map(({ path }) => path);
    expect(extras).toContain("usr/bin/fio");
    expect(extras).not.toContain("usr/sbin/dmsetup");
  });

  test("put every directory before what is in it", async () => {
    const { initrd, extras } = await prepare();
    for (const image of [initrd, extras]) {
      const seen = new Set(["."]);
      for (const { path } of readArchive(readFileSync(image))) {
        expect(seen).toContain(join(path, ".."));
        expect(seen).not.toContain(path);
        seen.add(path);
      }
    }
  });

  test("are used again without running anything", async () => {
    const images = await prepare();
    const calls = debian.calls();
    expect(await prepare()).toEqual(images);
    expect(debian.calls()).toEqual(calls);
    vi.stubEnv("PATH", "/nonexistent");
    expect(await prepare()).toEqual(images);
  });

  test("are built again if one is damaged, from what was fetched before", async () => {
    const images = await prepare();
    truncateSync(images.initrd, 100);
    debian.setTrouble("offline");
    expect(await prepare()).toEqual(images);
    expect(statSync(images.initrd).size).toBeGreaterThan(100);
    expect([callsOf("update"), callsOf("download")]).toEqual([1, 1]);
  });

  test("stay as they are after a refresh that brings nothing new", async () => {
    const images = await prepare();
    const { mtimeMs } = statSync(images.initrd);
    expect(await prepare({ refresh: true })).toEqual(images);
    expect(statSync(images.initrd).mtimeMs).toBe(mtimeMs);
    expect(callsOf("update")).toBe(2);
  });

  test("leave those before in place, and no others, when packages change", async () => {
    const first = await prepare();
    debian.setVersion("1:2.0-2");
    expect(await prepare()).toEqual(first);
    const second = await prepare({ refresh: true });
    expect(second.initrd).not.toBe(first.initrd);
    expect(second.versions.fio).toBe("1:2.0-2");
    expect(statSync(first.kernel).isFile()).toBe(true);
    debian.setVersion("1:2.0-3");
    await prepare({ refresh: true });
    expect(() => statSync(first.kernel)).toThrow("ENOENT");
    expect(statSync(second.kernel).isFile()).toBe(true);
    expect(
      readdirSync(join(directory, "apt/cache/archives")).filter((name) => name.startsWith("fio_")),
    ).toEqual(["fio_1%3a2.0-3_amd64.deb"]);
  });

  test("are built once if two ask for them at the same time", async () => {
    const [one, other] = await Promise.all([prepare(), prepare()]);
    expect(other).toEqual(one);
    expect([callsOf("update"), callsOf("download")]).toEqual([1, 1]);
  });

  test("are not there after an interruption, and are the next time", async () => {
    debian.setTrouble("hang");
    const controller = new AbortController();
    const interrupted = expect(prepare({ signal: controller.signal })).rejects.toMatchObject({
      code: "ERR_ABORTED",
    });
    await vi.waitFor(() => expect(callsOf("update")).toBe(1), 10_000);
    controller.abort();
    await interrupted;
    debian.setTrouble("none");
    await prepare();
    expect(leftovers()).toEqual([]);
  });

  test("are built after a process died in the middle of it", async () => {
    await prepare();
    writeFileSync(join(directory, "current-images"), "");
    mkdtempSync(join(directory, "images/building-"));
    await prepare();
    expect(leftovers()).toEqual([]);
  });

  test("are built with new lists if the old ones are out of date", async () => {
    await prepare();
    rmSync(join(directory, "apt/cache/archives"), { recursive: true });
    rmSync(join(directory, "current-images"));
    rmSync(join(directory, "images"), { recursive: true });
    debian.setTrouble("stale");
    await prepare();
    expect([callsOf("update"), callsOf("download")]).toEqual([2, 3]);
  });
});

describe.skipIf(process.platform !== "linux" || process.arch !== "x64")(
  "a guest that cannot be prepared",
  () => {
    test("for want of a network is refused with the last words of apt", async () => {
      debian.setTrouble("offline");
      await expect(prepare()).rejects.toMatchObject({
        code: "ERR_UNREACHABLE",
        message:
          "apt-get could not fetch the lists of packages: W: Failed to fetch http://debian.example/debian/dists/bookworm/InRelease  Temporary failure resolving 'debian.example'",
      });
    });

    test("for want of a package is refused with its name, and what has it", async () => {
      debian.setTrouble("missing");
      await expect(prepare()).rejects.toMatchObject({
        code: "ERR_NOT_FOUND",
        message: expect.stringMatching(
          /: E: Unable to locate package thin-provisioning-tools; Debian 12 \(bookworm\)/,
        ),
      });
    });

    test("for want of apt is refused with what to use", async () => {
      vi.stubEnv("PATH", "/nonexistent");
      await expect(prepare()).rejects.toMatchObject({
        code: "ERR_UNSUPPORTED",
        message: expect.stringMatching(
          /^apt-get, apt-cache, dpkg-deb are not in PATH: .* use a Debian machine/,
        ),
      });
    });

    test("as a package lacks a program is refused with its name, and nothing is left", async () => {
      rmSync(join(debian.tree, "sbin/lvm"));
      const why = "program lvm is in none of the packages";
      await expect(prepare()).rejects.toMatchObject({ code: "ERR_NOT_FOUND", message: why });
      expect(leftovers()).toEqual([]);
      expect(readdirSync(directory)).not.toContain("current-images");
    });

    test("as a fetched package is damaged is prepared the next time", async () => {
      await prepare();
      rmSync(join(directory, "images"), { recursive: true });
      writeFileSync(join(directory, "apt/cache/archives/fio_1%3a2.0-1_amd64.deb"), "pa");
      await expect(prepare()).rejects.toMatchObject({
        code: "ERR_BAD_ANSWER",
        message: expect.stringMatching(
          /is not a Debian format archive; it was removed, and is fetched again/,
        ),
      });
      await prepare();
    });

    test("in a place that is no directory is refused with why", async () => {
      writeFileSync(directory, "");
      await expect(prepare()).rejects.toMatchObject({
        code: "ERR_UNSUPPORTED",
        message: expect.stringMatching(/^a guest cannot be prepared in .*: EEXIST/),
      });
    });
  },
);
