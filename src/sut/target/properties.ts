/**
 * The controller registers, which fabrics call properties: CAP, VS, CC, CSTS.
 *
 * @see NVM Express Base Specification, controller properties, and Property Get and Set.
 * @packageDocumentation
 */
import { readCid, readNsid } from "../nvme/commands.ts";
import {
  controllerConfiguration as cc,
  controllerStatus as csts,
  encodeCapabilities,
  fabricsType,
  property,
  readPropertySqe,
  version14,
} from "../nvme/fabrics.ts";
import { type StatusCode, statusCode } from "../nvme/status.ts";
import type { Controller } from "./controller.ts";
import type { TargetConfiguration } from "./options.ts";
import type { Queue } from "./queue.ts";
import type { Target } from "./target.ts";

/** CSTS.SHST: shutdown processing is going on. */
const shutdownInProgress = 1 << 2;

/** Answers Property Get and Property Set, and refuses other fabrics commands of an admin queue. */
export function executeProperty(
  target: Target,
  controller: Controller,
  queue: Queue,
  view: DataView,
  at: number,
): void {
  const cid = readCid(view, at);
  const { offset, isWide, value } = readPropertySqe(view, at);
  switch (readNsid(view, at) & 0xff) {
    case fabricsType.propertyGet: {
      const found = getProperty(controller, target.configuration, offset, isWide);
      if (found === undefined) queue.fail(cid, statusCode.invalidField);
      else queue.succeed(cid, found.low, found.high);
      return;
    }
    case fabricsType.propertySet: {
      const failure = setProperty(controller, offset, isWide, value, () => target.volumes.flushAll());
      if (failure === undefined) queue.succeed(cid);
      else queue.fail(cid, failure);
      return;
    }
    default:
      queue.fail(cid, statusCode.invalidOpcode);
  }
}

interface PropertyValue {
  readonly low: number;
  readonly high: number;
}

/** @param isWide - The host asks for 8 bytes; CAP alone has them, and is also read by halves. */
function getProperty(
  controller: Controller,
  configuration: TargetConfiguration,
  offset: number,
  isWide: boolean,
): PropertyValue | undefined {
  const cap = capabilities(configuration);
  if (isWide) return offset === property.cap ? cap : undefined;
  switch (offset) {
    case property.cap:
      return { low: cap.low, high: 0 };
    case property.cap + 4:
      return { low: cap.high, high: 0 };
    case property.vs:
      return { low: version14, high: 0 };
    case property.cc:
      return { low: controller.configuration, high: 0 };
    case property.csts:
      return { low: controller.status, high: 0 };
    default:
      return undefined;
  }
}

/**
 * Writes CC, the one property a host may set: enable, reset, shut down.
 *
 * A configuration that is not understood makes the controller fail (CSTS.CFS), not the command.
 *
 * @param flush - Puts everything on stable media; awaited before a shutdown is reported as complete.
 */
function setProperty(
  controller: Controller,
  offset: number,
  isWide: boolean,
  value: number,
  flush: () => Promise<void>,
): StatusCode | undefined {
  if (offset !== property.cc || isWide) return statusCode.invalidField;
  const wasEnabled = (controller.configuration & cc.enable) !== 0;
  const isEnabled = (value & cc.enable) !== 0;
  const hadShutdown = (controller.configuration & cc.shutdownMask) !== 0;
  controller.configuration = value;

  if (wasEnabled && !isEnabled) {
    controller.status = 0;
    controller.reset();
  }
  if (!wasEnabled && isEnabled) {
    controller.isReady = isConfigurationUnderstood(controller, value);
    controller.status = controller.isReady ? csts.ready : csts.fatal;
  }
  if (!hadShutdown && (value & cc.shutdownMask) !== 0) shutDown(controller, flush);
  return undefined;
}

function shutDown(controller: Controller, flush: () => Promise<void>): void {
  controller.isReady = false;
  controller.status = (controller.status & ~csts.shutdownMask) | shutdownInProgress;
  const finish = () => {
    const isStillShutDown = (controller.configuration & cc.shutdownMask) !== 0;
    if (isStillShutDown) controller.status = (controller.status & ~csts.shutdownMask) | csts.shutdownComplete;
  };
  // A store that cannot flush has told so on every flush of the host; a shutdown must not hang on it.
  flush().then(finish, finish);
}

function isConfigurationUnderstood(controller: Controller, value: number): boolean {
  const commandSet = (value >>> 4) & 7;
  const memoryPageSize = (value >>> 7) & 15;
  const arbitration = (value >>> 11) & 7;
  const sqEntrySize = (value >>> 16) & 15;
  const cqEntrySize = (value >>> 20) & 15;
  if (commandSet !== 0 || memoryPageSize !== 0 || arbitration !== 0) return false;
  // Entry sizes are of I/O queues, which a discovery controller does not have.
  return controller.kind === "discovery" || (sqEntrySize === 6 && cqEntrySize === 4);
}

function capabilities(configuration: TargetConfiguration): PropertyValue {
  return encodeCapabilities({
    mqes: configuration.queueDepthMax - 1,
    timeoutHalfSeconds: 30,
    supportsNvmCommandSet: true,
    supportsCommandSets: false,
  });
}
