/**
 * `harrow scan` on files, and on a namespace by NVMe/TCP.
 *
 * @packageDocumentation
 */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type ScanFlags, scanVolume } from "../../src/cli/scan.ts";
import { workloadShape } from "../../src/runner/workload-shape.ts";
import { parseConfig } from "../../src/runner/config/load.ts";
import { configToYaml } from "../../src/runner/config/write.ts";
import { RunStore } from "../../src/runner/run-store.ts";
import { openBlockDevice } from "../../src/sut/block/open.ts";
import { openStore } from "../../src/sut/store/open.ts";
import { serveTarget } from "../../src/sut/target/server.ts";
import { readDump } from "../../src/reproduce/read-dump.ts";
import { dumpedRun } from "./dumped.ts";
import { Image, workloadOf } from "./scan-image.ts";

const yaml = `
geometry: { volumeSize: 2MiB, extentSize: 256KiB }
window: { size: 3, slideAfterRepeats: 4 }
operations: { blocks: { min: 1, max: 24 } }
runner: { kind: sequential }
target: { kind: memory }
`;
const seed = 0x5eedn;
const ltsLast = 120;

let folder: string;
let image: Image;
const at = (name: string): string => join(folder, name);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "harrow-scan-"));
  writeFileSync(at("conf.yml"), yaml);
  image = new Image(workloadOf(seed, workloadShape(parseConfig(yaml, "test"))), ltsLast);
  writeFileSync(at("good.img"), image.bytes);
  const bad = image.bytes.slice();
  bad.fill(0xee, 100 * 4096, 102 * 4096);
  writeFileSync(at("bad.img"), bad);
});
afterAll(() => rmSync(folder, { recursive: true }));

async function scanned(
  target: string,
  flags: Partial<ScanFlags> = {},
  signal = new AbortController().signal,
) {
  let stdout = "";
  let stderr = "";
  const out = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    stdout += String(text);
    return true;
  });
  const err = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    stderr += String(text);
    return true;
  });
  try {
    const all: ScanFlags = {
      limit: "20",
      logLevel: "warn",
      config: at("conf.yml"),
      seed: "0x5eed",
      ...flags,
    };
    const code = await scanVolume({ target, flags: all, version: "0.0.0", signal });
    return { code, stdout, stderr };
  } finally {
    out.mockRestore();
    err.mockRestore();
  }
}

