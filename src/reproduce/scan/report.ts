/**
 * What a scan has to say: for people, and as one JSON object.
 *
 * @packageDocumentation
 */
import { formatBytes } from "../../runner/config/units.ts";
import { operationAt } from "../../selectors/operations.ts";
import { type ScanClassName, scanClasses, scanClassNames } from "./classes.ts";
import { type ScanReport, wrongCount } from "./scan.ts";
import type { ScanFinding, ScanMap } from "./tally.ts";

export interface ScanContext {
  readonly version: string;
  readonly seed: bigint;
  /** For people: what was scanned. */
  readonly target: string;
  /** Where the state of the run is from; absent if none is known. */
  readonly run: string | undefined;
  readonly snapshot: number | undefined;
  readonly hasMap: boolean;
}

/** Versions behind that have a number of their own in the summary. */
const staleShownMax = 6;
/** Findings that are shown of a volume of another seed: they are all alike. */
const foreignShownMax = 3;

export function scanText(report: ScanReport, context: ScanContext): string {
  const { counts, blockSizeBytes, blockCount, findingCount } = report;
  const findings = isOfSeed(report) ? report.findings : report.findings.slice(0, foreignShownMax);
  const lines = [...headLines(report, context), ""];
  const shown = scanClassNames.filter((name) => counts[name] > 0);
  for (const name of shown)
    lines.push(
      [
        scanClasses[name].symbol,
        ` ${scanClasses[name].title.padEnd(32)}`,
        number(counts[name]).padStart(14),
        formatBytes(counts[name] * blockSizeBytes).padStart(12),
        `${percent(counts[name], blockCount)} %`.padStart(10),
      ].join(" "),
    );
  if (report.staleBy.length > 0) lines.push("", staleLine(report));
  if (context.hasMap) lines.push("", ...mapLines(report.map));
  if (findings.length > 0) {
    lines.push("");
    for (const finding of findings)
      lines.push(`${rangeText(finding)}: ${scanClasses[finding.class].title}: ${finding.text}`);
    if (findingCount > findings.length)
      lines.push(`… and ${number(findingCount - findings.length)} more (--limit shows more of them)`);
  }
  for (const note of notes(report, context)) lines.push("", note);
  return `${lines.join("\n")}\n`;
}

export function scanJson(report: ScanReport, context: ScanContext): string {
  const { findings, foreignRuns, staleBy, map, counts, ...rest } = report;
  const { version, seed, target, run, snapshot, hasMap } = context;
  return `${JSON.stringify({
    version,
    seed: `0x${seed.toString(16)}`,
    target,
    run: run ?? null,
    ...(snapshot === undefined ? {} : { snapshot }),
    ...rest,
    wrongBlocks: wrongCount(report),
    isOfSeed: isOfSeed(report),
    counts,
    staleBy: staleBy.map(([versions, blocks]) => ({ versions, blocks })),
    findings: findings.map(({ shows, ...finding }) => ({
      ...finding,
      ...(shows === undefined ? {} : { shows: operationAt(shows) }),
    })),
    foreignRuns: foreignRuns.map((runId) => runId.toString(16)),
    notes: notes(report, context),
    ...(hasMap ? { map } : {}),
  })}\n`;
}

/** False if hardly anything is of this seed, and something is of others or of nobody. */
function isOfSeed({ counts, blockCount }: ScanReport): boolean {
  const { foreign, zeros, zeroed, unreadable, garbage, damaged } = counts;
  const own = blockCount - foreign - zeros - zeroed - unreadable - garbage - damaged;
  return own === 0 ? foreign + garbage + damaged === 0 : foreign <= 9 * own;
}

function headLines(report: ScanReport, { seed, target, run, snapshot }: ScanContext): string[] {
  const { volume, volumeFrom, firstBlock, blockCount, blockSizeBytes, volumeBlocks } = report;
  const part =
    blockCount === volumeBlocks
      ? ""
      : `, blocks ${number(firstBlock)} to ${number(firstBlock + blockCount - 1)}`;
  const rows: [string, string][] = [
    ["verdict", verdictText(report, seed)],
    ["target", target],
    ["seed", `0x${seed.toString(16)}`],
    [
      "volume",
      `${volume}${volumeTexts[volumeFrom]}${snapshot === undefined ? "" : `, as snapshot ${snapshot}`}`,
    ],
    ["scanned", `${number(blockCount)} blocks, ${formatBytes(blockCount * blockSizeBytes)}${part}`],
    ["as of", ltsText(report)],
    ["known", run === undefined ? "nothing but the seed and the configuration" : `the run of ${run}`],
  ];
  return rows.map(([name, value]) => `${name.padEnd(10)} ${value}`);
}

