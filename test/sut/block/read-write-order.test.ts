/**
 * Reads and writes of the same blocks one after another; whatever else at once.
 *
 * @packageDocumentation
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { ReadWriteOrder } from "../../../src/sut/block/read-write-order.ts";
import { deviceOver, inert } from "./device-over.ts";

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test("a read and a write of the same blocks are never at work together, and all get their turn", async () => {
  const request = fc.record({
    block: fc.nat(12),
    blockCount: fc.integer({ min: 1, max: 6 }),
    isRead: fc.boolean(),
    turns: fc.nat(3),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(request, { maxLength: 24 }), async (requests) => {
      const order = new ReadWriteOrder();
      const atWork = new Set<(typeof requests)[number]>();
      const done = requests.map((one) =>
        order.inOrder(one, one.isRead, async () => {
          for (const other of atWork) {
            const isApart =
              one.block >= other.block + other.blockCount || other.block >= one.block + one.blockCount;
            expect(isApart || one.isRead === other.isRead).toBe(true);
          }
          atWork.add(one);
          for (let turns = 0; turns < one.turns; turns++) await turn();
          atWork.delete(one);
        }),
      );
      await Promise.all(done);
    }),
  );
});

test("those behind one that fails get their turn", async () => {
  const order = new ReadWriteOrder();
  const range = { block: 0, blockCount: 1 };
  const failing = order.inOrder(range, false, () => Promise.reject(new Error("bug")));
  const behind = order.inOrder(range, true, () => Promise.resolve("read"));
  await expect(failing).rejects.toThrow("bug");
  expect(await behind).toBe("read");
});

test.for([
  { direct: false, outcome: "waits for it through the page cache" },
  { direct: true, outcome: "is the device's affair past it" },
])("a read of what is being written $outcome", async ({ direct }) => {
  const began: string[] = [];
  let end = (): void => {};
  const write = (): Promise<undefined> => {
    began.push("write");
    return new Promise((resolve) => (end = () => resolve(undefined)));
  };
  const read = (): Promise<undefined> => {
    began.push("read");
    return Promise.resolve(undefined);
  };
  const device = deviceOver({ ...inert, isOneStep: false, read, write, writeZeros: write }, { direct });
  for (const change of ["write", "writeZeroes", "deallocate"] as const) {
    began.length = 0;
    const range = { block: 1, blockCount: 2 };
    const changing = device[change]({ ...range, from: new Uint8Array(1024), ranges: [range] });
    await turn();
    const reading = device.read({ block: 2, blockCount: 1, into: new Uint8Array(512) });
    await turn();
    expect(began).toEqual(direct ? ["write", "read"] : ["write"]);
    const apart = device.read({ block: 3, blockCount: 1, into: new Uint8Array(512) });
    expect(await apart).toEqual({ kind: "ok" });
    end();
    expect(await Promise.all([changing, reading])).toEqual([{ kind: "ok" }, { kind: "ok" }]);
  }
});

test("a read that is aborted while it waits is not begun", async () => {
  let end = (): void => {};
  const write = () => new Promise<undefined>((resolve) => (end = () => resolve(undefined)));
  const read = () => expect.unreachable("the read was begun");
  const device = deviceOver({ ...inert, isOneStep: false, read, write });
  const range = { block: 0, blockCount: 1 };
  const writing = device.write({ ...range, from: new Uint8Array(512) });
  const abort = new AbortController();
  const reading = device.read({ ...range, into: new Uint8Array(512) }, { signal: abort.signal });
  abort.abort();
  end();
  expect(await reading).toMatchObject({ kind: "failed", code: "ERR_ABORTED" });
  expect(await writing).toEqual({ kind: "ok" });
});