describe("harrow scan", () => {
  test("says that all blocks of a file are as due, draws a map, and ends with 0", async () => {
    const { code, stdout } = await scanned(at("good.img"), { map: true });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^verdict {4}all blocks are as due$/m);
    expect(stdout).toMatch(/^known {6}nothing but the seed and the configuration$/m);
    expect(stdout).toMatch(/^as of {6}lts \d+, the newest write found; the run may have come farther/m);
    const rows = stdout.split("\n").filter((line) => /^ *\d+ {2}[#.~]+$/.test(line));
    expect(rows.map((row) => row.trim().split("  ")[1]).join("")).toHaveLength(512);
  });

  test("lists what is wrong, and ends with 1", async () => {
    const { code, stdout } = await scanned(at("bad.img"));
    expect(code).toBe(1);
    expect(stdout).toMatch(/^verdict {4}2 blocks are not as due$/m);
    expect(stdout).toMatch(/^g {2}garbage +2 +8 KiB +0.39 %$/m);
    expect(stdout).toMatch(/^blocks 100 to 101: garbage: nothing that this run wrote$/m);
  });

  test("prints one object as JSON", async () => {
    const { code, stdout } = await scanned(at("bad.img"), { json: true, lts: String(ltsLast) });
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      seed: "0x5eed",
      run: null,
      ...{ volume: 0, blockCount: 512, lts: ltsLast, ltsFrom: "given", wrongBlocks: 2, isOfSeed: true },
      counts: { garbage: 2, open: 0 },
      findings: [{ class: "garbage", block: 100, blockCount: 2 }],
    });
  });

  test("says of a volume of another seed that it is, and of which run", async () => {
    const { code, stdout } = await scanned(at("good.img"), { seed: "77" });
    expect(code).toBe(1);
    expect(stdout).toMatch(/^verdict {4}this is not a volume of seed 0x4d$/m);
    const run = image.workload.run.format.runId.toString(16);
    expect(stdout).toContain(`all foreign blocks name run ${run}, which is not that of seed 0x4d`);
  });

  test("needs no permission to write, and changes nothing", async () => {
    chmodSync(at("good.img"), 0o444);
    const before = statSync(at("good.img"));
    expect((await scanned(at("good.img"))).code).toBe(0);
    expect(statSync(at("good.img")).mtimeMs).toBe(before.mtimeMs);
    expect(Buffer.compare(readFileSync(at("good.img")), image.bytes)).toBe(0);
  });

  test("opens a file so that the operating system refuses every write", async () => {
    const path = at("bad.img");
    await using device = await openBlockDevice({ path, blockSizeBytes: 4096, io: "sync", access: "read" });
    const before = readFileSync(path);
    const from = new Uint8Array(4096).fill(1);
    expect(await device.write({ block: 0, blockCount: 1, from })).not.toEqual({ kind: "ok" });
    expect(await device.writeZeroes({ block: 0, blockCount: 256 })).not.toEqual({ kind: "ok" });
    expect(Buffer.compare(readFileSync(path), before)).toBe(0);
  });

  test("knows how far a run had come from its directory", async () => {
    const config = { ...parseConfig(yaml, "test"), seed };
    const store = RunStore.create(at("run"), {
      ...{ version: "0.0.0", configYaml: configToYaml(config), seed: "0x5eed", name: "test" },
      ...{ target: {}, startedAt: "2026-01-01T00:00:00.000Z" },
    });
    store.reserve(ltsLast);
    store.ltsComplete(ltsLast);
    store.close();
    const { code, stdout } = await scanned(at("good.img"), {
      run: at("run"),
      config: undefined,
      seed: undefined,
    } as object);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^as of {6}lts ${ltsLast}, where the run was$`, "m"));
    expect(stdout).toContain(`the run of ${at("run")}`);
  });

  test("finds the lost write of a failure folder in its image", async () => {
    const { path, seen } = await dumpedRun({ failures: at("failures"), config: { dump: "image" } });
    const { volume, block } = seen[0]!.violation;
    const dump = await readDump(path!);
    const file = dump.images.find((one) => one.volume === volume && one.snapshot === undefined)!.file;
    const flags = { run: path!, config: undefined, seed: undefined, json: true } as object;
    const { code, stdout } = await scanned(join(path!, file), flags);
    const { findings, volume: scannedVolume } = JSON.parse(stdout) as {
      volume: number;
      findings: { class: string; block: number; blockCount: number; staleBy?: number }[];
    };
    expect(scannedVolume).toBe(volume);
    const found = findings.find((one) => one.block <= block && block < one.block + one.blockCount);
    expect(found).toMatchObject({ staleBy: 1 });
    expect(code).toBe(1);
    const snapshot = dump.images.find((one) => one.snapshot !== undefined);
    if (snapshot === undefined) return;
    const ofSnapshot = await scanned(join(path!, snapshot.file), flags);
    expect(JSON.parse(ofSnapshot.stdout)).toMatchObject({ snapshot: snapshot.snapshot, ltsFrom: "snapshot" });
  });

  test("reads a namespace by NVMe/TCP", async () => {
    await using store = await openStore({ kind: "memory" });
    await using served = await serveTarget({
      store,
      subsystemNqn: "nqn.2026-01.org.example:scan",
      serial: "1",
    });
    for (const name of ["one", "other"])
      await store.createVolume({ name, sizeBytes: image.bytes.length, blockSizeBytes: 4096 });
    const [one] = store.namespaces;
    one!.write(0, 512, image.bytes);
    const url = `nvme-tcp://${served.address}/nqn.2026-01.org.example:scan`;
    const { code, stdout } = await scanned(`${url}?nsid=${one!.nsid}`, { blocks: "0..511" });
    expect(stdout).toMatch(/^verdict {4}all blocks are as due$/m);
    expect(code).toBe(0);
    const { stderr } = await scanned(url);
    expect(stderr).toContain("the subsystem has 2 namespaces: add ?nsid= with one of 1, 2");
    const other = await scanned(`${url}?nsid=2`);
    expect(other.stdout).toMatch(/^verdict {4}never written, as far as it shows$/m);
    expect(other.code).toBe(0);
  });

  test.for<[string, string, Partial<ScanFlags>, RegExp]>([
    ["a path that is not there", "nowhere.img", {}, /nowhere\.img does not exist$/m],
    [
      "something that is neither a path nor a namespace",
      "http://x",
      {},
      /^http:\/\/x: expected a path, or nvme-tcp:/m,
    ],
    [
      "a namespace without subsystem",
      "nvme-tcp://127.0.0.1:4420",
      {},
      /expected nvme-tcp:\/\/host:port\/<subsystem NQN>/,
    ],
    ["a seed that is none", "good.img", { seed: "0xgg" }, /^--seed: seed: expected a number/m],
    [
      "blocks that are no range",
      "good.img",
      { blocks: "7..3" },
      /^--blocks: expected the first and the last block/m,
    ],
    [
      "blocks that there are not",
      "good.img",
      { blocks: "0..512" },
      /^blocks 0 to 512: there are 512, numbered from 0$/m,
    ],
    ["a snapshot of an unknown run", "good.img", { snapshot: "1" }, /^--snapshot: .*--run$/m],
    ["a run with a seed of another", "good.img", { run: "runs/x" }, /^--config: the run has its own/m],
    ["an lts that is no number", "good.img", { lts: "-1" }, /^--lts: expected a whole number/m],
    ["a configuration that is not there", "good.img", { config: "/nowhere.yml" }, /^\/nowhere\.yml: ENOENT/m],
  ])("refuses %s, and ends with 2", async ([, target, flags, message]) => {
    const where = target.includes("://") ? target : at(target);
    const { code, stdout, stderr } = await scanned(where, flags);
    expect(stderr).toMatch(message);
    expect(stdout).toBe("");
    expect(code).toBe(2);
    expect(existsSync(at("nowhere.img"))).toBe(false);
  });

  test("ends with 3 if the target can not be reached, and with 130 if it is interrupted", async () => {
    const nobody = await scanned("nvme-tcp://127.0.0.1:1/nqn.2026-01.org.example:scan", { json: true });
    expect(nobody.code).toBe(3);
    expect(JSON.parse(nobody.stdout)).toMatchObject({
      targetFailure: expect.stringContaining("ECONNREFUSED"),
    });
    expect((await scanned(at("good.img"), {}, AbortSignal.abort())).code).toBe(130);
  });
});
