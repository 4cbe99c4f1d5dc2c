/**
 * `npm run bench [name…] [-- --json]`: ratios, each against a named rival or limit measured in the same run.
 *
 * @packageDocumentation
 */
import { parseArgs } from "node:util";
import { contentBench } from "./content.ts";
import { fioBench } from "./fio.ts";
import { type Bench, type Comparison, isMet, table } from "./harness.ts";
import { memoryBench } from "./memory.ts";
import { rngBench } from "./rng.ts";
import { runMemoryBench } from "./run-memory.ts";
import { syncBench } from "./sync.ts";
import { scanBench } from "./scan.ts";
import { transportBench } from "./transport.ts";
import { validateBench } from "./validate.ts";

const benches: readonly Bench[] = [
  contentBench,
  rngBench,
  transportBench,
  validateBench,
  memoryBench,
  fioBench,
  syncBench,
  runMemoryBench,
  scanBench,
];
const usageExitCode = 2;
const interruptedExitCode = 130;

const stop = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const)
  process.on(name, () => {
    if (stop.signal.aborted) process.exit(interruptedExitCode);
    stop.abort();
  });

process.exitCode = await main(process.argv.slice(2));

async function main(commandLine: string[]): Promise<number> {
  let json: boolean;
  let chosen: readonly Bench[];
  try {
    const { values, positionals } = parseArgs({
      args: commandLine,
      allowPositionals: true,
      options: { json: { type: "boolean", default: false }, help: { type: "boolean", default: false } },
    });
    if (values.help) {
      process.stdout.write(usage());
      return 0;
    }
    json = values.json;
    chosen = choose(positionals);
  } catch (error) {
    process.stderr.write(`bench: ${messageOf(error)}\n${usage()}`);
    return usageExitCode;
  }
  const results: { bench: string; rows: (Comparison & { met: boolean | undefined })[] }[] = [];
  for (const bench of chosen) {
    try {
      const rows = await bench.run({
        signal: stop.signal,
        progress: (what) => process.stderr.write(`${bench.name}: ${what}\n`),
      });
      if (!json) process.stdout.write(`\n${bench.name}: ${bench.summary}\n\n${table(rows)}`);
      results.push({ bench: bench.name, rows: rows.map((row) => ({ ...row, met: isMet(row) })) });
    } catch (error) {
      if (stop.signal.aborted) return interruptedExitCode;
      process.stderr.write(`bench ${bench.name}: ${messageOf(error)}\n`);
      return 1;
    }
  }
  if (json) process.stdout.write(`${JSON.stringify(results, undefined, 2)}\n`);
  else
    process.stdout.write(
      "\nMedians of interleaved rounds. On a shared machine single figures are noisy, by a third and more:" +
        " trust the ratios, and run twice.\n",
    );
  return 0;
}

/** @throws {Error} If there is no bench of a name. */
function choose(names: readonly string[]): readonly Bench[] {
  for (const name of names)
    if (!benches.some((bench) => bench.name === name)) throw new Error(`there is no bench "${name}"`);
  return names.length === 0 ? benches : benches.filter(({ name }) => names.includes(name));
}

function usage(): string {
  const list = benches.map(({ name, summary }) => `  ${name.padEnd(10)} ${summary}\n`).join("");
  return `npm run bench -- [--json] [name…]; all of these if none is named:\n${list}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
