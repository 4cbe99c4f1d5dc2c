import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { type SyncFlags, sync } from "../../src/cli/sync.ts";
import { SyncProgressBar } from "../../src/cli/sync-progress.ts";
import { type LaunchedTarget, launchEmbedded } from "../../src/sut/embedded/launch.ts";
import type { BlockDevice } from "../../src/sut/port.ts";
import { overTcp } from "../support/over-tcp.ts";

const entry = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const serveCommand = [process.execPath, entry, "serve"];
const blockBytes = 4096;
const blockCount = 2048;
const sizeBytes = blockCount * blockBytes;
/** Of nothing that there is. */
const unknownUuid = "0c5a3c3e-6f5b-4d0c-9a55-0f4f5e5d7c11";

let folder: string;
let launched: LaunchedTarget;
let source: { readonly uuid: string; readonly device: BlockDevice };
let volumeCount = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "harrow-sync-"));
  launched = await launchEmbedded({
    command: serveCommand,
    service: {
      connectNamespaces: overTcp(),
    },
  });
  source = await volume();
  await fill(source.device, 0, 600, 1);
  await snapshot("one");
  await fill(source.device, 500, 200, 2);
  await snapshot("two");
});
afterAll(async () => {
  await launched[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

let stdout = "";
let stderr = "";
beforeEach(() => {
  stdout = "";
  stderr = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => Boolean((stdout += String(text))));
  vi.spyOn(process.stderr, "write").mockImplementation((text) => Boolean((stderr += String(text))));
});
afterEach(() => {
  vi.restoreAllMocks();
  // Whatever happens, the token is nobody else's business.
  expect(stdout + stderr).not.toContain(launched.token);
});

async function volume(bytes = sizeBytes) {
  const request = { name: `v${volumeCount++}`, sizeBytes: bytes, sectorSizeBytes: blockBytes };
  const { uuid } = await launched.service.createVolume(request);
  return { uuid, device: await launched.service.openVolume(uuid) };
}

async function snapshot(name: string): Promise<string> {
  return (await launched.service.createSnapshot({ name, volumeUuid: source.uuid })).uuid;
}

async function fill(device: BlockDevice, block: number, count: number, byte: number): Promise<void> {
  const from = new Uint8Array(count * blockBytes).fill(byte);
  expect(await device.write({ block, blockCount: count, from })).toEqual({ kind: "ok" });
}

/** Which byte fills each hundredth block. */
async function bytesOf(device: BlockDevice): Promise<number[]> {
  const into = new Uint8Array(sizeBytes);
  expect(await device.read({ block: 0, blockCount, into })).toEqual({ kind: "ok" });
  return Array.from({ length: 9 }, (_, index) => into[index * 100 * blockBytes]!);
}
const one = [1, 1, 1, 1, 1, 1, 0, 0, 0];
const two = [1, 1, 1, 1, 1, 2, 2, 0, 0];

function harrowSync(flags: Partial<SyncFlags>, signal = new AbortController().signal): Promise<number> {
  stdout = "";
  stderr = "";
  const given: SyncFlags = {
    ...{ snapshot: "one", targetUuid: "", verify: true, inFlight: 4, logLevel: "warn" },
    ...{ endpoint: launched.apiUrl, jwt: launched.token },
    ...flags,
  };
  return sync({ flags: given, version: "1.2.3", serveCommand, signal });
}

const stateOf = async (path: string) => JSON.parse(await readFile(path, "utf8"));

describe("harrow sync", () => {
  test("copies a snapshot, then what another one differs by, on the word of its state file", async () => {
    const { uuid, device } = await volume();
    const state = join(folder, "chain.state");
    expect(await harrowSync({ targetUuid: uuid, state })).toBe(0);
    expect(stderr).toMatch(/^snapshot one \([0-9a-f-]{36}\): all of it to \S+/);
    expect(stdout).toMatch(/^copied {4}2\.3 MiB, in \d+ ranges and 1 page of the diff\n/);
    expect(stdout).toContain("verified  2.3 MiB: the target holds what the snapshot holds there\n");
    expect(await bytesOf(device)).toEqual(one);
    expect(await stateOf(state)).toMatchObject({
      target: uuid,
      base: null,
      copiedTo: blockCount,
      blockCount,
    });
    expect(await readFile(state, "utf8")).not.toContain("http");
    expect(await harrowSync({ snapshot: "two", base: "one", targetUuid: uuid, state, json: true })).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      ...{ version: "1.2.3", result: "copied", target: uuid, copiedTo: blockCount, blockCount },
      ...{ bytesCopied: 200 * blockBytes, bytesVerified: 200 * blockBytes },
    });
    expect(stderr).toBe("");
    expect(await bytesOf(device)).toEqual(two);
    expect((await launched.service.listVolumes()).filter(({ name }) => name.includes("open"))).toEqual([]);
  });

  test("goes on from the block that the state file has, and refuses the state of another copy", async () => {
    const { uuid, device } = await volume();
    const snapshots = await launched.service.listSnapshots();
    const named = (name: string) => snapshots.find((each) => each.name === name)!.uuid;
    const state = join(folder, "half.state");
    const half = {
      harrowSync: 1,
      snapshot: named("one"),
      base: null,
      target: uuid,
      copiedTo: 300,
      blockCount,
    };
    await writeFile(state, JSON.stringify(half));
    expect(await harrowSync({ snapshot: "two", targetUuid: uuid, state })).toBe(2);
    expect(stderr).toContain(`${state} is of another copy, of snapshot ${named("one")} to volume ${uuid}`);
    expect(stderr).toContain("of which 14 % is done: name another file, or remove this one\n");
    expect(await harrowSync({ snapshot: "two", base: "one", targetUuid: uuid, state })).toBe(2);
    expect(await harrowSync({ targetUuid: uuid, state, verify: false })).toBe(0);
    expect(stderr).toContain(", from block 300 on\n");
    expect(await bytesOf(device)).toEqual([0, 0, 0, 1, 1, 1, 0, 0, 0]);
    // Verifying looks at what was copied before, too.
    expect(await harrowSync({ targetUuid: uuid, state })).toBe(1);
    expect(stderr).toMatch(/harrow sync: block \d+ of \S+.* does not hold what was copied to it, but zeros;/);
    expect(await stateOf(state)).toMatchObject({ copiedTo: 0 });
    expect(await harrowSync({ targetUuid: uuid, state })).toBe(0);
    expect(await bytesOf(device)).toEqual(one);
    await writeFile(state, "{}");
    expect(await harrowSync({ targetUuid: uuid, state })).toBe(2);
    expect(stderr).toContain(`${state} is no state of a copy`);
  });

  test("writes over nothing unless it may, and clears then what the snapshot does not hold", async () => {
    const { uuid, device } = await volume();
    await fill(device, 800, 1, 9);
    await fill(device, 0, 1, 9);
    expect(await harrowSync({ targetUuid: uuid })).toBe(2);
    expect(stderr).toMatch(
      /holds data at block 0, which would be destroyed: use an empty volume, or --overwrite/,
    );
    expect(await harrowSync({ snapshot: "two", base: "one", targetUuid: uuid })).toBe(2);
    expect(stderr).toContain("nothing says that this is snapshot one: give the --state of the copy");
    expect((await bytesOf(device))[8]).toBe(9);
    expect(await harrowSync({ targetUuid: uuid, overwrite: true })).toBe(0);
    expect(await bytesOf(device)).toEqual(one);
    expect(await harrowSync({ snapshot: "two", base: "one", targetUuid: uuid, overwrite: true })).toBe(0);
    expect(await bytesOf(device)).toEqual(two);
    const empty = await volume();
    expect(await harrowSync({ snapshot: "two", base: "one", targetUuid: empty.uuid })).toBe(2);
    expect(stderr).toContain("is empty, and snapshot one is not: leave out --base");
  });

  test("copies to a volume by a path of this host, if it is as long", async () => {
    const { uuid } = await volume();
    const path = join(folder, "device");
    await writeFile(path, new Uint8Array(sizeBytes));
    expect(await harrowSync({ targetUuid: uuid, targetDevice: path })).toBe(0);
    const bytes = await readFile(path);
    expect([bytes[0], bytes[599 * blockBytes], bytes[600 * blockBytes]]).toEqual([1, 1, 0]);
    await writeFile(path, new Uint8Array(sizeBytes / 2));
    expect(await harrowSync({ targetUuid: uuid, targetDevice: path })).toBe(3);
    expect(stderr).toContain(`${path} has ${sizeBytes / 2} bytes, and volume ${uuid} has ${sizeBytes}`);
  });

  test("ends with 130 when it is stopped, leaves no clone, and says how to go on", async () => {
    const { uuid } = await volume();
    const stop = new AbortController();
    const state = join(folder, "stopped.state");
    vi.spyOn(process.stderr, "write").mockImplementation((text) => {
      stderr += String(text);
      stop.abort();
      return true;
    });
    expect(await harrowSync({ targetUuid: uuid, state }, stop.signal)).toBe(130);
    expect(stderr).toMatch(
      /harrow sync: interrupted; block \d+ of 2048 is kept in \S+: the same command goes on from there\n$/,
    );
    expect((await launched.service.listVolumes()).filter(({ name }) => name.includes("open"))).toEqual([]);
    expect(await harrowSync({ targetUuid: uuid, state })).toBe(0);
  });

  const refusals: Record<string, readonly [flags: Partial<SyncFlags>, code: number, what: string]> = {
    "no service": [{ endpoint: undefined } as never, 2, "name a service, with --endpoint URL or --config"],
    "two tokens": [{ jwtFile: "x" }, 2, "--jwt, --jwt-file: give one of them"],
    "an endpoint that is none": [{ endpoint: "here" }, 2, "--endpoint: target.endpoint: "],
    "a file that is not there": [{ config: "/nowhere.yml" }, 2, "/nowhere.yml: "],
    "a snapshot that there is not": [
      { snapshot: "three" },
      2,
      "--snapshot: there is no snapshot three; there is ",
    ],
    "a base that there is not": [{ base: unknownUuid }, 2, `--base: there is no snapshot ${unknownUuid}`],
    "a volume that there is not": [
      { targetUuid: unknownUuid },
      2,
      `--target-uuid: there is no volume ${unknownUuid}`,
    ],
    "no UUID for a volume": [{ targetUuid: "v1" }, 2, "--target-uuid: v1 is no UUID"],
    "a token that is not taken": [{ jwt: "wrong" }, 3, "the target failed: "],
    "an endpoint where nobody is": [{ endpoint: "http://127.0.0.1:1" }, 3, "the target failed: "],
  };
  test.for(Object.entries(refusals))("refuses %s in one line", async ([, [flags, code, what]]) => {
    expect(await harrowSync({ json: true, ...flags })).toBe(code);
    expect(stderr).toContain(what);
    expect(stderr).toMatch(/^harrow sync: .*\n$/);
    const result = { 2: "refused", 3: "failed" }[code];
    expect(JSON.parse(stdout)).toMatchObject({ result, snapshot: null, bytesCopied: 0 });
  });

  test("refuses the volume of the snapshot, and one that is too small", async () => {
    expect(await harrowSync({ targetUuid: source.uuid, overwrite: true })).toBe(2);
    expect(stderr).toContain("is the one that snapshot one was taken of");
    const { uuid } = await volume(sizeBytes / 2);
    expect(await harrowSync({ targetUuid: uuid, overwrite: true })).toBe(2);
    expect(stderr).toContain("has 1024 blocks, the snapshot 2048: make the target larger");
  });
});

