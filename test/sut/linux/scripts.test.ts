import { execFileSync } from "node:child_process";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as dm from "../../../src/sut/linux/dm-scripts.ts";
import * as nvmet from "../../../src/sut/linux/nvmet-scripts.ts";
import { quoted, runScript, statuses } from "../../../src/sut/linux/scripts.ts";
import type { Shell, ShellResult } from "../../../src/sut/linux/shell.ts";
import { ServiceError } from "../../../src/sut/port.ts";

const answering = (result: Partial<ShellResult> | ServiceError): Shell => ({
  description: "ssh root@storage1",
  run: async () => {
    if (result instanceof ServiceError) throw result;
    return { status: 0, stdout: "", stderr: "", ...result };
  },
  [Symbol.asyncDispose]: async () => {},
});

describe("quoted", () => {
  test("is one word for a shell, whatever is in it", () => {
    const words = fc.sample(
      fc.string({ unit: fc.constantFrom("'", '"', "$", "`", "\\", "\n", " ", "*", "a", "ä", ";", "-") }),
      200,
    );
    const printed = execFileSync("sh", ["-c", `printf '%s\\036' ${words.map(quoted).join(" ")}`], {
      encoding: "utf8",
    });
    expect(printed.split("\x1e").slice(0, -1)).toEqual(words);
  });

  test("refuses a NUL", () => {
    expect(() => quoted("a\0b")).toThrow(/NUL/);
  });
});

describe("runScript", () => {
  test("says what failed, where, with which status, and the last lines of what was told", async () => {
    const stderr = `${"noise\n".repeat(5000)}one\n\x1b[31mtwo\nthree\n`;
    const failed = runScript(answering({ status: 3, stderr }), { doing: "growing it", text: "exit 3" });
    await expect(failed).rejects.toThrow(
      "growing it: failed with status 3, at ssh root@storage1: noise; one;  [31mtwo; three",
    );
    await expect(failed).rejects.toMatchObject({ code: "ERR_TARGET" });
  });

  test("bounds what it repeats of a long line", async () => {
    const failed = runScript(answering({ status: 1, stderr: "x".repeat(100_000) }), {
      doing: "it",
      text: "",
    });
    await expect(failed).rejects.toThrow(/^it: failed with status 1, at ssh root@storage1: x{500}…$/);
  });

  test("gives the statuses of a script their meaning", async () => {
    const failed = runScript(answering({ status: statuses.busy, stderr: "held" }), {
      ...{ doing: "asking", text: "" },
      codes: { [statuses.busy]: "ERR_BUSY" },
    });
    await expect(failed).rejects.toMatchObject({
      code: "ERR_BUSY",
      message: "asking: failed, at ssh root@storage1: held",
    });
  });

  test("keeps the code of a shell that does not know how a script ended", async () => {
    const lost = new ServiceError("ERR_UNREACHABLE", "connection reset");
    await expect(runScript(answering(lost), { doing: "asking", text: "" })).rejects.toMatchObject({
      code: "ERR_UNREACHABLE",
      message: "asking: connection reset",
      cause: lost,
    });
  });
});

describe("the scripts", () => {
  const device = { deviceName: "harrow-a", sectors: 8, id: 1 };
  const target = { subsystemNqn: "nqn.2014-08.org.harrow:test", address: "127.0.0.1", port: 4420 };
  const item = { uuid: "a", path: "/dev/mapper/a", nsidFrom: 1 };
  const setup = {
    ...{ poolName: "harrow", metadataDevice: "serial:it's", dataDevice: "/dev/b", chunkSectors: 128 },
    ...{ create: true, mark: "7" },
  };
  const texts = [
    dm.bringUpScript(setup),
    dm.createScript("harrow", 1),
    dm.snapshotScript("harrow", device, 2),
    dm.reshapeScript("harrow", device),
    dm.activateScript("harrow", device),
    dm.deactivateScript("harrow-a"),
    dm.deleteScript("harrow", 1, "harrow-a"),
    nvmet.bringUpScript(target, { exports: [item], unexported: ["b"], serial: "s" }),
    nvmet.exportScript(target, item),
    nvmet.unexportScript(target, "a"),
    nvmet.setEnabledScript(target, "a", true),
    nvmet.revalidateScript(target, "a"),
    nvmet.setLinkedScript(target, ["unlinked", "linked"]),
  ];

  test("are understood by this machine's sh", () => {
    for (const text of texts) execFileSync("sh", ["-n"], { input: text });
  });
});
