import { describe, expect, test } from "vitest";
import { Tracker } from "../../src/model/tracker.ts";
import { describeViolation, type Violation } from "../../src/model/violation.ts";
import { parseConfig } from "../../src/runner/config/load.ts";
import { Liveness } from "../../src/runner/liveness.ts";
import { positionOf } from "../../src/selectors/operations.ts";
import { type Clock, delay } from "../../src/sut/clock.ts";
import { memoryService } from "../../src/sut/memory.ts";
import type { BlockDevice, Outcome } from "../../src/sut/port.ts";
import { SimulatedClock } from "../../src/sut/simulated-clock.ts";
import { memoryRun, type MemoryRunOptions, smallConfig } from "../support/memory-run.ts";
import { replacing } from "../support/replacing.ts";
import { smallWorkload } from "../support/workloads.ts";

const timedOut: Outcome = { kind: "unknown", code: "ERR_TIMEOUT", message: "no answer" };
const never = new Promise<Outcome>(() => {});

/** As far as the configuration goes a target with time-outs, which can be put to trouble. */
const embedded = smallConfig
  .replace("sequential, lts: 300", "concurrent, depth: 8, lts: 100")
  .replace(
    "target: { kind: memory }",
    'target: { kind: embedded, directory: "in memory, at random instants", commandTimeout: 2s }',
  );
const off = embedded.replace("checks:", "checks:\n  liveness: false");
const troubled = `${embedded}faults: { resetConnections: { every: 1000000 } }\n`;

type Methods = (device: BlockDevice, clock: Clock) => Partial<BlockDevice>;

/** A run at random instants, on devices with some of their methods replaced. */
const run = (methods: Methods, options: MemoryRunOptions = {}) =>
  memoryRun({
    config: embedded,
    jitter: {},
    ...options,
    wrap: (service, clock) => replacing((device) => methods(device, clock))(service),
  });

/** True for the n-th call alone. */
function only(n: number): () => boolean {
  let seen = 0;
  return () => ++seen === n;
}

/** One write is answered by the clock alone: it is given up after 2 s. */
function timingOut(): Methods {
  const isMeant = only(100);
  return (device, clock) => ({
    write: async (request) => {
      if (!isMeant()) return device.write(request);
      await delay(clock, 2000, undefined);
      return timedOut;
    },
  });
}

function hanging(kind: "write" | "read" | "writeZeroes" | "flush", n: number): Methods {
  const isMeant = only(n);
  return (device) => ({
    // Each kind has a request of its own, which is passed on as it is.
    [kind]: (request: never) =>
      isMeant() ? never : (device[kind] as (of: never) => Promise<Outcome>)(request),
  });
}

const notCheckedIn = ({ ledger }: { ledger: { notChecked: readonly { what: string; why: string }[] } }) =>
  ledger.notChecked.find(({ what }) => what === "that every command completes in time")?.why;

