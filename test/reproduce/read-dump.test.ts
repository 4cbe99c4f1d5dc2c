/**
 * Failure folders that something has happened to.
 *
 * @packageDocumentation
 */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { historyText, parseHistory } from "../../src/selectors/history-text.ts";
import { type Dump, DumpError } from "../../src/reproduce/dump.ts";
import {
  type FailureJson,
  failureText,
  hashOf,
  type UnsignedFailure,
} from "../../src/reproduce/dump-format.ts";
import { imageOf, memoryOf, operationLogOf, readDump } from "../../src/reproduce/read-dump.ts";
import { dumpedRun, version } from "./dumped.ts";

const root = mkdtempSync(join(tmpdir(), "harrow-read-dump-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let good: string;
let goodDiff: string;
beforeAll(async () => {
  const failures = join(root, "failures");
  const config = { dump: "image" } as const;
  good = (await dumpedRun({ failures, config })).path!;
  goodDiff = (await dumpedRun({ failures, config, entry: "M52" })).path!;
});

let copies = 0;

/** A copy of a good folder, after something has happened to it. */
function damaged(damage: (path: string) => void, from = good): string {
  const path = join(root, `copy-${copies++}`);
  cpSync(from, path, { recursive: true });
  damage(path);
  return path;
}

function edit(path: string, file: string, change: (text: string) => string): void {
  const before = readFileSync(join(path, file), "utf8");
  const after = change(before);
  expect(after).not.toBe(before);
  writeFileSync(join(path, file), after);
}

/** Changes failure.json as harrow itself would have written it. */
function rewrite(path: string, change: (failure: UnsignedFailure) => UnsignedFailure): void {
  edit(path, "failure.json", (text) => {
    const { format: _format, sha256: _sha256, ...failure } = JSON.parse(text) as FailureJson;
    return failureText(change(failure));
  });
}

function halve(path: string, file: string): void {
  truncateSync(join(path, file), Math.floor(readFileSync(join(path, file)).length / 2));
}

/** All of a dump that can be asked for, as text. */
async function everythingOf(
  path: string,
): Promise<{ readonly missing: readonly string[]; readonly text: string }> {
  const dump = await readDump(path, { version });
  const exhibits: unknown[] = [];
  for (const { exhibit } of dump.violations) exhibits.push(await exhibit?.());
  const { files: _files, path: _path, violations, ...rest } = dump;
  const images = (await imageOf(dump))?.map(({ path: _where, ...image }) => image);
  const { about, event, ltsReserved, ltsComplete, decisions, documents } = memoryOf(dump);
  await operationLogOf(dump);
  const found = violations.map(({ violation }) => violation);
  const all = { ...rest, found, exhibits, images, about, event, ltsReserved, ltsComplete, decisions };
  const text = JSON.stringify({ ...all, documents: [...documents] }, (_, value: unknown) => {
    if (value instanceof Uint8Array) return hashOf(value);
    return typeof value === "bigint" ? String(value) : value;
  });
  return { missing: dump.missing, text };
}

describe("a failure folder that is damaged", () => {
  test.for<[string, (path: string) => void, string]>([
    [
      "has no failure.json",
      (path) => rmSync(join(path, "failure.json")),
      "failure.json: is missing; harrow fuzz",
    ],
    [
      "has neither failure.json nor run.yml",
      (path) => {
        rmSync(join(path, "failure.json"));
        rmSync(join(path, "run.yml"));
      },
      "is not a failure folder (it has no failure.json)",
    ],
    ["has half of failure.json", (path) => halve(path, "failure.json"), "failure.json: is no JSON"],
    [
      "has a failure.json that is no text",
      (path) => writeFileSync(join(path, "failure.json"), Buffer.from([0xff, 0xfe, 0x80])),
      "failure.json: is no text",
    ],
    [
      "has a failure.json that was edited",
      (path) => edit(path, "failure.json", (text) => text.replace('"volume": 0', '"volume": 1')),
      "failure.json: was changed since it was written; put it back, or allow it as it is (--allow-edited)",
    ],
    [
      "is of a later format",
      (path) => edit(path, "failure.json", (text) => text.replace('"format": 1', '"format": 2')),
      "failure.json: has format 2, and this version of harrow reads 1 only: use harrow 0.0.1",
    ],
    [
      "is of a version before there was a format",
      (path) => edit(path, "failure.json", (text) => text.replace('"format": 1,', "")),
      "failure.json: has no format",
    ],
    [
      "has a failure.json without violations",
      (path) => rewrite(path, (failure) => ({ ...failure, violations: [] })),
      "failure.json: is not what harrow writes (violations:",
    ],
    [
      "names files outside of it",
      (path) =>
        edit(path, "failure.json", (text) =>
          text.replace('"found": "observed-0.bin"', '"found": "../../etc/x"'),
        ),
      "failure.json: was changed",
    ],
    ["has no run.yml", (path) => rmSync(join(path, "run.yml")), "run.yml: is missing: failure.txt tells"],
    ["has a run.yml that is cut off", (path) => truncateSync(join(path, "run.yml"), 400), "run.yml"],
    [
      "has a run.yml with an unknown key",
      (path) => edit(path, "run.yml", (text) => `${text}colour: blue\n`),
      "run.yml:",
    ],
    [
      "has another seed in run.yml",
      (path) =>
        edit(path, "run.yml", (text) =>
          text.replace('seed: "0x3"', 'seed: "0x4"').replace("seed: 0x3", "seed: 0x4"),
        ),
      "run.yml: has seed 0x4, and failure.json has 0x3; put it back, or allow it",
    ],
    [
      "has no seed in run.yml",
      (path) => edit(path, "run.yml", (text) => text.replace(/^seed: .*\n/m, "")),
      "run.yml: has no seed, and failure.json has 0x3",
    ],
    [
      "has another geometry in run.yml",
      (path) => edit(path, "run.yml", (text) => text.replace(/volumeSize: \d+/, "volumeSize: 4194304")),
      "run.yml: was changed since it was written: it need not fail any more, or not so",
    ],
    [
      "has another bound in run.yml",
      (path) => edit(path, "run.yml", (text) => text.replace(/ {2}lts: \d+/, "  lts: 5")),
      "run.yml: ends after 5 lts, and the run did after",
    ],
  ])("and %s", async ([, damage, message]) => {
    const path = damaged(damage);
    const reading = readDump(path, { version });
    await expect(reading).rejects.toThrow(DumpError);
    await expect(reading).rejects.toThrow(message);
    await expect(reading).rejects.toThrow(path);
  });

  test("is told from no folder at all, and from a file", async () => {
    await expect(readDump(join(root, "nowhere"))).rejects.toThrow("nowhere: there is no such folder");
    await expect(readDump(join(good, "run.yml"))).rejects.toThrow("run.yml: is not a directory");
  });

  test("is taken as it is, with a warning, if that is allowed", async () => {
    const path = damaged((copy) => {
      edit(copy, "run.yml", (text) => text.replace(/ {2}lts: \d+/, "  lts: 5"));
      edit(copy, "failure.json", (text) => text.replace('"unexplainedCount": 0', '"unexplainedCount": 7'));
    });
    const dump = await readDump(path, { version, allowEdited: true });
    expect(dump.config.runner.lts).toBe(5);
    expect(dump.unexplainedCount).toBe(7);
    expect(dump.warnings).toEqual([
      expect.stringContaining("failure.json: was changed"),
      expect.stringContaining("run.yml: ends after 5 lts"),
    ]);
    const outside = damaged((copy) =>
      edit(copy, "failure.json", (text) =>
        text.replace('"found": "observed-0.bin"', '"found": "../../etc/x"'),
      ),
    );
    await expect(readDump(outside, { allowEdited: true })).rejects.toThrow("is not what harrow writes");
  });

  test("may have another comment in run.yml", async () => {
    const path = damaged((copy) => edit(copy, "run.yml", (text) => `# looked at on Monday\n${text}`));
    expect((await readDump(path, { version })).warnings).toEqual([]);
  });

  test("of another version of harrow is read with a warning", async () => {
    const { warnings } = await readDump(good, { version: "9.9.9" });
    expect(warnings).toEqual([expect.stringContaining("was written by harrow 0.0.1, and this is 9.9.9")]);
  });

  test("lacks the exhibits of which files are missing, and says so", async () => {
    const path = damaged((copy) => {
      rmSync(join(copy, "observed-0.bin"));
      halve(copy, "range-0.bin");
      rmSync(join(copy, "reread-1.bin"));
    });
    const { violations, missing, warnings } = await readDump(path);
    expect(warnings).toEqual([
      expect.stringMatching(/^\S+: observed-0\.bin, .*range-0\.bin.*: not in the folder/),
    ]);
    expect(violations[0]!.exhibit).toBeUndefined();
    const second = await violations[1]!.exhibit!();
    expect(Object.keys(second).sort()).toEqual(["allowed", "found", "kind"]);
    expect(missing).toEqual(
      expect.arrayContaining([
        "observed-0.bin, of violation 0: is not in the folder as it was written",
        "range-0.bin, of violation 1: is not in the folder as it was written",
        "reread-1.bin, of violation 1: is not in the folder as it was written",
      ]),
    );
  });

  test("with exhibits that were changed says which", async () => {
    const path = damaged((copy) => {
      const bytes = readFileSync(join(copy, "observed-0.bin"));
      bytes[5]! ^= 1;
      writeFileSync(join(copy, "observed-0.bin"), bytes);
    });
    const { violations } = await readDump(path);
    await expect(violations[0]!.exhibit!()).rejects.toThrow(
      `${join(path, "observed-0.bin")}: was changed since it was written: the run can be performed again without it`,
    );
  });

  const parts: Record<
    string,
    { readonly file: string; readonly open: (dump: Dump) => unknown; readonly still: string }
  > = {
    "the model's state": {
      file: "model/run.sqlite",
      open: async (dump) => memoryOf(dump),
      still: "reproduce (on a new target), shrink, narrow and scan work without it",
    },
    "the operation log": {
      file: "operations.sqlite",
      open: operationLogOf,
      still: "reproduce, shrink and narrow work without it; explain tells no times",
    },
    "an image": {
      file: "image/volume-0.img",
      open: imageOf,
      still: "reproduce it on a new target, or on the live one, instead",
    },
  };
  describe.for(Object.entries(parts))("as to %s", ([, { file, open, still }]) => {
    test.for<[string, (path: string) => void, string]>([
      ["is missing", (path) => rmSync(join(path, file)), "is missing"],
      ["is truncated", (path) => halve(path, file), "is truncated"],
      [
        "was changed",
        (path) => {
          const bytes = readFileSync(join(path, file));
          bytes[bytes.length >> 1]! ^= 4;
          writeFileSync(join(path, file), bytes);
        },
        "was changed since it was written",
      ],
      [
        "is a directory",
        (path) => {
          rmSync(join(path, file));
          mkdirSync(join(path, file));
        },
        "",
      ],
    ])("says that it %s, and what can still be done", async ([, damage, message]) => {
      const path = damaged(damage);
      const dump = await readDump(path, { version });
      const opening = Promise.resolve(dump).then(open);
      await expect(opening).rejects.toThrow(DumpError);
      await expect(opening).rejects.toThrow(`${join(path, file)}: ${message}`);
      await expect(opening).rejects.toThrow(still);
    });
  });

  test("whose model was never written says why", async () => {
    const path = damaged((copy) =>
      rewrite(copy, ({ files: { "model/run.sqlite": _, ...files }, ...failure }) => ({
        ...failure,
        files,
        missing: ["the model's state: no space left"],
      })),
    );
    expect(() => memoryOf({ path, files: new Map(), missing: ["the model's state: no space left"] })).toThrow(
      "run.sqlite: was not written (the model's state: no space left): reproduce",
    );
    const dump = await readDump(path);
    expect(() => memoryOf(dump)).toThrow("was not written");
  });

  test("is right, or says what is wrong, whatever is cut off or flipped", async () => {
    const expected = new Map<string, string>();
    for (const folder of [good, goodDiff]) expected.set(folder, (await everythingOf(folder)).text);
    const copiesOf = new Map([good, goodDiff].map((folder) => [folder, damaged(() => {}, folder)]));
    const files = (folder: string): readonly string[] =>
      readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
    const all = [good, goodDiff].flatMap((folder) => files(folder).map((file) => ({ folder, file })));
    const where = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    const damage = fc.record({ at: fc.constantFrom(...all), where, bit: fc.nat(7), isCut: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(damage, async ({ at: { folder, file }, where: share, bit, isCut }) => {
        const path = copiesOf.get(folder)!;
        const whole = readFileSync(join(path, file));
        const offset = Math.floor(share * whole.length);
        const bytes = Buffer.from(whole);
        bytes[offset]! ^= 1 << bit;
        writeFileSync(join(path, file), isCut ? bytes.subarray(0, offset) : bytes);
        try {
          const { text, missing } = await everythingOf(path);
          if (missing.length === 0) expect(text).toBe(expected.get(folder));
          else expect(missing.join()).toContain(file);
        } catch (error) {
          if (!(error instanceof DumpError)) throw error;
          expect(error.message).toContain(join(path, file));
        } finally {
          writeFileSync(join(path, file), whole);
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe("the history of a dump", () => {
  const text = `harrow history 1
seed 0x3
block-size 4096
extent-blocks 16
volume-blocks 64
0.0 0/0 write 0..3
`;

  async function written(): Promise<string> {
    const { path } = await dumpedRun({ failures: join(root, "written"), history: text });
    rewrite(path!, (failure) => ({ ...failure, history: "written" }));
    return path!;
  }

  test("is read if it was written, and told if it is missing or was edited", async () => {
    const path = await written();
    const { plan } = await readDump(path);
    expect(historyText(plan!)).toBe(historyText(parseHistory(text, "text")));
    edit(path, "history.txt", (text) => text.replace("write", "flush"));
    await expect(readDump(path)).rejects.toThrow("history.txt: was changed since it was written");
    rmSync(join(path, "history.txt"));
    await expect(readDump(path)).rejects.toThrow("history.txt: is missing: the run was of a written history");
  });

  test("is told to be none, line by line", async () => {
    const path = await written();
    edit(path, "history.txt", (text) => `${text}what?\n`);
    await expect(readDump(path, { allowEdited: true })).rejects.toThrow(/history\.txt:\d+/);
  });
});
