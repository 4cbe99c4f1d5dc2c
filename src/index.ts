/**
 * harrow as a library: descriptors, selectors, the model and its checkers, and the ports of a system under test.
 *
 * The command line is built on the same parts; see `src/cli/fuzz.ts` for how they fit together.
 *
 * @packageDocumentation
 */
export {
  type ContentFormat,
  type ContentKind,
  type ContentOptions,
  contentFormat,
  contentKinds,
} from "./generators/content.ts";
export { Kernel, type Region, RunKernel } from "./generators/kernel.ts";
export { clusteringKeys, type KeyBijection, partitionKeys } from "./generators/keys.ts";
export { advance, distance, next, prev, rng, rngInverse } from "./generators/pcg.ts";
export { type Permutation, permutation } from "./generators/permutation.ts";
export { ContentChecker, type ContentVerdict } from "./model/content-checker.ts";
export { Diagnosis } from "./model/diagnosis.ts";
export type { AnswerPage } from "./model/diff-contract.ts";
export { DiffChecker, type DiffPromise, type DiffQuestion, type DiffVerdict } from "./model/diff-checker.ts";
export { Ledger, type LedgerReport } from "./model/ledger.ts";
export { Reconciler } from "./model/reconciler.ts";
export type { SnapshotRecord } from "./model/snapshot-record.ts";
export type { OperationOutcome } from "./model/operation-times.ts";
export { Tracker } from "./model/tracker.ts";
export {
  describeViolation,
  type FaultClass,
  type OperationReference,
  type Rule,
  type Violation,
} from "./model/violation.ts";
export { FailureFolder } from "./reproduce/failure-folder.ts";
export { ConfigError, configJsonSchema, parseConfig } from "./runner/config/load.ts";
export type { Config, ConfigInput } from "./runner/config/schema.ts";
export { configToYaml } from "./runner/config/write.ts";
export { Run } from "./runner/run.ts";
export type { RunLog } from "./runner/run-log.ts";
export {
  type Progress,
  type RunnerHooks,
  type RunResult,
  performRun,
  type Verdict,
} from "./runner/runner.ts";
export { serviceTarget, type ServiceTargetOptions } from "./runner/service-target.ts";
export { openTarget, type Target, type TargetOptions, type TargetVolume } from "./runner/target.ts";
export { performHistory, type PerformOptions, planConfig } from "./runner/perform-history.ts";
export { Geometry } from "./selectors/geometry.ts";
export {
  type Operation,
  type OperationKind,
  operationAt,
  operationKinds,
  positionOf,
} from "./selectors/operations.ts";
export type { CloneVisit } from "./selectors/clone-selector.ts";
export type { History, Visit } from "./selectors/history.ts";
export { HistoryBuilder, type HistoryBuilderOptions, type HistoryPlan } from "./selectors/history-builder.ts";
export { HistoryError } from "./selectors/history-error.ts";
export { HistoryTextError, historyText, parseHistory } from "./selectors/history-text.ts";
export type { OperationGroup, Where } from "./selectors/operation-group.ts";
export { Workload, type WorkloadShape } from "./selectors/workload.ts";
export {
  type CsiAccess,
  type CsiOptions,
  type CsiSnapshotMetadata,
  connectCsiSnapshotMetadata,
} from "./sut/csi/client.ts";
export { type CsiDiffOptions, withCsiDiffs } from "./sut/csi/with-csi-diffs.ts";
export { type SyncOptions, type SyncResult, syncSnapshot } from "./sut/sync/sync-snapshot.ts";
export {
  type DeviceFaults,
  type ServiceFaults,
  withDeviceFaults,
  withServiceFaults,
} from "./sut/faults.ts";
export { memoryService } from "./sut/memory.ts";
export {
  type BlockDevice,
  type DeviceCapabilities,
  type DiffPage,
  type DiffRange,
  ok,
  type Outcome,
  ServiceError,
  type Snapshot,
  type Volume,
  type VolumeService,
} from "./sut/port.ts";
