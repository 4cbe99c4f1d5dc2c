/**
 * The Connect command: which queue of which controller a connection becomes, or why not.
 *
 * A refusal names the offending parameter by its offset (IPO), in the SQE or in the data (IATTR).
 *
 * @see NVM Express over Fabrics, Connect command.
 * @packageDocumentation
 */
import { cntlidDynamic, connectDataLengthBytes, decodeConnectData, readConnectSqe } from "../nvme/fabrics.ts";
import { type StatusCode, statusCode } from "../nvme/status.ts";
import type { AdminConnection, Controller } from "./controller.ts";
import type { Target } from "./target.ts";

export type ConnectResult =
  | { readonly kind: "refused"; readonly code: StatusCode; readonly dw0: number; readonly reason: string }
  | {
      readonly kind: "accepted";
      readonly controller: Controller;
      readonly qid: number;
      readonly entryCount: number;
      readonly isFlowControlled: boolean;
    };

/** Keep alive granularity (KAS), ms: time-outs are rounded up to it. */
export const keepAliveGranularityMs = 1000;

/** Offsets of parameters, as IPO names them. */
const inSqe = { recordFormat: 40, qid: 42, sqsize: 44 } as const;
const inData = { hostId: 0, cntlid: 16, subsystemNqn: 256, hostNqn: 512 } as const;

/**
 * Decides about a Connect. An accepted one is registered with its controller before this returns.
 *
 * @param data - What came in the capsule; must be 1024 bytes.
 */
export function connect(
  target: Target,
  view: DataView,
  at: number,
  data: Uint8Array,
  connection: AdminConnection,
  nowMs: number,
): ConnectResult {
  const { configuration } = target;
  const command = readConnectSqe(view, at);
  if (command.recordFormat !== 0) {
    return refused(statusCode.connectIncompatibleFormat, 0, `record format ${command.recordFormat}`);
  }
  if (data.length !== connectDataLengthBytes) {
    return refused(statusCode.invalidSglLength, 0, `${data.length} bytes of data, 1024 expected`);
  }
  const { hostId, hostNqn, subsystemNqn, cntlid } = decodeConnectData(data);
  const kind = target.subsystem(subsystemNqn);
  if (kind === undefined) return badData(inData.subsystemNqn, `no subsystem "${subsystemNqn ?? ""}"`);
  if (hostNqn === undefined || hostNqn === "")
    return badData(inData.hostNqn, "host NQN is empty or too long");
  if (hostId.every((byte) => byte === 0)) return badData(inData.hostId, "host identifier is zero");
  const { allowedHostNqns } = configuration;
  if (kind === "nvm" && allowedHostNqns !== undefined && !allowedHostNqns.has(hostNqn)) {
    const dw0 = (1 << 16) | inData.hostNqn;
    return refused(statusCode.connectInvalidHost, dw0, `host "${hostNqn}" is not allowed`);
  }
  const { qid, sqsize } = command;
  if (sqsize === 0 || sqsize >= configuration.queueDepthMax) {
    return badCommand(inSqe.sqsize, `SQSIZE ${sqsize}, 1 to ${configuration.queueDepthMax - 1} expected`);
  }
  const entryCount = sqsize + 1;
  const isFlowControlled = !command.disablesSqFlowControl;

  if (qid === 0) {
    if (cntlid !== cntlidDynamic) return badData(inData.cntlid, `controller ${cntlid}, 0xffff expected`);
    const keepAliveMs = roundKeepAlive(command.keepAliveMs);
    const options = { kind, hostNqn, hostId, keepAliveMs, nowMs, admin: connection };
    const controller = target.createController(options);
    if (controller === undefined) {
      return refused(statusCode.connectControllerBusy, 0, "no controller identifier is free");
    }
    return { kind: "accepted", controller, qid, entryCount, isFlowControlled };
  }

  const controller = target.controller(cntlid);
  if (controller === undefined || controller.kind !== kind || controller.hostNqn !== hostNqn) {
    return badData(inData.cntlid, `no controller ${cntlid} of this host`);
  }
  if (!hostId.every((byte, index) => byte === controller.hostId[index])) {
    return badData(inData.hostId, "host identifier differs from that of the admin queue");
  }
  if (kind === "discovery" || qid > configuration.ioQueueCountMax) {
    const queueCount = kind === "discovery" ? 0 : configuration.ioQueueCountMax;
    return badCommand(inSqe.qid, `queue ${qid}, the controller has ${queueCount}`);
  }
  if (!controller.isReady)
    return refused(statusCode.commandSequenceError, 0, "the controller is not enabled");
  if (controller.ioQueues.has(qid)) {
    return refused(statusCode.commandSequenceError, 0, `queue ${qid} is connected already`);
  }
  controller.ioQueues.set(qid, connection);
  return { kind: "accepted", controller, qid, entryCount, isFlowControlled };
}

/** Rounds a keep alive time-out up to the granularity; 0 stays 0. */
export function roundKeepAlive(timeoutMs: number): number {
  return Math.ceil(timeoutMs / keepAliveGranularityMs) * keepAliveGranularityMs;
}

function badCommand(offset: number, reason: string): ConnectResult {
  return refused(statusCode.connectInvalidParameters, offset, reason);
}

function badData(offset: number, reason: string): ConnectResult {
  return refused(statusCode.connectInvalidParameters, (1 << 16) | offset, reason);
}

function refused(code: StatusCode, dw0: number, reason: string): ConnectResult {
  return { kind: "refused", code, dw0, reason };
}
