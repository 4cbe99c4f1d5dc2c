import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { embeddedDriver } from "../../../src/suite/csi-snapshot-metadata/embedded-driver.ts";
import { csiTests, runCsiSuite } from "../../../src/suite/csi-snapshot-metadata/suite.ts";

const fixture = fileURLToPath(new URL("../../sut/embedded/serve-fixture.ts", import.meta.url));

test("an embedded target in a process of its own passes, with a token and variable length", async () => {
  await using embedded = await embeddedDriver({
    serveCommand: [process.execPath, "--import", "tsx", fixture],
    style: "variable",
    timeouts: { firstMessageTimeoutMs: 5000 },
  });
  expect(embedded.address).toMatch(/^tcp:\/\/127\.0\.0\.1:\d+$/);
  const types = new Set<string>();
  const summary = await runCsiSuite({
    driver: embedded.driver,
    tests: csiTests.filter(({ name }) => name === "deleted_base" || name === "stable"),
    reporter: { started() {}, finished: (_, { kind }) => void types.add(kind), done() {} },
    signal: new AbortController().signal,
  });
  expect(summary).toMatchObject({ passed: 2, failed: 0, skipped: 0 });
  expect([...types]).toEqual(["pass"]);
});
