import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { configDigestOf, failureJsonSchema } from "../../src/reproduce/dump-format.ts";

const schemaPath = new URL("../../docs/failure.schema.json", import.meta.url);

describe("failure.json", () => {
  // To bring it up to date: UPDATE_SCHEMA=1 npx vitest run test/reproduce/dump-format.test.ts, then npm run format
  test("is described by the JSON schema in docs", () => {
    const schema: unknown = JSON.parse(JSON.stringify(failureJsonSchema()));
    if (process.env.UPDATE_SCHEMA !== undefined)
      writeFileSync(schemaPath, `${JSON.stringify(schema, null, 2)}\n`);
    expect(JSON.parse(readFileSync(schemaPath, "utf8"))).toEqual(schema);
  });
});

describe("the digest of a configuration", () => {
  const text = "seed: 0x5\ngeometry:\n  volumeSize: 4096\nrunner:\n  kind: sequential\n  lts: 7\n";

  test.for([
    ["a comment", `# edited\n${text}`, true],
    ["where it is bounded", text.replace("lts: 7", "lts: 8"), true],
    ["the seed", text.replace("0x5", "0x6"), false],
    ["the geometry", text.replace("4096", "8192"), false],
    ["the runner", text.replace("sequential", "concurrent"), false],
  ] as const)("depends on what it says, as to %s", ([, edited, isSame]) => {
    expect(configDigestOf(edited) === configDigestOf(text)).toBe(isSame);
  });
});
