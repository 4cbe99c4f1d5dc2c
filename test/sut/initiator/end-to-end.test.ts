import { afterEach, describe, expect, test } from "vitest";
import { connectController, type ControllerOptions } from "../../../src/sut/initiator/controller.ts";
import { discover } from "../../../src/sut/initiator/discovery.ts";
import type { Outcome } from "../../../src/sut/port.ts";
import { SimulatedClock } from "../../../src/sut/simulated-clock.ts";
import { openStore } from "../../../src/sut/store/open.ts";
import { serveTarget } from "../../../src/sut/target/server.ts";
import type { TargetOptions } from "../../../src/sut/target/options.ts";

const subsystemNqn = "nqn.2024-01.test:sub1";
const hostId = "11111111-2222-3333-4444-555555555555";
const hostNqn = `nqn.2014-08.org.nvmexpress:uuid:${hostId}`;
const ok: Outcome = { kind: "ok" };

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const resource of open.splice(0).toReversed()) await resource[Symbol.asyncDispose]();
});

/** A target with one volume, a controller on it, and the volume as a device. */
async function connected(options: {
  readonly host?: Partial<ControllerOptions>;
  readonly target?: Partial<TargetOptions>;
  readonly blockSizeBytes?: number;
}) {
  const { blockSizeBytes = 512 } = options;
  const store = await openStore({ kind: "memory" });
  open.push(store);
  const volume = await store.createVolume({ name: "a", sizeBytes: 16 * 1024 * 1024, blockSizeBytes });
  const target = await serveTarget({ store, subsystemNqn, serial: "1", ...options.target });
  open.push(target);
  const address = { host: target.host, port: target.port, subsystemNqn, hostNqn, hostId };
  const reconnect = { delayMsMin: 10, delayMsMax: 50, attemptsMax: 20, random: () => 0 };
  const controller = await connectController({ ...address, reconnect, ...options.host });
  open.push(controller);
  const device = await controller.openNamespace({ uuid: volume.uuid });
  open.push(device);
  return { store, volume, target, controller, device, address };
}

/** Bytes that differ from block to block. */
function pattern(lengthBytes: number, seed: number): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  for (let at = 0; at < lengthBytes; at += 4) bytes.writeUInt32LE((at * 2_654_435_761 + seed) >>> 0, at);
  return bytes;
}

