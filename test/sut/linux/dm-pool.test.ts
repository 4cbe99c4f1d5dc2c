import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { DmPool } from "../../../src/sut/linux/dm-pool.ts";
import type { ThinDevice } from "../../../src/sut/linux/thin-pool.ts";
import type { Clock } from "../../../src/sut/clock.ts";
import { FakeHost } from "./fake-host.ts";

const folder = mkdtempSync(join(tmpdir(), "harrow-dm-pool-"));
afterAll(() => rmSync(folder, { recursive: true }));

const mib = 2 ** 20;
const directly = (work: () => Promise<void>) => work();
const code = (name: string) => expect.objectContaining({ code: name });
let host: FakeHost;
let catalogue: string;
let fileCount = 0;

beforeEach(() => {
  host = new FakeHost();
  catalogue = join(folder, `${fileCount++}.json`);
});

async function open(options: { readonly create?: boolean } = {}): Promise<DmPool> {
  const pool = await DmPool.open({
    ...{ shell: host, name: "harrow", metadataDevice: "serial:meta", dataDevice: "/dev/vdb" },
    ...{ create: options.create ?? true, catalogue, clock: hurriedClock() },
  });
  await pool.bringUp();
  return pool;
}

/** Waits for nothing, and counts what it would have waited. */
function hurriedClock(): Clock {
  let nowMs = 0;
  return {
    now: () => nowMs,
    setTimeout: (callback, delayMs) => {
      nowMs += delayMs;
      return setImmediate(callback);
    },
    clearTimeout: (handle) => clearImmediate(handle as NodeJS.Immediate | undefined),
  };
}

const named = (devices: readonly ThinDevice[]) => devices.map(({ name }) => name).sort();

