import type { Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { Outbox } from "../../../src/sut/initiator/outbox.ts";

/** Keeps what it is given, and says that a batch was taken when the test wants it. */
class SlowSocket {
  readonly chunks: Uint8Array[] = [];
  readonly taken: (() => void)[] = [];
  corks = 0;

  cork(): void {
    this.corks += 1;
  }

  uncork(): void {
    this.corks -= 1;
  }

  write(chunk: Uint8Array, taken?: () => void): boolean {
    expect(this.corks).toBe(1);
    this.chunks.push(chunk);
    if (taken !== undefined) this.taken.push(taken);
    return true;
  }
}

function outboxOf(onTaken: () => void = () => {}) {
  const socket = new SlowSocket();
  return { socket, outbox: new Outbox(socket as unknown as Socket, onTaken) };
}

/** Puts `count` records of 1000 bytes, each filled with `value`, into one batch. */
function send(outbox: Outbox, count: number, value: number): void {
  outbox.beginEvent();
  for (let index = 0; index < count; index++) {
    const at = outbox.reserve(1000);
    outbox.slab.bytes.fill(value, at, at + 1000);
    outbox.commit(1000);
  }
  outbox.endEvent();
}

describe("Outbox", () => {
  test("sends headers and small data as one piece, and large data as it is", () => {
    const { socket, outbox } = outboxOf();
    const large = new Uint8Array(8192);
    outbox.beginEvent();
    const headAt = outbox.reserve(100);
    outbox.slab.bytes.write("head", headAt);
    outbox.commit(4);
    expect(outbox.append(Buffer.from("xsmallx"), 1, 5)).toBe(true);
    expect(outbox.append(large, 0, 8192)).toBe(false);
    const tailAt = outbox.reserve(100);
    outbox.slab.bytes.write("tail", tailAt);
    outbox.commit(4);
    expect(socket.chunks).toHaveLength(1);
    outbox.endEvent();
    expect(socket.chunks.map((chunk) => chunk.length)).toEqual([9, 8192, 4]);
    expect(Buffer.from(socket.chunks[0]!).toString()).toBe("headsmall");
    expect(socket.chunks[1]!.buffer).toBe(large.buffer);
    expect(socket.corks).toBe(0);
  });

  test.for([0, 1, 2, 3, 4, 5])("sends a u32 behind data that leaves %i bytes of the slab", (leftBytes) => {
    const { socket, outbox } = outboxOf();
    outbox.beginEvent();
    for (let left = 64 * 1024 - leftBytes; left > 0; left -= 4096) {
      outbox.append(new Uint8Array(Math.min(left, 4096)).fill(0xaa), 0, Math.min(left, 4096));
    }
    outbox.appendUint32(0x0102_0304);
    outbox.endEvent();
    const sent = Buffer.concat(socket.chunks);
    expect(sent.length).toBe(64 * 1024 - leftBytes + 4);
    expect(sent.toString("hex", sent.length - 5)).toBe("aa04030201");
  });

  test("writes nothing over bytes that the socket has not taken", () => {
    const { socket, outbox } = outboxOf();
    send(outbox, 10, 1);
    send(outbox, 120, 2);
    socket.taken[0]!(); // the first batch only: both slabs hold bytes of the second
    send(outbox, 120, 3);
    const sent = Buffer.concat(socket.chunks);
    const expected = [1, 2, 3].flatMap((value) =>
      Array.from({ length: value === 1 ? 10 : 120 }, () => value),
    );
    expect(Array.from({ length: 250 }, (_, index) => sent[index * 1000])).toEqual(expected);
    expect(sent.length).toBe(250_000);
  });

  test("uses a slab again when its bytes are taken", () => {
    const { socket, outbox } = outboxOf();
    const slabs = new Set<object>();
    for (let turn = 0; turn < 50; turn++) {
      send(outbox, 60, turn);
      slabs.add(outbox.slab);
      for (const taken of socket.taken.splice(0)) taken();
    }
    expect(slabs.size).toBeLessThanOrEqual(2);
  });

  test("sends what is not part of an event when the turn is over, as one batch", async () => {
    let takenCount = 0;
    const { socket, outbox } = outboxOf(() => void (takenCount += 1));
    for (const text of ["a", "b", "c"]) outbox.append(Buffer.from(text), 0, 1);
    expect(socket.chunks).toHaveLength(0);
    await new Promise((resolve) => setImmediate(resolve));
    expect(Buffer.concat(socket.chunks).toString()).toBe("abc");
    expect(outbox.takenBatch).toBe(0);
    socket.taken[0]!();
    expect([takenCount, outbox.takenBatch, outbox.batch]).toEqual([1, 1, 2]);
  });
});
