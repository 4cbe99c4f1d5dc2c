import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { HistoryBuilder } from "../../src/selectors/history-builder.ts";
import { HistoryError } from "../../src/selectors/history-error.ts";
import { parseHistory } from "../../src/selectors/history-text.ts";
import type { Outcome } from "../../src/sut/port.ts";
import { replaced } from "../../src/sut/replaced.ts";
import { geometryOf, geometryText, parseGeometry, simplerGeometries } from "../../src/testing/geometries.ts";
import {
  casesOf,
  runVolumeTest,
  VolumeTestError,
  type VolumeTest,
  type VolumeTestOptions,
  type WriteHistory,
} from "../../src/testing/volume-test.ts";
import { losingWrites, openMemory, violationOf } from "./memory-target.ts";

const name = "a test (of 2+ writes)";
const spec = { extentBlocks: { min: 8, max: 16 } };

const variables = ["SEED", "GEOMETRY", "SEEDS", "GEOMETRIES", "BUG", "TARGET"];

beforeEach(() => {
  for (const one of variables) vi.stubEnv(`HARROW_${one}`, undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
});

const busy: WriteHistory = (history) => {
  history.extent(0).writes(4).finish().snapshot("a");
  history.extent(1).simultaneously().writes(3).deallocate().read().finish();
  history.snapshot("b").diff("a", "b").sync("a").sync("b").clone("c", "a");
  history.extent(0).writes(2).compareAndWrite().readExtent().finish().rollback("a");
};

function testOf(options: VolumeTestOptions = {}, write: WriteHistory = busy): VolumeTest {
  return { name, spec, write, options: { shrinkMs: 20_000, ...options } };
}

const onFire: Outcome = {
  kind: "failed",
  code: "ERR_MEDIA",
  message: "the device is on fire",
};

/** Opens volumes that lose every third write. */
const losing: VolumeTestOptions = { target: (config) => openMemory(config, { faultsOf: losingWrites }) };

async function failureOf(volumeTest: VolumeTest): Promise<VolumeTestError> {
  const error = await runVolumeTest(volumeTest).then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(VolumeTestError);
  return error as VolumeTestError;
}

/** The cases that a test runs, in their order. */
async function casesRun(options: VolumeTestOptions = {}): Promise<readonly string[]> {
  const cases: string[] = [];
  const write = (history: HistoryBuilder) => {
    const { blockSizeBytes, extentBlocks, extentCount } = history.geometry;
    cases.push(`${history.seed} ${blockSizeBytes}x${extentBlocks}x${extentCount}`);
    history.extent(0).write().finish();
  };
  await runVolumeTest(testOf(options, write));
  return cases;
}

describe("a volume test", () => {
  test.for<[string, VolumeTestOptions]>([
    ["volumes in memory", {}],
    ["volumes in memory, with traffic", { interleave: { lts: 20 } }],
    ["volumes in memory, with crashes", { faults: { crashes: 2 } }],
    [
      "volumes in memory, with all of it",
      { interleave: { lts: 20 }, faults: { crashes: 1, connectionResets: 1 } },
    ],
    ["a target of its own", { target: (config) => openMemory(config) }],
  ])("passes on %s", async ([, options]) => {
    await runVolumeTest(testOf({ seeds: 5, ...options }));
  });

  test("runs ten seeds on two geometries each, or as many as it says, the same each time", async () => {
    const cases = await casesRun();
    expect(cases).toHaveLength(20);
    expect(cases.map((one) => one.split(" ")[0])).toEqual(
      Array.from({ length: 20 }, (_, index) => String(1 + Math.floor(index / 2))),
    );
    expect(new Set(cases).size).toBeGreaterThan(15);
    expect(await casesRun()).toEqual(cases);
    expect(await casesRun({ seeds: 2, geometries: 1 })).toEqual([cases[0], cases[2]]);
    expect(await casesRun({ seeds: [3n], geometries: 2 })).toEqual(cases.slice(4, 6));
  });

  test("closes the targets that it opens, one after another", async () => {
    const events: string[] = [];
    const target: VolumeTestOptions["target"] = async (config) => {
      events.push("open");
      const target = await openMemory(config);
      return {
        ...target,
        [Symbol.asyncDispose]: async () => {
          events.push("close");
          await target[Symbol.asyncDispose]();
        },
      };
    };
    await runVolumeTest(testOf({ seeds: 2, geometries: 1, target }));
    expect(events).toEqual(["open", "close", "open", "close"]);
  });

  test.for<[string, VolumeTestOptions]>([
    ["no seed", { seeds: 0 }],
    ["an empty list of seeds", { seeds: [] }],
    ["no geometry", { geometries: 0 }],
  ])("without a case, as of %s, is refused and does not pass", async ([, options]) => {
    await expect(runVolumeTest(testOf(options))).rejects.toThrow("expected one or more of both");
  });
});

describe("a volume test that finds something", () => {
  test("says seed, geometry, violation, history, and how to run that alone", async () => {
    const error = await failureOf(testOf(losing));
    const { testCase, violation, history, message } = error;
    expect(testCase.seed).toBe(1n);
    const geometry = geometryText(testCase.geometry);
    const [first] = message.split("\n");
    expect(first).toBe(`${violation.class}, with seed 0x1 on geometry ${geometry}`);
    expect(message).toContain(violation.summary);
    expect(message).toContain(`\n  expected  ${violation.expected}\n  observed  ${violation.observed}\n`);
    expect(message).toContain(history.trimEnd().replaceAll(/^/gm, "  "));
    expect(message.split("\n").at(-1)).toBe(
      `  HARROW_SEED=0x1 HARROW_GEOMETRY=${geometry} npx vitest run -t 'a test \\(of 2\\+ writes\\)'`,
    );
  });

  test("tells the history made small, which fails in the same way when it is read", async () => {
    const { violation, history } = await failureOf(testOf(losing));
    const plan = parseHistory(history, "failure");
    expect(plan.visits.flatMap(({ operations }) => operations)).toHaveLength(3);
    const again = await violationOf(plan, losingWrites);
    expect(again).toMatchObject({ class: violation.class, block: violation.block });
  });

  test("shows it on the simplest geometry on which it fails too", async () => {
    const { testCase, history } = await failureOf(testOf(losing));
    const { geometry } = parseHistory(history, "failure");
    const [simplest] = simplerGeometries(testCase.geometry, spec);
    expect(geometry.volumeBlocks).toEqual(geometryOf(simplest!).volumeBlocks);
  });

  test("finds it at once, and not only at the end, if it may spend no time on making it small", async () => {
    const { history } = await failureOf(testOf({ ...losing, shrinkMs: 0 }));
    expect(parseHistory(history, "failure").snapshotNames).toEqual(["a", "b"]);
  });

  test("fails again alone with what it says", async () => {
    const cases = casesOf(testOf(losing));
    const { testCase, message } = await failureOf(testOf({ ...losing, seeds: [7n], shrinkMs: 0 }));
    const [, seed, geometry] = /HARROW_SEED=(\S+) HARROW_GEOMETRY=(\S+) /.exec(message)!;
    vi.stubEnv("HARROW_SEED", seed);
    vi.stubEnv("HARROW_GEOMETRY", geometry);
    expect(casesOf(testOf(losing))).toEqual([testCase]);
    expect(cases.length).toBe(20);
    expect((await failureOf(testOf({ ...losing, shrinkMs: 0 }))).message).toBe(message);
  });

  test("fails by a class of the gallery that is switched on", async () => {
    const { violation } = await failureOf(testOf({ bug: "m16", shrinkMs: 100 }));
    expect(violation.class).toBe("lost-write");
    await expect(runVolumeTest(testOf({ bug: "M99" }))).rejects.toThrow(
      "bug 'M99': expected a class of the gallery",
    );
  });

  test("quotes a name for the shell", async () => {
    const { message } = await failureOf({ ...testOf({ ...losing, shrinkMs: 0 }), name: 'it\'s $5 "now"' });
    expect(message).toMatch(/-t 'it'\\''s \\\$5 "now"'$/);
  });
});

describe("a volume test that can not be run", () => {
  test("fails if its target can not be opened", async () => {
    const target = () => Promise.reject(new Error("no such cluster"));
    await expect(runVolumeTest(testOf({ target }))).rejects.toThrow("no such cluster");
  });

  test("fails if its target fails, and not as a violation", async () => {
    const options: VolumeTestOptions = {
      target: async (config) => {
        const target = await openMemory(config);
        const [volume] = target.volumes;
        const device = replaced(volume!.device, { write: async () => onFire });
        return { ...target, volumes: [{ ...volume!, device }] };
      },
    };
    const error = await runVolumeTest(testOf(options)).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(Error);
    expect(error).not.toBeInstanceOf(VolumeTestError);
    expect((error as Error).message).toMatch(/^the target failed: .*the device is on fire/);
  });

  test("fails if its history is to crash a target that can not be", async () => {
    const options: VolumeTestOptions = { target: (config) => openMemory(config), faults: { crashes: 1 } };
    await expect(runVolumeTest(testOf(options))).rejects.toThrow(
      "volumes in memory can not be put to trouble: leave out crash()",
    );
  });

  test("fails if it is stopped", async () => {
    await expect(runVolumeTest(testOf(), AbortSignal.abort())).rejects.toThrow("This operation was aborted");
  });

  test.for<[string, WriteHistory, string]>([
    ["is empty", () => {}, "the history is empty"],
    ["is not finished", (history) => void history.extent(0).write(), "lack their finish()"],
    ["leaves its extent", (history) => void history.extent(99), "extent 99: there are"],
  ])("fails if its history %s, at its line", async ([, write, message]) => {
    const error = await runVolumeTest(testOf({}, write)).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(HistoryError);
    expect((error as Error).message).toContain(message);
  });

  test("fails if its history leaves no extent for traffic", async () => {
    const all: WriteHistory = (history) => {
      for (let extent = 0; extent < history.geometry.extentCount; extent++)
        history.extent(extent).write().finish();
    };
    await expect(runVolumeTest(testOf({ interleave: { lts: 1 } }, all))).rejects.toThrow(
      "leaves none for traffic",
    );
  });
});

describe("the environment", () => {
  const text = "4096x9x4x1-text";

  test("names a case", () => {
    const cases = (environment: NodeJS.ProcessEnv) => casesOf(testOf({ seeds: 3 }), environment);
    const geometry = parseGeometry(text);
    expect(cases({ HARROW_SEED: "0x1F", HARROW_GEOMETRY: text })).toEqual([{ seed: 31n, geometry }]);
    expect(cases({ HARROW_GEOMETRY: text })).toEqual([1n, 2n, 3n].map((seed) => ({ seed, geometry })));
    const bySeed = cases({ HARROW_SEED: "2" });
    expect(bySeed).toEqual(cases({}).slice(2, 4));
    expect(cases({ HARROW_SEED: "18446744073709551615" })[0]!.seed).toBe(2n ** 64n - 1n);
  });

  test("is heard by a test that runs", async () => {
    vi.stubEnv("HARROW_SEED", "5");
    vi.stubEnv("HARROW_GEOMETRY", text);
    expect(await casesRun()).toEqual(["5 4096x9x4"]);
  });

  test("says how many cases there are", async () => {
    vi.stubEnv("HARROW_SEEDS", "3");
    vi.stubEnv("HARROW_GEOMETRIES", "4");
    expect(await casesRun({ seeds: [9n] })).toHaveLength(12);
  });

  test("switches a bug on", async () => {
    vi.stubEnv("HARROW_BUG", "M16");
    expect((await failureOf(testOf({ shrinkMs: 0 }))).violation.class).toBe("lost-write");
  });

  test.for([
    ...["", "x", "-1", "1.5", "0x", "0x10000000000000000", "18446744073709551616", " 1"].map(
      (value) => ["HARROW_SEED", value] as const,
    ),
    ...["", "4096", "4096x9x4x1-words"].map((value) => ["HARROW_GEOMETRY", value] as const),
    ...["", "0", "-1", "many", "1000000"].map((value) => ["HARROW_SEEDS", value] as const),
    ["HARROW_GEOMETRIES", "0"] as const,
    ["HARROW_TARGET", "disk"] as const,
    ["HARROW_BUG", "M99"] as const,
  ])("is refused if %s is '%s'", async ([variable, value]) => {
    vi.stubEnv(variable, value);
    const error = await runVolumeTest(testOf()).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(Error);
    expect((error as Error).message).toContain(`'${value}'`);
  });
});