describe("DmPool", () => {
  test("knows after a restart of either side what it made", async () => {
    const first = await open();
    const volume = await first.create({ name: "a 'volume' for $people", sizeBytes: 64 * mib });
    const snapshot = await first.snapshot({ name: "s", sourceUuid: volume.uuid, role: "snapshot" });
    host.restart();
    const second = await open();
    expect(await second.list()).toEqual([volume, snapshot]);
    expect(snapshot).toMatchObject({ sourceUuid: volume.uuid, sizeBytes: 64 * mib, role: "snapshot" });
    expect(second).toMatchObject({ chunkBytes: 65_536, blockSizeBytes: 4096 });
  });

  test("lists only what the pool still holds", async () => {
    const pool = await open();
    await pool.create({ name: "kept", sizeBytes: mib });
    await pool.create({ name: "lost", sizeBytes: mib });
    host.ids.delete(2);
    expect(named(await pool.list())).toEqual(["kept"]);
  });

  test("passes over a number that somebody else took, and over those of orphans", async () => {
    const pool = await open();
    host.ids.set(1, undefined);
    host.ids.set(2, undefined);
    await pool.create({ name: "third", sizeBytes: mib });
    expect(host.ids.has(3)).toBe(true);
    host.ids.set(70, undefined);
    const again = await open();
    await again.create({ name: "next", sizeBytes: mib });
    expect(host.ids.has(71)).toBe(true);
    expect(named(await again.list())).toEqual(["next", "third"]);
  });

  test("does not use a number again that it has deleted", async () => {
    const pool = await open();
    const { uuid } = await pool.create({ name: "a", sizeBytes: mib });
    await pool.remove(uuid);
    await pool.create({ name: "b", sizeBytes: mib });
    expect([...host.ids.keys()]).toEqual([2]);
  });

  test("takes a snapshot between suspend and resume of a source that is in use, and resumes it in a trap", async () => {
    const pool = await open();
    const { uuid } = await pool.create({ name: "a", sizeBytes: mib });
    await pool.snapshot({ name: "s", sourceUuid: uuid, role: "snapshot" });
    const script = host.scripts.at(-1)!;
    const order = ["trap go_on EXIT", 'dmsetup suspend "$source"', 'message "create_snap 2 1"'];
    const places = order.map((line) => script.indexOf(line));
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(Math.min(...places)).toBeGreaterThan(0);
  });

  test("refuses to shrink, and sizes that are no multiple of a block", async () => {
    const pool = await open();
    const { uuid } = await pool.create({ name: "a", sizeBytes: 2 * mib });
    await expect(pool.grow(uuid, mib)).rejects.toThrow(code("ERR_UNSUPPORTED"));
    await expect(pool.grow(uuid, 3 * mib + 512)).rejects.toThrow(code("ERR_INVALID_REQUEST"));
    await expect(pool.create({ name: "b", sizeBytes: 4096 + 512 })).rejects.toThrow(
      code("ERR_INVALID_REQUEST"),
    );
    await expect(pool.create({ name: "b", sizeBytes: 0 })).rejects.toThrow(code("ERR_INVALID_REQUEST"));
    await expect(pool.create({ name: "b\n", sizeBytes: mib })).rejects.toThrow(code("ERR_INVALID_REQUEST"));
  });

  test("grows a device that is in use, and one that is not when it is activated", async () => {
    const pool = await open();
    const a = await pool.create({ name: "a", sizeBytes: mib });
    const b = await pool.create({ name: "b", sizeBytes: mib });
    const path = await pool.activate(a.uuid);
    await pool.grow(a.uuid, 2 * mib);
    await pool.grow(b.uuid, 2 * mib);
    await pool.activate(b.uuid);
    expect(path).toBe(`/dev/mapper/harrow-${a.uuid}`);
    expect([...host.devices.values()]).toEqual([
      { id: 1, sectors: 4096 },
      { id: 2, sectors: 4096 },
    ]);
  });

  test("rolls back by a new number under the same device, with the size of the snapshot", async () => {
    const pool = await open();
    const volume = await pool.create({ name: "a", sizeBytes: mib });
    const snapshot = await pool.snapshot({ name: "s", sourceUuid: volume.uuid, role: "snapshot" });
    await pool.activate(volume.uuid);
    await pool.grow(volume.uuid, 2 * mib);
    await pool.rollback({ volumeUuid: volume.uuid, snapshotUuid: snapshot.uuid }, directly);
    expect([...host.devices]).toEqual([[`harrow-${volume.uuid}`, { id: 3, sectors: 2048 }]]);
    expect([...host.ids]).toEqual([
      [2, 1],
      [3, 2],
    ]);
    expect(await pool.list()).toEqual([volume, snapshot]);
  });

  test("rolls a volume back to its own snapshots only", async () => {
    const pool = await open();
    const a = await pool.create({ name: "a", sizeBytes: mib });
    const b = await pool.create({ name: "b", sizeBytes: mib });
    const ofB = await pool.snapshot({ name: "s", sourceUuid: b.uuid, role: "snapshot" });
    for (const snapshotUuid of [ofB.uuid, b.uuid])
      await expect(pool.rollback({ volumeUuid: a.uuid, snapshotUuid }, directly)).rejects.toThrow(
        code("ERR_INVALID_REQUEST"),
      );
  });

  test("undoes a rollback whose device can not change over", async () => {
    const pool = await open();
    const volume = await pool.create({ name: "a", sizeBytes: mib });
    const snapshot = await pool.snapshot({ name: "s", sourceUuid: volume.uuid, role: "snapshot" });
    await pool.activate(volume.uuid);
    host.plan = (script) => (script.endsWith(" 2048 3\n") ? 1 : undefined);
    const request = { volumeUuid: volume.uuid, snapshotUuid: snapshot.uuid };
    await expect(pool.rollback(request, directly)).rejects.toThrow(code("ERR_TARGET"));
    expect([...host.ids.keys()]).toEqual([1, 2]);
    host.plan = () => undefined;
    await pool.rollback(request, directly);
    expect([...host.ids.keys()]).toEqual([2, 4]);
  });

  test("compares by the numbers of the devices", async () => {
    const pool = await open();
    const volume = await pool.create({ name: "a", sizeBytes: 64 * mib });
    const base = await pool.snapshot({ name: "s1", sourceUuid: volume.uuid, role: "snapshot" });
    const later = await pool.snapshot({ name: "s2", sourceUuid: volume.uuid, role: "snapshot" });
    const fixture = readFileSync(new URL("fixtures/thin_delta-0.9.xml", import.meta.url), "utf8");
    host.answer = fixture.replace("1001", "2").replace("1002", "3");
    const changes = await pool.changes({ baseUuid: base.uuid, uuid: later.uuid });
    expect(changes[0]).toEqual({ begin: 2, count: 3 });
    expect(host.scripts.at(-1)).toContain("thin_delta --metadata-snap --thin1 2 --thin2 3");
    await pool.remove(base.uuid);
    await expect(pool.changes({ baseUuid: base.uuid, uuid: later.uuid })).rejects.toThrow(
      code("ERR_NOT_FOUND"),
    );
  });

  test("asks a pool's metadata one question at a time", async () => {
    const pool = await open();
    let running = 0;
    const run = host.run.bind(host);
    host.run = async (script, options) => {
      expect((running += 1)).toBe(1);
      await new Promise((resolve) => setTimeout(resolve, 5));
      running -= 1;
      return run(script, options);
    };
    await Promise.all([pool.list(), pool.list(), pool.list()]);
  });
});

