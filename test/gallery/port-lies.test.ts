/**
 * What mutants at the port are made of, and the laws that all of them keep.
 *
 * @packageDocumentation
 */
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { catalogue } from "../../src/gallery/catalogue.ts";
import { between, flipBit, nthOf, oneOf, strikesOf } from "../../src/gallery/chances.ts";
import { type BuiltClass, type Chance, mutantStream, type PortMutant } from "../../src/gallery/mutant.ts";
import { afterWrites, BlockLog, logged, onVolumes, opening, showing } from "../../src/gallery/port-lies.ts";
import { performTrial } from "../../src/gallery/trial.ts";
import { Choices } from "../../src/generators/choices.ts";
import { systemClock } from "../../src/sut/clock.ts";
import { memoryService } from "../../src/sut/memory.ts";
import type { BlockDevice, VolumeService } from "../../src/sut/port.ts";
import { replaced } from "../../src/sut/replaced.ts";

const blockSize = 512;
const seeds = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const bounds = fc
  .tuple(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 0, max: 20 }))
  .map(([min, more]) => ({ min, max: min + more }));

function chanceOf(seed: bigint): Chance & { readonly strikes: () => number } {
  let count = 0;
  return { choices: new Choices(seed, mutantStream), struck: () => void count++, strikes: () => count };
}

describe("a chance", () => {
  test("draws the same for a seed each time, and within its bounds", () => {
    fc.assert(
      fc.property(seeds, bounds, (seed, range) => {
        const drawn = between(chanceOf(seed), range);
        expect(drawn).toBe(between(chanceOf(seed), range));
        expect(drawn >= range.min && drawn <= range.max).toBe(true);
      }),
    );
  });

  test("strikes once, at a call within its bounds, and tells", () => {
    fc.assert(
      fc.property(seeds, bounds, (seed, range) => {
        const chance = chanceOf(seed);
        const isNth = nthOf(chance, range);
        const calls = Array.from({ length: 2 * range.max }, () => isNth());
        expect(calls.filter(Boolean)).toHaveLength(1);
        expect(calls.indexOf(true) + 1).toBeGreaterThanOrEqual(range.min);
        expect(calls.indexOf(true) + 1).toBeLessThanOrEqual(range.max);
        expect(chance.strikes()).toBe(1);
      }),
    );
  });

  test("strikes no more often than it may, each time within its bounds after the time before", () => {
    fc.assert(
      fc.property(seeds, bounds, fc.integer({ min: 1, max: 5 }), (seed, apart, count) => {
        const chance = chanceOf(seed);
        const strikes = strikesOf(chance, { count, apart });
        const struckAt = [0];
        for (let call = 1; call <= (count + 1) * apart.max; call++) {
          if (!strikes.isDue()) continue;
          strikes.strike();
          struckAt.push(call);
        }
        expect(struckAt).toHaveLength(count + 1);
        expect(chance.strikes()).toBe(count);
        for (const [index, at] of struckAt.slice(1).entries()) {
          expect(at - struckAt[index]!).toBeGreaterThanOrEqual(apart.min);
          expect(at - struckAt[index]!).toBeLessThanOrEqual(apart.max);
        }
      }),
    );
  });

  test("stays due, and tells nothing, until the fault takes effect", () => {
    const chance = chanceOf(1n);
    const strikes = strikesOf(chance, { count: 1, apart: { min: 2, max: 2 } });
    expect([strikes.isDue(), strikes.isDue(), strikes.isDue()]).toEqual([false, true, true]);
    expect(chance.strikes()).toBe(0);
    strikes.strike();
    expect(strikes.isDue()).toBe(false);
    expect(chance.strikes()).toBe(1);
  });

  test("takes one of some, and none of none", () => {
    expect(oneOf(chanceOf(1n), [])).toBeUndefined();
    const chance = chanceOf(1n);
    const taken = new Set(Array.from({ length: 50 }, () => oneOf(chance, ["a", "b", "c"])));
    expect([...taken].sort()).toEqual(["a", "b", "c"]);
  });

  test("flips one bit", () => {
    fc.assert(
      fc.property(seeds, fc.uint8Array({ minLength: 1, maxLength: 64 }), (seed, bytes) => {
        const flipped = bytes.slice();
        flipBit(chanceOf(seed), flipped);
        const changed = [...flipped].map((byte, index) => byte ^ bytes[index]!).filter((bits) => bits !== 0);
        expect(changed).toHaveLength(1);
        expect(Math.log2(changed[0]!) % 1).toBe(0);
      }),
    );
  });
});

async function opened(wrap: (service: VolumeService) => VolumeService, name = "v") {
  const inner = await memoryService();
  onTestFinished(() => Promise.resolve(inner[Symbol.asyncDispose]()));
  const service = wrap(inner);
  const request = { sizeBytes: 64 * blockSize, sectorSizeBytes: blockSize };
  const { uuid } = await service.createVolume({ ...request, name });
  return { inner, service, uuid, device: await service.openVolume(uuid) };
}

