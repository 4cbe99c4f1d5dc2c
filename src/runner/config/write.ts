/**
 * The configuration of a run, back to YAML that {@link parseConfig} reads as the same.
 *
 * @packageDocumentation
 */
import { stringify } from "yaml";
import type { Config } from "./schema.ts";

export function configToYaml(config: Config): string {
  return stringify(writable(config), { lineWidth: 0 });
}

/** Plain data: seeds as hexadecimal text, ratios as n/d. */
export function writable(value: unknown): unknown {
  if (typeof value === "bigint") return `0x${value.toString(16)}`;
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(writable);
  if ("numerator" in value && "denominator" in value) return `${value.numerator}/${value.denominator}`;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, writable(inner)]));
}
