import { describe, expect, test } from "vitest";
import { FakeStore } from "./fake-store.ts";
import { Bench, completionOf, discoveryNqn, type Host, hex } from "./host.ts";

const turn = () => new Promise(setImmediate);

function openAdmin(bench = new Bench()): { bench: Bench; host: Host } {
  const host = bench.openAdmin();
  // Namespace attribute notices, as a Linux host asks for them.
  host.complete({ opcode: 0x09, cid: 1, cdw10: 0x0b, cdw11: 0x100 });
  return { bench, host };
}

function postRequest(host: Host, cid = 0x1f): void {
  host.send(host.capsule({ opcode: 0x0c, cid }));
}

function changedNamespaces(host: Host, retain = false): number[] {
  const page = host.getLog(0x04, 4096, { retain });
  if (!Buffer.isBuffer(page)) throw new Error(page.status);
  const nsids: number[] = [];
  for (let at = 0; at < 4096 && page.readUInt32LE(at) !== 0; at += 4) nsids.push(page.readUInt32LE(at));
  return nsids;
}

describe("asynchronous events", () => {
  test("complete the parked request of a Linux host when a namespace is resized", async () => {
    const { bench, host } = openAdmin();
    postRequest(host);
    expect(host.take()).toEqual([]);
    bench.store.resize(1, 2048);
    await turn();
    const [pdu] = host.take();
    expect(pdu!.bytes.subarray(8, 12)).toEqual(hex("02 00 04 00"));
    expect(completionOf(pdu!)).toMatchObject({ status: "0/00", cid: 0x1f });
    expect(changedNamespaces(host)).toEqual([1]);
    expect(changedNamespaces(host)).toEqual([]);
    const identity = host.identify(0x00, 1) as Buffer;
    expect(identity.readBigUInt64LE(0)).toBe(2048n);
  });

  test("are masked until the log page is read with RAE = 0, and nothing is lost meanwhile", async () => {
    const { bench, host } = openAdmin();
    postRequest(host, 1);
    postRequest(host, 2);
    bench.store.add(7);
    bench.store.add(3);
    bench.store.remove(1);
    await turn();
    expect(host.completions().map(({ cid }) => cid)).toEqual([1]);
    expect(changedNamespaces(host, true)).toEqual([1, 3, 7]);
    bench.store.add(9);
    await turn();
    expect(host.completions()).toEqual([]);
    expect(changedNamespaces(host)).toEqual([1, 3, 7, 9]);
    bench.store.remove(9);
    await turn();
    expect(host.completions().map(({ cid }) => cid)).toEqual([2]);
    expect(changedNamespaces(host)).toEqual([9]);
  });

  test("wait for a request, once, and are withdrawn when the host reads the page by itself", () => {
    const { bench, host } = openAdmin();
    bench.store.add(7);
    bench.store.add(8);
    postRequest(host, 1);
    expect(host.completions().map(({ cid, dw0 }) => [cid, dw0])).toEqual([[1, 0x0004_0002]]);
    changedNamespaces(host);
    bench.store.add(9);
    expect(changedNamespaces(host)).toEqual([9]);
    postRequest(host, 2);
    expect(host.take()).toEqual([]);
  });

  test("are not sent to a host that did not ask", async () => {
    const bench = new Bench();
    const host = bench.openAdmin();
    postRequest(host);
    bench.store.add(7);
    await turn();
    expect(host.take()).toEqual([]);
    expect(changedNamespaces(host)).toEqual([7]);
  });

  test("overflow the list of 1024 with one entry that says so", () => {
    const { bench, host } = openAdmin();
    for (let nsid = 2; nsid < 1026; nsid++) bench.store.add(nsid);
    expect(changedNamespaces(host, true).length).toBe(1024);
    for (let nsid = 1026; nsid < 3000; nsid++) bench.store.add(nsid);
    expect(changedNamespaces(host)).toEqual([0xffff_ffff]);
    expect(changedNamespaces(host)).toEqual([]);
  });

  test("have four places, and Abort frees one", () => {
    const { host } = openAdmin();
    for (let cid = 1; cid <= 4; cid++) postRequest(host, cid);
    expect(host.complete({ opcode: 0x0c, cid: 5 }).status).toBe("1/05 DNR");
    host.send(host.capsule({ opcode: 0x08, cid: 6, cdw10: 0 | (3 << 16) }));
    expect(host.completions()).toMatchObject([
      { cid: 3, status: "0/07" },
      { cid: 6, status: "0/00", dw0: 0 },
    ]);
    postRequest(host, 5);
    expect(host.take()).toEqual([]);
  });

  test("forget their requests on a reset", async () => {
    const { bench, host } = openAdmin();
    postRequest(host);
    host.setProperty(0x14, 0x0046_0000);
    host.setProperty(0x14, 0x0046_0001);
    host.complete({ opcode: 0x09, cid: 1, cdw10: 0x0b, cdw11: 0x100 });
    bench.store.add(7);
    await turn();
    expect(host.take()).toEqual([]);
    postRequest(host);
    expect(host.completions()).toMatchObject([{ cid: 0x1f, dw0: 0x0004_0002 }]);
  });

  test("tell persistent discovery that the log has changed", async () => {
    const bench = new Bench();
    const host = bench.openAdmin({ nqn: discoveryNqn, keepAliveMs: 30_000 });
    host.complete({ opcode: 0x09, cid: 1, cdw10: 0x0b, cdw11: 0x8000_0000 });
    postRequest(host);
    bench.store.add(7);
    await turn();
    expect(host.take()).toEqual([]);
    bench.target.isPublished = false;
    await turn();
    const [pdu] = host.take();
    expect(pdu!.bytes.subarray(8, 12)).toEqual(hex("02 f0 70 00"));
    const header = host.getLog(0x70, 16) as Buffer;
    expect([header.readBigUInt64LE(0), header.readBigUInt64LE(8)]).toEqual([2n, 1n]);
  });
});