describe("a lost answer", () => {
  test("of a snapshot that was made is settled by what the pool holds", async () => {
    const pool = await open();
    const { uuid } = await pool.create({ name: "a", sizeBytes: mib });
    host.plan = (script) => (script.includes("create_snap") ? "after" : undefined);
    const snapshot = await pool.snapshot({ name: "s", sourceUuid: uuid, role: "snapshot" });
    expect(named(await pool.list())).toEqual(["a", "s"]);
    expect(snapshot.name).toBe("s");
  });

  test("of a snapshot that was not made is reported, and nothing is listed", async () => {
    const pool = await open();
    const { uuid } = await pool.create({ name: "a", sizeBytes: mib });
    host.plan = (script) => (script.includes("create_snap") ? "before" : undefined);
    const request = { name: "s", sourceUuid: uuid, role: "snapshot" } as const;
    await expect(pool.snapshot(request)).rejects.toThrow(code("ERR_UNREACHABLE"));
    expect(named(await pool.list())).toEqual(["a"]);
  });

  test("is settled when the host has come back", async () => {
    const pool = await open();
    const { uuid } = await pool.create({ name: "a", sizeBytes: mib });
    let lost = 0;
    host.plan = (script) => {
      if (script.includes("create_snap")) {
        host.restart();
        host.ids.set(2, 1);
        return "before";
      }
      if (!host.isPoolUp && ++lost === 4) host.isPoolUp = true;
      return lost < 4 ? "before" : undefined;
    };
    const snapshot = await pool.snapshot({ name: "s", sourceUuid: uuid, role: "snapshot" });
    expect(snapshot.name).toBe("s");
    expect(lost).toBe(4);
  });

  test("of a deletion is asked for again until it is known", async () => {
    const pool = await open();
    const { uuid } = await pool.create({ name: "a", sizeBytes: mib });
    let count = 0;
    host.plan = (script) => (script.includes("\nforget 1") && ++count === 1 ? "after" : undefined);
    await pool.remove(uuid);
    expect(count).toBe(2);
    expect(JSON.parse(readFileSync(catalogue, "utf8"))).toMatchObject({ devices: [] });
  });
});

/** Every operation, ended with harrow before or after each script that it runs. */
describe("harrow killed", () => {
  const operations: Record<string, (pool: DmPool, volume: string, snapshot: string) => Promise<unknown>> = {
    "while it creates a volume": (pool) => pool.create({ name: "new", sizeBytes: mib }),
    "while it takes a snapshot": (pool, sourceUuid) =>
      pool.snapshot({ name: "new", sourceUuid, role: "snapshot" }),
    "while it deletes a volume": (pool, volume) => pool.remove(volume),
    "while it grows a volume": (pool, volume) => pool.grow(volume, 2 * mib),
    "while it rolls a volume back": (pool, volumeUuid, snapshotUuid) =>
      pool.rollback({ volumeUuid, snapshotUuid }, directly),
  };
  const rows = Object.entries(operations).flatMap(([title, run]) =>
    (["hang-before", "hang-after"] as const).flatMap((when) =>
      [false, true].flatMap((hostToo) => [1, 2, 3, 4].map((step) => ({ title, run, when, hostToo, step }))),
    ),
  );
  test.for(rows)(
    "$title ($when script $step, host restarted: $hostToo) leaves nothing half done",
    async (row) => {
      const pool = await open();
      const volume = await pool.create({ name: "v", sizeBytes: mib });
      const other = await pool.create({ name: "other", sizeBytes: mib });
      const snapshot = await pool.snapshot({ name: "s", sourceUuid: volume.uuid, role: "snapshot" });
      await pool.activate(volume.uuid);
      await pool.activate(other.uuid);
      let step = 0;
      const isKilled = new Promise<void>((resolve) => {
        host.plan = () => {
          if (++step !== row.step) return undefined;
          setTimeout(resolve, 0);
          return row.when;
        };
      });
      const isDone = row.run(pool, volume.uuid, snapshot.uuid);
      await Promise.race([isDone, isKilled]);
      host.plan = () => undefined;
      if (row.hostToo) host.restart();

      const next = await open();
      const devices = await next.list();
      for (const { uuid } of devices) await next.activate(uuid);
      const content = JSON.parse(readFileSync(catalogue, "utf8"));
      expect(content.garbage).toEqual([]);
      for (const entry of content.devices) {
        expect(entry).toMatchObject({ state: "ready" });
        expect(entry).not.toHaveProperty("rollback");
        // Each device shows what the catalogue says.
        expect(host.devices.get(`harrow-${entry.uuid}`)).toEqual({
          id: entry.id,
          sectors: entry.sizeBytes / 512,
        });
      }
      expect([...host.ids.keys()].sort()).toEqual(content.devices.map(({ id }: { id: number }) => id).sort());
      expect(named(devices)).toEqual(expect.arrayContaining(["other", "s"]));
      if (!row.title.includes("deletes")) expect(named(devices)).toContain("v");
    },
  );
});

