/**
 * The bench's tables: how many runs saw the fault, and what they called it.
 *
 * @packageDocumentation
 */

export interface Cell {
  readonly runCount: number;
  /** One for each run that saw a fault. */
  readonly findings: readonly string[];
}

/** A row for each label, a column for each contender; a cell that was not run is a dash: there is no such write. */
export function markdownTable(
  contenders: readonly { readonly name: string }[],
  labels: readonly string[],
  columns: readonly ReadonlyMap<string, Cell>[],
): string {
  const head = ["fault", ...contenders.map(({ name }) => name)];
  const body = labels.map((label) => [label, ...columns.map((cells) => cellText(cells.get(label)))]);
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |\n`;
  return [head, head.map(() => "---"), ...body].map(line).join("");
}

/** For example `5 of 5: lost-write`; several names with the number of runs that gave them, most first. */
export function cellText(cell: Cell | undefined): string {
  if (cell === undefined) return "–";
  const { runCount, findings } = cell;
  const counts = new Map<string, number>();
  for (const name of findings) counts.set(name, (counts.get(name) ?? 0) + 1);
  const names = [...counts].toSorted(([, a], [, b]) => b - a);
  const said = names.map(([name, count]) => (names.length === 1 ? name : `${name} ${count}`)).join(", ");
  return `${findings.length} of ${runCount}${said === "" ? "" : `: ${said}`}`;
}
