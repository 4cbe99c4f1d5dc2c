import { describe, expect, test, vi } from "vitest";
import { listingReporter } from "../../../src/suite/reporters/listing.ts";

function written(options: { readonly isTerminal?: boolean; readonly isVerbose?: boolean } = {}) {
  let text = "";
  const reporter = listingReporter({
    ...{ suite: "changed-blocks", testCount: 2, isTerminal: false, ...options },
    title: "Title",
    facts: [
      ["endpoint", "https://192.0.2.1"],
      ["source", "vol-src  (/dev/nvme0n1)"],
    ],
    write: (more) => {
      text += more;
    },
  });
  const first = { number: 1, name: "no_change_diff", title: "", group: "sanity" };
  const second = { number: 2, name: "sync_integrity", title: "", group: "sanity" };
  reporter.started(first);
  reporter.finished(first, { kind: "pass", notes: ["diff returned 0 lbaRange(s)"], durationMs: 3_200 });
  reporter.started(second);
  return { reporter, second, text: () => text };
}

const failed = {
  kind: "fail",
  message: "first line\nsecond line",
  notes: ["wrote 1 MB"],
  durationMs: 12_800,
} as const;
const summary = { passed: 1, failed: 1, skipped: 0, durationMs: 16_000, isInterrupted: false };

describe("the listing", () => {
  test("has a head, a dotted line for each test, and a table with notes under failing tests", () => {
    const { reporter, second, text } = written();
    reporter.finished(second, failed);
    reporter.done(summary);
    const [double, single] = ["═".repeat(70), "─".repeat(70)];
    expect(text()).toBe(
      [
        double,
        "  Title  (2 tests)",
        "  endpoint  https://192.0.2.1",
        "  source    vol-src  (/dev/nvme0n1)",
        double,
        "",
        "  [1/2] no_change_diff ........................... PASS  (3.2s)",
        "  [2/2] sync_integrity ........................... FAIL  (12.8s)",
        "      first line",
        "      second line",
        "",
        double,
        "  TEST                                   RESULT  DURATION",
        single,
        "  no_change_diff                         PASS        3.2s",
        "  sync_integrity                         FAIL       12.8s",
        "    · wrote 1 MB",
        "    ✗ first line",
        "      second line",
        single,
        "  1/2 passed  |  1 FAILED  |  total 16.0s",
        double,
        "",
      ].join("\n"),
    );
  });

  test("has all notes if they are asked for, and says what was not run", () => {
    const { reporter, text } = written({ isVerbose: true });
    reporter.done({ passed: 1, failed: 0, skipped: 0, durationMs: 4_000, isInterrupted: true });
    expect(text()).toContain("    · diff returned 0 lbaRange(s)\n");
    expect(text()).toContain("  1/2 passed  |  INTERRUPTED, 1 not run  |  total 4.0s\n");
  });

  test("turns a spinner on a terminal only, and wipes it away", () => {
    vi.useFakeTimers();
    try {
      const { reporter, second, text } = written({ isTerminal: true });
      vi.advanceTimersByTime(250);
      reporter.finished(second, failed);
      const clear = "\r\u001b[2K";
      const [line, place] = [text().split("\n").at(-4)!, `  [2/2] sync_integrity ${".".repeat(27)}`];
      expect(line).toBe(
        `${["⠋", "⠙", "⠹"].map((dots) => `${clear}${place} ${dots}`).join("")}${clear}${place} \u001b[31mFAIL\u001b[0m  (12.8s)`,
      );
      const length = text().length;
      vi.advanceTimersByTime(1000);
      expect(text().length).toBe(length);
    } finally {
      vi.useRealTimers();
    }
    expect(written().text()).not.toContain("\u001b");
    expect(written().text()).not.toContain("⠋");
  });
});
