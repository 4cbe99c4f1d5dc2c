/**
 * Volume tests with node:test.
 *
 * @packageDocumentation
 */
import test from "node:test";
import type { GeometrySpec } from "./geometries.ts";
import { type HistoryTestOptions, runHistoryTest } from "./history-test.ts";
import { runVolumeTest, type VolumeTestOptions, type WriteHistory } from "./volume-test.ts";

/** Declares a test, as `harrow/vitest` does. */
export function volumeTest(
  name: string,
  geometries: GeometrySpec,
  write: WriteHistory,
  options: VolumeTestOptions = {},
): void {
  test(name, ({ signal }) => runVolumeTest({ name, spec: geometries, write, options }, signal));
}

/** Declares a test of a history as text, as `harrow/vitest` does. */
export function historyTest(name: string, history: string, options: HistoryTestOptions = {}): void {
  test(name, ({ signal }) => runHistoryTest({ name, history, options }, signal));
}
