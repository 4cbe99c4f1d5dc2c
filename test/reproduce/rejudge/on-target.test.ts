import { existsSync } from "node:fs";
import { mkdtemp, open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Violation } from "../../../src/model/violation.ts";
import type { Dump, DumpedViolation } from "../../../src/reproduce/dump.ts";
import type { Judgement } from "../../../src/reproduce/rejudge/judgement.ts";
import { onTarget } from "../../../src/reproduce/rejudge/on-target.ts";
import { readOnlyService } from "../../../src/reproduce/rejudge/read-only-service.ts";
import type { Exhibit } from "../../../src/runner/exhibit.ts";
import type { ConfigInput } from "../../../src/runner/config/schema.ts";
import { launchEmbedded } from "../../../src/sut/embedded/launch.ts";
import { withServiceFaults } from "../../../src/sut/faults.ts";
import { reconnectPolicyDefault } from "../../../src/sut/initiator/reconnect.ts";
import { memoryService } from "../../../src/sut/memory.ts";
import { overTcp } from "../../support/over-tcp.ts";
import { dumpOf, log, signal, small, verdictsOf } from "./dumps.ts";

const entry = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));
const serveCommand = [process.execPath, entry, "serve"];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "harrow-test-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function judged(dump: Dump, command = serveCommand): Promise<readonly Judgement[]> {
  const options = { serveCommand: command, environment: {}, log, signal };
  return (await onTarget(dump, options)).judgements;
}

/** A run on a file that loses one write, to a block that holds something. */
async function dumpOnFile(path: string): Promise<Dump> {
  const config: ConfigInput = {
    ...small,
    operations: { ...small.operations, weights: { ...zeroWeights, write: 1 } },
    target: { kind: "block", path },
    dump: "blocks",
  };
  let writes = 0;
  return dumpOf(config, {
    failures: folder,
    spoiled: {
      service: (inner) =>
        withServiceFaults(inner, {
          volume: () => ({ write: () => (++writes === 80 ? { kind: "drop" } : undefined) }),
        }),
    },
  });
}

const zeroWeights = {
  ...{ writeFua: 0, writeZeroes: 0, deallocate: 0, deallocateTail: 0, deallocateExtent: 0 },
  ...{ compareAndWrite: 0, compareAndWriteMiss: 0, flush: 0 },
};

async function overwrite(path: string, block: number, bytes: Uint8Array): Promise<void> {
  const file = await open(path, "r+");
  await file.write(bytes, 0, bytes.length, block * 4096);
  await file.close();
}

describe("a file that a run was on", () => {
  test("shows the same again, what is right, or something else; and is not touched", async () => {
    const path = join(folder, "volume");
    const dump = await dumpOnFile(path);
    const { class: name, block } = dump.violations[0]!.violation;
    expect(name).toBe("lost-write");
    const before = await readFile(path);
    const again = await judged(dump);
    expect(verdictsOf(again)).toContain("again quiescent/lost-write");
    expect(again[0]?.text).toMatch(/^the target holds the bytes that were read: lost-write/);
    expect(Buffer.compare(await readFile(path), before)).toBe(0);

    await overwrite(path, block, await readFile(join(dump.path, "expected-0-0.bin")));
    const [right] = await judged(dump);
    expect(right).toMatchObject({ verdict: "right", text: "the target holds what is right now" });

    await overwrite(path, block, new Uint8Array(4096).fill(0xab));
    const [different] = await judged(dump);
    expect(verdictsOf([different!])).toEqual(["different quiescent/garbage"]);
    expect(different?.text).toMatch(/^the target shows garbage/);
  });

  test("is not called right at rest for what was wrong under load", async () => {
    const path = join(folder, "under-load");
    const dump = await dumpOnFile(path);
    const { violation, exhibit } = dump.violations[0]!;
    const seen = await exhibit!();
    if (seen.kind !== "block") throw new Error("expected a block");
    const live: DumpedViolation = {
      violation: { ...violation, rule: "exhaustive" },
      exhibit: () => Promise.resolve({ ...seen, judged: { ...seen.judged!, isLive: true } }),
    };
    const underLoad = { ...dump, violations: [live] };
    expect(verdictsOf(await judged(underLoad))).toEqual(["again exhaustive/lost-write"]);

    await overwrite(path, violation.block, await readFile(join(dump.path, "expected-0-0.bin")));
    expect(await judged(underLoad)).toMatchObject([
      {
        verdict: "not-kept",
        text: expect.stringMatching(/holds what is right; .* can not be asked for again$/),
      },
    ]);
  });

  test("can be gone, and is not made anew", async () => {
    const path = join(folder, "gone");
    const dump = await dumpOnFile(path);
    await rm(path);
    const judgements = await judged(dump);
    expect(new Set(verdictsOf(judgements))).toEqual(new Set(["not-kept"]));
    expect(judgements[0]?.text).toBe(`${path} is not there any more`);
    expect(existsSync(path)).toBe(false);
  });
});

