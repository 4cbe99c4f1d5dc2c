/**
 * `npm run soak:aftermath`: what becomes of a failure of each class of the gallery. Its folder is reproduced afresh and
 * from its image, shrunk, and the test that is written fails with the bug and passes without it.
 *
 *   npm run soak:aftermath                        all classes, with seed 1
 *   npm run soak:aftermath -- --seed 7 --tries 10 M16 M42
 *   npm run soak:aftermath -- --corpus test/corpus    also keeps what is left, to be replayed by the tests
 *
 * @packageDocumentation
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { catalogue } from "../src/gallery/catalogue.ts";
import { isBuilt } from "../src/gallery/mutant.ts";
import { type Aftermath, aftermathOf, problemsOf } from "./aftermath-of.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: "string", default: "1" },
    tries: { type: "string", default: "10" },
    duration: { type: "string", default: "2min" },
    parallel: { type: "string", default: "2" },
    markdown: { type: "boolean", default: false },
    keep: { type: "boolean", default: false },
    corpus: { type: "string" },
  },
});

const wanted = new Set(positionals.map((id) => id.toUpperCase()));
const queue = catalogue.filter(isBuilt).filter(({ id }) => wanted.size === 0 || wanted.has(id));
// In the project, so that the tests that are written find harrow by its name.
const root = mkdtempSync(fileURLToPath(new URL("../.aftermath-", import.meta.url)));
const started = performance.now();
const results: Aftermath[] = [];
const next = queue[Symbol.iterator]();

async function worker(): Promise<void> {
  for (const entry of { [Symbol.iterator]: () => next }) {
    const { seed, tries, duration } = values;
    const result = await aftermathOf(entry, {
      seed,
      tries,
      duration,
      directory: join(relative(process.cwd(), root), entry.id),
    });
    results.push(result);
    if (values.corpus !== undefined) keepInCorpus(values.corpus, result);
    process.stdout.write(`${line(result)}\n`);
  }
}

await Promise.all(Array.from({ length: Number(values.parallel) }, worker));

const inOrder = results.sort((a, b) => a.entry.id.localeCompare(b.entry.id));
const exact = inOrder.filter(({ entry }) => entry.mutant.setting === "memory");
const bad = inOrder.filter((one) => problemsOf(one).length > 0);
process.stdout.write(
  [
    "",
    ...(values.markdown ? table(inOrder) : []),
    `${results.length} classes in ${Math.round((performance.now() - started) / 1000)} s, ${exact.length} of them the same each time`,
    `operations left   median ${medianOf(exact)} of those that are the same each time, ${medianOf(inOrder)} of all`,
    ...bad.flatMap((one) => problemsOf(one).map((problem) => `${one.entry.id}  ${problem}`)),
    values.keep ? `folders in ${root}` : "",
    "",
  ].join("\n"),
);
if (!values.keep) rmSync(root, { recursive: true });
process.exitCode = bad.length > 0 ? 1 : 0;

/** What is left of a failure, for the tests to replay. */
function keepInCorpus(corpus: string, { entry, left }: Aftermath): void {
  if (left === undefined) return;
  const folder = join(corpus, `${entry.id}-${entry.title}`.toLowerCase());
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "history.txt"), left.history);
  writeFileSync(join(folder, "expect.json"), `${JSON.stringify(left.expected, null, 2)}\n`);
}

function line(one: Aftermath): string {
  const { entry, violation, afresh, image, shrunk, test, elapsedMs } = one;
  const cells = [
    entry.id,
    entry.title.padEnd(28),
    (violation ?? "nobody noticed").padEnd(24),
    `afresh ${afresh}`.padEnd(14),
    `image ${image}`.padEnd(18),
    shrunk === undefined
      ? "not shrunk"
      : `${shrunk.fromOperations} → ${shrunk.operations} operations, ${shrunk.steps} steps, fails ${shrunk.rate}`,
    `test ${test}`,
    `${Math.round(elapsedMs / 1000)} s`,
  ];
  return [cells.join("  "), ...problemsOf(one).map((problem) => `      ${problem}`)].join("\n");
}

function table(all: readonly Aftermath[]): readonly string[] {
  return [
    "| class | setting | found as | afresh | image | operations | left | steps left | fails | test |",
    "| --- | --- | --- | --- | --- | --: | --: | --: | --- | --- |",
    ...all.map(({ entry, violation, afresh, image, shrunk, test }) =>
      [
        "",
        `${entry.id} ${entry.title}`,
        entry.mutant.setting,
        violation ?? "",
        afresh,
        image,
        shrunk?.fromOperations ?? "",
        shrunk?.operations ?? "",
        shrunk?.steps ?? "",
        shrunk?.rate ?? "",
        test,
        "",
      ]
        .join(" | ")
        .trim(),
    ),
    "",
  ];
}

function medianOf(all: readonly Aftermath[]): string {
  const sorted = all
    .flatMap(({ shrunk }) => (shrunk === undefined ? [] : [shrunk.operations]))
    .sort((a, b) => a - b);
  const middle = sorted[Math.floor((sorted.length - 1) / 2)];
  return middle === undefined ? "none" : String(middle);
}
