import { describe, expect, test } from "vitest";
import { Bench, type Command, type Host, pattern } from "./host.ts";

const before = pattern(512, 1);
const after = pattern(512, 99);

function openIo() {
  const bench = new Bench();
  const admin = bench.openAdmin();
  const io = bench.openIo(admin);
  const namespace = bench.store.namespace(1)!;
  before.copy(namespace.bytes);
  return { io, admin, namespace, bench };
}

const compare = (rest: Partial<Command> = {}): Command => ({
  opcode: 0x05,
  cid: 1,
  nsid: 1,
  fuse: 1,
  data: before,
  ...rest,
});
const write = (rest: Partial<Command> = {}): Command => ({
  opcode: 0x01,
  cid: 2,
  nsid: 1,
  fuse: 2,
  data: after,
  ...rest,
});
const afterR2t = { data: Buffer.alloc(0), length: 512 };
const plainRead: Command = { opcode: 0x02, cid: 3, nsid: 1, length: 512 };

function statuses(io: Host): Record<number, string> {
  return Object.fromEntries(io.completions().map(({ cid, status }) => [cid, status]));
}

function transfer(io: Host, cid: number, ttag: number, data: Buffer): void {
  io.send(io.h2cData({ cid, ttag, offset: 0, data }));
}

describe("fused Compare and Write", () => {
  test("writes when the compare is equal", () => {
    const { io, namespace } = openIo();
    io.send(Buffer.concat([io.capsule(compare()), io.capsule(write())]));
    expect(statuses(io)).toEqual({ 1: "0/00", 2: "0/00" });
    expect(namespace.bytes.subarray(0, 512)).toEqual(after);
  });

  test("leaves the blocks alone when the compare differs", () => {
    const { io, namespace } = openIo();
    io.send(Buffer.concat([io.capsule(compare({ data: after })), io.capsule(write())]));
    expect(statuses(io)).toEqual({ 1: "2/85 DNR", 2: "0/09" });
    expect(namespace.bytes.subarray(0, 512)).toEqual(before);
  });

  test.for([
    ["compare then write", [0, 1]],
    ["write then compare", [1, 0]],
  ] as const)("waits for both transfers, %s", ([, order]) => {
    const { io, namespace } = openIo();
    io.send(Buffer.concat([io.capsule(compare(afterR2t)), io.capsule(write(afterR2t))]));
    for (const which of order) {
      expect(statuses(io)).toEqual({});
      expect(namespace.bytes.subarray(0, 512)).toEqual(before);
      transfer(io, which + 1, which, which === 0 ? before : after);
    }
    expect(statuses(io)).toEqual({ 1: "0/00", 2: "0/00" });
    expect(namespace.bytes.subarray(0, 512)).toEqual(after);
  });

  test("holds a write that came in its capsule while the compare waits for its data", () => {
    const { io, namespace } = openIo();
    io.send(Buffer.concat([io.capsule(compare(afterR2t)), io.capsule(write())]));
    expect(statuses(io)).toEqual({});
    expect(io.read(plainRead)).toEqual(before);
    transfer(io, 1, 0, before);
    expect(statuses(io)).toEqual({ 1: "0/00", 2: "0/00" });
    expect(namespace.bytes.subarray(0, 512)).toEqual(after);
  });

  test("keeps another queue's write from coming between", () => {
    const { io, admin, namespace, bench } = openIo();
    const other = bench.openIo(admin, { qid: 2 });
    io.send(io.capsule(compare()));
    const { fuse: _, ...plain } = write({ data: pattern(512, 50) });
    expect(other.complete(plain).status).toBe("0/00");
    io.send(io.capsule(write()));
    expect(statuses(io)).toEqual({ 1: "2/85 DNR", 2: "0/09" });
    expect(namespace.bytes.subarray(0, 512)).toEqual(pattern(512, 50));
  });

  test("fails a first half that is followed by something else", () => {
    const { io } = openIo();
    io.send(Buffer.concat([io.capsule(compare()), io.capsule(plainRead)]));
    expect(statuses(io)).toEqual({ 1: "0/0a", 3: "0/00" });
    io.send(io.capsule(write()));
    expect(statuses(io)).toEqual({ 2: "0/0a" });
  });

  test("answers an abandoned first half only when its data has come", () => {
    const { io } = openIo();
    io.send(Buffer.concat([io.capsule(compare(afterR2t)), io.capsule(plainRead)]));
    expect(statuses(io)).toEqual({ 3: "0/00" });
    transfer(io, 1, 0, before);
    expect(statuses(io)).toEqual({ 1: "0/0a" });
  });

  test("fails a second half alone", () => {
    const { io, namespace } = openIo();
    expect(io.complete(write()).status).toBe("0/0a");
    expect(namespace.bytes.subarray(0, 512)).toEqual(before);
  });

  test("fails the second half of a first that was refused, and only the next command", () => {
    const { io } = openIo();
    io.send(Buffer.concat([io.capsule(compare({ cdw10: 5000 })), io.capsule(write())]));
    expect(statuses(io)).toEqual({ 1: "0/80 DNR", 2: "0/09" });
    expect(io.complete(write()).status).toBe("0/0a");
  });

  test.for([
    ["another range", write({ cdw10: 1 }), "0/02 DNR"],
    ["another opcode", write({ opcode: 0x05 }), "0/02 DNR"],
    ["a range that is out of bounds", write({ cdw10: 5000 }), "0/02 DNR"],
    ["the wrong length", write({ cdw12: 0, data: pattern(1024) }), "0/0f DNR"],
  ] as const)("fails both when the second half has %s", ([, second, status]) => {
    const { io, namespace } = openIo();
    io.send(Buffer.concat([io.capsule(compare()), io.capsule(second)]));
    expect(statuses(io)).toEqual({ 1: "0/09", 2: status });
    expect(namespace.bytes.subarray(0, 512)).toEqual(before);
    expect(io.read(plainRead)).toEqual(before);
  });

  test("aborts a first half whose second does not come", () => {
    const { io, admin } = openIo();
    io.send(io.capsule(compare()));
    expect(admin.complete({ opcode: 0x08, cid: 9, cdw10: 1 | (1 << 16) }).dw0).toBe(0);
    io.send(io.capsule(write()));
    expect(statuses(io)).toEqual({ 1: "0/07", 2: "0/09" });
  });

  test("keeps every pair moving when there are more than there are buffers", () => {
    const { io, namespace } = openIo();
    const long = { data: Buffer.alloc(0), length: 131072, cdw12: 255 };
    namespace.bytes.fill(0);
    let sent: Buffer[] = [];
    for (let pair = 0; pair < 50; pair++) {
      sent.push(
        io.capsule(compare({ ...long, cid: 2 * pair })),
        io.capsule(write({ ...long, cid: 2 * pair + 1 })),
      );
    }
    io.send(Buffer.concat(sent));
    let completed = 0;
    for (let pdus = io.take(); pdus.length > 0; pdus = io.take()) {
      sent = [];
      for (const pdu of pdus) {
        if (pdu.type === 0x05) completed++;
        else transfer(io, pdu.cid, pdu.bytes.readUInt16LE(10), Buffer.alloc(131072));
      }
    }
    expect(completed).toBe(100);
  });
});