test("a target that was gone with its process can not be asked", async () => {
  const dump = await dumpOf(small, {
    failures: folder,
    spoiled: {
      service: (inner) => withServiceFaults(inner, { volume: () => ({ write: () => ({ kind: "drop" }) }) }),
    },
  });
  const [first] = await judged(dump);
  expect(first).toMatchObject({ verdict: "not-kept" });
  expect(first?.text).toMatch(/gone with its process/);
});

describe("a target in a directory", () => {
  const buggy = [...serveCommand, "--bug", "M52", "--bug-seed", "7", "--bug-eager"];

  /** Whatever is on the target. */
  async function inventory(directory: string): Promise<readonly string[]> {
    await using target = await launch(directory);
    const [volumes, snapshots] = await Promise.all([
      target.service.listVolumes(),
      target.service.listSnapshots(),
    ]);
    return [...volumes, ...snapshots].map(({ name, state }) => `${name} ${state}`).sort();
  }

  function launch(directory: string) {
    return launchEmbedded({
      command: serveCommand,
      directory,
      service: {
        connectNamespaces: overTcp({
          ...{ ioQueueCount: 1, queueDepth: 8, headerDigest: "off", dataDigest: "off" },
          reconnect: reconnectPolicyDefault,
        }),
      },
    });
  }

  /** What else could have been found, and was not. */
  function others(violation: Violation): readonly DumpedViolation[] {
    const { volume, snapshot } = violation;
    const { base: _base, snapshot: _snapshot, ...plain } = violation;
    const bytes = new Uint8Array(16 * 4096).fill(0xab);
    const exhibit: Exhibit = {
      kind: "block",
      found: bytes.subarray(0, 4096),
      allowed: [],
      judged: {
        ...{ place: "snapshot", pd: 0, firstBlock: 0, bytes, block: 0, snapshot },
        ...{ isLive: false, provenBefore: false, wasProven: false },
      },
    };
    const inSnapshot = { rule: "snapshot", class: "garbage", volume: 0, snapshot: snapshot! } as const;
    const lost = { rule: "durability", class: "lost-snapshot", volume, snapshot: snapshot! } as const;
    const second = { rule: "second-volume", class: "volumes-differ", volume: 0, block: 0 } as const;
    const size = { rule: "size", class: "wrong-size" } as const;
    return [
      { violation: { ...plain, ...inSnapshot, block: 0 }, exhibit: () => Promise.resolve(exhibit) },
      { violation: { ...plain, ...lost }, exhibit: undefined },
      { violation: { ...plain, ...second }, exhibit: undefined },
      { violation: { ...plain, ...size, volume: 0 }, exhibit: undefined },
      { violation: { ...plain, ...size, volume: 1 }, exhibit: undefined },
    ];
  }

  test("is asked again for snapshots, diffs, sizes and second volumes, and nothing of it changes", {
    timeout: 60_000,
  }, async () => {
    const directory = join(folder, "target");
    const config: ConfigInput = {
      ...small,
      geometry: { ...small.geometry, volumes: 2 },
      snapshots: { every: 8, keep: 4, hot: "0/1" },
      checks: { ...small.checks, secondVolume: true },
      target: { kind: "embedded", directory },
      dump: "blocks",
    };
    const dump = await dumpOf(config, { failures: folder, serveCommand: buggy });
    const { violation } = dump.violations[0]!;
    expect(violation).toMatchObject({ rule: "diff", class: "omission" });
    const before = await inventory(directory);
    expect(before.length).toBeGreaterThan(6);
    const more = { ...dump, violations: [dump.violations[0]!, ...others(violation)] };
    const again = await judged(more, buggy);
    expect(verdictsOf(again)).toEqual(["again diff/omission", "right", "right", "right", "right", "right"]);
    const [right, ...rest] = await judged(more);
    expect(right).toMatchObject({ verdict: "right", text: "the target's answer now is right" });
    expect(rest.map(({ text }) => text)).toEqual([
      "the target holds what is right now",
      `snapshot ${violation.snapshot} of volume ${violation.volume} is there now`,
      "the target: block 0 of the first volume holds what the second one holds",
      "volume 0 has 256 blocks, of 256 that it should have",
      "volume 1 has 256 blocks, of 256 that it should have",
    ]);
    expect(await inventory(directory)).toEqual(before);

    const { uuid } = dump.target.volumes[1]!;
    await using target = await launch(directory);
    for (const { uuid: snapshot } of await target.service.listSnapshots())
      await target.service.deleteSnapshot(snapshot);
    await target.service.deleteVolume(uuid);
    await target[Symbol.asyncDispose]();
    const gone = await judged(more);
    const lost = "again durability/lost-snapshot";
    expect(verdictsOf(gone)).toEqual(["not-kept", "not-kept", lost, "right", "right", "not-kept"]);
    expect(gone[0]?.text).toMatch(/^the diff of snapshot \d+ is not to be had from the target: /);
    expect(gone[1]?.text).toMatch(/^snapshot \d+ of volume \d is not to be had from the target: /);
    expect(gone[5]?.text).toMatch(new RegExp(`can not be read: volume ${uuid} is gone$`));

    // The run had deleted its first snapshot: that it is not there says nothing.
    const { base: _base, ...about } = violation;
    const first = { ...about, rule: "durability", class: "lost-snapshot", snapshot: 0 } as const;
    const [unknown] = await judged({ ...dump, violations: [{ violation: first, exhibit: undefined }] });
    expect(unknown).toMatchObject({ verdict: "not-kept" });
    expect(unknown?.text).toMatch(/was deleted by the run itself/);

    await rm(directory, { recursive: true });
    const [nothing] = await judged(dump);
    expect(nothing?.text).toBe(`the directory of the target, ${directory}, is not there any more`);
    expect(existsSync(directory)).toBe(false);
  });
});

