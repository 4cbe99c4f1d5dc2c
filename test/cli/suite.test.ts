import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type SuiteFlags, suiteChangedBlocks } from "../../src/cli/suite.ts";
import { type EmbeddedTarget, serveEmbedded } from "../../src/sut/embedded/server.ts";
import { connectLightbits } from "../../src/sut/lightbits/service.ts";
import { silentLog } from "../../src/sut/log.ts";
import type { VolumeService } from "../../src/sut/port.ts";
import { overTcp } from "../support/over-tcp.ts";

const token = "a-token-for-tests";
const quick = {
  ...{ reporter: "text", repeat: 1, offset: 0, scale: 0.025, logLevel: "error", seed: 1n },
} as const satisfies SuiteFlags;

let output = "";
let errors = "";
beforeEach(() => {
  [output, errors] = ["", ""];
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    output += String(text);
    return true;
  });
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    errors += String(text);
    return true;
  });
});
afterEach(() => void vi.restoreAllMocks());

function run(flags: Partial<SuiteFlags>, signal = new AbortController().signal): Promise<number> {
  return suiteChangedBlocks({
    ...{ flags: { ...quick, ...flags }, version: "1.2.3", signal },
    serveCommand: ["/bin/false"],
  });
}

describe("harrow suite changed-blocks", () => {
  test("lists the tests", async () => {
    expect(await run({ list: true })).toBe(0);
    expect(output.split("\n")).toHaveLength(21);
    expect(output).toMatch(
      /^20 resilience sync_throughput_baseline {7}diff and copy together are fast enough$/m,
    );
  });

  test.for<[Partial<SuiteFlags>, RegExp]>([
    [{ test: ["no_such_test"] }, /--test no_such_test: there is no such test/],
    [{ test: ["no_change_diff"], fuzz: 3 }, /--test, --fuzz: give one of them/],
    [{ repeat: 2, fuzz: 3 }, /leave them out with --fuzz/],
    [{ sourceUuid: "x" }, /--source-uuid is about a cluster, of which --endpoint says where it is/],
    [{ jwtFile: "x" }, /--jwt-file is about a cluster/],
    [{ endpoint: "https://192.0.2.1", sourceUuid: "x" }, /name two volumes as well/],
    [{ endpoint: "https://192.0.2.1", sourceUuid: "x", targetUuid: "X" }, /are the same volume/],
    [{ endpoint: "https://192.0.2.1", bug: "M53" }, /--bug is for the embedded target/],
    [{ bug: "M99" }, /--bug 'M99': expected a class of the gallery/],
    [{ bug: "H05" }, /--bug H05: .* trouble that the suite does not make/],
  ])("refuses %o", async ([flags, problem]) => {
    expect(await run(flags)).toBe(2);
    expect(errors).toMatch(problem);
    expect(output).toBe("");
  });

  test("says that the target failed if it does not start", async () => {
    expect(await run({})).toBe(3);
    expect(errors).toMatch(/^harrow suite changed-blocks: .*\n.*before it served/);
  });
});

