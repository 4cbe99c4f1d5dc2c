import { describe, expect, test } from "vitest";
import type { CsiSnapshotMetadata } from "../../../src/sut/csi/client.ts";
import type { CsiStyle } from "../../../src/sut/csi/server/answer.ts";
import type { SuiteResult } from "../../../src/suite/report.ts";
import { csiTests } from "../../../src/suite/csi-snapshot-metadata/suite.ts";
import { csiMutants } from "./mutants.ts";
import { runTests } from "./run-tests.ts";
import { type StoreDriver, storeDriver } from "./store-driver.ts";

/** What became of each test, by name. */
async function resultsOf(
  { client, hooks }: Pick<StoreDriver, "client" | "hooks">,
  names: readonly string[],
  offsetsMax = 40,
): Promise<Map<string, SuiteResult>> {
  const { results } = await runTests({ client, hooks, snapshots: [] }, { names, offsetsMax });
  return results;
}

describe("the contract suite", () => {
  test.for<CsiStyle>(["fixed", "variable"])(
    "has nothing to say of the embedded target, %s",
    async (style) => {
      await using driver = await storeDriver(style);
      const names = csiTests.map(({ name }) => name);
      const results = await resultsOf(driver, names, 4);
      expect([...results].filter(([, { kind }]) => kind !== "pass")).toEqual([]);
      expect(results.size).toBe(csiTests.length);
    },
  );

  describe.for(Object.entries(csiMutants))("notices a driver that %s", ([, { style, bug, noticedBy }]) => {
    test(`by ${noticedBy.join(", ")}`, async () => {
      await using driver = await storeDriver(style ?? "fixed", bug());
      const results = await resultsOf(driver, noticedBy);
      for (const name of noticedBy) {
        const result = results.get(name);
        expect([name, result?.kind, result]).toEqual([name, "fail", expect.anything()]);
        expect(result?.kind === "fail" && result.message).not.toMatch(/the test itself failed/);
      }
    });
  });

  test("notices a plugin that does not list the service", async () => {
    await using driver = await storeDriver("fixed");
    const client: CsiSnapshotMetadata = {
      ...driver.client,
      identity: async () => ({ name: "n", version: "1", hasSnapshotMetadata: false }),
    };
    const results = await resultsOf({ ...driver, client }, ["identity_announces_service"]);
    expect([...results.values()]).toMatchObject([{ kind: "fail" }]);
  });

  test("has no test that no mistake can make fail", () => {
    const noticing = new Set(Object.values(csiMutants).flatMap(({ noticedBy }) => noticedBy));
    const idle = csiTests.map(({ name }) => name).filter((name) => !noticing.has(name));
    expect(idle).toEqual(["identity_announces_service"]);
  });
});