test("a service that is only asked refuses whatever would change it", async () => {
  await using inner = await memoryService();
  const volume = await inner.createVolume({ name: "v", sizeBytes: 65536, sectorSizeBytes: 4096 });
  const { uuid: volumeUuid } = volume;
  const { uuid: snapshotUuid } = await inner.createSnapshot({ name: "s", volumeUuid });
  const before = [await inner.listVolumes(), await inner.listSnapshots()];
  const service = readOnlyService(inner, {
    ...{ description: "", kind: "memory", isLasting: true, volumes: [], diffCapabilities: undefined },
  });
  const calls = [
    service.createVolume({ name: "w", sizeBytes: 65536, sectorSizeBytes: 4096 }),
    service.resizeVolume({ uuid: volumeUuid, sizeBytes: 131072 }),
    service.deleteVolume(volumeUuid),
    service.createSnapshot({ name: "t", volumeUuid }),
    service.deleteSnapshot(snapshotUuid),
    service.cloneSnapshot({ name: "c", snapshotUuid }),
    service.rollbackVolume({ volumeUuid, snapshotUuid }),
  ];
  for (const call of await Promise.allSettled(calls))
    expect(call).toMatchObject({ status: "rejected", reason: { code: "ERR_FORBIDDEN" } });
  await using device = await service.openVolume(volumeUuid);
  const from = new Uint8Array(4096).fill(1);
  const range = { block: 0, blockCount: 1 };
  for (const outcome of await Promise.all([
    device.write({ ...range, from }),
    device.writeZeroes(range),
    device.deallocate({ ranges: [range] }),
    device.compareAndWrite({ ...range, from, expected: from }),
    device.compare({ ...range, expected: from }),
    device.flush(),
  ]))
    expect(outcome).toMatchObject({ kind: "failed", code: "ERR_UNSUPPORTED" });
  const into = new Uint8Array(4096).fill(1);
  expect(await device.read({ ...range, into })).toEqual({ kind: "ok" });
  expect(into.every((byte) => byte === 0)).toBe(true);
  expect([await inner.listVolumes(), await inner.listSnapshots()]).toEqual(before);
});