function filled(byte: number, blockCount = 1): Uint8Array {
  return new Uint8Array(blockCount * blockSize).fill(byte);
}

async function firstBytes(device: BlockDevice, block: number, blockCount = 1): Promise<readonly number[]> {
  const into = new Uint8Array(blockCount * blockSize);
  expect(await device.read({ block, blockCount, into })).toEqual({ kind: "ok" });
  return Array.from({ length: blockCount }, (_, index) => into[index * blockSize]!);
}

describe("a lie at the port", () => {
  test("replaces some methods of a device, and leaves the others and what they know alone", async () => {
    const { device } = await opened((service) => service);
    const dropping = replaced(device, { write: () => Promise.resolve({ kind: "ok" }) });
    await dropping.write({ block: 1, blockCount: 1, from: filled(7) });
    expect(await firstBytes(dropping, 1)).toEqual([0]);
    expect(dropping.blockCount).toBe(64);
    expect(dropping.capabilities).toEqual(device.capabilities);
  });

  test("gets its faults for every volume that is opened", async () => {
    const asked: string[] = [];
    const { uuid, device } = await opened((service) =>
      onVolumes(service, (opening) => {
        asked.push(opening);
        return { write: () => ({ kind: "drop" }) };
      }),
    );
    await device.write({ block: 1, blockCount: 1, from: filled(7) });
    expect(asked).toEqual([uuid]);
    expect(await firstBytes(device, 1)).toEqual([0]);
  });

  test("opens volumes and snapshots as something else, each its own way", async () => {
    const shows = (byte: number) => (_uuid: string, device: BlockDevice) =>
      showing(device, (block) => (block === 1 ? filled(byte) : undefined));
    const { service, uuid, device } = await opened((inner) =>
      opening(inner, { volume: shows(1), snapshot: shows(2) }),
    );
    await device.write({ block: 0, blockCount: 3, from: filled(9, 3) });
    const snapshot = await service.createSnapshot({ name: "s", volumeUuid: uuid });
    await using shown = await service.openSnapshot(snapshot.uuid);
    expect(await firstBytes(device, 0, 3)).toEqual([9, 1, 9]);
    expect(await firstBytes(shown, 0, 3)).toEqual([9, 2, 9]);
  });

  test("shows the block that was asked for, wherever the read begins", async () => {
    const { device } = await opened((service) => service);
    const wrong = showing(device, (block) => (block === 5 ? filled(8) : undefined));
    expect(await firstBytes(wrong, 3, 4)).toEqual([0, 0, 8, 0]);
    expect(await firstBytes(wrong, 5, 1)).toEqual([8]);
  });
});

describe("a log of blocks", () => {
  test("keeps copies of what was written, and zeros for what was made zeros", async () => {
    const logs = new Map<string, BlockLog>();
    const { uuid, device } = await opened((service) => logged(service, systemClock, logs));
    const from = filled(7, 2);
    await device.write({ block: 4, blockCount: 2, from });
    from.fill(0);
    await device.writeZeroes({ block: 5, blockCount: 1 });
    await device.deallocate({ ranges: [{ block: 6, blockCount: 1 }] });
    const log = logs.get(uuid)!;
    expect(log.blocks).toEqual([4, 5, 6]);
    expect(log.of(5).map(({ bytes }) => bytes[0])).toEqual([7, 0]);
    expect(log.dataBlocks).toEqual([4]);
    expect(log.of(9)).toEqual([]);
  });

  test("holds a block for calm only when all that was done to it is complete", () => {
    const log = new BlockLog();
    const [change] = log.add({ block: 3, blockCount: 1 }, filled(7), blockSize, 10);
    expect([log.isCalm(3, 100), log.dataBlocks]).toEqual([false, []]);
    change!.completed = 20;
    expect([log.isCalm(3, 20), log.isCalm(3, 21), log.dataBlocks]).toEqual([false, true, [3]]);
    log.add({ block: 3, blockCount: 1 }, undefined, blockSize, 30);
    expect(log.isCalm(3, 100)).toBe(false);
  });
});