describe("keep alive", () => {
  const expire = (bench: Bench, afterMs: number, lagMs = 0) => {
    bench.nowMs += afterMs;
    bench.target.expire(bench.nowMs, lagMs);
  };

  test("closes every connection of a controller after one and a half times the time-out", () => {
    const bench = new Bench();
    const admin = bench.openAdmin({ keepAliveMs: 5000 });
    const io = bench.openIo(admin);
    expire(bench, 7400);
    expect(admin.connection.isClosed).toBe(false);
    expire(bench, 200);
    expect([admin.connection.isClosed, io.connection.isClosed]).toEqual([true, true]);
    expect(bench.target.controller(admin.cntlid)).toBeUndefined();
    expect(bench.warnings.join()).toContain("keep alive time-out 5000 ms");
  });

  test.for(["Keep Alive", "any command on any queue"])("is fed by %s", (what) => {
    const bench = new Bench();
    const admin = bench.openAdmin({ keepAliveMs: 5000 });
    const io = bench.openIo(admin);
    for (let i = 0; i < 5; i++) {
      expire(bench, 5000);
      if (what === "Keep Alive") expect(admin.complete({ opcode: 0x18, cid: 1 }).status).toBe("0/00");
      else io.complete({ opcode: 0x08, cid: 1, nsid: 1 });
    }
    expect(admin.connection.isClosed).toBe(false);
  });

  test("never fails, not even before the controller is enabled", () => {
    const bench = new Bench();
    const host = bench.open();
    host.initialize();
    host.connect({ qid: 0, keepAliveMs: 1000 });
    expect(host.complete({ opcode: 0x18, cid: 1 }).status).toBe("0/00");
  });

  test("starts anew when it is this process that stood still", () => {
    const bench = new Bench();
    const admin = bench.openAdmin({ keepAliveMs: 5000 });
    expire(bench, 60_000, 59_000);
    expect(admin.connection.isClosed).toBe(false);
    expire(bench, 7600);
    expect(admin.connection.isClosed).toBe(true);
  });

  test("is off with a time-out of 0, except for a discovery controller, which ends after two minutes", () => {
    const bench = new Bench();
    const admin = bench.openAdmin();
    const discovery = bench.openAdmin({ nqn: discoveryNqn });
    expire(bench, 119_000);
    expect(discovery.connection.isClosed).toBe(false);
    expire(bench, 2000);
    expect([admin.connection.isClosed, discovery.connection.isClosed]).toEqual([false, true]);
  });
});

test("a closed target listens to its store no more", () => {
  const store = new FakeStore();
  const bench = new Bench({}, store);
  const admin = bench.openAdmin();
  expect(store.listenerCount).toBe(1);
  bench.target.close();
  expect(store.listenerCount).toBe(0);
  expect(admin.transport.isEnded).toBe(true);
});
