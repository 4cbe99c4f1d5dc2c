import { describe, expect, test } from "vitest";
import { Outbox, SlabPool, type Transport } from "../../../src/sut/target/outbox.ts";

const slabLengthBytes = 160 * 1024;

/** An outbox over a transport that takes nothing until it is told to. */
function recorded() {
  const writes: { readonly bytes: Uint8Array; readonly taken: () => void }[] = [];
  const transport: Transport = {
    write: (bytes, taken) => void writes.push({ bytes, taken }),
    end: () => {},
    pause: () => {},
    resume: () => {},
    localAddress: "127.0.0.1",
    localPort: 1,
    remoteName: "test",
  };
  const outbox = new Outbox(new SlabPool({ slabLengthBytes, keptCountMax: 4 }), transport, () => {});
  /** Puts pieces of 4 KiB in, each filled with its number. */
  const put = (first: number, count: number): void => {
    for (let number = first; number < first + count; number++) {
      const at = outbox.reserve(4096);
      outbox.slab.bytes.fill(number, at, at + 4096);
    }
  };
  return { outbox, writes, put };
}

describe("the outbox of a connection", () => {
  test("sends nothing of an event before 64 KiB are gathered", () => {
    const { writes, put, outbox } = recorded();
    put(0, 16);
    expect(writes).toEqual([]);
    outbox.flush();
    expect(writes.map(({ bytes }) => bytes.length)).toEqual([64 * 1024]);
  });

  test("sends each 64 KiB while the event goes on, as long as fewer than two batches are on their way", () => {
    const { writes, put } = recorded();
    put(0, 17);
    expect(writes.map(({ bytes }) => bytes.length)).toEqual([64 * 1024]);
    put(17, 16);
    expect(writes.map(({ bytes }) => bytes.length)).toEqual([64 * 1024, 64 * 1024]);
    put(33, 30);
    expect(writes).toHaveLength(2);
    writes[0]!.taken();
    put(63, 1);
    expect(writes.map(({ bytes }) => bytes.length)).toEqual([64 * 1024, 64 * 1024, 31 * 4096]);
  });

  test("keeps the order and every byte, and counts what the socket has not taken", () => {
    const { writes, put, outbox } = recorded();
    put(0, 60);
    outbox.drain();
    const sent = Buffer.concat(writes.map(({ bytes }) => bytes));
    expect(Array.from({ length: 60 }, (_, number) => sent[number * 4096])).toEqual([...Array(60).keys()]);
    expect(sent.length).toBe(60 * 4096);
    expect(outbox.backlogBytes).toBe(60 * 4096);
    for (const { taken } of writes) taken();
    expect(outbox.backlogBytes).toBe(0);
  });
});