describe("a change behind everyone's back", () => {
  test("comes after a write, before the writer hears of it, and is in no log", async () => {
    const changes: number[] = [];
    const { device } = await opened((service) =>
      afterWrites(service, systemClock, async ({ volume, range }) => {
        await volume.alter((beneath) =>
          beneath.write({ block: range.block, blockCount: 1, from: filled(1) }),
        );
        changes.push(volume.log.of(range.block).length);
      }),
    );
    await device.write({ block: 2, blockCount: 2, from: filled(7, 2) });
    expect(await firstBytes(device, 2, 2)).toEqual([1, 7]);
    expect(changes).toEqual([1]);
  });

  test("reaches the other volumes that are open", async () => {
    const { service, device } = await opened((inner) =>
      afterWrites(inner, systemClock, async ({ others, range }) => {
        for (const { alter } of others)
          await alter((beneath) => beneath.write({ ...range, from: filled(1) }));
      }),
    );
    const request = { name: "w", sizeBytes: 64 * blockSize, sectorSizeBytes: blockSize };
    const other = await service.openVolume((await service.createVolume(request)).uuid);
    await device.write({ block: 2, blockCount: 1, from: filled(7) });
    expect(await firstBytes(device, 2)).toEqual([7]);
    expect(await firstBytes(other, 2)).toEqual([1]);
  });

  test("keeps whoever else would change something waiting", async () => {
    const order: string[] = [];
    const told = (device: BlockDevice): BlockDevice =>
      replaced(device, {
        write: (request) => {
          order.push(`write ${request.from[0]}`);
          return device.write(request);
        },
        writeZeroes: (request) => {
          order.push("zeroes");
          return device.writeZeroes(request);
        },
        deallocate: (request) => {
          order.push("deallocate");
          return device.deallocate(request);
        },
      });
    let isFirst = true;
    let begun = (): void => {};
    const altering = new Promise<void>((resolve) => {
      begun = resolve;
    });
    let proceed = (): void => {};
    const { device } = await opened((service) =>
      afterWrites(
        opening(service, { volume: (_uuid, inner) => told(inner) }),
        systemClock,
        async ({ volume }) => {
          if (!isFirst) return;
          isFirst = false;
          await volume.alter(async (beneath) => {
            begun();
            await new Promise<void>((resolve) => {
              proceed = resolve;
            });
            return beneath.write({ block: 9, blockCount: 1, from: filled(2) });
          });
        },
      ),
    );
    const first = device.write({ block: 0, blockCount: 1, from: filled(1) });
    await altering;
    const others = [
      device.write({ block: 9, blockCount: 1, from: filled(3) }),
      device.writeZeroes({ block: 9, blockCount: 1 }),
      device.deallocate({ ranges: [{ block: 9, blockCount: 1 }] }),
    ];
    await new Promise((resolve) => setImmediate(resolve));
    expect(order).toEqual(["write 1"]);
    proceed();
    await Promise.all([first, ...others]);
    expect(order).toEqual(["write 1", "write 2", "write 3", "zeroes", "deallocate"]);
  });
});

type Lying = BuiltClass & { readonly mutant: PortMutant };

const inMemory = catalogue.filter(
  (entry): entry is Lying => entry.mutant.level === "port" && entry.mutant.setting !== "embedded",
);

/** The class, with somebody who compares each buffer that was to be written with what it held, after the call. */
function watched(entry: Lying, onCompared: (isSame: boolean) => void): Lying {
  const kept = async <Result>(bytes: readonly Uint8Array[], act: () => Promise<Result>): Promise<Result> => {
    const copies = bytes.map((one) => one.slice());
    const result = await act();
    onCompared(bytes.every((one, index) => Buffer.compare(one, copies[index]!) === 0));
    return result;
  };
  const asWriter = (_uuid: string, device: BlockDevice): BlockDevice =>
    replaced(device, {
      write: (request, options) => kept([request.from], () => device.write(request, options)),
      compareAndWrite: (request, options) =>
        kept([request.from, request.expected], () => device.compareAndWrite(request, options)),
    });
  const { service } = entry.mutant;
  const mutant: PortMutant = {
    ...entry.mutant,
    service: (inner, scene) => opening(service?.(inner, scene) ?? inner, { volume: asWriter }),
  };
  return { ...entry, mutant };
}

describe("a class of the catalogue that lies at the port", () => {
  test.for(inMemory.map((entry) => [`${entry.id} ${entry.title}`, entry] as const))(
    "%s leaves the writers' buffers alone, tells when it strikes, and is the same for a seed each time",
    async ([, entry]) => {
      const buffers = { same: 0, changed: 0 };
      const perform = async () => {
        const { result, struckCount } = await performTrial({
          entry: watched(entry, (isSame) => void buffers[isSame ? "same" : "changed"]++),
          variant: "fault",
          config: { runner: { stopAfterViolations: 5 } },
          seed: 11n,
          log: { info: () => {}, warn: () => {} },
          serveCommand: [],
          signal: new AbortController().signal,
        });
        const found = result.violations.map(({ rule, class: name, volume, block, ltsMax, rereads }) => {
          return { rule, name, volume, block, ltsMax, rereads };
        });
        return { verdict: result.verdict, found, struckCount };
      };
      const first = await perform();
      expect(buffers.same).toBeGreaterThan(0);
      expect(buffers.changed).toBe(0);
      expect(first.struckCount).toBeGreaterThan(0);
      expect(await perform()).toEqual(first);
    },
  );
});
