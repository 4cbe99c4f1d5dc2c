/**
 * The flags by which a volume service is named, together with those of a configuration file.
 *
 * @packageDocumentation
 */
import { ConfigError, type Override, parseConfig } from "../runner/config/load.ts";
import type { Config } from "../runner/config/schema.ts";
import { readConfigFile } from "./fuzz.ts";

export interface ServiceFlags {
  readonly config?: string;
  readonly endpoint?: string;
  readonly project?: string;
  readonly jwt?: string;
  readonly jwtFile?: string;
  readonly caFile?: string;
  readonly insecure?: true;
}

export interface NamedService {
  readonly target: Config["target"];
  /** In place of what the target's keys lead to. */
  readonly token?: string;
}

/**
 * The service of the flags; what they leave out is as in the file, or has its default.
 *
 * @throws {ConfigError} If none is named, or what is given can not be used.
 */
export async function namedService(flags: ServiceFlags): Promise<NamedService> {
  const { config: file, endpoint, jwt, jwtFile } = flags;
  if (file === undefined && endpoint === undefined)
    throw new ConfigError(["name a service, with --endpoint URL or --config conf.yml"]);
  if (jwt !== undefined && jwtFile !== undefined)
    throw new ConfigError(["--jwt, --jwt-file: give one of them"]);
  if (jwt?.trim() === "") throw new ConfigError(["--jwt: is empty"]);
  const given: readonly (Override | false)[] = [
    endpoint !== undefined && { flag: "--endpoint", path: ["target", "kind"], value: "lightbits" },
    override("--endpoint", "endpoint", endpoint),
    override("--project", "project", flags.project),
    override("--jwt-file", "tokenFile", jwtFile),
    override("--ca-file", "caFile", flags.caFile),
    override("--insecure", "insecure", flags.insecure),
  ];
  const text = file === undefined ? "" : await readConfigFile(file);
  const overrides = given.filter((one) => one !== false);
  const { target } = parseConfig(text, file ?? "command line", overrides);
  return { target, ...(jwt === undefined ? {} : { token: jwt.trim() }) };
}

function override(flag: string, key: string, value: unknown): Override | false {
  return value !== undefined && { flag, path: ["target", key], value };
}