describe("the catalogue", () => {
  test("of another pool is refused", async () => {
    const pool = await open();
    await pool.create({ name: "a", sizeBytes: mib });
    host = new FakeHost();
    host.isBlank = false;
    host.transactionId = "7";
    await expect(open()).rejects.toThrow(/is the catalogue of another pool than harrow, with 1 devices/);
  });

  test("begins anew with a pool that is made, and goes on with its numbers", async () => {
    const pool = await open();
    const { uuid } = await pool.create({ name: "a", sizeBytes: mib });
    host = new FakeHost();
    const next = await open();
    expect(await next.list()).toEqual([]);
    await expect(next.remove(uuid)).rejects.toThrow(code("ERR_NOT_FOUND"));
    await next.create({ name: "b", sizeBytes: mib });
    expect([...host.ids.keys()]).toEqual([2]);
  });

  const damages: Record<string, (text: string) => string> = {
    "is cut off": (text) => text.slice(0, -10),
    "is empty": () => "",
    "is something else": () => '{"name":"package"}',
    "names an id twice": (text) => text.replace('"id": 2', '"id": 1'),
    "names a UUID twice": (text) => {
      const content = JSON.parse(text);
      content.devices[1].uuid = content.devices[0].uuid;
      return JSON.stringify(content);
    },
    "would use an id again": (text) => text.replace('"nextId": 3', '"nextId": 2'),
    "has a size that no device has": (text) => text.replace('"sizeBytes": 1048576', '"sizeBytes": 1000'),
  };
  test.for(Object.entries(damages))("is refused if it %s", async ([, damage]) => {
    const pool = await open();
    await pool.create({ name: "a", sizeBytes: mib });
    await pool.create({ name: "b", sizeBytes: mib });
    const text = readFileSync(catalogue, "utf8");
    expect(damage(text)).not.toBe(text);
    writeFileSync(catalogue, damage(text));
    await expect(open()).rejects.toThrow(
      /is no catalogue of a thin pool: .*; put back a copy, or move it away/s,
    );
  });

  test("that can not be written makes a call fail before the pool is asked", async () => {
    const pool = await open();
    rmSync(catalogue);
    const { mkdirSync } = await import("node:fs");
    mkdirSync(catalogue);
    const before = host.scripts.length;
    await expect(pool.create({ name: "a", sizeBytes: mib })).rejects.toThrow(/can not be written/);
    expect(host.scripts.length).toBe(before);
  });
});

describe("a pool that is not harrow's alone", () => {
  test("has to exist", async () => {
    await expect(open({ create: false })).rejects.toThrow(code("ERR_NOT_FOUND"));
  });

  test("keeps what a broken-off call left in it, since it may be somebody else's", async () => {
    host.isBlank = false;
    const pool = await open({ create: false });
    const { uuid } = await pool.create({ name: "a", sizeBytes: mib });
    host.plan = (script) => (script.includes("create_snap") ? "hang-after" : undefined);
    void pool.snapshot({ name: "s", sourceUuid: uuid, role: "snapshot" });
    await new Promise((resolve) => setTimeout(resolve, 50));
    host.plan = () => undefined;
    const next = await open({ create: false });
    expect(named(await next.list())).toEqual(["a"]);
    expect([...host.ids.keys()]).toEqual([1, 2]);
  });
});

test("refuses names and devices that dmsetup would not take", async () => {
  const base = { shell: host, name: "harrow", metadataDevice: "/dev/a", dataDevice: "/dev/b", catalogue };
  for (const wrong of [{ name: "a b" }, { name: "-x" }, { metadataDevice: "vda" }, { chunkBytes: 65_537 }])
    await expect(DmPool.open({ ...base, ...wrong })).rejects.toThrow(code("ERR_INVALID_REQUEST"));
});