describe("the progress of a copy", () => {
  const progress = (doneTo: number, bytes: number) => ({
    ...{ stage: "copying" as const, doneTo, blockCount: 1000, bytes },
  });

  test("is a bar with share, amount, rate and time left on a terminal", () => {
    let now = 0;
    const written: string[] = [];
    const stream = { isTTY: true, write: (text: string) => written.push(text) };
    const bar = new SyncProgressBar(stream, () => now);
    bar.update(progress(0, 0));
    now = 10_000;
    bar.update(progress(250, 100 * 2 ** 20));
    bar.clear();
    expect(written[1]).toBe(
      "\rcopying  [######..................]  25 % of the volume  100 MiB  10 MiB/s  30 s left",
    );
    expect(written[2]).toMatch(/^\r {60,}\r$/);
  });

  test("is a line now and then elsewhere", () => {
    let now = 0;
    const written: string[] = [];
    const bar = new SyncProgressBar({ write: (text) => written.push(text) }, () => now);
    for (; now < 25_000; now += 1000) bar.update(progress(now / 100, 0));
    bar.clear();
    expect(written).toEqual([
      "copying  10 % of the volume  0 B  0 B/s  1 min 30 s left\n",
      "copying  20 % of the volume  0 B  0 B/s  1 min 20 s left\n",
    ]);
  });
});
