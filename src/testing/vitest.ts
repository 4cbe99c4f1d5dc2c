/**
 * Volume tests with vitest.
 *
 * @packageDocumentation
 */
import { test } from "vitest";
import type { GeometrySpec } from "./geometries.ts";
import { caseCount, runVolumeTest, type VolumeTestOptions, type WriteHistory } from "./volume-test.ts";

/** A test of many seeds and geometries takes its time, and making a failure small as well. */
const caseTimeoutMs = 5000;
const failureTimeoutMs = 120_000;

/**
 * Declares a test: a history, run with many seeds on many geometries, with every check of harrow behind it.
 *
 * @example
 * volumeTest("a snapshot does not change", {}, (history) => {
 *   history.extent(0).writes(4).finish().snapshot("before");
 *   history.extent(0).writes(4).deallocate().finish();
 * });
 */
export function volumeTest(
  name: string,
  geometries: GeometrySpec,
  write: WriteHistory,
  options: VolumeTestOptions = {},
): void {
  const volumeTest = { name, spec: geometries, write, options };
  const timeout = failureTimeoutMs + caseTimeoutMs * caseCount(volumeTest);
  test(name, { timeout }, ({ signal }) => runVolumeTest(volumeTest, signal));
}
