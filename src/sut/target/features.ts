/**
 * Get and Set Features. Features without effect here are kept and shown, as hosts expect of a device.
 *
 * @see NVM Express Base Specification, Set Features command.
 * @packageDocumentation
 */
import { asyncEventNotice, feature, readCdw } from "../nvme/commands.ts";
import { type StatusCode, statusCode } from "../nvme/status.ts";
import { roundKeepAlive } from "./connect.ts";
import type { Controller } from "./controller.ts";
import type { TargetConfiguration } from "./options.ts";

/** Features that are kept as they are set, with the bits that may be set. */
const kept = new Map<number, { readonly mask: number; readonly initial: number }>([
  // Arbitration: burst and weights.
  [0x01, { mask: 0xffff_ff07, initial: 0x07 }],
  // Power management: state 0 is the only one; the workload hint may be anything.
  [0x02, { mask: 0xe0, initial: 0 }],
  // Temperature threshold of the composite sensor: 348 K until set.
  [0x04, { mask: 0x003f_ffff, initial: 348 }],
  // Error recovery: TLER, but no errors for deallocated blocks (DULBE).
  [0x05, { mask: 0xffff, initial: 0 }],
  // Write atomicity: normal atomicity may be waived, and is kept all the same.
  [0x0a, { mask: 0x1, initial: 0 }],
]);

/** SMART warnings may be asked for, though there is never one to send. */
const smartWarnings = 0xff;
const saveBit = 0x8000_0000;

export type FeatureAnswer =
  | { readonly kind: "value"; readonly dw0: number }
  | { readonly kind: "data"; readonly bytes: Uint8Array }
  | { readonly kind: "refused"; readonly code: StatusCode };

export function getFeature(
  controller: Controller,
  configuration: TargetConfiguration,
  view: DataView,
  at: number,
): FeatureAnswer {
  const identifier = readCdw(view, at, 10) & 0xff;
  switch (identifier) {
    case feature.asyncEventConfiguration:
      return value(controller.events.configuration);
    case feature.keepAliveTimer:
      return value(controller.keepAliveMs);
    case feature.hostIdentifier:
      // Fabrics know 128-bit identifiers only.
      if ((readCdw(view, at, 11) & 1) === 0) return refused(statusCode.invalidField);
      return { kind: "data", bytes: controller.hostId };
  }
  if (controller.kind === "discovery") return refused(statusCode.invalidField);
  switch (identifier) {
    case feature.volatileWriteCache:
      if (!configuration.volatileWriteCache) return refused(statusCode.invalidField);
      return value(controller.isWriteCacheEnabled ? 1 : 0);
    case feature.numberOfQueues:
      return value(grantedQueues(configuration));
  }
  const rule = kept.get(identifier);
  if (rule === undefined) return refused(statusCode.invalidField);
  return value(controller.storedFeatures.get(identifier) ?? rule.initial);
}

export function setFeature(
  controller: Controller,
  configuration: TargetConfiguration,
  view: DataView,
  at: number,
): FeatureAnswer {
  const cdw10 = readCdw(view, at, 10);
  const cdw11 = readCdw(view, at, 11);
  const identifier = cdw10 & 0xff;
  if ((cdw10 & saveBit) !== 0) return refused(statusCode.featureNotSaveable);
  switch (identifier) {
    case feature.asyncEventConfiguration: {
      const notice =
        controller.kind === "nvm" ? asyncEventNotice.namespaceAttribute : asyncEventNotice.discoveryLog;
      if ((cdw11 & ~(notice | smartWarnings)) !== 0) return refused(statusCode.invalidField);
      controller.events.configuration = cdw11;
      return value(0);
    }
    case feature.keepAliveTimer:
      controller.keepAliveMs = roundKeepAlive(cdw11);
      return value(0);
    case feature.hostIdentifier:
      // Connect has set it.
      return refused(statusCode.featureNotChangeable);
  }
  if (controller.kind === "discovery") return refused(statusCode.invalidField);
  switch (identifier) {
    case feature.volatileWriteCache:
      if (!configuration.volatileWriteCache) return refused(statusCode.invalidField);
      controller.isWriteCacheEnabled = (cdw11 & 1) !== 0;
      return value(0);
    case feature.numberOfQueues:
      if ((cdw11 & 0xffff) === 0xffff || cdw11 >>> 16 === 0xffff) return refused(statusCode.invalidField);
      return value(grantedQueues(configuration));
  }
  const rule = kept.get(identifier);
  if (rule === undefined || (cdw11 & ~rule.mask) !== 0) return refused(statusCode.invalidField);
  controller.storedFeatures.set(identifier, cdw11);
  return value(0);
}

/** Submission and completion queues, 0-based; more may be granted than was asked for. */
function grantedQueues({ ioQueueCountMax }: TargetConfiguration): number {
  return ((ioQueueCountMax - 1) << 16) | (ioQueueCountMax - 1);
}

function value(dw0: number): FeatureAnswer {
  return { kind: "value", dw0 };
}

function refused(code: StatusCode): FeatureAnswer {
  return { kind: "refused", code };
}
