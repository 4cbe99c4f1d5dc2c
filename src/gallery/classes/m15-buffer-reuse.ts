import { type BlockDevice, ok, type Outcome } from "../../sut/port.ts";
import { replaced } from "../../sut/replaced.ts";
import { strikesOf } from "../chances.ts";
import type { PortMutant } from "../mutant.ts";
import { opening } from "../port-lies.ts";

type Write = Parameters<BlockDevice["write"]>[0];

/**
 * A write is acknowledged before it is sent. What is sent with the next command is what the buffer holds by then:
 * if that is a write whose data lies in the same buffer, its data.
 */
export const bufferReuse: PortMutant = {
  level: "port",
  setting: "memory",
  // So that one write often follows another, with nothing between.
  config: { operations: { batches: { min: 3, max: 4 }, perBatch: { min: 1, max: 1 } } },
  service: (service, scene) => {
    const strikes = strikesOf(scene, { count: 3, apart: { min: 100, max: 200 } });
    return opening(service, {
      volume: (_uuid, device) => {
        let queued: Write | undefined;
        let sending: Promise<Outcome> | undefined;
        /** Commands are sent in the order in which they came. */
        const push = async (next?: Uint8Array): Promise<void> => {
          if (queued !== undefined) {
            const { from } = queued;
            if (next !== undefined && isSameMemory(from, next)) strikes.strike();
            sending = device.write({ ...queued, from: from.slice() });
            queued = undefined;
          }
          await sending;
        };
        return replaced(device, {
          write: async (request) => {
            await push(request.from);
            if (!strikes.isDue()) return device.write(request);
            queued = request;
            return ok;
          },
          read: async (request) => {
            await push();
            return device.read(request);
          },
          writeZeroes: async (request) => {
            await push();
            return device.writeZeroes(request);
          },
          deallocate: async (request) => {
            await push();
            return device.deallocate(request);
          },
          compare: async (request) => {
            await push();
            return device.compare(request);
          },
          compareAndWrite: async (request) => {
            await push(request.from);
            return device.compareAndWrite(request);
          },
          flush: async () => {
            await push();
            return device.flush();
          },
          [Symbol.asyncDispose]: async () => {
            await push();
            await device[Symbol.asyncDispose]();
          },
        });
      },
    });
  },
};

function isSameMemory(one: Uint8Array, other: Uint8Array): boolean {
  return (
    one.buffer === other.buffer &&
    one.byteOffset < other.byteOffset + other.byteLength &&
    other.byteOffset < one.byteOffset + one.byteLength
  );
}
