import { describe, expect, test } from "vitest";
import type { DriverUnderTest } from "../../../src/suite/csi-snapshot-metadata/driver.ts";
import { serviceHooks } from "../../../src/suite/csi-snapshot-metadata/service-hooks.ts";
import { csiTests, runCsiSuite } from "../../../src/suite/csi-snapshot-metadata/suite.ts";
import type { SuiteResult } from "../../../src/suite/report.ts";
import { connectCsiSnapshotMetadata } from "../../../src/sut/csi/client.ts";
import { serveEmbedded } from "../../../src/sut/embedded/server.ts";
import { connectController } from "../../../src/sut/initiator/controller.ts";
import { connectLightbits } from "../../../src/sut/lightbits/service.ts";
import { rawServer, fixed } from "../../sut/csi/raw-server.ts";
import { storeDriver } from "./store-driver.ts";

const hostId = "5c1c5a2e-6c9e-4f1f-9d5c-000000000008";

async function run(
  driver: DriverUnderTest,
  names?: readonly string[],
  signal = new AbortController().signal,
) {
  const results = new Map<string, SuiteResult>();
  const summary = await runCsiSuite({
    driver,
    tests: csiTests.filter(({ name }) => names === undefined || names.includes(name)),
    reporter: { started() {}, finished: ({ name }, result) => void results.set(name, result), done() {} },
    signal,
    offsetsMax: 4,
  });
  return { results, summary };
}

const names = (results: Map<string, SuiteResult>, kind: SuiteResult["kind"]) =>
  [...results].filter(([, result]) => result.kind === kind).map(([name]) => name);

describe("the suite without hooks", () => {
  test("asks about the snapshots that are named, and says of the other tests what they need", async () => {
    await using made = await storeDriver("variable");
    const { hooks, client } = made;
    const volume = await hooks.createVolume(2 ** 20);
    const snapshots = [];
    for (const block of [3, 80, 200]) {
      await hooks.write(volume, { block, blockCount: 2 }, new Uint8Array(8192).fill(block));
      const id = await hooks.createSnapshot(volume);
      snapshots.push({ targetId: id, baseId: id });
    }
    const { results } = await run({ client, hooks: undefined, snapshots });
    expect(names(results, "fail")).toEqual([]);
    expect(results.get("delta_complete")).toMatchObject({
      kind: "skip",
      message: "needs hooks that write and take snapshots",
    });
    for (const name of ["resume_boundaries", "swapped_snapshots", "delta_chain", "deadline_is_no_end"])
      expect([name, results.get(name)?.kind]).toEqual([name, "pass"]);
    expect(names(results, "skip")).toHaveLength(13);
  });

  test("runs in the dialect of Kubernetes, where a base goes by its handle", async () => {
    await using made = await storeDriver("fixed");
    const { hooks, store, address } = made;
    const volume = await hooks.createVolume(2 ** 20);
    const snapshots = [];
    for (const block of [3, 80]) {
      await hooks.write(volume, { block, blockCount: 1 }, new Uint8Array(4096).fill(block));
      const id = await hooks.createSnapshot(volume);
      snapshots.push({ targetId: store.snapshot(id)!.name, baseId: id });
    }
    await using client = await connectCsiSnapshotMetadata({
      address,
      access: { dialect: "kubernetes", namespace: "default", securityToken: "any" },
    });
    const { results } = await run({ client, hooks: undefined, snapshots });
    expect(names(results, "fail")).toEqual([]);
    expect(results.get("unknown_base")?.kind).toBe("pass");
  });

  test("skips all but two tests if nothing is named, and says how to name it", async () => {
    await using made = await storeDriver("fixed");
    const { results, summary } = await run({ client: made.client, hooks: undefined, snapshots: [] });
    expect(names(results, "pass")).toEqual(["identity_announces_service", "unknown_snapshot"]);
    expect(results.get("type_known")).toMatchObject({
      message: "needs a snapshot: name one with --snapshot",
    });
    expect(summary).toMatchObject({ passed: 2, failed: 0, skipped: csiTests.length - 2 });
  });

  test("names the offsets of what is wrong", async () => {
    await using server = await rawServer((call) => {
      call.write(fixed(8192, 4096));
      call.end();
    });
    await using client = await connectCsiSnapshotMetadata({
      address: `tcp://${server.address}`,
      access: { dialect: "csi" },
    });
    const { results } = await run({ client, hooks: undefined, snapshots: [{ targetId: "s", baseId: "s" }] }, [
      "ascending_order",
    ]);
    expect(results.get("ascending_order")).toMatchObject({
      kind: "fail",
      message: "allocated in s: tuple 1 (4096 bytes at 4096) follows tuple 0 (4096 bytes at 8192)",
    });
  });

  test("fails a driver that never answers, within the time-out, and goes on", async () => {
    await using server = await rawServer(() => undefined);
    await using client = await connectCsiSnapshotMetadata({
      address: `tcp://${server.address}`,
      access: { dialect: "csi" },
      firstMessageTimeoutMs: 100,
    });
    const { results } = await run({ client, hooks: undefined, snapshots: [] }, [
      "identity_announces_service",
      "unknown_snapshot",
    ]);
    expect(results.get("unknown_snapshot")).toMatchObject({
      kind: "fail",
      message: expect.stringMatching(/^ERR_TIMEOUT: .*not there within 100 ms/),
    });
  });

  test("stops at a signal, and reports no test that it cut off", async () => {
    await using server = await rawServer(() => undefined);
    await using client = await connectCsiSnapshotMetadata({
      address: `tcp://${server.address}`,
      access: { dialect: "csi" },
    });
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 100);
    const { results, summary } = await run(
      { client, hooks: undefined, snapshots: [] },
      ["unknown_snapshot", "type_known"],
      stop.signal,
    );
    expect([...results.keys()]).toEqual(["type_known"]);
    expect(summary.isInterrupted).toBe(true);
  });
});

test("the suite drives the embedded target over NVMe/TCP and REST, and leaves nothing behind", async () => {
  await using target = await serveEmbedded({ store: { kind: "memory" }, csi: { style: "variable" } });
  await using service = await connectLightbits({
    endpoint: target.apiUrl,
    connectNamespaces: ({ endpoints: [endpoint], subsystemNqn }) =>
      connectController({
        host: endpoint!.host,
        port: endpoint!.port,
        subsystemNqn,
        hostNqn: `nqn.2014-08.org.nvmexpress:uuid:${hostId}`,
        hostId,
      }),
  });
  await using client = await connectCsiSnapshotMetadata({
    address: target.csiAddress!,
    access: { dialect: "csi" },
  });
  {
    await using hooks = serviceHooks(service);
    const { results } = await run({ client, hooks, snapshots: [] }, [
      "delta_complete",
      "delta_precise",
      "delta_zeroed",
      "deleted_base",
      "stable",
      "grown_old_snapshots",
      "grown_capacity",
    ]);
    expect([...results.values()].filter(({ kind }) => kind !== "pass")).toEqual([]);
    expect(results.size).toBe(7);
    expect(await service.listVolumes()).not.toEqual([]);
  }
  expect(await service.listVolumes()).toEqual([]);
  expect(await service.listSnapshots()).toEqual([]);
});
