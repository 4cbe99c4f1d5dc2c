/**
 * Tests of volumes with vitest.
 *
 * @packageDocumentation
 */
import { test } from "vitest";
import type { GeometrySpec } from "./geometries.ts";
import { type HistoryTestOptions, runHistoryTest, triesOf } from "./history-test.ts";
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

/**
 * Declares a test: a history as text, as `harrow shrink` leaves it, performed once, with every check of harrow behind
 * it.
 *
 * @example
 * historyTest("the write is there", `
 * harrow history 1
 * seed 1
 * block-size 4096
 * extent-blocks 8
 * volume-blocks 8
 *
 * 0.0 0/0 write 3
 * `);
 */
export function historyTest(name: string, history: string, options: HistoryTestOptions = {}): void {
  const historyTest = { name, history, options };
  const timeout = failureTimeoutMs + caseTimeoutMs * triesOf(historyTest);
  test(name, { timeout }, ({ signal }) => runHistoryTest(historyTest, signal));
}
