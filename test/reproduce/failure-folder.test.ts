/**
 * What a failed run leaves: all that was seen, in files that say what they are.
 *
 * @packageDocumentation
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { failureSchema } from "../../src/reproduce/dump-format.ts";
import { imageOf, memoryOf, operationLogOf, readDump } from "../../src/reproduce/read-dump.ts";
import { parseConfig } from "../../src/runner/config/load.ts";
import type { BlockExhibit, Exhibit } from "../../src/runner/exhibit.ts";
import { resumedRun } from "../../src/runner/resume.ts";
import { type DumpedRun, dumpedRun, seed, version } from "./dumped.ts";

const root = mkdtempSync(join(tmpdir(), "harrow-failure-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const failures = join(root, "failures");

/** Bytes as bytes, whatever holds them. */
function plain(exhibit: Exhibit | undefined): unknown {
  return JSON.parse(
    JSON.stringify(exhibit, (_, value: unknown) =>
      value instanceof Uint8Array || Buffer.isBuffer(value)
        ? Buffer.from(value as Uint8Array).toString("hex")
        : (value as { type?: string; data?: number[] } | null)?.type === "Buffer"
          ? Buffer.from((value as { data: number[] }).data).toString("hex")
          : value,
    ),
  );
}

function filesIn(path: string): readonly string[] {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

describe("a failure folder", () => {
  let dumped: DumpedRun;
  let path: string;
  beforeAll(async () => {
    dumped = await dumpedRun({ failures, config: { dump: "image" } });
    path = dumped.path!;
  });

  test("holds what its schema says, and nothing unfinished", () => {
    const json: unknown = JSON.parse(readFileSync(join(path, "failure.json"), "utf8"));
    const failure = failureSchema.parse(json);
    expect(failure).toMatchObject({ version, seed: "0x3", isComplete: true, missing: [], history: "drawn" });
    expect(failure.historyDigest).toBe(dumped.trial.result.historyDigest);
    expect(dumped.error).toBeUndefined();
    expect(dumped.warnings.filter((warning) => warning.includes("failure folder"))).toEqual([]);
    const listed = Object.keys(failure.files);
    const others = ["failure.json", "failure.txt", "run.yml"];
    const found = filesIn(path).map((file) => file.slice(path.length + 1));
    expect(found.sort()).toEqual([...listed, ...others].sort());
    for (const [name, { bytes }] of Object.entries(failure.files))
      expect(statSync(join(path, name)).size).toBe(bytes);
  });

  test("gives back every violation with all that was seen of it", async () => {
    const dump = await readDump(path, { version });
    expect(dump.warnings).toEqual([]);
    expect(dump.violations.map(({ violation }) => violation)).toEqual(
      dumped.seen.map(({ violation }) => violation),
    );
    for (const [index, { exhibit }] of dump.violations.entries())
      expect(plain(await exhibit?.())).toEqual(plain(dumped.seen[index]!.exhibit));
  });

  test("has the range that was read, with the wrong block in it, and the block read again", () => {
    const { found, reread, judged } = dumped.seen[0]!.exhibit as BlockExhibit;
    const { firstBlock, block, bytes } = judged!;
    const at = (block - firstBlock) * found.length;
    expect(Buffer.compare(bytes.subarray(at, at + found.length), found)).toBe(0);
    expect(dumped.seen[0]!.violation.rereads).toBe("same");
    expect(Buffer.compare(reread!, found)).toBe(0);
  });

  test("has the bytes that were expected, as the kernels make them", () => {
    const { violation, exhibit } = dumped.seen[0]!;
    const { workload, rereadBuffers } = dumped.run;
    const [state] = (exhibit as BlockExhibit).allowed;
    const buffer = rereadBuffers.tryTake()!;
    const { sectorsPerBlock: sectorCount, blockSizeBytes } = workload.geometry;
    const { volume, block } = violation;
    workload.run.inflate({ volume, block, blockCount: 1, sectorCount }, buffer.address, state!);
    const expected = readFileSync(join(path, "expected-0-0.bin"));
    expect(Buffer.compare(expected, buffer.bytes.subarray(0, blockSizeBytes))).toBe(0);
  });

  test("has a configuration that ends where the run ended", async () => {
    const { config, ltsCount } = await readDump(path);
    expect(ltsCount).toBe(dumped.trial.result.ltsCount);
    expect(config).toEqual({
      ...dumped.trial.config,
      seed,
      runner: { ...dumped.trial.config.runner, lts: ltsCount, duration: undefined },
    });
    expect(parseConfig(readFileSync(join(path, "run.yml"), "utf8"), "run.yml")).toEqual(config);
  });

  test("has the model's state, which can be taken up", async () => {
    const memory = memoryOf(await readDump(path));
    const { tracker } = dumped.run;
    const resumed = resumedRun(memory);
    expect(resumed.tracker.ltsStartedMax).toBe(tracker.ltsStartedMax);
    expect(resumed.clock).toEqual(dumped.run.ltsClock.toJSON());
    expect(memory.documents.get("crashLts")).toBe(-1);
  });

  test("has the operation log, and what the target was", async () => {
    const dump = await readDump(path);
    expect(await operationLogOf(dump)).toBe(join(path, "operations.sqlite"));
    const [volume] = dumped.run.target.volumes;
    expect(dump.target).toMatchObject({ kind: "memory", volumes: [{ uuid: volume!.uuid, isCreated: true }] });
    expect(dump.target.volumes[0]!.identity).toEqual(volume!.device.identity);
    expect(dump.target.volumes[0]!.capabilities).toEqual({ ...volume!.device.capabilities });
  });

  test("has a sparse image of the volume, with the wrong block in it", async () => {
    const [image] = (await imageOf(await readDump(path)))!;
    const { violation, exhibit } = dumped.seen[0]!;
    const { found } = exhibit as BlockExhibit;
    const { volumeSize } = dumped.trial.config.geometry;
    const bytes = readFileSync(image!.path);
    expect([bytes.length, image!.bytes, image!.unread]).toEqual([volumeSize, volumeSize, []]);
    const at = violation.block * found.length;
    expect(Buffer.compare(bytes.subarray(at, at + found.length), found)).toBe(0);
    expect(statSync(image!.path).blocks * 512).toBeLessThan(volumeSize);
  });

  test("holds no secret", async () => {
    const token = "s3cr3t-t0ken-of-a-test";
    const tokenFile = join(root, "token");
    writeFileSync(tokenFile, token);
    process.env.LIGHTBITS_JWT = token;
    try {
      const second = await dumpedRun({
        failures,
        config: { dump: "image", target: { kind: "lightbits", endpoint: "https://10.0.0.1", tokenFile } },
      });
      const text = readFileSync(join(second.path!, "run.yml"), "utf8");
      expect(text).toContain(`tokenFile: ${tokenFile}`);
      for (const file of filesIn(second.path!))
        expect(readFileSync(file).includes(token), `${file} has the token`).toBe(false);
    } finally {
      delete process.env.LIGHTBITS_JWT;
    }
  });
});

test("keeps 100 violations, and says how many more there were", async () => {
  const config = { runner: { stopAfterViolations: 10_000 }, checks: { recent: { every: 1 } } };
  const { path, seen } = await dumpedRun({ failures, config, entry: "M01" });
  expect(seen.length).toBeGreaterThan(100);
  const dump = await readDump(path!);
  expect(dump.violations).toHaveLength(100);
  expect(dump.missing).toEqual([`violations beyond the first 100: there were ${seen.length - 100} more`]);
});

test("keeps both answers of a diff that is wrong", async () => {
  const { path, seen } = await dumpedRun({ failures, entry: "H07", config: { dump: "image" } });
  const dump = await readDump(path!);
  const index = seen.findIndex(({ violation }) => violation.rule === "diff");
  const exhibit = await dump.violations[index]!.exhibit!();
  expect(plain(exhibit)).toEqual(plain(seen[index]!.exhibit));
  expect(exhibit).toMatchObject({ kind: "diff", isBaseDeleted: false });
  const { pages, again } = exhibit as Extract<Exhibit, { kind: "diff" }>;
  expect(again).not.toEqual(pages);
  const { snapshot } = seen[index]!.violation;
  expect(dump.images.map((image) => image.snapshot)).toContain(snapshot);
});

test("is not made for a run without a failure", async () => {
  const none = join(root, "none");
  const { path, error } = await dumpedRun({ failures: none, config: { runner: { lts: 1 } } });
  expect([path, error]).toEqual([undefined, undefined]);
  expect(() => readdirSync(none)).toThrow("ENOENT");
});
