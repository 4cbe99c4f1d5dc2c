/**
 * `harrow config`: check a file, show what it comes to, print the schema for editors.
 *
 * @packageDocumentation
 */
import { ConfigError, configJsonSchema, parseConfig } from "../runner/config/load.ts";
import { configToYaml } from "../runner/config/write.ts";
import { exitCodes } from "./exit-codes.ts";
import { readConfigFile } from "./fuzz.ts";

/** Says whether files can be used; every problem with its line and column. */
export async function checkConfigs(files: readonly string[]): Promise<number> {
  let code: number = exitCodes.consistent;
  for (const file of files) {
    try {
      parseConfig(await readConfigFile(file), file);
      process.stdout.write(`${file}: good\n`);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      process.stderr.write(`${error.message}\n`);
      code = exitCodes.usage;
    }
  }
  return code;
}

/** Prints a configuration with every default filled in; without a file, the defaults. */
export async function showConfig(file: string | undefined): Promise<number> {
  try {
    const text = file === undefined ? "" : await readConfigFile(file);
    process.stdout.write(configToYaml(parseConfig(text, file ?? "defaults")));
    return exitCodes.consistent;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return exitCodes.usage;
  }
}

export function printSchema(): number {
  process.stdout.write(`${JSON.stringify(configJsonSchema(), null, 2)}\n`);
  return exitCodes.consistent;
}
