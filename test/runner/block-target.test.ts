/**
 * A file as the target of a run, and of a run that goes on.
 *
 * @packageDocumentation
 */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseConfig } from "../../src/runner/config/load.ts";
import { type KeptVolume, keptVolumes, openTarget } from "../../src/runner/target.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "harrow-block-target-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function opened(path: string, { kept, more = {} }: { kept?: readonly KeptVolume[]; more?: object } = {}) {
  const geometry = { volumeSize: "1MiB", extentSize: "256KiB" };
  const target = { kind: "block", path, ...more };
  const config = parseConfig(
    JSON.stringify({ geometry, target, window: { size: 2 }, operations: { weights } }),
    "test",
  );
  return openTarget({
    ...{ config, seed: 1n, name: "run", serveCommand: [], environment: {} },
    ...{ log: { info: () => {}, warn: () => {} }, signal: AbortSignal.timeout(20_000) },
    ...(kept === undefined ? {} : { kept }),
  });
}
const weights = { compareAndWrite: 0, compareAndWriteMiss: 0 };

test("a run goes on with its file, and not with another in its place or none", async () => {
  const path = join(folder, "file");
  let kept: readonly KeptVolume[];
  {
    await using target = await opened(path);
    expect(target.description).toBe(`${path}, 1 MiB from its start, by the thread pool`);
    const from = new Uint8Array(4096).fill(7);
    await target.volumes[0]!.device.write({ block: 0, blockCount: 1, from });
    // Kept as JSON.
    kept = JSON.parse(JSON.stringify(keptVolumes(target))) as readonly KeptVolume[];
  }
  expect(kept).toMatchObject([
    { uuid: path, isCreated: false, lastingId: expect.stringMatching(/^file of inode/) },
  ]);
  await (await opened(path, { kept }))[Symbol.asyncDispose]();
  renameSync(path, join(folder, "old"));
  await expect(opened(path, { kept })).rejects.toThrow(
    `target.path: ${path} does not exist, and did when the run began: bring it back`,
  );
  writeFileSync(path, new Uint8Array(2 ** 20));
  await expect(opened(path, { kept })).rejects.toThrow(
    /target.path: .* is not what it was when the run began/,
  );
  renameSync(join(folder, "old"), path);
  await using again = await opened(path, { kept });
  const into = new Uint8Array(4096);
  await again.volumes[0]!.device.read({ block: 0, blockCount: 1, into });
  expect(into[0]).toBe(7);
});

test("zeros come about as the configuration says", async () => {
  await using target = await opened(join(folder, "zeros"), { more: { zeroesBy: "device" } });
  const { device } = target.volumes[0]!;
  const from = new Uint8Array(8192).fill(7);
  await device.write({ block: 0, blockCount: 2, from });
  expect(device.capabilities).toMatchObject({ deallocate: true, deallocatedReads: "zeros" });
  expect(await device.writeZeroes({ block: 0, blockCount: 1 })).toEqual({ kind: "ok" });
  await device.read({ block: 0, blockCount: 2, into: from });
  expect([from[0], from[4095], from[4096]]).toEqual([0, 0, 7]);
});