function verdictText(report: ScanReport, seed: bigint): string {
  const { counts } = report;
  if (!isOfSeed(report)) return `this is not a volume of seed 0x${seed.toString(16)}`;
  const wrong = wrongCount(report);
  if (wrong > 0) return `${number(wrong)} ${wrong === 1 ? "block is" : "blocks are"} not as due`;
  if (counts.unreadable > 0) return "all that can be read is as due";
  return counts.latest + counts.open === 0 ? "never written, as far as it shows" : "all blocks are as due";
}

const volumeTexts: Readonly<Record<ScanReport["volumeFrom"], string>> = {
  given: "",
  only: "",
  content: ", as its content says",
  nothing: ", assumed: the content names none; --volume says which it is",
};

function ltsText({ lts, ltsFrom, ltsSettled }: ScanReport): string {
  switch (ltsFrom) {
    case "given":
      return `lts ${lts}, as told`;
    case "run":
      return `lts ${lts}, where the run was`;
    case "snapshot":
      return `lts ${lts}, when the snapshot was taken`;
    case "content":
      return lts < 0
        ? "the beginning: no write is found"
        : `lts ${lts}, the newest write found; the run may have come farther. Operations after lts ${ltsSettled} may have been in flight`;
  }
}

function notes(report: ScanReport, { seed, run }: ScanContext): string[] {
  const { counts, foreignRuns, volume, deviceBlocks, volumeBlocks, findings, ltsFrom } = report;
  const found: string[] = [];
  if (counts.foreign > 0) {
    const runs = foreignRuns.map((one) => one.toString(16));
    found.push(
      runs.length === 1
        ? `all foreign blocks name run ${runs[0]}, which is not that of seed 0x${seed.toString(16)}`
        : `the foreign blocks name ${runs.length} runs, among them ${runs.slice(0, 3).join(", ")}`,
    );
  }
  const elsewhere = findings.find(
    ({ class: name, block, from }) => name === "misplaced" && from?.block === block && from.volume !== volume,
  );
  if (elsewhere !== undefined && counts.misplaced > counts.latest)
    found.push(
      `more blocks are of other volumes than of volume ${volume}: is it volume ${elsewhere.from?.volume}? --volume says which it is`,
    );
  if (deviceBlocks > volumeBlocks)
    found.push(
      `the device has ${number(deviceBlocks - volumeBlocks)} blocks more than the volume of the configuration, which were not looked at`,
    );
  if (deviceBlocks < volumeBlocks)
    found.push(
      `the device has ${number(volumeBlocks - deviceBlocks)} blocks less than the volume of the configuration: is it the right one, or had it not grown yet?`,
    );
  if (findings.some(({ text }) => text.includes("no operation of this configuration")))
    found.push("there are values of this seed at which no operation is: is it the run's configuration?");
  const isUnknown = run === undefined && ltsFrom === "content";
  if (isUnknown && counts.stale + counts.zeroed + counts.resurrected > 0)
    found.push(
      "refused operations, rollbacks and crashes of the run are not known, and all look like this: --run tells of them",
    );
  return found;
}

function staleLine({ staleBy }: ScanReport): string {
  const shown = staleBy.slice(0, staleShownMax).map(([versions, blocks]) => `${versions}: ${number(blocks)}`);
  const rest = staleBy.slice(staleShownMax).reduce((sum, [, blocks]) => sum + blocks, 0);
  return `versions behind: blocks  ${shown.join(", ")}${rest > 0 ? `, more: ${number(rest)}` : ""}`;
}

function mapLines({ firstBlock, blocksPerCell, rows }: ScanMap): string[] {
  const width = String(firstBlock + blocksPerCell * rows.join("").length).length;
  const used = new Set(rows.join(""));
  const legend = scanClassNames
    .filter((name: ScanClassName) => used.has(scanClasses[name].symbol))
    .map((name) => `${scanClasses[name].symbol} ${scanClasses[name].title}`);
  let block = firstBlock;
  return [
    `one character is ${number(blocksPerCell)} ${blocksPerCell === 1 ? "block" : "blocks, and shows the worst of them"}`,
    ...rows.map((row) => {
      const line = `${String(block).padStart(width)}  ${row}`;
      block += blocksPerCell * row.length;
      return line;
    }),
    legend.join("; "),
  ];
}

function rangeText({ block, blockCount }: ScanFinding): string {
  return blockCount === 1 ? `block ${block}` : `blocks ${block} to ${block + blockCount - 1}`;
}

function percent(part: number, whole: number): string {
  const value = (part / whole) * 100;
  return value >= 0.01 ? value.toFixed(2) : value.toPrecision(2);
}

function number(value: number): string {
  return value.toLocaleString("en");
}
