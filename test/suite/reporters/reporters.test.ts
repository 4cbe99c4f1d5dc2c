import { describe, expect, test } from "vitest";
import { type ReportedTest, type SuiteResult, summaryOf } from "../../../src/suite/report.ts";
import { reporters, type ReporterName } from "../../../src/suite/reporters/by-name.ts";

const results: readonly SuiteResult[] = [
  { kind: "pass", notes: ["3 tuples"], durationMs: 1234.5 },
  {
    kind: "fail",
    message: 'bytes 4096 to 8191 <missing> & "lost": 100%\nsecond line',
    notes: ["it said ::error::\u0000"],
    durationMs: 5,
  },
  { kind: "skip", message: "needs # two snapshots", notes: [], durationMs: 0 },
];

const tests: readonly ReportedTest[] = ["one", "two", "three"].map((name, index) => ({
  number: index + 1,
  name,
  title: `the ${name} holds`,
  group: "some group",
}));

function told(
  name: ReporterName,
  { isTerminal = false, isVerbose = false, isInterrupted = false } = {},
): string {
  let text = "";
  const write = (part: string) => {
    text += part;
  };
  const reporter = reporters[name]({ suite: "suite", testCount: 3, write, isTerminal, isVerbose });
  for (const [index, one] of tests.entries()) {
    reporter.started(one);
    reporter.finished(one, results[index]!);
  }
  reporter.done(summaryOf(results, { durationMs: 1300, isInterrupted }));
  return text;
}

describe("a reporter of suites", () => {
  test("for people numbers the tests, says what is wrong under them, and ends with a table", () => {
    expect(told("text")).toBe(
      `[1/3] PASS  one  the one holds (1.23 s)
[2/3] FAIL  two  the two holds (0.01 s)
        bytes 4096 to 8191 <missing> & "lost": 100%
        second line
        it said ::error::\u0000
[3/3] SKIP  three  the three holds (0.00 s)
        needs # two snapshots

#  test   group       result  time    note
-  -----  ----------  ------  ------  -------------------------------------------
1  one    some group  PASS    1.23 s  3 tuples
2  two    some group  FAIL    0.01 s  bytes 4096 to 8191 <missing> & "lost": 100%
3  three  some group  SKIP    0.00 s  needs # two snapshots
suite: 1 passed, 1 failed, 1 skipped in 1.3 s
`,
    );
    expect(told("text", { isVerbose: true })).toContain("\n        3 tuples\n");
    expect(told("text", { isInterrupted: true })).toMatch(/interrupted, 0 not run\n$/);
  });

  test("for people writes over its line on a terminal only", () => {
    expect(told("text")).not.toContain("\u001b");
    expect(told("text", { isTerminal: true })).toContain("\r\u001b[2K[1/3] | one");
  });

  test("of JUnit writes one document without what XML cannot hold", () => {
    const text = told("junit");
    expect(text).toContain('<testsuites tests="3" failures="1" errors="0" skipped="1" time="1.300">');
    expect(text).toContain('<testcase name="two" classname="suite.some_group" time="0.005">');
    expect(text).toContain(
      '<failure message="bytes 4096 to 8191 &lt;missing&gt; &amp; &quot;lost&quot;: 100%">',
    );
    expect(text).toContain('<skipped message="needs # two snapshots"/>');
    expect(text).not.toContain("\u0000");
  });

  test("of TAP says the plan first, and marks what was skipped", () => {
    const lines = told("tap").split("\n");
    expect(lines.slice(0, 3)).toEqual(["TAP version 14", "1..3", "ok 1 - one"]);
    expect(lines).toContain("not ok 2 - two");
    expect(lines).toContain("ok 3 - three # SKIP needs \\# two snapshots");
    expect(told("tap", { isInterrupted: true })).toMatch(/Bail out! interrupted\n$/);
  });

  test("of JSON writes one object", () => {
    expect(JSON.parse(told("json"))).toMatchObject({
      suite: "suite",
      passed: 1,
      failed: 1,
      skipped: 1,
      tests: [
        { name: "one", result: "pass", durationMs: 1235 },
        { name: "two", result: "fail", message: expect.stringContaining("second line") },
        { name: "three", result: "skip" },
      ],
    });
  });

  test("of GitHub makes an annotation of a failure, and obeys nothing that a driver says", () => {
    const text = told("github");
    expect(text).toContain(
      '\n::error title=suite%3A two::bytes 4096 to 8191 <missing> & "lost": 100%25%0Asecond line\n',
    );
    expect(text).toContain("::notice title=suite%3A three skipped::needs # two snapshots\n");
    expect(text).toContain("  it said : :error: :");
  });
});
