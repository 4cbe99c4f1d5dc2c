import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { configJsonSchema, parseConfig } from "../../src/runner/config/load.ts";
import { configToYaml, writable } from "../../src/runner/config/write.ts";
import { harrow } from "./harrow.ts";

const files = readdirSync("conf").map((name) => `conf/${name}`);

describe("the configurations in conf/", () => {
  test.for(files)("%s can be used, and says the same after it was written out", (file) => {
    const config = parseConfig(readFileSync(file, "utf8"), file);
    expect(parseConfig(configToYaml(config), "again")).toEqual(config);
  });

  test("example.yml shows every key that there is, with its default", () => {
    const text = readFileSync("conf/example.yml", "utf8");
    const { seed: _, ...shown } = parseConfig(text, "example");
    const { seed: __, ...defaults } = parseConfig("", "defaults");
    expect(shown).toEqual(defaults);
    const keys = (value: unknown): string[] =>
      typeof value === "object" && value !== null
        ? Object.entries(value).flatMap(([key, inner]) => [key, ...keys(inner)])
        : [];
    const optional = ["lts", "duration", "directory"];
    for (const key of [...keys(writable(defaults)), ...optional])
      expect(text).toMatch(new RegExp(`\\b${key}:`));
  });
});

describe("harrow config", () => {
  test("check names every problem with its line and column", async () => {
    const good = await harrow("config", "check", ...files);
    expect(good.stdout).toBe(files.map((file) => `${file}: good\n`).join(""));
    expect(good.code).toBe(0);
    const bad = await harrow("config", "check", "package.json");
    expect(bad.stderr).toContain("package.json:2:3: name: unknown key");
    expect(bad.code).toBe(2);
  });

  test("show prints what a file comes to, as a file", async () => {
    const { stdout, code } = await harrow("config", "show", "conf/quick.yml");
    expect(parseConfig(stdout, "shown")).toEqual(
      parseConfig(readFileSync("conf/quick.yml", "utf8"), "quick"),
    );
    expect(code).toBe(0);
  });

  test("schema describes the keys for editors", async () => {
    const { stdout } = await harrow("config", "schema");
    expect(JSON.parse(stdout)).toEqual(JSON.parse(JSON.stringify(configJsonSchema())));
    expect(JSON.parse(stdout).properties.geometry.properties.blockSize.enum).toEqual([512, 4096]);
  });
});
