import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { withDeviceFaults } from "../../../src/sut/faults.ts";
import type { BlockDevice, DiffPage, Outcome } from "../../../src/sut/port.ts";
import { replaced } from "../../../src/sut/replaced.ts";
import { SyncFitError, SyncMismatchError, SyncTransferError } from "../../../src/sut/sync/errors.ts";
import { syncSnapshot } from "../../../src/sut/sync/sync-snapshot.ts";
import {
  answering,
  assertOk,
  blockBytes,
  blockCount,
  contentOf,
  fill,
  firstDifference,
  type Scene,
  scene,
  snapshotContent,
} from "./copies.ts";

const { signal } = new AbortController();
const lost: Outcome = { kind: "unknown", code: "ERR_CONNECTION_LOST", message: "the connection was lost" };

const change = fc
  .record({
    kind: fc.constantFrom("write" as const, "writeZeroes" as const, "deallocate" as const),
    block: fc.nat(blockCount - 1),
    length: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 200 })),
    byte: fc.integer({ min: 1, max: 255 }),
  })
  .map(({ length, block, ...rest }) => ({
    ...{ ...rest, block },
    blockCount: Math.min(length, blockCount - block),
  }));
type Change = typeof change extends fc.Arbitrary<infer Value> ? Value : never;
const history = fc.array(change, { maxLength: 60 });

async function perform(device: BlockDevice, changes: readonly Change[]): Promise<void> {
  for (const { kind, byte, ...range } of changes)
    if (kind === "write") await fill(device, range, byte);
    else
      assertOk(
        kind === "writeZeroes"
          ? await device.writeZeroes(range)
          : await device.deallocate({ ranges: [range] }),
      );
}

/** A scene in which every fourth block was written, so that there are many short runs. */
async function scattered(): Promise<Scene & { readonly snapshotUuid: string }> {
  const made = await scene({ diffPageRanges: 3 });
  for (let block = 0; block < blockCount; block += 4)
    await fill(made.source, { block, blockCount: 1 }, 1 + (block % 255));
  return { ...made, snapshotUuid: await made.snapshot() };
}

