import { describe, expect, test } from "vitest";
import { Fence } from "../../src/runner/fences.ts";
import { memoryService } from "../../src/sut/memory.ts";
import { type BlockDevice, type Outcome, ok } from "../../src/sut/port.ts";
import { replaced } from "../../src/sut/replaced.ts";
import { SimulatedClock } from "../../src/sut/simulated-clock.ts";

const lost: Outcome = { kind: "unknown", code: "ERR_CONNECTION_LOST", message: "lost" };
const gone: Outcome = { kind: "failed", code: "ERR_NAMESPACE_GONE", message: "gone" };
const into = new Uint8Array(4096);

/** A device whose reads end when, and as, they are told to. */
async function deviceWithReads(): Promise<{ device: BlockDevice; reads: ((outcome: Outcome) => void)[] }> {
  const service = await memoryService();
  const { uuid } = await service.createVolume({ name: "v", sizeBytes: 4096, sectorSizeBytes: 4096 });
  const reads: ((outcome: Outcome) => void)[] = [];
  const device = replaced(await service.openVolume(uuid), {
    read: () => new Promise<Outcome>((resolve) => reads.push(resolve)),
  });
  return { device, reads };
}

const tick = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("a fence", () => {
  test("is passed by a read that was sent after the question", async () => {
    const { device, reads } = await deviceWithReads();
    const fence = new Fence([device], into);
    let passed = 0;
    void fence.passed().then(() => passed++);
    await tick();
    expect(reads).toHaveLength(1);
    // The read under way was sent before these ask, so it proves nothing to them; one more serves both.
    void fence.passed().then(() => passed++);
    void fence.passed().then(() => passed++);
    await tick();
    expect(reads).toHaveLength(1);
    reads[0]!(ok);
    await tick();
    expect(passed).toBe(1);
    expect(reads).toHaveLength(2);
    reads[1]!(ok);
    await tick();
    expect(passed).toBe(3);
    expect(reads).toHaveLength(2);
  });

  test("is not passed before the target has had its time for what was sent over a lost connection", async () => {
    const { device, reads } = await deviceWithReads();
    const clock = new SimulatedClock();
    let passed = 0;
    const fence = new Fence([device], into, { quiesceMs: 5000, clock });
    void fence.passed().then(() => passed++);
    await clock.advance(4999);
    expect(reads).toHaveLength(0);
    // Asked later, it has to wait as long from then on.
    void fence.passed().then(() => passed++);
    await clock.advance(1);
    reads[0]!(ok);
    await clock.advance(4999);
    expect([passed, reads.length]).toEqual([1, 1]);
    await clock.advance(1);
    reads[1]!(ok);
    await tick();
    expect(passed).toBe(2);
  });

  test("is not passed by a read whose outcome is unknown, but by the one after it", async () => {
    const { device, reads } = await deviceWithReads();
    const passed = new Fence([device], into).passed();
    await tick();
    reads[0]!(lost);
    await tick();
    reads[1]!(ok);
    await expect(passed).resolves.toBe(true);
  });

  test("needs an answer of every device that takes the operations", async () => {
    const [first, second] = [await deviceWithReads(), await deviceWithReads()];
    let isPassed = false;
    void new Fence([first.device, second.device], into).passed().then(() => {
      isPassed = true;
    });
    await tick();
    first.reads[0]!(ok);
    await tick();
    expect(isPassed).toBe(false);
    second.reads[0]!(ok);
    await tick();
    expect(isPassed).toBe(true);
  });

  test("can not be passed if the device refuses, or is never heard of again", async () => {
    const { device, reads } = await deviceWithReads();
    const fence = new Fence([device], into);
    const refused = fence.passed();
    await tick();
    reads[0]!(gone);
    await expect(refused).resolves.toBe(false);
    const silent = new Fence([replaced(device, { read: () => Promise.resolve(lost) })], into);
    await expect(silent.passed()).resolves.toBe(false);
  });
});
