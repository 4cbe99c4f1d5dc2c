import { mkdtemp, open, rm, unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { builtClass } from "../../../src/gallery/ground.ts";
import { catalogue } from "../../../src/gallery/catalogue.ts";
import { dumpClass } from "../../../src/gallery/dump-class.ts";
import { isBuilt } from "../../../src/gallery/mutant.ts";
import { performTrial } from "../../../src/gallery/trial.ts";
import type { FaultClass } from "../../../src/model/violation.ts";
import { type Dump, type DumpedViolation, DumpError } from "../../../src/reproduce/dump.ts";
import { entryOf } from "../../../src/reproduce/dump-files.ts";
import { FailureFolder } from "../../../src/reproduce/failure-folder.ts";
import { readDump } from "../../../src/reproduce/read-dump.ts";
import { fromImage } from "../../../src/reproduce/rejudge/from-image.ts";
import type { Judgement } from "../../../src/reproduce/rejudge/judgement.ts";
import { withDeviceFaults, withServiceFaults } from "../../../src/sut/faults.ts";
import { replaced } from "../../../src/sut/replaced.ts";
import { dumpOf, log, signal, small, verdictsOf } from "./dumps.ts";

let failures: string;
beforeAll(async () => {
  failures = await mkdtemp(join(tmpdir(), "harrow-test-"));
});
afterAll(() => rm(failures, { recursive: true }));

async function dumpOfClass(id: string): Promise<Dump> {
  const entry = builtClass(id);
  const { path } = await dumpClass({
    entry,
    seed: 1n,
    failures,
    version: "1",
    log,
    serveCommand: [],
    signal,
  });
  return readDump(path!);
}

async function judged(dump: Dump): Promise<readonly Judgement[]> {
  return (await fromImage(dump, { log, signal })).judgements;
}

/** Classes on volumes in memory whose violation is no state of volumes, snapshots or diffs. */
const stateless: Readonly<Record<string, string>> = {
  H04: "a compare-and-write answers wrong, and nothing stays of an answer",
};
/** Classes whose volumes are too large for an image of all their blocks to be read. */
const imageless: Readonly<Record<string, string>> = {
  M10: "a volume of more than 2^32 blocks",
};

const inMemory = catalogue.filter(isBuilt).filter(({ mutant }) => mutant.setting === "memory");

describe("from the image alone", () => {
  test.for(inMemory.filter(({ id }) => !(id in stateless) && !(id in imageless)).map(({ id }) => id))(
    "every violation of class %s is found again, with its rule and class",
    async (id) => {
      const dump = await dumpOfClass(id);
      const judgements = await judged(dump);
      expect(judgements).toHaveLength(dump.violations.length);
      for (const { violation, verdict, found, text } of judgements) {
        expect(verdict, text).toBe("again");
        expect(found).toMatchObject({ rule: violation.rule, class: violation.class });
      }
    },
  );

  test.for(Object.keys(imageless))(
    "every violation of class %s is found again, in the bytes that were read",
    async (id) => {
      const folder = new FailureFolder({ version: "1" });
      await performTrial({
        ...{ entry: builtClass(id), variant: "fault", seed: 1n, log, serveCommand: [], signal },
        config: { failures, runner: { stopAfterViolations: 1 } },
        onViolation: (violation, exhibit, run) => folder.add(violation, exhibit, run),
        onEnd: (run) => folder.finish(run),
      });
      for (const { verdict, text } of await judged(await readDump(folder.path!)))
        expect(verdict, text).toBe("again");
    },
  );

  test.for(Object.keys(stateless))("of class %s it is said that nothing of it stays", async (id) => {
    const [judgement] = await judged(await dumpOfClass(id));
    expect(judgement).toMatchObject({ verdict: "not-kept" });
    expect(judgement?.text).toMatch(/no state of the target shows/);
  });

  test("a block that the run has written over since is judged by the bytes that were read", async () => {
    const judgements = await judged(await dumpOfClass("M19"));
    expect(judgements.every(({ verdict }) => verdict === "again")).toBe(true);
    expect(judgements[0]?.text).toMatch(
      /^the run has gone on, and the image holds what it left there since: .*; the bytes that were read, in the dump, show lost-write/,
    );
  });

  test("a block that was read wrong is right in the image, and wrong in the bytes that were read", async () => {
    const [judgement] = await judged(await dumpOfClass("M03"));
    expect(judgement?.text).toMatch(
      /^the image holds what is right: it was read wrong, not stored wrong; the bytes that were read, in the dump, show bit-flip/,
    );
  });

  test("a block that was wrong under load, and is at rest, is found in the image", async () => {
    const dump = await dumpOfClass("M16");
    const { violation, exhibit } = dump.violations[0]!;
    const seen = await exhibit!();
    if (seen.kind !== "block") throw new Error("expected a block");
    const live: DumpedViolation = {
      violation: { ...violation, rule: "exhaustive" },
      exhibit: () => Promise.resolve({ ...seen, judged: { ...seen.judged!, isLive: true } }),
    };
    const [judgement] = await judged({ ...dump, violations: [live] });
    expect(judgement).toMatchObject({ verdict: "again", found: { rule: "exhaustive", class: "lost-write" } });
    expect(judgement?.text).toMatch(/^it is still there, at rest: the image shows lost-write/);
  });

  test("bytes read under load that no time could have shown are wrong again", async () => {
    const [judgement] = await judged(await dumpOfClass("M08"));
    expect(judgement).toMatchObject({ verdict: "again", found: { rule: "exhaustive", class: "torn" } });
    expect(judgement?.text).toMatch(/none that the history up to lts \d+ ever left on the block/);
  });

  test("bytes read under load that were right at some time are not called wrong, nor right", async () => {
    const [judgement] = await judged(await dumpOfClass("H09"));
    expect(judgement).toMatchObject({ verdict: "not-kept" });
    expect(judgement?.text).toMatch(/They were right at some time; .* What could show then: data of lts \d+/);
  });
});

test("a fault of the volume that a snapshot has shown is the volume's again", async () => {
  let writes = 0;
  const config = {
    ...small,
    operations: { ...small.operations, weights: { ...small.operations?.weights, deallocateExtent: 0 } },
    snapshots: { every: 5, hot: "0/1" as const },
    checks: { recent: { every: 1_000_000, extents: 1 }, sample: { every: 1_000_000, extents: 1 } },
    runner: { ...small.runner, lts: 200 },
  };
  const dump = await dumpOf(config, {
    failures,
    spoiled: {
      service: (inner) =>
        withServiceFaults(inner, {
          volume: () => ({ write: () => (++writes % 40 === 0 ? { kind: "drop" } : undefined) }),
        }),
    },
  });
  const { violation } = dump.violations[0]!;
  expect(violation).toMatchObject({ rule: "quiescent" });
  expect(violation.snapshot).toBeUndefined();
  expect(violation.summary).toMatch(/; snapshot \d+ shows it as well$/);
  const [judgement] = await judged(dump);
  expect(judgement).toMatchObject({ verdict: "again", found: { summary: violation.summary } });
});

describe("what the dump has lost", () => {
  test("blocks that could not be read for the image are judged by the bytes that were read", async () => {
    const dump = await dumpOfClass("M16");
    const { block } = dump.violations[0]!.violation;
    const images = dump.images.map((image) => ({ ...image, unread: [{ block, blockCount: 1 }] }));
    const [judgement] = await judged({ ...dump, images });
    expect(judgement?.verdict).toBe("again");
    expect(judgement?.text).toMatch(
      /could not read these blocks when the image was made; the bytes that were read, in the dump, show lost-write/,
    );
  });

  test("no image, or a damaged one, leaves the bytes that were read", async () => {
    for (const id of ["M16", "M46", "M48"]) {
      const dump = await dumpOfClass(id);
      for (const { file } of dump.images) await rm(join(dump.path, file));
      const warnings: string[] = [];
      const warn = (message: string): void => void warnings.push(message);
      for (const one of [dump, { ...dump, images: [] }]) {
        const { judgements } = await fromImage(one, { log: { ...log, warn }, signal });
        expect(judgements[0]?.verdict).toBe("again");
        expect(judgements[0]?.text).toMatch(
          /the dump has no image of (volume|snapshot) .*; the bytes that were read, in the dump, show/,
        );
      }
      expect(warnings).toEqual(
        dump.images.map(() => expect.stringMatching(/is missing.*judged without that image$/)),
      );
    }
  });

  test("without what was read beside it, a block is judged alone", async () => {
    const dump = await dumpOfClass("M16");
    await unlink(join(dump.path, "range-0.bin"));
    const [first] = await judged(await readDump(dump.path));
    expect(first).toMatchObject({ verdict: "again", found: { class: "lost-write" } });
  });

  test("a damaged image takes no other one with it, and is named", async () => {
    const dump = await dumpOfClass("M16");
    const [volume] = dump.images;
    const lost = { ...volume!, file: "image/snapshot-0-0.img", snapshot: 0 };
    const warnings: string[] = [];
    const warn = (message: string): void => void warnings.push(message);
    const damaged = { ...dump, images: [lost, volume!] };
    const { judgements } = await fromImage(damaged, { log: { ...log, warn }, signal });
    expect(judgements[0]?.text).toMatch(/^the image holds the bytes that were read/);
    expect(warnings).toEqual([expect.stringMatching(/image\/snapshot-0-0\.img: .*without that image$/)]);
  });

  test("without its own file, a block is found in what was read with it", async () => {
    const dump = await dumpOfClass("M09");
    const whole = await dump.violations[0]!.exhibit!();
    await unlink(join(dump.path, "observed-0.bin"));
    const left = await readDump(dump.path);
    expect(await left.violations[0]!.exhibit!()).toEqual(whole);
    const [first] = await judged(left);
    expect(first).toMatchObject({ verdict: "again", found: { class: dump.violations[0]!.violation.class } });
  });

  test("without the block there is nothing to judge, and the others are judged all the same", async () => {
    const dump = await dumpOfClass("M09");
    await unlink(join(dump.path, "observed-0.bin"));
    await unlink(join(dump.path, "range-0.bin"));
    const judgements = await judged(await readDump(dump.path));
    expect(verdictsOf(judgements)).toEqual(["not-kept", "again quiescent/lost-write"]);
    expect(judgements[0]?.text).toBe("what was seen of it is not in the dump");
  });

  test("without what the model knew nothing can be judged", async () => {
    const dump = await dumpOfClass("M16");
    await rm(join(dump.path, "model"), { recursive: true });
    await expect(judged(dump)).rejects.toThrow(DumpError);
    await expect(judged(dump)).rejects.toThrow(/run\.sqlite/);
  });
});

test("an image that shows something else is told of beside the bytes that were read", async () => {
  const dump = await dumpOfClass("M16");
  const [image] = dump.images;
  const path = join(dump.path, image!.file);
  const { block } = dump.violations[0]!.violation;
  const file = await open(path, "r+");
  await file.write(new Uint8Array(4096).fill(0xab), 0, 4096, block * 4096);
  await file.close();
  const files = new Map([...dump.files, [image!.file, await entryOf(path)] as const]);
  const [judgement] = await judged({ ...dump, files });
  expect(judgement?.verdict).toBe("again");
  expect(judgement?.text).toMatch(
    /^the image shows garbage \(rule quiescent\): .*; the bytes that were read, in the dump, show lost-write/,
  );
});

test("a violation that has another name than what is there is different", async () => {
  const dump = await dumpOfClass("M01");
  const [first] = dump.violations;
  const renamed = { ...first!, violation: { ...first!.violation, class: "garbage" as FaultClass } };
  const judgements = await judged({ ...dump, violations: [renamed] });
  expect(verdictsOf(judgements)).toEqual(["different quiescent/bit-flip"]);
});

describe("beside blocks and diffs", () => {
  test("the second volume's bytes are held against the image of the first", async () => {
    const config = { ...small, checks: { ...small.checks, secondVolume: true } };
    let opened = 0;
    const dump = await dumpOf(config, {
      failures,
      spoiled: {
        service: (inner) =>
          replaced(inner, {
            openVolume: async (uuid) => {
              const device = await inner.openVolume(uuid);
              // The second volume is opened after the first.
              if (opened++ !== 1) return device;
              return withDeviceFaults(device, { write: () => ({ kind: "drop" }) });
            },
          }),
      },
    });
    const judgements = await judged(dump);
    expect(verdictsOf(judgements)).toEqual(["again second-volume/volumes-differ"]);
    expect(verdictsOf(await judged({ ...dump, images: [] }))).toEqual(["not-kept"]);
  });

  test("a snapshot that was said to be too short is as large as its volume in the image", async () => {
    const config = { ...small, snapshots: { every: 10, hot: "0/1" } };
    const dump = await dumpOf(config, {
      failures,
      spoiled: {
        service: (inner) =>
          replaced(inner, {
            createSnapshot: async (request) => {
              const snapshot = await inner.createSnapshot(request);
              return { ...snapshot, sizeBytes: snapshot.sizeBytes - 4096 };
            },
          }),
      },
    });
    expect(dump.violations[0]?.violation.class).toBe("wrong-size");
    const [judgement] = await judged(dump);
    expect(judgement).toMatchObject({
      verdict: "right",
      text: "snapshot 0 of volume 0 has 256 blocks, of 256 that it should have",
    });
  });

  test("a snapshot that was gone, and a command without completion, leave no image", async () => {
    const dump = await dumpOfClass("M16");
    const { violation } = dump.violations[0]!;
    const others = (["lost-snapshot", "no-completion"] as const).map((name) => ({
      violation: { ...violation, class: name, snapshot: 0 },
      exhibit: undefined,
    }));
    const judgements = await judged({ ...dump, violations: others });
    expect(verdictsOf(judgements)).toEqual(["not-kept", "not-kept"]);
    expect(judgements.map(({ text }) => text)).toEqual([
      expect.stringMatching(/an image can not show what is not there/),
      expect.stringMatching(/did not complete in time/),
    ]);
  });
});

test("an interrupted judging gives what it has", async () => {
  const dump = await dumpOfClass("M16");
  const { judgements } = await fromImage(dump, { log, signal: AbortSignal.abort() });
  expect(judgements).toEqual([]);
});