describe("copying a snapshot by its diff", () => {
  test("leaves the target as the snapshot is, with a base and without, however the source has changed", async () => {
    await fc.assert(
      fc.asyncProperty(
        history,
        history,
        history,
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 5 }),
        async (one, two, after, inFlight, diffPageRanges) => {
          const { service, source, target, snapshot } = await scene({ diffPageRanges });
          await perform(source, one);
          const base = await snapshot();
          await perform(source, two);
          const latest = await snapshot();
          await perform(source, after);
          const shared = { service, to: target, inFlight, isVerified: true, signal };
          const first = await syncSnapshot({ ...shared, snapshotUuid: base });
          expect(
            firstDifference(await contentOf(target), await snapshotContent(service, base)),
          ).toBeUndefined();
          expect(first.bytesVerified).toBe(first.bytesCopied);
          await syncSnapshot({ ...shared, snapshotUuid: latest, baseSnapshotUuid: base });
          expect(
            firstDifference(await contentOf(target), await snapshotContent(service, latest)),
          ).toBeUndefined();
        },
      ),
      { numRuns: 40 },
    );
  });

  test("changes nothing that the diff does not report", async () => {
    await fc.assert(
      fc.asyncProperty(history, history, async (one, two) => {
        const { service, source, target, snapshot } = await scene();
        await perform(source, one);
        const base = await snapshot();
        await perform(source, two);
        const latest = await snapshot();
        await fill(target, { block: 0, blockCount }, 0xee);
        const request = { snapshotUuid: latest, baseSnapshotUuid: base };
        const expected = await contentOf(target);
        const held = await snapshotContent(service, latest);
        for await (const { ranges } of service.diff(request))
          for (const { lbaStart, bitmap } of ranges)
            for (let bit = 0; bit < bitmap.length * 8; bit++)
              if ((bitmap[bit >> 3]! & (1 << (bit & 7))) !== 0) {
                const at = (lbaStart + bit) * blockBytes;
                expected.set(held.subarray(at, at + blockBytes), at);
              }
        await syncSnapshot({ service, ...request, to: target, signal });
        expect(firstDifference(await contentOf(target), expected)).toBeUndefined();
      }),
      { numRuns: 40 },
    );
  });

  test("goes on from any block below which all was copied", async () => {
    await fc.assert(
      fc.asyncProperty(history, history, fc.nat(blockCount), async (one, two, firstBlock) => {
        const { service, source, target, snapshot } = await scene({ diffPageRanges: 2 });
        await perform(source, one);
        const base = await snapshot();
        await perform(source, two);
        const latest = await snapshot();
        const [before, after] = [
          await snapshotContent(service, base),
          await snapshotContent(service, latest),
        ];
        const half = Uint8Array.from(before);
        half.set(after.subarray(0, firstBlock * blockBytes));
        assertOk(await target.write({ block: 0, blockCount, from: half }));
        const request = { snapshotUuid: latest, baseSnapshotUuid: base };
        await syncSnapshot({ service, ...request, to: target, firstBlock, isVerified: true, signal });
        expect(firstDifference(await contentOf(target), after)).toBeUndefined();
      }),
      { numRuns: 40 },
    );
  });

  test("keeps, when it is stopped, a block from which another goes on", async () => {
    const { service, target, snapshotUuid } = await scattered();
    for (const [transfersMax, everyMs] of [
      [1, 0],
      [3, 0],
      [7, 0],
      [3, Number.POSITIVE_INFINITY],
    ] as const) {
      await fill(target, { block: 0, blockCount }, 0);
      const stop = new AbortController();
      let transferCount = 0;
      let copiedTo = -1;
      const running = syncSnapshot({
        ...{ service, snapshotUuid, to: target, inFlight: 3, signal: stop.signal },
        onProgress: () => {
          if (++transferCount === transfersMax) stop.abort(new Error("enough"));
        },
        checkpoint: { everyMs, keep: async (block) => void (copiedTo = block) },
      });
      await expect(running).rejects.toThrow("enough");
      expect(copiedTo).toBeGreaterThan(0);
      expect(copiedTo).toBeLessThan(blockCount);
      await syncSnapshot({ service, snapshotUuid, to: target, firstBlock: copiedTo, signal });
      expect(
        firstDifference(await contentOf(target), await snapshotContent(service, snapshotUuid)),
      ).toBeUndefined();
    }
  });

  test("keeps no block before a flush has made what is below it durable", async () => {
    const { service, target, snapshotUuid } = await scattered();
    const settled = new Set<number>();
    let durable = new Set<number>();
    const watched = replaced(target, {
      write: async (request, options) => {
        const outcome = await target.write(request, options);
        settled.add(request.block);
        return outcome;
      },
      flush: async () => {
        const flushed = new Set(settled);
        await new Promise((resolve) => setTimeout(resolve, 1));
        durable = flushed;
        return { kind: "ok" };
      },
    });
    const kept: number[] = [];
    const keep = async (copiedTo: number) => {
      kept.push(copiedTo);
      for (let block = 0; block < copiedTo; block += 4) expect(durable).toContain(block);
    };
    await syncSnapshot({ service, snapshotUuid, to: watched, signal, checkpoint: { everyMs: 0, keep } });
    expect(kept.length).toBeGreaterThan(1);
    expect(kept).toEqual(kept.toSorted((a, b) => a - b));
    expect(kept.at(-1)).toBe(blockCount);
  });

  test("tells how far it is, to the end of the volume", async () => {
    const { service, target, snapshotUuid } = await scattered();
    const seen: string[] = [];
    let last: { doneTo: number; bytes: number } | undefined;
    await syncSnapshot({
      ...{ service, snapshotUuid, to: target, isVerified: true, signal },
      onProgress: (progress) => {
        if (seen.at(-1) !== progress.stage) seen.push(progress.stage);
        last = progress;
      },
    });
    expect(seen).toEqual(["copying", "verifying"]);
    expect(last).toMatchObject({ doneTo: blockCount, bytes: (blockCount / 4) * blockBytes });
  });

  test("copies what one page reports while the next is still to come", async () => {
    const { service, source, target, snapshot } = await scene();
    await fill(source, { block: 0, blockCount }, 7);
    const snapshotUuid = await snapshot();
    let goOn = (): void => {};
    const first = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const slow = answering(service, async function* (): AsyncGenerator<DiffPage> {
      // More runs than one batch holds.
      const bitmap = new Uint8Array(32).fill(0x55);
      yield { offsetLba: 0, ranges: [{ lbaStart: 0, bitmap }], nextOffsetLba: 512 };
      await first;
      yield { offsetLba: 512, ranges: [], nextOffsetLba: 0 };
    });
    await syncSnapshot({ service: slow, snapshotUuid, to: target, signal, onProgress: () => goOn() });
    expect((await contentOf(target))[0]).toBe(7);
  });
});

