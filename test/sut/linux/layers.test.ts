import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { FaultyLayer, type LayerBehaviour, layerTable } from "../../../src/sut/linux/layers.ts";
import type { Shell, ShellResult } from "../../../src/sut/linux/shell.ts";
import { LoggedDisk } from "../../../src/sut/linux/write-log.ts";
import { ServiceError } from "../../../src/sut/port.ts";

/** Tables as `dmsetup table` of Linux 6.1 showed them, but for the names of devices. */
const tables: Record<string, readonly [LayerBehaviour, readonly string[]]> = {
  "passes everything through": [{ kind: "passThrough" }, ["0 131072 flakey /dev/vdb 0 1 0"]],
  "drops writes": [{ kind: "dropWrites" }, ["0 131072 flakey /dev/vdb 0 0 1 1 drop_writes"]],
  "fails writes": [{ kind: "errorWrites" }, ["0 131072 flakey /dev/vdb 0 0 1 1 error_writes"]],
  "fails everything": [{ kind: "errorAll" }, ["0 131072 flakey /dev/vdb 0 0 1"]],
  "alters reads": [
    { kind: "corruptByte", of: "reads", byte: 3, value: 42 },
    ["0 131072 flakey /dev/vdb 0 0 1 5 corrupt_bio_byte 3 r 42 0"],
  ],
  "alters writes of metadata": [
    { kind: "corruptByte", of: "writes", byte: 224, value: 0, flags: 32 },
    ["0 131072 flakey /dev/vdb 0 0 1 5 corrupt_bio_byte 224 w 0 32"],
  ],
  "is late": [{ kind: "delay", readMs: 200, writeMs: 0 }, ["0 131072 delay /dev/vdb 0 200 /dev/vdb 0 0"]],
  "fails its first sectors": [
    { kind: "errorRange", beginSector: 0, sectorCount: 8 },
    ["0 8 error", "8 131064 linear /dev/vdb 8"],
  ],
  "fails some sectors": [
    { kind: "errorRange", beginSector: 16, sectorCount: 8 },
    ["0 16 linear /dev/vdb 0", "16 8 error", "24 131048 linear /dev/vdb 24"],
  ],
  "fails all sectors": [{ kind: "errorRange", beginSector: 0, sectorCount: 131072 }, ["0 131072 error"]],
};

const impossible: Record<string, readonly [LayerBehaviour, RegExp]> = {
  "byte 0 of a request": [{ kind: "corruptByte", of: "reads", byte: 0, value: 1 }, /byte is 0, expected/],
  "a byte of 256": [{ kind: "corruptByte", of: "reads", byte: 1, value: 256 }, /from 0 to 255/],
  "half a millisecond": [{ kind: "delay", readMs: 0.5, writeMs: 0 }, /readMs is 0.5, expected an integer/],
  "sectors past the end": [
    { kind: "errorRange", beginSector: 131_000, sectorCount: 100 },
    /sectorCount is 100, expected an integer from 1 to 72/,
  ],
};

/** Answers each script with the next result; the scripts are checked by the shells that are here. */
class ScriptedShell implements Shell {
  readonly description = "a host";
  readonly scripts: string[] = [];
  readonly #results: Partial<ShellResult>[];

  constructor(...results: Partial<ShellResult>[]) {
    this.#results = results;
  }

