/**
 * Time-outs, Keep Alive and reconnecting at the times that the defaults say, over real sockets, in no time.
 */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { connectController, type ControllerOptions } from "../../../src/sut/initiator/controller.ts";
import { reconnectDelayMs, reconnectPolicyDefault } from "../../../src/sut/initiator/reconnect.ts";
import { silentLog } from "../../../src/sut/log.ts";
import { SimulatedClock } from "../../../src/sut/simulated-clock.ts";
import {
  hostId,
  hostNqn,
  namespaceUuid,
  type Received,
  response,
  ScriptedPeer,
  subsystemNqn,
} from "./scripted-peer.ts";

let clock: SimulatedClock;
let peer: ScriptedPeer;
let open: AsyncDisposable[];

beforeEach(async () => {
  clock = new SimulatedClock();
  peer = await ScriptedPeer.listen();
  open = [peer];
});
afterEach(async () => {
  // What a shutdown waits for comes at once.
  using _running = clock.runAutomatically();
  for (const resource of open.toReversed()) await resource[Symbol.asyncDispose]();
});

const reconnect = { ...reconnectPolicyDefault, random: () => 0.5 };

async function connected(options: Partial<ControllerOptions> = {}) {
  const address = { host: "127.0.0.1", port: peer.port, subsystemNqn, hostNqn, hostId };
  const controller = await clock.advanceThrough(
    connectController({ ...address, clock, reconnect, ...options }),
  );
  open.push(controller);
  return { controller, device: await controller.openNamespace({ uuid: namespaceUuid }) };
}

const isKeepAlive = ({ pdu }: Received) => pdu[0] === 4 && pdu[8] === 0x18;
const isConnect = ({ pdu }: Received) => pdu[0] === 4 && pdu[8] === 0x7f && pdu[12] === 1;
const silence = Buffer.alloc(0);
const read = { block: 0, blockCount: 1, into: Buffer.alloc(512) };

describe("a command", () => {
  test("that is never answered is unknown after 30 seconds, to a tick", async () => {
    const { device } = await connected();
    const outcomes: string[] = [];
    const reading = device.read(read).then((outcome) => void outcomes.push(outcome.kind));
    await clock.advance(29_899);
    expect(outcomes).toEqual([]);
    await clock.advance(101);
    await reading;
    expect(outcomes).toEqual(["unknown"]);
  });

  test("that is answered within the last tick is not late", async () => {
    peer.script = ({ cid, socket }) => clock.setTimeout(() => socket.write(response(cid)), 29_850);
    const { device } = await connected();
    const startMs = clock.now();
    expect(await clock.advanceThrough(device.flush())).toEqual({ kind: "ok" });
    expect(clock.now() - startMs).toBe(29_850);
  });

  test("that finds no connection was certainly never sent, after the same 30 seconds", async () => {
    const { controller, device } = await connected();
    peer.alter = (answer, received) => (isConnect(received) ? response(received.cid, 0x0306) : answer);
    peer.disconnect();
    await clock.advanceUntil(() => peer.connectionCount === 0);
    const startMs = clock.now();
    expect(await clock.advanceThrough(device.flush())).toMatchObject({
      kind: "failed",
      code: "ERR_TIMEOUT",
      message: expect.stringContaining("no connection or no room on a queue within 30000 ms"),
    });
    expect(Math.abs(clock.now() - startMs - 30_000)).toBeLessThanOrEqual(100);
    expect(controller.associationCount).toBe(1);
  });
});

describe("Keep Alive", () => {
  test("goes out every 2.5 seconds, with I/O and without", async () => {
    const times: number[] = [];
    peer.script = ({ cid, socket }) => socket.write(response(cid));
    peer.alter = (answer, received) => {
      if (isKeepAlive(received)) times.push(clock.now());
      return answer;
    };
    const { controller, device } = await connected();
    const startMs = clock.now();
    for (let second = 0; second < 30; second++) {
      if (second < 15) expect(await device.flush()).toEqual({ kind: "ok" });
      await clock.advance(1000);
    }
    expect(times.map((ms) => ms - startMs)).toEqual(
      Array.from({ length: 12 }, (_, index) => (index + 1) * 2500),
    );
    expect(controller.associationCount).toBe(1);
  });

  test("shows that a target stands still, within its 5 seconds, and the host finds it again", async () => {
    const warnings: string[] = [];
    const log = { ...silentLog, warn: (message: string) => void warnings.push(`${clock.now()}: ${message}`) };
    const { controller } = await connected({ log });
    const startMs = clock.now();
    let isStanding = true;
    peer.alter = (answer, received) => (isStanding && isKeepAlive(received) ? silence : answer);
    await clock.advanceUntil(() => warnings.length > 0);
    // Sent after 2.5 seconds, and missed 5 seconds later, to a tick.
    expect(Math.abs(clock.now() - startMs - 7500)).toBeLessThanOrEqual(100);
    expect(warnings[0]).toContain("a command was not answered in time");
    isStanding = false;
    const lostMs = clock.now();
    await clock.advanceUntil(() => controller.associationCount === 2);
    expect(clock.now() - lostMs).toBe(150);
    await clock.advance(60_000);
    expect(controller.associationCount).toBe(2);
  });

  test("that is off says nothing, however long", async () => {
    let count = 0;
    peer.alter = (answer, received) => {
      if (isKeepAlive(received)) count += 1;
      return answer;
    };
    await connected({ keepAliveMs: 0 });
    await clock.advance(60_000);
    expect(count).toBe(0);
  });
});

describe("reconnecting", () => {
  test("backs off as its policy says, through 60 attempts in three and a half minutes", async () => {
    const { controller } = await connected();
    const times: number[] = [];
    peer.alter = (answer, received) => {
      if (!isConnect(received)) return answer;
      times.push(clock.now());
      return response(received.cid, 0x0306); // 1/83 without DNR
    };
    const lostMs = clock.now();
    peer.disconnect();
    await clock.advance(0);
    await expect(clock.advanceThrough(controller.namespaces())).rejects.toMatchObject({
      code: "ERR_CONNECTION_LOST",
      message: expect.stringContaining("could not be made again"),
    });
    expect(times).toHaveLength(60);
    let expectedMs = lostMs;
    const expected = times.map((_, index) => (expectedMs += reconnectDelayMs(reconnect, index + 1)));
    expect(times).toEqual(expected);
    expect(times.at(-1)! - lostMs).toBe(210_900);
  });
});

describe("connecting", () => {
  test("to a peer that takes the connection and says nothing ends after 10 seconds", async () => {
    peer.alter = () => silence;
    await expect(connected()).rejects.toMatchObject({
      code: "ERR_TIMEOUT",
      message: expect.stringContaining("no answer within 10000 ms"),
    });
    expect(clock.now()).toBe(10_000);
  });

  test("waits for a controller that is not ready for as long as CAP.TO allows", async () => {
    peer.alter = (answer, { pdu, cid }) =>
      pdu[8] === 0x7f && pdu[12] === 4 && pdu[52] === 0x1c ? response(cid, 0, 0) : answer;
    await expect(connected()).rejects.toMatchObject({
      code: "ERR_TIMEOUT",
      message: expect.stringContaining("controller was not ready within"),
    });
    expect(clock.now()).toBeGreaterThan(5000);
  });
});
