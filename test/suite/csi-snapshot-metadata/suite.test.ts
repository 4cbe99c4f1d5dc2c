import { describe, expect, test } from "vitest";
import { serviceHooks } from "../../../src/suite/csi-snapshot-metadata/service-hooks.ts";
import { csiTests } from "../../../src/suite/csi-snapshot-metadata/suite.ts";
import type { SuiteResult } from "../../../src/suite/report.ts";
import { connectCsiSnapshotMetadata } from "../../../src/sut/csi/client.ts";
import { serveEmbedded } from "../../../src/sut/embedded/server.ts";
import { connectLightbits } from "../../../src/sut/lightbits/service.ts";
import type { BlockRange } from "../../../src/sut/port.ts";
import { overTcp } from "../../support/over-tcp.ts";
import { rawServer, fixed } from "../../sut/csi/raw-server.ts";
import { runTests } from "./run-tests.ts";
import { type StoreDriver, storeDriver } from "./store-driver.ts";

/** Connects to a server of raw answers. */
function connectTo({ address }: { readonly address: string }, firstMessageTimeoutMs?: number) {
  return connectCsiSnapshotMetadata({
    address: `tcp://${address}`,
    access: { dialect: "csi" },
    ...(firstMessageTimeoutMs !== undefined && { firstMessageTimeoutMs }),
  });
}

/** A volume of which a snapshot is taken after each write; from the oldest. */
async function snapshotsAfter(
  { createVolume, write, createSnapshot }: StoreDriver["hooks"],
  writes: readonly BlockRange[],
): Promise<readonly string[]> {
  const volume = await createVolume(2 ** 20);
  const ids: string[] = [];
  for (const range of writes) {
    await write(volume, range, new Uint8Array(range.blockCount * 4096).fill(range.block));
    ids.push(await createSnapshot(volume));
  }
  return ids;
}

const names = (results: Map<string, SuiteResult>, kind: SuiteResult["kind"]) =>
  [...results].filter(([, result]) => result.kind === kind).map(([name]) => name);

describe("the suite without hooks", () => {
  test("asks about the snapshots that are named, and says of the other tests what they need", async () => {
    await using made = await storeDriver("variable");
    const { hooks, client } = made;
    const ids = await snapshotsAfter(
      hooks,
      [3, 80, 200].map((block) => ({ block, blockCount: 2 })),
    );
    const snapshots = ids.map((id) => ({ targetId: id, baseId: id }));
    const { results } = await runTests({ client, hooks: undefined, snapshots });
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
    const ids = await snapshotsAfter(
      hooks,
      [3, 80].map((block) => ({ block, blockCount: 1 })),
    );
    const snapshots = ids.map((id) => ({ targetId: store.snapshot(id)!.name, baseId: id }));
    await using client = await connectCsiSnapshotMetadata({
      address,
      access: { dialect: "kubernetes", namespace: "default", securityToken: "any" },
    });
    const { results } = await runTests({ client, hooks: undefined, snapshots });
    expect(names(results, "fail")).toEqual([]);
    expect(results.get("unknown_base")?.kind).toBe("pass");
  });

  test("skips all but two tests if nothing is named, and says how to name it", async () => {
    await using made = await storeDriver("fixed");
    const { results, summary } = await runTests({ client: made.client, hooks: undefined, snapshots: [] });
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
    await using client = await connectTo(server);
    const { results } = await runTests(
      { client, hooks: undefined, snapshots: [{ targetId: "s", baseId: "s" }] },
      {
        names: ["ascending_order"],
      },
    );
    expect(results.get("ascending_order")).toMatchObject({
      kind: "fail",
      message: "allocated in s: tuple 1 (4096 bytes at 4096) follows tuple 0 (4096 bytes at 8192)",
    });
  });

  test("fails a driver that never answers, within the time-out, and goes on", async () => {
    await using server = await rawServer(() => undefined);
    await using client = await connectTo(server, 100);
    const { results } = await runTests(
      { client, hooks: undefined, snapshots: [] },
      {
        names: ["identity_announces_service", "unknown_snapshot"],
      },
    );
    expect(results.get("unknown_snapshot")).toMatchObject({
      kind: "fail",
      message: expect.stringMatching(/^ERR_TIMEOUT: .*not there within 100 ms/),
    });
  });

  test("stops at a signal, and reports no test that it cut off", async () => {
    await using server = await rawServer(() => undefined);
    await using client = await connectTo(server);
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 100);
    const { results, summary } = await runTests(
      { client, hooks: undefined, snapshots: [] },
      { names: ["unknown_snapshot", "type_known"], signal: stop.signal },
    );
    expect([...results.keys()]).toEqual(["type_known"]);
    expect(summary.isInterrupted).toBe(true);
  });
});

test("the suite drives the embedded target over NVMe/TCP and REST, and leaves nothing behind", async () => {
  await using target = await serveEmbedded({ store: { kind: "memory" }, csi: { style: "variable" } });
  await using service = await connectLightbits({
    endpoint: target.apiUrl,
    connectNamespaces: overTcp(),
  });
  await using client = await connectCsiSnapshotMetadata({
    address: target.csiAddress!,
    access: { dialect: "csi" },
  });
  {
    await using hooks = serviceHooks(service);
    const { results } = await runTests(
      { client, hooks, snapshots: [] },
      {
        names: [
          "delta_complete",
          "delta_precise",
          "delta_zeroed",
          "deleted_base",
          "stable",
          "grown_old_snapshots",
          "grown_capacity",
        ],
      },
    );
    expect([...results.values()].filter(({ kind }) => kind !== "pass")).toEqual([]);
    expect(results.size).toBe(7);
    expect(await service.listVolumes()).not.toEqual([]);
  }
  expect(await service.listVolumes()).toEqual([]);
  expect(await service.listSnapshots()).toEqual([]);
});
