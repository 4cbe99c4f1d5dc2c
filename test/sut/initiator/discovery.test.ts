import { describe, expect, test } from "vitest";
import { discover } from "../../../src/sut/initiator/discovery.ts";
import { image, linuxController } from "../nvme/linux-controller.ts";
import { c2hData, hostId, hostNqn, type Received, response, ScriptedPeer } from "./scripted-peer.ts";

const subsystems = ["nqn.2024-01.test:sub1", "nqn.2024-01.test:sub2"];

/** The log page: header and one entry per subsystem. */
function page(generation: number, count = subsystems.length): Buffer {
  const bytes = Buffer.alloc(1024 * (1 + subsystems.length));
  bytes.writeUInt32LE(generation, 0);
  bytes.writeUInt32LE(count, 8);
  subsystems.forEach((nqn, index) => {
    const at = 1024 * (1 + index);
    bytes.set(Buffer.from("0301020401 00ffff2000".replace(" ", ""), "hex"), at);
    bytes.write("4420", at + 32);
    bytes.write(nqn, at + 256);
    bytes.write("127.0.0.1", at + 512);
  });
  return bytes;
}

/** Serves the log page that `log` gives for the n-th Get Log Page. */
async function discoveryPeer(log: (reading: number) => Buffer): Promise<ScriptedPeer> {
  const peer = await ScriptedPeer.listen();
  peer.identifyController = image(4096, { ...linuxController, 78: "01 00", 111: "02", 320: "00 00" });
  let reading = 0;
  peer.alter = (answer, { pdu, cid }: Received) => {
    if (pdu[0] !== 4 || pdu[8] !== 0x02 || pdu[48] !== 0x70) return answer;
    const lengthBytes = (pdu.readUInt16LE(50) + 1) * 4;
    const offset = pdu.readUInt32LE(56);
    return Buffer.concat([
      c2hData(cid, 0, log(reading++).subarray(offset, offset + lengthBytes)),
      response(cid),
    ]);
  };
  return peer;
}

const address = (peer: ScriptedPeer) => ({ host: "127.0.0.1", port: peer.port, hostNqn, hostId });

describe("discover", () => {
  test("reads all entries", async () => {
    await using peer = await discoveryPeer(() => page(1));
    const entries = await discover(address(peer));
    expect(entries.map(({ subsystemNqn }) => subsystemNqn)).toEqual(subsystems);
    expect(entries[0]).toMatchObject({
      transportType: 3,
      subtype: 2,
      serviceId: "4420",
      address: "127.0.0.1",
    });
  });

  test("starts over when the log changes while it is read", async () => {
    // Header, entries, header: the generation grows between the first and the third.
    await using peer = await discoveryPeer((reading) => (reading < 2 ? page(1, 1) : page(2)));
    expect(await discover(address(peer))).toHaveLength(2);
  });

  test("gives up on a log that never stays the same", async () => {
    await using peer = await discoveryPeer((reading) => page(reading));
    await expect(discover(address(peer))).rejects.toThrow("changed during each of 10 readings");
  });

  test("refuses to take memory for more entries than are believable", async () => {
    await using peer = await discoveryPeer(() => page(1, 0x7fff_ffff));
    await expect(discover(address(peer))).rejects.toThrow("2147483647 entries");
  });
});
