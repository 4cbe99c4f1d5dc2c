import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { explain, type ExplainFlags } from "../../src/cli/explain.ts";
import { dumpClass } from "../../src/gallery/dump-class.ts";
import { builtClass } from "../../src/gallery/ground.ts";
import { writeRunMemory } from "../../src/runner/run-memory.ts";
import { performLogged } from "../reproduce/explain-log.ts";

const directory = mkdtempSync(join(tmpdir(), "harrow-explain-"));
const config = join(directory, "conf.yml");
const configText = `
geometry: { volumeSize: 1MiB, extentSize: 128KiB }
window: { size: 4, slideAfterRepeats: 3 }
operations: { blocks: { max: 16 } }
snapshots: { every: 10, keep: 2 }
runner: { kind: sequential, lts: 60 }
target: { kind: memory }
`;
/** Of a class of which a snapshot lacks a write, so that reads of it find the one before. */
let dump = "";
const run = join(directory, "run");

beforeAll(async () => {
  writeFileSync(config, configText);
  const { path } = await dumpClass({
    entry: builtClass("M43"),
    seed: 3n,
    failures: join(directory, "failures"),
    version: "1.2.3",
    log: { info: () => {}, warn: () => {} },
    serveCommand: [],
    signal: new AbortController().signal,
    onStruck: () => {},
  } as Parameters<typeof dumpClass>[0]);
  dump = path!;
  const logged = await performLogged({ config: configText, seed: 4n });
  writeRunMemory(run, logged.run, { version: "1.2.3", startedAt: new Date().toISOString(), elapsedMs: 1 });
}, 60_000);

afterAll(() => rmSync(directory, { recursive: true }));
afterEach(() => void vi.restoreAllMocks());

async function told(path: string | undefined, flags: ExplainFlags = {}) {
  let [out, err] = ["", ""];
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    out += String(text);
    return true;
  });
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    err += String(text);
    return true;
  });
  const code = await explain({ path, flags, version: "1.2.3" });
  vi.restoreAllMocks();
  return { code, out, err };
}

describe("harrow explain", () => {
  test("tells of a failure folder the first violation, with its drawing, and names the others", async () => {
    const { code, out, err } = await told(dump);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(/^block \d+ of volume 0 \(block \d+ of extent \d+\), seed 0x3, up to lts \d+\n/);
    expect(out).toContain("outcomes, times and connections from the operation log");
    expect(out).toMatch(/snapshot \d+, .*<-- early-miss/);
    expect(out).toMatch(/<-- early-miss: expected/);
    expect(out).toMatch(
      /what was found in it\n {2}all of it {2}data of operation .* excluded: overwritten by/,
    );
    expect(out).toMatch(/its cut +\[=+\]/);
  });

  test("tells any other block of a failure folder, as JSON too", async () => {
    const { code, out } = await told(dump, { block: "0", json: true });
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ block: 0, volume: 0, seed: "0x3" });
  });

  test("goes on from the seed where the folder lacks what the model knew, and says so", async () => {
    const copy = join(directory, "damaged");
    cpSync(dump, copy, { recursive: true });
    for (const name of readdirSync(copy))
      if (/sqlite|model|operations/.test(name)) rmSync(join(copy, name), { recursive: true });
    const { code, out, err } = await told(copy);
    expect(code).toBe(0);
    expect(out).toContain("from the seed alone");
    expect(err).toContain("explained from the seed alone");
  });

  test("tells of the directory of a run, and leaves it as it is", async () => {
    const before = readFileSync(join(run, "run.sqlite"));
    const { code, out, err } = await told(run, { block: "5", last: "10" });
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toContain("block 5 of volume 0");
    expect(out).toContain("times are when each lts began");
    expect(readFileSync(join(run, "run.sqlite")).equals(before)).toBe(true);
  });

  test("tells the same of a seed alone as of a run of which all went well", async () => {
    const ofSeed = await told(undefined, { config, seed: "4", lts: "60", block: "5", json: true });
    const ofRun = await told(run, { block: "5", json: true });
    const kinds = ({ out }: { readonly out: string }) =>
      JSON.parse(out).life.map(({ event, name, words }: Record<string, string>) => [event, name ?? words]);
    expect(ofSeed.code).toBe(0);
    expect(kinds(ofSeed)).toEqual(kinds(ofRun));
    const allowed = ({ out }: { readonly out: string }) =>
      JSON.parse(out).values.filter(({ isAllowed }: { isAllowed: boolean }) => isAllowed);
    expect(allowed(ofSeed)).toEqual(allowed(ofRun));
  });

  const refused: Record<string, [() => string | undefined, ExplainFlags, RegExp]> = {
    "a block that the volume has not": [
      () => dump,
      { block: "512" },
      /^block 512: volume 0 has blocks 0 to 511$/m,
    ],
    "a block that is no number": [() => dump, { block: "-1" }, /^--block -1: expected a whole number from 0/],
    "a volume that there is not": [
      () => dump,
      { block: "1", volume: "2" },
      /^volume 2: the run has volume 0 only$/m,
    ],
    "a snapshot that there is not": [
      () => run,
      { block: "1", snapshot: "99" },
      /^snapshot 99: the run has taken snapshots 0 to 5$/m,
    ],
    "a run without a block": [
      () => run,
      {},
      /^--block: expected, as there is no violation; volume 0 has blocks 0 to 255$/m,
    ],
    "a seed that is not needed": [() => dump, { seed: "4" }, /^--seed: expected without /],
    "nothing to explain": [
      () => undefined,
      { block: "1" },
      /^expected a failure folder, or the directory of a run; or --config/,
    ],
    "a seed that is no number": [
      () => undefined,
      { config, seed: "x", block: "1" },
      /^--seed x: expected 64 bits/,
    ],
    "a configuration that is not there": [
      () => undefined,
      { config: "nowhere.yml", block: "1" },
      /nowhere\.yml: ENOENT/,
    ],
    "what is no folder": [() => join(directory, "nowhere"), { block: "1" }, /nowhere/],
    "a folder without a failure": [() => directory, { block: "1" }, /failure\.json/],
  };
  test.for(Object.entries(refused))("refuses %s", async ([, [path, flags, message]]) => {
    const { code, out, err } = await told(path(), flags);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toMatch(message);
  });
});
