import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { KernelModules, moduleIndexes } from "../../../src/sut/vm/kernel-modules.ts";
import { readModuleInfo } from "../../../src/sut/vm/modinfo.ts";
import { kernelModule } from "./elf-builder.ts";

/** What modules of Debian's kernel 6.1.0-56-cloud-amd64 say of themselves, as far as it matters here. */
const debian: Readonly<Record<string, readonly string[]>> = {
  "kernel/drivers/md/dm-thin-pool.ko": [
    "depends=dm-bio-prison,dm-persistent-data,dm-mod",
    "name=dm_thin_pool",
  ],
  "kernel/drivers/md/persistent-data/dm-persistent-data.ko": [
    "depends=dm-bufio,libcrc32c",
    "name=dm_persistent_data",
  ],
  "kernel/drivers/md/dm-bufio.ko": ["depends=dm-mod", "name=dm_bufio"],
  "kernel/drivers/md/dm-bio-prison.ko": ["depends=", "name=dm_bio_prison"],
  "kernel/drivers/md/dm-mod.ko": [
    "alias=devname:mapper/control",
    "alias=char-major-10-236",
    "depends=",
    "name=dm_mod",
  ],
  "kernel/lib/libcrc32c.ko": ["softdep=pre: crc32c", "depends=", "name=libcrc32c"],
  "kernel/drivers/nvme/target/nvmet.ko": ["depends=configfs", "name=nvmet"],
  "kernel/drivers/nvme/target/nvmet-tcp.ko": ["alias=nvmet-transport-3", "depends=nvmet", "name=nvmet_tcp"],
  "kernel/fs/configfs/configfs.ko": ["depends=", "name=configfs"],
};
/** Something that is needed both at once and by what is needed behind it. */
const twice = { "a.ko": ["depends=c,b"], "b.ko": ["depends=c"], "c.ko": ["depends="] };
const builtIn = "kernel/crypto/crc32c_generic.ko\nkernel/drivers/nvme/host/nvme-core.ko\n";

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "harrow-modules-"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

let kernelCount = 0;
function kernelWith(files: Readonly<Record<string, Uint8Array>>): string {
  kernelCount += 1;
  const directory = join(root, String(kernelCount), "6.1.0-56-cloud-amd64");
  for (const [path, bytes] of Object.entries({ "modules.builtin": Buffer.from(builtIn), ...files })) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), bytes);
  }
  return directory;
}
const modulesOf = (said: Readonly<Record<string, readonly string[]>>) =>
  Object.fromEntries(Object.entries(said).map(([path, fields]) => [path, kernelModule(fields)]));
const debianModules = () => KernelModules.open(kernelWith(modulesOf(debian)));

describe("the modules of a kernel", () => {
  test("are ordered so that each comes after what it needs, and once", async () => {
    const order = await (await debianModules()).loadOrder(["dm-thin-pool", "nvmet_tcp", "nvmet"]);
    expect(order.map(({ name }) => name)).toEqual([
      ...["dm_bio_prison", "dm_mod", "dm_bufio", "libcrc32c", "dm_persistent_data", "dm_thin_pool"],
      ...["configfs", "nvmet", "nvmet_tcp"],
    ]);
  });

  test("leave out what is a part of the kernel", async () => {
    expect(await (await debianModules()).loadOrder(["nvme-core", "crc32c_generic"])).toEqual([]);
  });

  test("come after a soft dependency that exists, whatever circle that makes", async () => {
    const modules = await KernelModules.open(
      kernelWith(
        modulesOf({
          "a.ko": ["depends=", "softdep=pre: b missing post: c"],
          "b.ko": ["depends=", "softdep=pre: a"],
          "c.ko": ["depends="],
        }),
      ),
    );
    expect((await modules.loadOrder(["a"])).map(({ name }) => name)).toEqual(["b", "a"]);
  });

  test("are listed for modprobe as depmod lists them", async () => {
    const order = await (await debianModules()).loadOrder(["dm_thin_pool", "nvmet_tcp"]);
    const { dep, alias } = moduleIndexes(order);
    // As `depmod` wrote it for this kernel; it also has what is needed last at the end, in an order of its own.
    const line = /^kernel\/drivers\/md\/persistent-data\/dm-persistent-data.ko: (.*)$/m.exec(dep)?.[1];
    expect(line?.split(" ").sort()).toEqual([
      "kernel/drivers/md/dm-bufio.ko",
      "kernel/drivers/md/dm-mod.ko",
      "kernel/lib/libcrc32c.ko",
    ]);
    expect(dep.split("\n")).toContain("kernel/drivers/md/dm-mod.ko:");
    expect(alias).toContain("alias nvmet-transport-3 nvmet_tcp\n");
  });

  test("have what is needed most deeply last in their line for modprobe", async () => {
    const modules = await KernelModules.open(kernelWith(modulesOf({ ...debian, ...twice })));
    const order = await modules.loadOrder(["dm_thin_pool", "a"]);
    for (const line of moduleIndexes(order).dep.trim().split("\n")) {
      const needs = (line.split(": ")[1] ?? "").split(" ").filter((file) => file !== "");
      // modprobe loads from the end: each must find what it needs behind itself.
      needs.forEach((file, index) => {
        const own = order.find((module) => module.file === file)!;
        const behind = needs
          .slice(index + 1)
          .map((later) => order.find((module) => module.file === later)!.name);
        expect(behind).toEqual(expect.arrayContaining([...own.depends]));
      });
    }
  });

  test("are refused by name if they do not exist, with who needs them", async () => {
    const modules = await KernelModules.open(kernelWith(modulesOf({ "a.ko": ["depends=gone"] })));
    const why = "kernel 6.1.0-56-cloud-amd64 has no module gone, which a needs";
    await expect(modules.loadOrder(["a"])).rejects.toMatchObject({ code: "ERR_NOT_FOUND", message: why });
  });

  test("are refused if they are compressed, in words", async () => {
    const opening = KernelModules.open(kernelWith({ "kernel/lib/x.ko.xz": new Uint8Array(8) }));
    await expect(opening).rejects.toMatchObject({ code: "ERR_UNSUPPORTED" });
    await expect(opening).rejects.toThrow("its modules are compressed (kernel/lib/x.ko.xz)");
  });

  test("are refused if they are damaged", async () => {
    const modules = await KernelModules.open(
      kernelWith({ "a.ko": kernelModule(["depends="]).slice(0, 100) }),
    );
    await expect(modules.loadOrder(["a"])).rejects.toMatchObject({ code: "ERR_BAD_ANSWER" });
  });
});

test("a module's words about itself are read with - and _ as the same", () => {
  const bytes = kernelModule([
    "softdep=pre: crc32c-intel aes post: x",
    "depends=dm-mod,libcrc32c",
    "alias=net-pf-16",
  ]);
  expect(readModuleInfo(bytes, "x.ko")).toEqual({
    depends: ["dm_mod", "libcrc32c"],
    softBefore: ["crc32c_intel", "aes"],
    aliases: ["net-pf-16"],
  });
});
