/**
 * Draws what was under way when: one row for each, events from left to right.
 *
 *   12.0 write        |-------|
 *   snapshot 3 call        |------------|
 *   its cut                   [=====]
 *
 * Columns are events in their order, and not to scale: that one came before the other is what counts. ASCII alone, so
 * that it can be pasted anywhere.
 *
 * @packageDocumentation
 */

/** A row of a drawing. */
export interface Row {
  readonly label: string;
  /** In events; infinite where it reaches beyond the drawing. A cut may have several pieces. */
  readonly spans: readonly { readonly from: number; readonly to: number }[];
  readonly style: "operation" | "cut";
  /** What it has to do with the question, after the bars. */
  readonly note?: string | undefined;
}

const widthMaxDefault = 100;
const labelMax = 30;

/** @param options.widthMax - Columns of a line, without its note; at least 60. */
export function drawing(
  rows: readonly Row[],
  { widthMax = widthMaxDefault }: { readonly widthMax?: number } = {},
): readonly string[] {
  const events = [
    ...new Set(
      rows.flatMap(({ spans }) => spans.flatMap(({ from, to }) => [from, to])).filter(Number.isFinite),
    ),
  ].sort((a, b) => a - b);
  if (events.length === 0) return [];
  const labelWidth = Math.min(labelMax, Math.max(...rows.map(({ label }) => label.length)));
  const width = Math.min(widthMax - labelWidth - 2, Math.max(40, events.length * 6));
  // A column at either side is left for what reaches beyond.
  const step = events.length === 1 ? 0 : (width - 5) / (events.length - 1);
  const columns = new Map(events.map((event, rank) => [event, 2 + Math.round(rank * step)]));
  const columnOf = (event: number): number => columns.get(event) ?? (event < 0 ? 0 : width - 1);
  const lines = rows.map(({ label, spans, style, note }) => {
    const cells = Array.from({ length: width }, () => " ");
    for (const { from, to } of spans) {
      const [first, last] = [columnOf(from), columnOf(to)];
      for (let column = first; column <= last; column++) cells[column] = style === "cut" ? "=" : "-";
      cells[first] = !Number.isFinite(from) ? "<" : style === "cut" ? "[" : "|";
      cells[last] = !Number.isFinite(to) ? ">" : style === "cut" ? "]" : "|";
    }
    const named = label.length > labelWidth ? `${label.slice(0, labelWidth - 1)}~` : label;
    const bars = `${named.padEnd(labelWidth)}  ${cells.join("")}`;
    return (note === undefined ? bars : `${bars}  ${note}`).trimEnd();
  });
  return [...lines, `${"event".padEnd(labelWidth)}  ${axis(events, columns, width)}`.trimEnd()];
}

/** As many of the events as there is room for, the first and the last at least. */
function axis(events: readonly number[], columns: ReadonlyMap<number, number>, width: number): string {
  const last = events.at(-1)!;
  const lastAt = Math.min(columns.get(last)!, width - String(last).length);
  let line = "";
  for (const event of events) {
    const at = event === last ? lastAt : columns.get(event)!;
    const text = String(event);
    const isFree = at >= line.length + (line === "" ? 0 : 1);
    if (isFree && (event === last || at + text.length < lastAt)) line = `${line.padEnd(at)}${text}`;
  }
  return line;
}
