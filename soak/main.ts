/**
 * `npm run soak`: whole runs on the correct target, under all the trouble there is: connections reset and cut, the
 * target killed with writes in a volatile cache, harrow itself killed and resumed. No run may raise an alarm, and
 * none may end undecided.
 *
 *   npm run soak -- --seeds 200          seeds 1 to 200
 *   npm run soak -- --first 17 --seeds 1 --keep
 *
 * @packageDocumentation
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { drawConfig } from "./draw-config.ts";
import { type SoakRun, soak } from "./soak-run.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "20" },
    first: { type: "string", default: "1" },
    lts: { type: "string", default: "2000" },
    parallel: { type: "string", default: "2" },
    keep: { type: "boolean", default: false },
  },
});

const first = whole("first", values.first);
const count = whole("seeds", values.seeds);
const lts = whole("lts", values.lts);
const parallel = whole("parallel", values.parallel);
const root = mkdtempSync(join(tmpdir(), "harrow-soak-"));
const started = performance.now();
const results: SoakRun[] = [];
let next = first;

async function worker(): Promise<void> {
  for (let seed = next++; seed < first + count; seed = next++) {
    const directory = join(root, `seed-${seed}`);
    mkdirSync(directory);
    const { yaml, kills } = drawConfig({ seed, lts, directory });
    writeFileSync(join(directory, "soak.yml"), yaml);
    const result = await soak({ seed, directory, kills });
    results.push(result);
    process.stdout.write(`${line(result)}\n`);
    if (result.problem === undefined && !values.keep) rmSync(directory, { recursive: true });
  }
}

await Promise.all(Array.from({ length: parallel }, worker));

const bad = results.filter(({ problem }) => problem !== undefined);
const sum = (pick: (result: SoakRun) => number): number =>
  results.reduce((total, one) => total + pick(one), 0);
process.stdout.write(
  [
    "",
    `${results.length} runs of ${lts} lts in ${Math.round((performance.now() - started) / 1000)} s: ${bad.length} not consistent`,
    `trouble      ${sum(({ crashes }) => crashes)} crashes of the target, ${sum(({ connectionFaults }) => connectionFaults)} times its connections, ${sum(({ killCount }) => killCount)} kills of harrow`,
    `looked at    ${sum(({ readsUnderLoad }) => readsUnderLoad)} reads of blocks in motion, ${sum(({ snapshotsHot }) => snapshotsHot)} snapshots under load (${sum(({ blocksSplit }) => blocksSplit)} blocks split by a cut), ${sum(({ diffs }) => diffs)} diffs`,
    `in doubt     ${sum(({ inDoubt }) => inDoubt)} operations, and ${sum(({ notDurable }) => notDurable)} that were not durable when the target crashed`,
    ...bad.map(({ seed, problem }) => `seed ${seed}: ${problem}\n  ${join(root, `seed-${seed}`)}`),
    "",
  ].join("\n"),
);
if (bad.length === 0 && !values.keep) rmSync(root, { recursive: true });
process.exitCode = bad.length === 0 ? 0 : 1;

function line({ seed, elapsedMs, killCount, crashes, connectionFaults, problem }: SoakRun): string {
  const trouble = `${crashes} crashes, ${connectionFaults} connection faults, ${killCount} kills`;
  return `seed ${String(seed).padStart(4)}  ${(elapsedMs / 1000).toFixed(1).padStart(5)} s  ${trouble}  ${problem === undefined ? "consistent" : `NOT CONSISTENT: ${problem.split("\n")[0]}`}`;
}

function whole(name: string, text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  process.stderr.write(`--${name} ${text}: expected a whole number from 1\n`);
  process.exit(2);
}
