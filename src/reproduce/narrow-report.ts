/**
 * What was found by narrowing a failure down, for people and for programs.
 *
 * @packageDocumentation
 */
import type { Dump } from "./dump.ts";
import type { NarrowResult, NarrowRow } from "./narrow.ts";

/** One sentence on what the failure depends on. */
export function conclusionOf({ like, asItWas, rows }: NarrowResult): string {
  if (asItWas.tries === 0) return "it could not be performed again, so nothing is known.";
  if (asItWas.failures === 0)
    return `${like.class} (rule ${like.rule}) did not come back as it was, so switches would say nothing: try more often, with --tries, or elsewhere, with --target.`;
  const needed = needsOf(rows);
  const names = (some: readonly NarrowRow[], word: "and" | "or"): string =>
    listed(
      some.map(({ need }) => need),
      word,
    );
  const isLikely = needed.every(({ byChance = 0 }) => byChance < unlikely);
  const rarer = rows.filter(({ verdict }) => verdict === "rarer");
  const free = rows.filter(({ verdict }) => verdict === "still fails");
  // Whatever a needed thing is made of, or one that it can do without, goes without saying.
  const told = free.filter(({ id }) => ![...needed, ...free].some(({ parts }) => parts.includes(id)));
  const parts = [
    needed.length === 0
      ? "nothing that was switched off makes it vanish"
      : `it ${isLikely ? "needs" : "seems to need"} ${listed(
          needed.map(({ need }) => need),
          "and",
        )}`,
    ...(rarer.length === 0 ? [] : [`is rarer without ${names(rarer, "or")}`]),
    ...(told.length === 0 ? [] : [`does not need ${names(told, "or")}`]),
  ];
  return `${parts.join("; ")}.`;
}

/** Below this, tries that did not fail are no accident. */
const unlikely = 0.1;

/** What makes it vanish, without what is only more of the same. */
export function needsOf(rows: readonly NarrowRow[]): readonly NarrowRow[] {
  const gone = rows.filter(({ verdict }) => verdict === "vanishes");
  return gone.filter(({ parts }) => !gone.some(({ id }) => parts.includes(id)));
}

export function narrowText(result: NarrowResult, { path }: Pick<Dump, "path">): string {
  const { like, scope, ground, asItWas, rows, unfinished, wasInterrupted } = result;
  const table = [headRow, ...[asItWas, ...rows].map(cellsOf)];
  const widths = headRow.map((_, column) => Math.max(...table.map((cells) => cells[column]!.length)));
  const lines = [
    `${like.class} (rule ${like.rule}) of ${path}`,
    `${scope}, on ${groundText(ground)}`,
    "",
    ...table.map((cells) =>
      cells
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join("  ")
        .trimEnd(),
    ),
    "",
    sentence(conclusionOf(result)),
    ...whyOf(result),
  ];
  if (unfinished.length > 0)
    lines.push(
      `${wasInterrupted ? "Interrupted" : "The time was up"}; not tried, or not as often: ${listed(unfinished, "and")}.`,
    );
  return `${lines.join("\n")}\n`;
}

export function narrowJson(
  result: NarrowResult,
  { version, dump: { path, seed } }: { readonly version: string; readonly dump: Pick<Dump, "path" | "seed"> },
): string {
  const { like, scope, ground, asItWas, rows, unfinished, wasInterrupted } = result;
  const json = {
    ...{ version, path, seed: `0x${seed.toString(16)}`, rule: like.rule, class: like.class, scope },
    ground: groundText(ground),
    asItWas: rowJson(asItWas),
    switches: rows.map(rowJson),
    needs: needsOf(rows).map(({ id }) => id),
    conclusion: sentence(conclusionOf(result)),
    unfinished,
    wasInterrupted,
  };
  return `${JSON.stringify(json, null, 2)}\n`;
}

function groundText({ description, isEager }: NarrowResult["ground"]): string {
  return `${description}${isEager ? ", made whenever it can be" : ""}`;
}

function rowJson({ need: _, parts: __, ...row }: NarrowRow): object {
  return row;
}

const headRow = ["switch", "failed", "another failure", "verdict"];

/** As one line, for progress. */
export function rowText(row: NarrowRow): string {
  const [title, failed, others, verdict] = cellsOf(row);
  return `${title}: failed ${failed}, ${verdict}${others === "-" ? "" : `, but ${others}`}`;
}

function cellsOf({ id, title, failures, tries, others, verdict, byChance = 0 }: NarrowRow): string[] {
  const doubt = byChance < 0.005 ? "" : ` (or missed: ${Math.round(100 * byChance)} %)`;
  const isFirst = id === "as-it-was";
  return [
    title,
    `${failures} of ${tries}`,
    others.length === 0 ? "-" : others.join(", "),
    isFirst && verdict === "vanishes" ? "did not come back" : `${verdict}${doubt}`,
  ];
}

/** Why tries had no answer. */
function whyOf({ asItWas, rows }: NarrowResult): readonly string[] {
  return [asItWas, ...rows].flatMap(({ title, undecided }) =>
    undecided.map((why) => `No answer, ${title}: ${why}`),
  );
}

function listed(all: readonly string[], word: "and" | "or"): string {
  return all.length < 2 ? all.join("") : `${all.slice(0, -1).join(", ")} ${word} ${all.at(-1)!}`;
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
