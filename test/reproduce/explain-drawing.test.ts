import { describe, expect, test } from "vitest";
import { drawing, type Row } from "../../src/reproduce/explain-drawing.ts";

const operation = (label: string, from: number, to: number, note?: string): Row => ({
  label,
  spans: [{ from, to }],
  style: "operation",
  note,
});

describe("a drawing", () => {
  test("has one row for each operation, call and cut, in columns of events", () => {
    const cut: Row = { label: "its cut", spans: [{ from: 140, to: 144 }], style: "cut" };
    const lines = drawing([
      operation("12.0 write", 139, 142, "shown"),
      operation("13.1 writeZeroes", 141, 146),
      operation("snapshot 1 call", 140, 144),
      cut,
    ]);
    expect(lines).toEqual([
      "12.0 write          |--------------------|                  shown",
      "13.1 writeZeroes                  |--------------------|",
      "snapshot 1 call            |--------------------|",
      "its cut                    [====================]",
      "event               139    140    141    142    144    146",
    ]);
  });

  test("leads what began before it, or never ended, to its edges", () => {
    const lines = drawing([
      operation("1.0 write", Number.NEGATIVE_INFINITY, 10),
      operation("2.0 write", 11, Number.POSITIVE_INFINITY),
    ]);
    expect(lines[0]).toMatch(/^1\.0 write {2}<-+\|$/);
    expect(lines[1]).toMatch(/^2\.0 write {2} +\|-+>$/);
  });

  test("shows each piece of a cut that has several", () => {
    const spans = [
      { from: 1, to: 2 },
      { from: 5, to: 8 },
    ];
    const [line] = drawing([{ label: "its cut", spans, style: "cut" }]);
    expect(line).toMatch(/^its cut {4}\[=+\] +\[=+\]$/);
  });

  test("fits 100 columns, however many events there are", () => {
    const rows = Array.from({ length: 60 }, (_, index) =>
      operation(`${index}.0 compareAndWriteMiss of a long name`, index * 1e6, index * 1e6 + 1500),
    );
    for (const line of drawing(rows)) expect(line.length).toBeLessThanOrEqual(100);
  });

  test("is empty without events", () => {
    expect(drawing([])).toEqual([]);
    expect(drawing([operation("1.0 write", Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY)])).toEqual([]);
  });
});