describe("a run on a target that does not answer", () => {
  test("names the operation that had no completion in time, how long it took, and the limit", async () => {
    const result = await run(timingOut());
    expect(result.violations).toHaveLength(1);
    const [violation] = result.violations;
    expect(violation).toMatchObject({
      rule: "liveness",
      class: "no-completion",
      expected: "a completion within 2000 ms (target.commandTimeout)",
      operations: [{ role: "observed" }],
    });
    expect(violation!.summary).toMatch(/^write(Fua)? of \d+ blocks? at \d+ of volume 0 did not complete/);
    const [, ms] = /^none in (\d+) ms, and the outcome is unknown \(ERR_TIMEOUT: no answer\)$/.exec(
      violation!.observed,
    )!;
    expect(Math.abs(Number(ms) - 2000)).toBeLessThanOrEqual(125);
    expect(result).toMatchObject({ verdict: "violation", ltsCount: 100 });
    expect(notCheckedIn(result)).toBeUndefined();
  });

  test("names a checker's read that had none, and goes on", async () => {
    const isMeant = only(50);
    const result = await run((device) => ({
      read: (request) => (isMeant() ? Promise.resolve(timedOut) : device.read(request)),
    }));
    expect(result.violations).toHaveLength(1);
    expect(result.violations[0]).toMatchObject({ rule: "liveness", class: "no-completion", operations: [] });
    expect(result.violations[0]!.summary).toContain("read of ");
    expect(result.ltsCount).toBe(100);
  });

  test.for([
    ["write", 100],
    ["read", 100],
    ["read", 101],
    ["writeZeroes", 10],
    ["flush", 5],
  ] as const)("ends when a %s never completes (%d)", async ([kind, n]) => {
    const result = await run(hanging(kind, n));
    expect(result.verdict).toBe("violation");
    const violation = result.violations.at(-1)!;
    expect(violation).toMatchObject({
      rule: "liveness",
      class: "no-completion",
      expected: "an outcome, whatever it is, within 2 min 0 s (checks.livenessLimit)",
    });
    expect(violation.summary).toContain(kind);
    expect(violation.observed).toMatch(/^none in 2 min \d s$/);
    expect(result.now).toBeLessThan(200_000);
    expect(result.targetFailure).toContain("has not completed within 2 min 0 s (checks.livenessLimit)");
  });

  test("ends when a write that never completes holds up the last checks, or a drain", async () => {
    for (const config of [
      embedded.replace("lts: 100", "lts: 20"),
      embedded.replace("stopAfterViolations: 100", "stopAfterViolations: 1"),
    ]) {
      const hangs = only(30);
      const flips = only(31);
      const result = await run(
        (device) => ({
          write: (request) => (hangs() ? never : device.write(request)),
          read: async (request) => {
            const outcome = await device.read(request);
            if (flips()) request.into[5]! ^= 1;
            return outcome;
          },
        }),
        { config },
      );
      expect(result.verdict).toBe("violation");
      expect(result.targetFailure).toContain("has not completed within 2 min 0 s");
    }
  });

  test("ends when a fence is never passed", async () => {
    // Nothing but fences reads single blocks.
    const config = `${embedded}reads: { perLts: { max: 0 }, preRead: 0/1 }\n`.replace(
      "operations: {",
      "operations: { weights: { compareAndWrite: 0, compareAndWriteMiss: 0 },",
    );
    const isMeant = only(100);
    const result = await run(
      (device) => ({
        write: (request) =>
          isMeant()
            ? Promise.resolve({ kind: "unknown", code: "ERR_CONNECTION_LOST", message: "lost" })
            : device.write(request),
        read: (request) => (request.blockCount === 1 ? never : device.read(request)),
      }),
      { config },
    );
    expect(result.violations[0]).toMatchObject({ rule: "liveness", class: "no-completion" });
    expect(result.violations[0]!.summary).toContain("read of 1 block");
  });

  test("ends when the second volume never completes a write", async () => {
    const config = embedded.replace("checks:", "checks:\n  secondVolume: true");
    const isMeant = only(100);
    let opened = 0;
    const result = await run(
      (device) => {
        const isSecond = ++opened === 2;
        return { write: (request) => (isSecond && isMeant() ? never : device.write(request)) };
      },
      { config },
    );
    expect(result.violations[0]).toMatchObject({ rule: "liveness", operations: [{ role: "observed" }] });
  });

  test.for([
    ["when it is not to look", off, "checks.liveness is false"],
    [
      "of a target that it puts to trouble",
      troubled,
      "faults are brought about: time-outs are put down to them",
    ],
  ])("finds nothing in a time-out %s, and says so", async ([, config, why]) => {
    const result = await run(timingOut(), { config: config! });
    expect(result.violations).toEqual([]);
    expect(result).toMatchObject({ verdict: "consistent", ltsCount: 100 });
    expect(notCheckedIn(result)).toBe(why);
  });

  test.for([
    ["when it is not to look", off],
    ["of a target that it puts to trouble", troubled],
  ])("ends all the same on a write that never completes %s, undecided", async ([, config]) => {
    const result = await run(hanging("write", 100), { config: config! });
    expect(result.violations).toEqual([]);
    expect(result).toMatchObject({ verdict: "undecided" });
    expect(result.targetFailure).toContain("has not completed within 2 min 0 s (checks.livenessLimit)");
  });

  test("raises no alarm about one that is slow, and right", async () => {
    const slowly = async <Result>(clock: Clock, isMeant: boolean, done: () => Promise<Result>) => {
      if (isMeant) await delay(clock, 110_000, undefined);
      return done();
    };
    const [write, read, flush] = [only(50), only(60), only(5)];
    const result = await run((device, clock) => ({
      write: (request) => slowly(clock, write(), () => device.write(request)),
      read: (request) => slowly(clock, read(), () => device.read(request)),
      flush: () => slowly(clock, flush(), () => device.flush()),
    }));
    expect(result.violations).toEqual([]);
    expect(result).toMatchObject({ verdict: "consistent", ltsCount: 100, targetFailure: undefined });
    expect(result.now).toBeGreaterThan(110_000);
  });
});