describe("initiator and target", () => {
  const modes = ["off", "require"] as const;
  const combinations = modes.flatMap((headerDigest) =>
    modes.map((dataDigest) => ({ headerDigest, dataDigest })),
  );
  test.for(combinations)(
    "carry writes of many sizes with header digest $headerDigest and data digest $dataDigest",
    async (digests) => {
      const { device } = await connected({ host: { ...digests, ioQueueCount: 3 } });
      // In the capsule, by R2T, at the transfer limit, and split.
      const sizes = [1, 2, 8, 31, 32, 33, 128, 255, 256, 257, 600, 1500];
      const writes = sizes.map((blockCount, index) => ({
        block: index * 2000 + index,
        blockCount,
        from: pattern(blockCount * 512, index),
      }));
      expect(await Promise.all(writes.map((write) => device.write(write)))).toEqual(sizes.map(() => ok));
      for (const { block, blockCount, from } of writes) {
        const into = Buffer.alloc(from.length);
        expect(await device.read({ block, blockCount, into })).toEqual(ok);
        expect(into.equals(from)).toBe(true);
      }
    },
  );

  test("carry small writes whose digests meet the ends of the slabs they are sent from", async () => {
    const digests = { headerDigest: "require", dataDigest: "require" } as const;
    const { device } = await connected({ host: digests });
    const from = pattern(1024, 5);
    // Every sixth write has two blocks. A slab of 65536 bytes that starts with data then ends with data: of 96
    // writes, 16 of them longer, 80 bytes of header and digests each but for the first header and the last digest.
    const outcomes = await Promise.all(
      Array.from({ length: 6_000 }, (_, index) => {
        const blockCount = index % 6 === 0 ? 2 : 1;
        return device.write({ block: index * 2, blockCount, from: from.subarray(0, blockCount * 512) });
      }),
    );
    expect(outcomes.filter(({ kind }) => kind !== "ok")).toEqual([]);
  });

  test("split where a target takes 8 KiB at most", async () => {
    const { device } = await connected({ target: { mdts: 1 } });
    expect(device.capabilities.transferBlocksMax).toBe(16);
    const from = pattern(1000 * 512, 3);
    expect(await device.write({ block: 7, blockCount: 1000, from, fua: true })).toEqual(ok);
    const into = Buffer.alloc(from.length);
    expect(await device.read({ block: 7, blockCount: 1000, into })).toEqual(ok);
    expect(into.equals(from)).toBe(true);
    expect(await device.compare({ block: 7, blockCount: 1000, expected: from })).toEqual(ok);
  });

  test("keep the data of thousands of calls apart while the target is slow to take them", async () => {
    const { device, target } = await connected({ host: { queueDepth: 1000 } });
    const calls = 3000;
    const block = (seed: number) => Buffer.alloc(512, pattern(16, seed));
    target.setDelay(5);
    const writes = Array.from({ length: calls }, (_, index) =>
      device.write({ block: index, blockCount: 1, from: block(index) }),
    );
    expect(new Set((await Promise.all(writes)).map(({ kind }) => kind))).toEqual(new Set(["ok"]));
    target.setDelay(0);
    const into = Buffer.alloc(512 * calls);
    expect(await device.read({ block: 0, blockCount: calls, into })).toEqual(ok);
    const wrong = Array.from({ length: calls }, (_, index) => index).filter(
      (index) => !into.subarray(index * 512, (index + 1) * 512).equals(block(index)),
    );
    expect(wrong).toEqual([]);
  });

  test("serve 4096-byte blocks", async () => {
    const { device } = await connected({ blockSizeBytes: 4096 });
    expect(device.capabilities.blockSizeBytes).toBe(4096);
    const from = pattern(4096 * 40, 9);
    expect(await device.write({ block: 11, blockCount: 40, from })).toEqual(ok);
    const into = Buffer.alloc(4096);
    expect(await device.read({ block: 50, blockCount: 1, into })).toEqual(ok);
    expect(into.equals(from.subarray(39 * 4096))).toBe(true);
  });

  test("write zeroes, deallocate and flush", async () => {
    const { device } = await connected({});
    const blocks = Buffer.alloc(64 * 512, 0xff);
    await device.write({ block: 0, blockCount: 64, from: blocks });
    expect(await device.writeZeroes({ block: 1, blockCount: 2, deallocate: true })).toEqual(ok);
    expect(await device.writeZeroes({ block: 5, blockCount: 2000 })).toEqual(ok);
    const ranges = [
      { block: 3, blockCount: 1 },
      { block: 0, blockCount: 1 },
    ];
    expect(await device.deallocate({ ranges })).toEqual(ok);
    expect(await device.flush()).toEqual(ok);
    const into = Buffer.alloc(64 * 512);
    expect(await device.read({ block: 0, blockCount: 64, into })).toEqual(ok);
    const expected = Buffer.alloc(64 * 512);
    expected.fill(0xff, 4 * 512, 5 * 512);
    expect(into.equals(expected)).toBe(true);
  });

  test("compare, and compare and write as one step, in the capsule and by R2T", async () => {
    const { device } = await connected({ host: { ioQueueCount: 2 } });
    for (const blockCount of [1, 64]) {
      const old = pattern(blockCount * 512, 1);
      const next = pattern(blockCount * 512, 2);
      await device.write({ block: 100, blockCount, from: old });
      const swap = { block: 100, blockCount, expected: old, from: next };
      expect(await device.compareAndWrite(swap)).toEqual(ok);
      expect(await device.compareAndWrite(swap)).toMatchObject({
        kind: "failed",
        code: "ERR_COMPARE_FAILED",
      });
      expect(await device.compare({ block: 100, blockCount, expected: next })).toEqual(ok);
      const compare = device.compare({ block: 100, blockCount, expected: old });
      expect(await compare).toMatchObject({ kind: "failed", code: "ERR_COMPARE_FAILED" });
    }
  });

  test("check ranges and buffers before anything is sent", async () => {
    const { device } = await connected({});
    const into = Buffer.alloc(512);
    const outside = { kind: "failed", code: "ERR_OUT_OF_RANGE" };
    const invalid = { kind: "failed", code: "ERR_INVALID_REQUEST" };
    expect(await device.read({ block: device.blockCount, blockCount: 1, into })).toMatchObject(outside);
    expect(await device.read({ block: -1, blockCount: 1, into })).toMatchObject({
      ...outside,
      message: expect.stringMatching(/: read of 1 block at -1: the device has \d+ blocks$/),
    });
    expect(await device.read({ block: 0, blockCount: 2, into })).toMatchObject(invalid);
    expect(await device.read({ block: 0.5, blockCount: 1, into })).toMatchObject(invalid);
    expect(await device.read({ block: 0, blockCount: 0, into: Buffer.alloc(0) })).toMatchObject(invalid);
    expect(await device.deallocate({ ranges: [] })).toMatchObject(invalid);
    expect(await device.writeZeroes({ block: 2 ** 53, blockCount: 1 })).toMatchObject(invalid);
  });

  test("see a resize, a new namespace and the end of one", async () => {
    const { store, volume, controller, device } = await connected({});
    await store.resizeVolume(volume.uuid, 32 * 1024 * 1024);
    await expect.poll(() => device.blockCount).toBe(65_536);
    const late = controller.openNamespace({ nsid: 2 }, { waitMs: 5_000 });
    const created = await store.createVolume({ name: "b", sizeBytes: 1 << 20, blockSizeBytes: 512 });
    await using second = await late;
    expect(second.identity.uuid).toBe(created.uuid);
    expect((await controller.namespaces()).map(({ uuid }) => uuid)).toEqual([volume.uuid, created.uuid]);
    await store.deleteVolume(created.uuid);
    await expect
      .poll(() => second.flush())
      .toMatchObject({ kind: "failed", code: "ERR_NAMESPACE_GONE", message: expect.stringMatching(/gone$/) });
    const gone = controller.openNamespace({ uuid: created.uuid });
    await expect(gone).rejects.toMatchObject({ code: "ERR_NAMESPACE_GONE" });
  });

  test("lose what is in flight when the connection is reset, and go on with a new association", async () => {
    const { target, controller, device } = await connected({ host: { ioQueueCount: 2 } });
    const counts: number[] = [];
    controller.onAssociation((count) => counts.push(count));
    const from = pattern(512, 1);
    await device.write({ block: 0, blockCount: 1, from });
    target.setPaused(true);
    const lost = [
      device.write({ block: 0, blockCount: 1, from }),
      device.read({ block: 0, blockCount: 1, into: Buffer.alloc(512) }),
    ];
    await new Promise((resolve) => setTimeout(resolve, 20));
    target.setPaused(false);
    target.resetConnections();
    const expected = { kind: "unknown", code: "ERR_CONNECTION_LOST" };
    expect(await Promise.all(lost)).toMatchObject([expected, expected]);
    // Issued without an association, this one waits for the next.
    const into = Buffer.alloc(512);
    expect(await device.read({ block: 0, blockCount: 1, into })).toEqual(ok);
    expect(into.equals(from)).toBe(true);
    expect(counts).toEqual([2]);
    expect(controller.associationCount).toBe(2);
  });

  test("number their connection anew when the one of before was lost, and not before", async () => {
    const { target, device } = await connected({});
    const into = Buffer.alloc(512);
    expect(device.association).toBe(1);
    for (const association of [2, 3]) {
      target.setPaused(true);
      const lost = device.read({ block: 0, blockCount: 1, into });
      await new Promise((resolve) => setTimeout(resolve, 20));
      target.setPaused(false);
      target.resetConnections();
      expect(await lost).toMatchObject({ kind: "unknown", code: "ERR_CONNECTION_LOST" });
      expect(device.association).toBe(association - 1);
      expect(await device.read({ block: 0, blockCount: 1, into })).toEqual(ok);
      expect(device.association).toBe(association);
    }
  });

  test("give up a target that stands still, and find it again", async () => {
    const clock = new SimulatedClock();
    const { target, controller, device } = await connected({ host: { clock, keepAliveMs: 0 } });
    target.setPaused(true);
    const block = Buffer.alloc(512);
    const lost = [
      device.read({ block: 0, blockCount: 1, into: Buffer.alloc(512) }),
      device.write({ block: 0, blockCount: 1, from: block }),
    ];
    const timeout = { kind: "unknown", code: "ERR_TIMEOUT" };
    expect(await clock.advanceThrough(Promise.all(lost))).toMatchObject([timeout, timeout]);
    const waiting = clock.advanceThrough(device.write({ block: 0, blockCount: 1, from: block }));
    expect(await waiting).toMatchObject({ kind: "failed", code: "ERR_TIMEOUT" });
    // Twice the time of a command, to a tick.
    expect(Math.abs(clock.now() - 60_000)).toBeLessThanOrEqual(200);
    target.setPaused(false);
    await clock.advanceUntil(() => controller.associationCount === 2);
    expect(await device.flush()).toEqual(ok);
  });

  test("leave the caller's buffers alone once a call was aborted", async () => {
    const { target, device } = await connected({});
    const from = pattern(100 * 512, 1);
    await device.write({ block: 0, blockCount: 100, from });
    target.setDelay(50);
    const abort = new AbortController();
    const into = Buffer.alloc(100 * 512);
    const data = Buffer.from(from);
    const calls = [
      device.read({ block: 0, blockCount: 100, into }, { signal: abort.signal }),
      device.write({ block: 200, blockCount: 100, from: data }, { signal: abort.signal }),
    ];
    setTimeout(() => abort.abort(), 10);
    const aborted = { kind: "unknown", code: "ERR_ABORTED" };
    expect(await Promise.all(calls)).toMatchObject([aborted, aborted]);
    into.fill(0xcc);
    data.fill(0xcc);
    target.setDelay(0);
    const late = Buffer.alloc(100 * 512);
    await expect
      .poll(async () => {
        await device.read({ block: 200, blockCount: 100, into: late });
        return late.equals(from);
      })
      .toBe(true);
    expect(into.every((byte) => byte === 0xcc)).toBe(true);
    const before = device.flush({ signal: AbortSignal.abort() });
    expect(await before).toMatchObject({ kind: "failed", code: "ERR_ABORTED" });
  });

  test("end calls with ERR_CLOSED after closing, which may be repeated", async () => {
    const { controller, device, target } = await connected({});
    const flush = device.flush();
    await controller[Symbol.asyncDispose]();
    expect(await flush).toEqual(ok);
    await controller[Symbol.asyncDispose]();
    await device[Symbol.asyncDispose]();
    expect(await device.flush()).toMatchObject({ kind: "failed", code: "ERR_CLOSED" });
    await expect(controller.namespaces()).rejects.toMatchObject({ code: "ERR_CLOSED" });
    await expect.poll(() => target.connectionCount).toBe(0);
  });

  test("stop reconnecting when the target says that it is pointless", { timeout: 5_000 }, async () => {
    const reconnect = { delayMsMin: 50, delayMsMax: 50, attemptsMax: 1_000_000, random: () => 0 };
    const { store, target, controller, device } = await connected({ host: { reconnect } });
    await target[Symbol.asyncDispose]();
    const other = await serveTarget({
      store,
      subsystemNqn: "nqn.2024-01.test:other",
      serial: "2",
      port: target.port,
    });
    open.push(other);
    await expect(controller.namespaces()).rejects.toMatchObject({ code: "ERR_CONNECTION_LOST" });
    expect(await device.flush()).toMatchObject({
      kind: "failed",
      message: expect.stringContaining(
        "connect invalid parameters (1/82, do not retry), refers to data byte 256",
      ),
    });
  });

  test("refuse to connect without the digest that is required", async () => {
    const host = { headerDigest: "require" } as const;
    const attempt = connected({ host, target: { headerDigest: false } });
    await expect(attempt).rejects.toMatchObject({ code: "ERR_UNSUPPORTED", isPermanent: true });
    const { device } = await connected({ host: { headerDigest: "prefer" }, target: { headerDigest: false } });
    expect(await device.flush()).toEqual(ok);
  });

  test("discover each other", async () => {
    const { address, target } = await connected({});
    const entries = await discover(address);
    expect(entries).toContainEqual(
      expect.objectContaining({
        transportType: 3,
        subtype: 2,
        subsystemNqn,
        address: target.host,
        serviceId: String(target.port),
      }),
    );
  });
});

describe("connectController", () => {
  const address = { host: "127.0.0.1", port: 1, subsystemNqn, hostNqn, hostId };
  const rows: Record<string, readonly [Partial<ControllerOptions>, string]> = {
    "a port where nobody listens": [{}, "ERR_CONNECTION_LOST"],
    "an NQN of another kind": [{ subsystemNqn: "iqn.2024-01.test:x" }, "ERR_INVALID_REQUEST"],
    "a host ID that is no UUID": [{ hostId: "host-1" }, "ERR_INVALID_REQUEST"],
    "a signal that has fired": [{ signal: AbortSignal.abort() }, "ERR_ABORTED"],
  };
  test.for(Object.entries(rows))("rejects for %s", async ([, [changed, code]]) => {
    await expect(connectController({ ...address, ...changed })).rejects.toMatchObject({ code });
  });
});
