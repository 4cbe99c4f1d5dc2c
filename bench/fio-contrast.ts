/**
 * `npx tsx bench/fio-contrast.ts [fio]`: who sees a fault of the device, fio or harrow, and what they call it.
 *
 * Each is run on a file of 4 MiB, of zeros at first, to which it writes four times as much; a preloaded library lets
 * one of its writes go wrong (`fio-contrast/inject.c`). Which write is chosen by what becomes of its blocks
 * (`places.ts`), from the trace of the same run without a fault, which is also the control: whoever sees a fault
 * there gives a false alarm. Each cell counts runs with different seeds.
 *
 * No speed is measured here. Needs Linux, fio and a C compiler; says so and ends with 0 where they are missing.
 *
 * @packageDocumentation
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Contender, space } from "./fio-contrast/contender.ts";
import { fioContenders, fioVersion } from "./fio-contrast/fio.ts";
import { harrowContenders } from "./fio-contrast/harrow.ts";
import {
  buildInjector,
  type Fault,
  faults,
  injected,
  parseTrace,
  type Strike,
  type Trace,
} from "./fio-contrast/injector.ts";
import { type Place, writesAt } from "./fio-contrast/places.ts";
import { type Cell, markdownTable } from "./fio-contrast/table.ts";
import { zeroFile } from "./fio-file.ts";

const seeds = [1, 2, 3, 4, 5];
const interruptedExitCode = 130;

interface Row {
  readonly label: string;
  readonly place: Place;
  readonly fault: Fault;
}

const rows: readonly Row[] = [
  { label: "lost, first version, not written again", place: "first", fault: "lost" },
  ...faults.map((fault): Row => ({ label: `${fault}, not written again`, place: "newest", fault })),
  { label: "lost, partly written again", place: "partly-overwritten", fault: "lost" },
  ...faults.map((fault): Row => ({ label: `${fault}, written again`, place: "overwritten", fault })),
];
const controlLabel = "none (control)";

const stop = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const)
  process.on(name, () => {
    if (stop.signal.aborted) process.exit(interruptedExitCode);
    stop.abort();
  });

process.exitCode = await main(process.argv[2] ?? "fio");

/** @returns The exit code. */
async function main(fio: string): Promise<number> {
  if (process.platform !== "linux") return skip("faults are injected by LD_PRELOAD, which takes Linux");
  const version = await fioVersion(fio, stop.signal);
  if (version === undefined) return skip("fio is not installed: apt-get install fio");
  const folder = mkdtempSync(join(tmpdir(), "harrow-fio-contrast-"));
  try {
    const library = await buildInjector(folder, stop.signal);
    if (library === undefined) return skip("no C compiler: apt-get install gcc libc6-dev");
    const contenders = [...fioContenders(fio), ...harrowContenders];
    const columns: ReadonlyMap<string, Cell>[] = [];
    for (const contender of contenders) columns.push(await column(contender, { folder, library }));
    const labels = [controlLabel, ...rows.map(({ label }) => label)];
    process.stdout.write(`${version}, Node ${process.version}. How many of the runs saw the fault:\n\n`);
    process.stdout.write(markdownTable(contenders, labels, columns));
    process.stdout.write(`\n${contenders.map(({ name, summary }) => `- ${name}: ${summary}.`).join("\n")}\n`);
    return 0;
  } catch (error) {
    if (stop.signal.aborted) return interruptedExitCode;
    throw error;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

interface Workshop {
  readonly folder: string;
  readonly library: string;
}

/** All rows of one contender, by their label. */
async function column(contender: Contender, where: Workshop): Promise<Map<string, Cell>> {
  const cells = new Map<string, Cell>();
  const count = (label: string, finding: string | undefined) => {
    const { runCount = 0, findings = [] } = cells.get(label) ?? {};
    cells.set(label, {
      runCount: runCount + 1,
      findings: finding === undefined ? findings : [...findings, finding],
    });
  };
  for (const [index, seed] of seeds.entries()) {
    process.stderr.write(`${contender.name}: seed ${index + 1} of ${seeds.length}\n`);
    const control = await perform(contender, { seed, strike: undefined, ...where });
    if (control.trace.writes.length === 0)
      throw new Error(`no write of ${contender.name} was seen: is it linked statically?`);
    count(controlLabel, control.finding);
    for (const { label, place, fault } of rows) {
      const choices = writesAt(place, control.trace.writes, space);
      // At different times of the run for each seed.
      const at = choices[Math.floor(((index + 0.5) / seeds.length) * choices.length)];
      if (at === undefined) continue;
      const strike = { fault, at };
      const { finding, trace } = await perform(contender, { seed, strike, ...where });
      assertStruck(contender, strike, control.trace, trace);
      count(label, finding);
    }
  }
  return cells;
}

/** One run on a file of zeros. */
async function perform(
  contender: Contender,
  { seed, strike, folder, library }: { seed: number; strike: Strike | undefined } & Workshop,
): Promise<{ finding: string | undefined; trace: Trace }> {
  stop.signal.throwIfAborted();
  const path = join(folder, "file");
  const log = join(folder, "log");
  zeroFile(path, space.fileBytes);
  rmSync(log, { force: true });
  const environment = injected({ library, path, log, strike, shiftBytes: space.blockBytes });
  const finding = await contender.run({ path, seed, environment, folder, signal: stop.signal });
  return { finding, trace: parseTrace(readFileSync(log, "utf8")) };
}

/** @throws {Error} If the fault did not strike the write that was chosen: then the run says nothing. */
function assertStruck({ name }: Contender, { at }: Strike, control: Trace, trace: Trace): void {
  const meant = control.writes[at]!;
  const struck = trace.struckAt === at ? trace.writes[at] : undefined;
  if (struck?.offset !== meant.offset || struck.lengthBytes !== meant.lengthBytes)
    throw new Error(
      `${name}: write ${at} was to be of ${meant.lengthBytes} bytes at ${meant.offset}, found ${JSON.stringify(struck)}`,
    );
}

function skip(why: string): number {
  process.stdout.write(`skipped: ${why}\n`);
  return 0;
}