describe("a copy whose target is not as it should be", () => {
  test("is refused if that has other blocks, or too few", async () => {
    const { service, source, snapshot } = await scene();
    await fill(source, { block: 0, blockCount: 1 }, 1);
    const snapshotUuid = await snapshot();
    for (const [sizeBytes, sectorSizeBytes, what] of [
      [blockCount * 4096, 4096, "has blocks of 4096 bytes, the snapshot of 512"],
      [(blockCount / 2) * 512, 512, "has 512 blocks, the snapshot 1024"],
    ] as const) {
      const { uuid } = await service.createVolume({ name: `v${sizeBytes}`, sizeBytes, sectorSizeBytes });
      const to = await service.openVolume(uuid);
      const refused = syncSnapshot({ service, snapshotUuid, to, signal });
      await expect(refused).rejects.toThrow(what);
      await expect(refused).rejects.toBeInstanceOf(SyncFitError);
    }
  });

  const lies: Record<string, Parameters<typeof withDeviceFaults>[1]> = {
    "drops a write": { write: ({ block }) => (block === 400 ? { kind: "drop" } : undefined) },
    "writes half a block": {
      write: ({ block }) => (block === 400 ? { kind: "tear", lengthBytes: 256 } : undefined),
    },
    "flips a bit": {
      write: ({ block }) =>
        block === 400 ? { kind: "alter", alter: (bytes) => void (bytes[300]! ^= 4) } : undefined,
    },
    "writes over what was copied before": {
      write: ({ block }) => (block === 800 ? { kind: "redirect", block: 400 } : undefined),
    },
  };
  test.for(Object.entries(lies))("fails if that %s, and names the block", async ([, faults]) => {
    const { service, target, snapshotUuid } = await scattered();
    const shared = { service, snapshotUuid, to: withDeviceFaults(target, faults), inFlight: 1, signal };
    const { bytesVerified } = await syncSnapshot(shared);
    expect(bytesVerified).toBe(0);
    await fill(target, { block: 0, blockCount }, 0);
    const verified = syncSnapshot({ ...shared, isVerified: true });
    await expect(verified).rejects.toBeInstanceOf(SyncMismatchError);
    await expect(verified).rejects.toThrow(/^block 400 of .* does not hold what was copied to it, but/);
  });

  test("tries again when an outcome is unknown, and gives up in the end", async () => {
    const { service, target, snapshotUuid } = await scattered();
    let lossCount = 0;
    const shaky = (lossesMax: number) =>
      replaced(target, {
        write: async (request, options) => {
          if (request.block === 400 && lossCount < lossesMax) {
            lossCount++;
            return lost;
          }
          return target.write(request, options);
        },
      });
    await syncSnapshot({ service, snapshotUuid, to: shaky(4), isVerified: true, signal });
    expect(lossCount).toBe(4);
    lossCount = 0;
    const failed = syncSnapshot({ service, snapshotUuid, to: shaky(100), signal });
    await expect(failed).rejects.toBeInstanceOf(SyncTransferError);
    await expect(failed).rejects.toThrow(
      /^writing 1 blocks at 400 of .*: the connection was lost \(ERR_CONNECTION_LOST, also when it was tried 5 times\)$/,
    );
    expect(lossCount).toBe(5);
  });

  test("fails at once when a write or a flush is refused", async () => {
    const { service, target, snapshotUuid } = await scattered();
    let callCount = 0;
    const full = async (): Promise<Outcome> => {
      callCount++;
      return { kind: "failed", code: "ERR_CAPACITY", message: "no space is left" };
    };
    for (const [calls, what] of [
      [{ write: full }, /^writing 1 blocks at \d+ of .*: no space is left \(ERR_CAPACITY\)$/],
      [{ flush: full }, /^flushing .*: no space is left \(ERR_CAPACITY\)$/],
    ] as const) {
      callCount = 0;
      const to = replaced(target, calls);
      await expect(syncSnapshot({ service, snapshotUuid, to, inFlight: 1, signal })).rejects.toThrow(what);
      expect(callCount).toBeLessThanOrEqual(32);
    }
  });
});

