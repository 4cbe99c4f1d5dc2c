/**
 * Configuration files: YAML in, a checked configuration or a list of problems out.
 *
 * @packageDocumentation
 */
import { isMap, isScalar, LineCounter, parseDocument } from "yaml";
import { z } from "zod";
import { type Config, configSchema } from "./schema.ts";

/** Longest configuration read, in bytes: a limit on what a wrong path can cost. */
export const configBytesMax = 2 ** 20;

/** A configuration that can not be used: every problem found, each with its place. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

/** A value from the command line, in place of the file's. */
export interface Override {
  readonly flag: string;
  readonly path: readonly string[];
  /** The value, or how to make it from what the file has there. */
  readonly value: unknown;
}

/**
 * Parses and checks a configuration.
 *
 * @param name - What to call the file in messages.
 * @throws {ConfigError} With all problems, as `name:line:column: path: problem`.
 */
export function parseConfig(text: string, name: string, overrides: readonly Override[] = []): Config {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${name}:${line}:${col}`;
  };
  if (document.errors.length > 0)
    throw new ConfigError(document.errors.map(({ message, pos }) => `${at(pos[0])}: ${message}`));
  const value = toJs(document, name) ?? {};
  for (const override of overrides) put(value, override);
  const result = configSchema.safeParse(value);
  if (result.success) return result.data;
  throw new ConfigError(
    result.error.issues.flatMap((issue) => {
      const path = issue.path.map((part) => (typeof part === "symbol" ? String(part) : part));
      if (issue.code === "unrecognized_keys")
        return issue.keys.map((key) => {
          const known = knownKeys(path);
          const hint = known.length > 0 ? `; known here: ${known.join(", ")}` : "";
          return `${at(offsetOf(document.contents, [...path, key], true))}: ${[...path, key].join(".")}: unknown key${hint}`;
        });
      const override = overrides.find((one) => one.path.join(".") === path.join("."));
      const place = override?.flag ?? at(offsetOf(document.contents, path, false));
      return [`${place}: ${path.join(".") || "configuration"}: ${issue.message}`];
    }),
  );
}

/** JSON Schema of what people may write, for editors. */
export function configJsonSchema(): object {
  return z.toJSONSchema(configSchema, { io: "input", unrepresentable: "any" });
}

function toJs(document: ReturnType<typeof parseDocument>, name: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    throw new ConfigError([`${name}: ${cause instanceof Error ? cause.message : String(cause)}`]);
  }
}

function put(root: unknown, { path, value }: Override): void {
  let node = root;
  for (const [depth, part] of path.entries()) {
    if (typeof node !== "object" || node === null) return;
    const record = node as Record<string, unknown>;
    if (depth === path.length - 1) record[part] = typeof value === "function" ? value(record[part]) : value;
    else node = record[part] ??= {};
  }
}

/** Offset of the node that a path names, or of the deepest one there is; with `ofKey`, of the last key itself. */
function offsetOf(root: unknown, path: readonly (string | number)[], ofKey: boolean): number {
  let node: unknown = root;
  let offset = rangeStart(node) ?? 0;
  for (const [depth, part] of path.entries()) {
    if (!isMap(node)) {
      if (typeof node === "object" && node !== null && "items" in node && Array.isArray(node.items)) {
        node = node.items[Number(part)];
        offset = rangeStart(node) ?? offset;
        continue;
      }
      break;
    }
    const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(part));
    if (pair === undefined) break;
    if (ofKey && depth === path.length - 1) return rangeStart(pair.key) ?? offset;
    offset = rangeStart(pair.value) ?? rangeStart(pair.key) ?? offset;
    node = pair.value;
  }
  return offset;
}

function rangeStart(node: unknown): number | undefined {
  if (typeof node !== "object" || node === null || !("range" in node) || !Array.isArray(node.range))
    return undefined;
  return node.range[0] as number;
}

/** Keys that the schema knows at a path. */
function knownKeys(path: readonly (string | number)[]): readonly string[] {
  let schema: unknown = configJsonSchema();
  for (const part of path) schema = property(property(schema, "properties"), String(part));
  const properties = property(schema, "properties");
  return typeof properties === "object" && properties !== null ? Object.keys(properties) : [];
}

function property(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[key] : undefined;
}