/** Operations of lts 0 and 1 told to a liveness checker by hand. */
async function byHand(commandTimeout = "2s") {
  const clock = new SimulatedClock();
  const tracker = new Tracker();
  const workload = smallWorkload(12n);
  const violations: Violation[] = [];
  const config = parseConfig(`target: { kind: embedded, commandTimeout: ${commandTimeout} }`, "test");
  const liveness = new Liveness({
    config,
    clock,
    tracker,
    workload,
    isExcused: false,
    report: (violation) => violations.push(violation),
  });
  const submit = (lts: number): number => {
    tracker.beginLts(lts);
    const position = positionOf(lts, workload.visit(lts).operations[0]!.operationId);
    tracker.submit(position);
    liveness.submitted();
    return position;
  };
  const timeOut = (position: number): void => {
    tracker.complete(position, "unknown");
    liveness.inDoubt(position, timedOut);
  };
  return { clock, liveness, violations, submit, timeOut };
}

describe("the watch over completions", () => {
  test("names the operation that was late, not those given up with its connection", async () => {
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
    ]) {
      const { clock, violations, submit, timeOut } = await byHand();
      const positions = [submit(0)];
      await clock.advance(1800);
      positions.push(submit(1), submit(2));
      await clock.advance(250);
      for (const index of order) timeOut(positions[index]!);
      expect(violations).toHaveLength(1);
      expect(violations[0]!.operations).toMatchObject([{ lts: 0 }]);
    }
  });

  test("names one operation if a connection was given up though none of its operations was late", async () => {
    const { clock, violations, submit, timeOut } = await byHand();
    const positions = [submit(0), submit(1)];
    await clock.advance(500);
    for (const position of positions) timeOut(position);
    expect(violations).toHaveLength(1);
    expect(violations[0]!.summary).toContain("was given up with the connection");
  });

  test("gives nothing up early, nor much too late", async () => {
    const { clock, liveness, violations, submit } = await byHand("50s");
    let error: unknown;
    liveness.stuck.catch((reason: unknown) => {
      error = reason;
    });
    await clock.advance(700);
    submit(0);
    await clock.advance(200_000);
    expect(violations).toEqual([]);
    await clock.advance(2_000);
    expect(violations).toHaveLength(1);
    expect(String(error)).toContain("has not completed within 3 min 20 s");
    expect(clock.pendingCount).toBe(0);
  });

  test("sets no timer while nothing is under way, and forgets its own when it is stopped", async () => {
    const { clock, liveness, submit, timeOut } = await byHand();
    expect(clock.pendingCount).toBe(0);
    const position = submit(0);
    expect(clock.pendingCount).toBe(1);
    timeOut(position);
    await clock.advance(1000);
    expect(clock.pendingCount).toBe(0);
    liveness.stop();
    submit(1);
    expect(clock.pendingCount).toBe(0);
    const busy = await byHand();
    busy.submit(0);
    busy.liveness.stop();
    expect(busy.clock.pendingCount).toBe(0);
  });

  test("tells of a flush without blocks", async () => {
    const { clock, liveness, violations } = await byHand();
    const service = await memoryService();
    const { uuid } = await service.createVolume({ name: "v", sizeBytes: 4096, sectorSizeBytes: 4096 });
    const device = await service.openVolume(uuid);
    const command = { kind: "flush", device, volume: 0, block: 0, blockCount: 0 };
    const flushed = liveness.watch(
      command,
      delay(clock, 2000, undefined).then(() => timedOut),
    );
    await clock.advanceThrough(flushed);
    expect(describeViolation(violations[0]!)).toMatch(
      /^no-completion: volume 0 \(rule liveness, as of lts -1\)\n {2}flush of .* did not complete in time\n/,
    );
  });
});

describe("the limits of liveness in a configuration", () => {
  test("are 30 s for a command and 2 min in all, or four times as long as a command may take", () => {
    expect(parseConfig("", "test")).toMatchObject({
      checks: { liveness: true, livenessLimit: 120_000 },
      target: { commandTimeout: 30_000 },
    });
    expect(parseConfig("target: { kind: embedded, commandTimeout: 1min }", "test")).toMatchObject({
      checks: { livenessLimit: 240_000 },
    });
    expect(parseConfig("target: { kind: memory }", "test").checks.livenessLimit).toBe(120_000);
  });

  test("must leave a command the time that it may take", () => {
    expect(() => parseConfig("checks: { livenessLimit: 30s }", "test")).toThrow(
      /checks\.livenessLimit: expected more than target\.commandTimeout, 30000 ms/,
    );
    expect(() => parseConfig("target: { kind: embedded, commandTimeout: 10ms }", "test")).toThrow(
      /commandTimeout: expected at least 100ms/,
    );
  });
});
