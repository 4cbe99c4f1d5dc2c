import { describe, expect, test } from "vitest";
import { connectController } from "../../../src/sut/initiator/controller.ts";
import { ControllerError } from "../../../src/sut/initiator/errors.ts";
import { SimulatedClock } from "../../../src/sut/simulated-clock.ts";
import { c2hData, hostId, hostNqn, response, ScriptedPeer, subsystemNqn } from "./scripted-peer.ts";

/** Draws of a fixed sequence, so that a failure can be repeated. */
function drawsOf(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 0x1_0000_0000) * bound);
  };
}

const address = { host: "127.0.0.1", subsystemNqn, hostNqn, hostId, keepAliveMs: 0 };

describe("a host that is answered with garbage", () => {
  test("ends 300 altered bring-ups with a controller or a ControllerError", async () => {
    const draw = drawsOf(1);
    const clock = new SimulatedClock();
    using _running = clock.runAutomatically();
    await using peer = await ScriptedPeer.listen();
    const verdicts = { connected: 0, refused: 0 };
    for (let turn = 0; turn < 300; turn++) {
      let step = draw(14);
      peer.alter = (answer, { socket }) => {
        step -= 1;
        if (step !== 0) return answer;
        const altered = Buffer.from(answer);
        for (let count = 1 + draw(4); count > 0; count--)
          altered[draw(Math.min(altered.length, 128))] = draw(256);
        // What waits for more than it gets must not wait for long.
        setImmediate(() => socket.end());
        return draw(3) === 0 ? altered.subarray(0, draw(altered.length)) : altered;
      };
      try {
        const reconnect = { delayMsMin: 1, delayMsMax: 1, attemptsMax: 0, random: () => 0 };
        await using controller = await connectController({ ...address, port: peer.port, reconnect, clock });
        expect(controller.associationCount).toBe(1);
        verdicts.connected += 1;
      } catch (error) {
        if (!(error instanceof ControllerError)) throw error;
        expect(error.message).toMatch(/^ERR_[A-Z_]+: .{10,}/s);
        verdicts.refused += 1;
      }
    }
    expect(verdicts.refused).toBeGreaterThan(50);
  }, 30_000);

  test("settles 600 reads and writes, as unknown unless the answer was a status", async () => {
    const draw = drawsOf(2);
    const clock = new SimulatedClock();
    using _running = clock.runAutomatically();
    await using peer = await ScriptedPeer.listen();
    const reconnect = { delayMsMin: 1, delayMsMax: 1, attemptsMax: 100, random: () => 0 };
    await using controller = await connectController({ ...address, port: peer.port, reconnect, clock });
    const device = await controller.openNamespace({ nsid: 1 });
    peer.script = ({ socket, pdu, cid }) => {
      if (pdu[0] !== 4) return;
      const good = pdu[8] === 2 ? [c2hData(cid, 0, Buffer.alloc(512)), response(cid)] : [response(cid)];
      const answer = Buffer.concat(good);
      if (draw(4) > 0) {
        for (let count = draw(3); count >= 0; count--)
          answer[draw(draw(2) === 0 ? 24 : answer.length)] = draw(256);
        if (draw(8) === 0) setImmediate(() => socket.destroy());
      }
      socket.write(answer);
    };
    const kinds = new Set<string>();
    for (let turn = 0; turn < 120; turn++) {
      const calls = Array.from({ length: 5 }, (_, block) =>
        draw(2) === 0
          ? device.read({ block, blockCount: 1, into: Buffer.alloc(512) })
          : device.write({ block, blockCount: 1, from: Buffer.alloc(512) }),
      );
      for (const outcome of await Promise.all(calls)) {
        kinds.add(outcome.kind);
        if (outcome.kind === "ok") continue;
        expect(outcome.message.length).toBeGreaterThan(10);
        if (outcome.kind === "failed") expect(outcome.status ?? outcome.code).not.toBe(undefined);
      }
    }
    expect(kinds).toContain("unknown");
    expect(kinds).toContain("ok");
  }, 60_000);
});
