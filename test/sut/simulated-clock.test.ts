import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { delay } from "../../src/sut/clock.ts";
import { SimulatedClock } from "../../src/sut/simulated-clock.ts";

const disposals: (() => void)[] = [];
afterEach(() => {
  for (const dispose of disposals.splice(0)) dispose();
});

/** A client's socket whose peer in this process does with each chunk what the test says. */
async function socketTo(answer: (socket: Socket, chunk: Buffer) => void): Promise<Socket> {
  const server = createServer((socket) => {
    socket.on("data", (chunk) => answer(socket, chunk)).on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  await once(socket, "connect");
  disposals.push(() => {
    socket.destroy();
    server.close();
  });
  return socket;
}

/** Writes a byte and resolves with whether the answer, of `lengthBytes`, or the time-out came first. */
function race(clock: SimulatedClock, socket: Socket, timeoutMs: number, lengthBytes = 1): Promise<string> {
  return new Promise((resolve) => {
    let receivedBytes = 0;
    const onData = (chunk: Buffer) => {
      receivedBytes += chunk.length;
      if (receivedBytes === lengthBytes) end("answered");
    };
    const end = (outcome: string) => {
      clock.clearTimeout(timer);
      socket.off("data", onData);
      resolve(outcome);
    };
    const timer = clock.setTimeout(() => end("late"), timeoutMs);
    socket.on("data", onData);
    socket.write("?");
  });
}

describe("a simulated clock", () => {
  test("moves only when it is told to", async () => {
    const clock = new SimulatedClock({ startMs: 5000 });
    const calls: number[] = [];
    clock.setTimeout(() => calls.push(clock.now()), 30_000);
    await delayOfTurns(50);
    expect(clock.now()).toBe(5000);
    await clock.advance(29_999);
    expect([clock.now(), calls, clock.pendingCount]).toEqual([34_999, [], 1]);
    await clock.advance(1);
    expect([clock.now(), calls, clock.pendingCount]).toEqual([35_000, [35_000], 0]);
  });

  test("calls back in the order of time, and at equal times in the order of setting", async () => {
    const clock = new SimulatedClock();
    const calls: string[] = [];
    const note = (name: string) => () => void calls.push(`${name} at ${clock.now()}`);
    clock.setTimeout(note("c"), 20);
    clock.setTimeout(note("a"), 10);
    clock.setTimeout(note("d"), 20);
    clock.setTimeout(note("b"), 10.5);
    clock.setTimeout(() => clock.setTimeout(note("e"), 10), 10);
    clock.setTimeout(note("soon"), 0);
    await clock.advance(100);
    expect(calls).toEqual(["soon at 1", "a at 10", "b at 10.5", "c at 20", "d at 20", "e at 20"]);
    expect(clock.now()).toBe(100);
  });

  test("lets promises settle between two callbacks, of one time too", async () => {
    const clock = new SimulatedClock();
    const calls: string[] = [];
    const chain = async (name: string) => {
      await delay(clock, 10, undefined);
      for (let step = 0; step < 5; step++) await Promise.resolve();
      calls.push(name);
      await delay(clock, 10, undefined);
      calls.push(`${name} again at ${clock.now()}`);
    };
    void chain("a");
    void chain("b");
    clock.setTimeout(() => calls.push("timer"), 10);
    await clock.advance(20);
    expect(calls).toEqual(["a", "b", "timer", "a again at 20", "b again at 20"]);
  });

  test("forgets what is taken back, even by a callback of the same time", async () => {
    const clock = new SimulatedClock();
    const calls: string[] = [];
    const second = () => clock.clearTimeout(third);
    clock.clearTimeout(clock.setTimeout(() => calls.push("first"), 10));
    clock.setTimeout(second, 10);
    const third = clock.setTimeout(() => calls.push("third"), 10);
    await clock.advance(10);
    expect(calls).toEqual([]);
    clock.clearTimeout(third);
    clock.clearTimeout(undefined);
  });

  test("refuses a delay that a real clock would not keep", () => {
    const clock = new SimulatedClock();
    for (const delayMs of [2 ** 31, Number.POSITIVE_INFINITY, Number.NaN]) {
      expect(() => clock.setTimeout(() => {}, delayMs)).toThrow(/at most 2147483647 ms can be waited/);
    }
  });

  test("hands on what a callback throws, and goes on afterwards", async () => {
    const clock = new SimulatedClock();
    let count = 0;
    clock.setTimeout(() => {
      throw new Error("from the callback");
    }, 10);
    clock.setTimeout(() => (count += 1), 10);
    await expect(clock.advance(20)).rejects.toThrow("from the callback");
    await clock.advance(10);
    expect([clock.now(), count]).toEqual([20, 1]);
  });

  test("is moved by one at a time", async () => {
    const clock = new SimulatedClock();
    const first = clock.advance(10);
    await expect(clock.advance(10)).rejects.toThrow(/being moved by another call/);
    await first;
    const automatic = clock.runAutomatically();
    await expect(clock.advance(10)).rejects.toThrow(/being moved by itself/);
    automatic[Symbol.dispose]();
    await clock.advance(10);
    expect(clock.now()).toBe(20);
  });
});

describe("a simulated clock between sockets", () => {
  test("does not overtake an answer of this process, however soon the deadline", async () => {
    const clock = new SimulatedClock();
    const socket = await socketTo((peer) => peer.write("!"));
    for (let round = 0; round < 200; round++) {
      const outcome = race(clock, socket, 1);
      await clock.advance(1000);
      expect(await outcome).toBe("answered");
    }
  });

  test("does not overtake an answer that takes many turns", async () => {
    const clock = new SimulatedClock();
    const answer = Buffer.alloc(16 * 1024 * 1024);
    const socket = await socketTo((peer) => peer.write(answer));
    const outcome = race(clock, socket, 1, answer.length);
    await clock.advance(1000);
    expect(await outcome).toBe("answered");
  });

  test("declares an answer late that the peer's own timer holds back longer", async () => {
    const clock = new SimulatedClock();
    const socket = await socketTo((peer) => clock.setTimeout(() => peer.write("!"), 500));
    const outcomes = [];
    for (const timeoutMs of [499, 501]) {
      const outcome = race(clock, socket, timeoutMs);
      await clock.advance(1000);
      outcomes.push(await outcome);
    }
    expect(outcomes).toEqual(["late", "answered"]);
  });

  test("waits in real time, if asked to, for what no event announces", async () => {
    const socket = await socketTo((peer) => setTimeout(() => peer.write("!"), 10));
    const outcomes = [];
    for (const options of [{}, { quietMs: 50 }]) {
      const clock = new SimulatedClock(options);
      const outcome = race(clock, socket, 1000);
      await clock.advance(1000);
      outcomes.push(await outcome);
      // The answer that came late must not be taken for the next.
      if (outcomes.length === 1) await once(socket, "data");
    }
    expect(outcomes).toEqual(["late", "answered"]);
  });

  test("moves on while two ends never stop talking", async () => {
    const clock = new SimulatedClock({ turnsMax: 50 });
    const socket = await socketTo((peer, chunk) => peer.write(chunk));
    let count = 0;
    socket.on("data", (chunk) => {
      count += 1;
      socket.write(chunk);
    });
    socket.write("?");
    const startMs = clock.now();
    await clock.advance(1000);
    expect(clock.now() - startMs).toBe(1000);
    expect(count).toBeGreaterThan(10);
  });

  test("calls back while they talk, but for the deadline of what has only just begun", async () => {
    const clock = new SimulatedClock({ turnsMax: 50 });
    const socket = await socketTo((peer, chunk) => peer.write(chunk));
    const outcomes = new Set<string>();
    let isOver = false;
    const talk = async () => {
      while (!isOver) outcomes.add(await race(clock, socket, 30_000));
    };
    const talking = talk();
    let calledMs = 0;
    clock.setTimeout(() => (calledMs = clock.now()), 5000);
    await clock.advance(600_000);
    isOver = true;
    await talking;
    expect(calledMs).toBe(5000);
    expect(outcomes).toEqual(new Set(["answered"]));
  });
});

describe("advanceUntil", () => {
  test("takes no time for what holds, and stops where it comes to hold", async () => {
    const clock = new SimulatedClock();
    expect(await clock.advanceUntil(() => true)).toBe(0);
    let isDone = false;
    clock.setTimeout(() => {}, 250);
    clock.setTimeout(() => (isDone = true), 2500);
    clock.setTimeout(() => {}, 2600);
    expect(await clock.advanceUntil(() => isDone)).toBe(2500);
    expect([clock.now(), clock.pendingCount]).toEqual([2500, 1]);
  });

  test("asks again every step where nothing is due", async () => {
    const clock = new SimulatedClock();
    const times: number[] = [];
    const condition = () => times.push(clock.now()) > 3;
    expect(await clock.advanceUntil(condition, { stepMs: 10 })).toBe(30);
    expect(times).toEqual([0, 10, 20, 30]);
  });

  test("gives up at its limit and says what is pending", async () => {
    const clock = new SimulatedClock();
    clock.setTimeout(() => {}, 10_000);
    await expect(clock.advanceUntil(() => false, { limitMs: 5500 })).rejects.toThrow(
      "what was waited for has not come within 5500 simulated ms; pending timers: 1",
    );
    expect(clock.now()).toBe(5500);
  });
});

describe("advanceThrough", () => {
  test("settles as the promise does", async () => {
    const clock = new SimulatedClock();
    const hour = delay(clock, 3_600_000, undefined).then(() => "an hour later");
    expect(await clock.advanceThrough(hour)).toBe("an hour later");
    const failing = delay(clock, 10, undefined).then(() => Promise.reject(new Error("in the end")));
    await expect(clock.advanceThrough(failing)).rejects.toThrow("in the end");
    expect(clock.now()).toBe(3_600_010);
  });

  test("gives up on a promise that never settles", async () => {
    const clock = new SimulatedClock();
    const never = new Promise<never>(() => {});
    await expect(clock.advanceThrough(never, { limitMs: 100 })).rejects.toThrow(/within 100 simulated ms/);
  });
});

describe("a simulated clock that runs by itself", () => {
  test("needs no one who moves it, and rests while nothing is pending", async () => {
    const clock = new SimulatedClock();
    using _running = clock.runAutomatically();
    await delay(clock, 1000, undefined);
    await delayOfTurns(50);
    expect(clock.now()).toBe(1000);
    await Promise.all([delay(clock, 3_600_000, undefined), delay(clock, 10, undefined)]);
    expect(clock.now()).toBe(3_601_000);
  });

  test("does not overtake an answer of this process", async () => {
    const clock = new SimulatedClock();
    using _running = clock.runAutomatically();
    const socket = await socketTo((peer) => peer.write("!"));
    for (let round = 0; round < 200; round++) {
      // Also not one that is asked for just when the loop has been quiet for long enough.
      await delayOfTurns(round % 25);
      expect(await race(clock, socket, 1)).toBe("answered");
    }
    expect(await race(clock, socket, 1, 2)).toBe("late");
  });

  test("stands still once that is over", async () => {
    const clock = new SimulatedClock();
    const running = clock.runAutomatically();
    await delay(clock, 10, undefined);
    let count = 0;
    clock.setTimeout(() => (count += 1), 1);
    running[Symbol.dispose]();
    await delayOfTurns(50);
    expect([clock.now(), count]).toEqual([10, 0]);
    running[Symbol.dispose]();
  });
});

function delayOfTurns(turnCount: number): Promise<void> {
  return new Promise((resolve) => {
    const next = (left: number) => (left === 0 ? resolve() : setImmediate(() => next(left - 1)));
    next(turnCount);
  });
}