describe("harrow suite changed-blocks on volumes of a cluster", () => {
  test("runs the tests that were asked for, and leaves nothing", async () => {
    await using cluster = await serveCluster();
    const tests = { test: ["no_change_diff", "deleted_base_snapshot"] };
    expect(await run({ ...cluster.flags, ...tests, verbose: true })).toBe(0);
    expect(output).toMatch(/endpoint {2}http:\/\/127\.0\.0\.1:\d+\n {2}source {4}volume-0/);
    expect(output).toMatch(/\[1\/2\] no_change_diff \.+ PASS.*\[2\/2\] deleted_base_snapshot \.+ PASS/s);
    expect(output).toMatch(/· diff returned 0 lbaRange\(s\)/);
    expect(errors).toBe("");
    expect(await cluster.service.listSnapshots()).toEqual([]);
    expect(await cluster.service.listVolumes()).toHaveLength(2);
  });

  test("names what earlier runs left, and removes it on request", async () => {
    await using cluster = await serveCluster();
    const flags = { ...cluster.flags, test: ["no_change_diff"] };
    expect(await run({ ...flags, keepSnapshots: true })).toBe(0);
    expect(await cluster.service.listSnapshots()).toHaveLength(2);
    expect(await run(flags)).toBe(0);
    expect(errors).toMatch(
      /earlier runs have left snapshots, which --sweep removes: harrow-cb-[0-9a-f]{8}-1-no_change_diff-/,
    );
    expect(await cluster.service.listSnapshots()).toHaveLength(2);
    expect(await run({ ...flags, sweep: true })).toBe(0);
    expect(errors).toMatch(/removed 2 snapshots/);
    expect(await cluster.service.listSnapshots()).toEqual([]);
  });

  test("draws cases on them, reported for machines", async () => {
    await using cluster = await serveCluster();
    expect(await run({ ...cluster.flags, fuzz: 2, reporter: "json" })).toBe(0);
    expect(JSON.parse(output)).toMatchObject({
      ...{ suite: "changed-blocks", passed: 2, failed: 0 },
      tests: [{ name: "case_1" }, { name: "case_2" }],
    });
  });

  test("keeps off a volume that holds somebody's data", async () => {
    await using cluster = await serveCluster();
    const device = await cluster.service.openVolume(cluster.flags.targetUuid);
    await device.write({ block: 0, blockCount: 1, from: randomBytes(4096) });
    const flags = { ...cluster.flags, test: ["no_change_diff"] };
    expect(await run(flags)).toBe(2);
    expect(errors).toMatch(/holds data/);
    expect(await run({ ...flags, overwrite: true })).toBe(0);
  });

  test("is refused volumes that are too small, and a scale that is", async () => {
    await using cluster = await serveCluster();
    expect(await run({ ...cluster.flags, scale: 1 })).toBe(2);
    expect(errors).toMatch(/a smaller --scale/);
  });

  test("ends with 130 and without snapshots and clones whenever it is interrupted", async () => {
    await using cluster = await serveCluster();
    for (const afterMs of [0, 30, 90, 200]) {
      const stop = new AbortController();
      output = "";
      const ended = run({ ...cluster.flags, repeat: 100 }, stop.signal);
      await vi.waitUntil(() => output.includes("[2/2000]"), { timeout: 20_000, interval: 5 });
      await delay(afterMs);
      stop.abort();
      expect(await ended).toBe(130);
      expect(output).toMatch(/INTERRUPTED, \d+ not run/);
      expect(await cluster.service.listSnapshots()).toEqual([]);
      expect(await cluster.service.listVolumes()).toHaveLength(2);
    }
  });

  test("ends with 3 when the cluster can not be reached", async () => {
    const cluster = await serveCluster();
    await cluster[Symbol.asyncDispose]();
    expect(await run({ ...cluster.flags, endpoint: "http://127.0.0.1:1" })).toBe(3);
    expect(errors).toMatch(/harrow suite changed-blocks: /);
  });
});

interface Cluster extends AsyncDisposable {
  readonly service: VolumeService;
  readonly flags: {
    readonly endpoint: string;
    readonly jwt: string;
    readonly sourceUuid: string;
    readonly targetUuid: string;
  };
}

/** An embedded target with two volumes, reached as a cluster is. */
async function serveCluster(): Promise<Cluster> {
  const target: EmbeddedTarget = await serveEmbedded({
    ...{ store: { kind: "memory" }, host: "127.0.0.1", token, volatileWriteCache: false },
    ...{ productVersion: "0", diffPageRangesMax: 5 },
  });
  const service = await connectLightbits({
    ...{ endpoint: target.apiUrl, token },
    connectNamespaces: overTcp({
      ...{ ioQueueCount: 1, queueDepth: 16, headerDigest: "off", dataDigest: "off" },
      log: silentLog,
    }),
  });
  const uuids: string[] = [];
  for (const name of ["volume-0", "volume-1"]) {
    const sizeBytes = 64 * 2 ** 20;
    uuids.push((await service.createVolume({ name, sizeBytes, sectorSizeBytes: 4096 })).uuid);
  }
  return {
    service,
    flags: { endpoint: target.apiUrl, jwt: token, sourceUuid: uuids[0]!, targetUuid: uuids[1]! },
    [Symbol.asyncDispose]: async () => {
      await service[Symbol.asyncDispose]();
      await target[Symbol.asyncDispose]();
    },
  };
}