describe("a copy that ends early", () => {
  test("leaves no work and no clone behind when it is stopped, whatever it waits for", async () => {
    const { service, target, snapshotUuid } = await scattered();
    for (const stuck of ["a write", "a page"]) {
      const stop = new AbortController();
      let inFlightCount = 0;
      let isDiffOpen = false;
      const hanging = async (given: AbortSignal | undefined): Promise<never> => {
        inFlightCount++;
        setTimeout(() => stop.abort(new Error("stopped")), 5);
        await new Promise((resolve) => given!.addEventListener("abort", resolve, { once: true }));
        inFlightCount--;
        throw new Error("aborted");
      };
      const slow = answering(service, async function* (given) {
        isDiffOpen = true;
        try {
          if (stuck === "a page") await hanging(given);
          yield* service.diff({ snapshotUuid });
        } finally {
          isDiffOpen = false;
        }
      });
      const to = replaced(target, {
        write: (_, options) =>
          hanging(options?.signal).catch(() => ({ ...lost, code: "ERR_ABORTED" as const })),
      });
      await expect(
        syncSnapshot({ service: slow, snapshotUuid, to, inFlight: 2, signal: stop.signal }),
      ).rejects.toThrow("stopped");
      expect({ stuck, inFlightCount, isDiffOpen }).toEqual({ stuck, inFlightCount: 0, isDiffOpen: false });
      expect((await service.listVolumes()).map(({ name }) => name)).toEqual(["source", "target"]);
    }
  });

  test("ends with the first failure, and stops the rest", async () => {
    const { service, target, snapshotUuid } = await scattered();
    let inFlightCount = 0;
    let abortedCount = 0;
    const to = replaced(target, {
      write: async ({ block }, options) => {
        if (block === 0) return { kind: "failed", code: "ERR_MEDIA", message: "the medium is bad" };
        inFlightCount++;
        await new Promise((resolve) => options!.signal!.addEventListener("abort", resolve, { once: true }));
        abortedCount++;
        // It takes its time to give the buffers back.
        await new Promise((resolve) => setTimeout(resolve, 5));
        inFlightCount--;
        return { ...lost, code: "ERR_ABORTED" };
      },
    });
    await expect(syncSnapshot({ service, snapshotUuid, to, inFlight: 3, signal })).rejects.toThrow(
      "the medium is bad",
    );
    expect(abortedCount).toBeGreaterThan(0);
    expect(inFlightCount).toBe(0);
  });

  test("copies what a senseless diff reported before, and says that there is no more", async () => {
    const { service, source, target, snapshot } = await scene();
    await fill(source, { block: 0, blockCount }, 9);
    const snapshotUuid = await snapshot();
    let pageCount = 0;
    const endless = answering(service, async function* (): AsyncGenerator<DiffPage> {
      for (;;) {
        pageCount++;
        yield { offsetLba: 64, ranges: [], nextOffsetLba: 64 };
      }
    });
    await expect(syncSnapshot({ service: endless, snapshotUuid, to: target, signal })).rejects.toMatchObject({
      code: "ERR_BAD_ANSWER",
    });
    expect(pageCount).toBe(1);
    expect((await contentOf(target)).every((byte) => byte === 0)).toBe(true);
  });
});