  async run(script: string): Promise<ShellResult> {
    execFileSync("sh", ["-n"], { input: script });
    this.scripts.push(script);
    return { status: 0, stdout: "", stderr: "", ...this.#results.shift() };
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

describe("a layer of the device mapper", () => {
  test.for(Object.entries(tables))("that %s has the kernel's table for it", ([, [behaviour, lines]]) => {
    expect(layerTable("/dev/vdb", 131_072, behaviour)).toEqual(lines);
  });

  test.for(Object.entries(impossible))("can not have %s", ([, [behaviour, message]]) => {
    expect(() => layerTable("/dev/vdb", 131_072, behaviour)).toThrow(message);
  });

  test.for(["vdb", "/dev/v db", "/dev/a'b", "/dev/$(reboot)", "/etc/passwd"])(
    "is not laid on %s",
    (device) => {
      expect(() => layerTable(device, 8, { kind: "passThrough" })).toThrow(ServiceError);
    },
  );

  test("is laid on the whole of a device, and switched with the new table loaded first", async () => {
    const shell = new ScriptedShell({ stdout: "131072\n" });
    const layer = await FaultyLayer.lay({ shell, name: "flaky-data", device: "/dev/vdb" });
    expect(layer.path).toBe("/dev/mapper/flaky-data");
    await layer.switchTo({ kind: "dropWrites" });
    const [, laying, switching] = shell.scripts;
    expect(laying).toContain("'0 131072 flakey /dev/vdb 0 1 0' | dmsetup create flaky-data");
    expect(switching).toMatch(
      /drop_writes' \| dmsetup load flaky-data\n.*suspend --nolockfs flaky-data.*\n.*resume flaky-data/,
    );
    await layer.remove();
    expect(shell.scripts[3]).toContain("dmsetup remove --retry flaky-data");
  });

  test("that the kernel refuses is told with its reason", async () => {
    const stderr = "device-mapper: create ioctl on flaky failed: Device or resource busy";
    const shell = new ScriptedShell({ stdout: "8\n" }, { status: 1, stderr });
    await expect(FaultyLayer.lay({ shell, name: "flaky", device: "/dev/vdb" })).rejects.toMatchObject({
      code: "ERR_TARGET",
      message: expect.stringMatching(/laying flaky on \/dev\/vdb.*at a host: .*resource busy/),
    });
  });

  test("is not laid on a device without a size, or under a name that is none", async () => {
    const lay = (shell: Shell, name: string) => FaultyLayer.lay({ shell, name, device: "/dev/vdb" });
    await expect(lay(new ScriptedShell({ stdout: "" }), "flaky")).rejects.toMatchObject({
      code: "ERR_BAD_ANSWER",
    });
    await expect(lay(new ScriptedShell(), "a b")).rejects.toMatchObject({ code: "ERR_INVALID_REQUEST" });
    await expect(lay(new ScriptedShell(), "-f")).rejects.toMatchObject({ code: "ERR_INVALID_REQUEST" });
  });
});

describe("a disk whose writes are logged", () => {
  const options = { name: "cut", disk: "/dev/vdc", log: "/dev/vdd", metadataBytes: 2 ** 24 };

  test("is split above the log, so that metadata and data have one order", async () => {
    const shell = new ScriptedShell();
    const logged = await LoggedDisk.lay({ ...options, shell });
    expect(logged).toMatchObject({
      metadataDevice: "/dev/mapper/cut-metadata",
      dataDevice: "/dev/mapper/cut-data",
    });
    const [laying] = shell.scripts;
    expect(laying).toContain('create cut-logged --table "0 $n log-writes /dev/vdc /dev/vdd"');
    expect(laying).toContain('create cut-metadata --table "0 32768 linear /dev/mapper/cut-logged 0"');
    expect(laying).toContain(
      'create cut-data --table "0 $((n - 32768)) linear /dev/mapper/cut-logged 32768"',
    );
  });

  test("is cut off before the log is ended", async () => {
    const shell = new ScriptedShell();
    await (await LoggedDisk.lay({ ...options, shell })).cutPower();
    expect(shell.scripts[1]).toMatch(
      /mark power-cut\n.*suspend --nolockfs cut-logged\n[\s\S]*load cut-logged .*\/dev\/mapper\/cut-cut 0"\n.*resume cut-logged/,
    );
  });

  test("has metadata of whole blocks, and says what is wrong with others", async () => {
    for (const metadataBytes of [0, -4096, 100, 4095.5])
      await expect(LoggedDisk.lay({ ...options, metadataBytes, shell: new ScriptedShell() })).rejects.toThrow(
        `metadataBytes is ${metadataBytes}, expected a multiple of 4096`,
      );
    const shell = new ScriptedShell({ status: 86, stderr: "/dev/vdc has 100 sectors" });
    await expect(LoggedDisk.lay({ ...options, shell })).rejects.toMatchObject({
      code: "ERR_INVALID_REQUEST",
    });
  });
});
