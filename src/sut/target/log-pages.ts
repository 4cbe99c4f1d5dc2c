/**
 * The log pages of a controller, and Get Log Page, which reads any part of one.
 *
 * @see NVM Express Base Specification, Get Log Page command.
 * @packageDocumentation
 */
import { adminOpcode, nvmOpcode, readGetLogPage } from "../nvme/commands.ts";
import { encodeNamespaceList } from "../nvme/identify.ts";
import {
  commandEffect,
  discoverySubtype,
  discoveryTransport,
  encodeCommandEffects,
  encodeDiscoveryLog,
  encodeErrorLog,
  encodeSmartLog,
  logPage,
} from "../nvme/log-pages.ts";
import { discoveryNqn } from "../nvme/names.ts";
import { type StatusCode, statusCode } from "../nvme/status.ts";
import type { Controller } from "./controller.ts";
import { dataInProblem } from "./sgl.ts";
import type { Target } from "./target.ts";

/** The address that the host reached us at; discovery hands it on unless there is one to advertise. */
export interface LocalAddress {
  readonly localAddress: string;
  readonly localPort: number;
}

const kelvinAt25Celsius = 298;
const { supported, changesBlocks } = commandEffect;

const effects = encodeCommandEffects({
  admin: new Map(Object.values(adminOpcode).map((opcode) => [opcode, supported])),
  io: new Map([
    [nvmOpcode.flush, supported],
    [nvmOpcode.read, supported],
    [nvmOpcode.compare, supported],
    [nvmOpcode.write, supported | changesBlocks],
    [nvmOpcode.writeZeroes, supported | changesBlocks],
    [nvmOpcode.datasetManagement, supported | changesBlocks],
  ]),
});

const firmwareSlots = Buffer.alloc(512);
firmwareSlots[0] = 1;
firmwareSlots.write("1.0     ", 8, "latin1");

/** Part of a log page, padded with zeros behind its end, or the status to refuse the command with. */
export function getLogPage(
  target: Target,
  controller: Controller,
  view: DataView,
  at: number,
  local: LocalAddress,
): Buffer | StatusCode {
  const { logId, lengthBytes, offsetBytes, retainsEvent } = readGetLogPage(view, at);
  if (lengthBytes > target.configuration.transferLengthMax) return statusCode.invalidField;
  if (offsetBytes % 4 !== 0) return statusCode.invalidField;
  const page =
    controller.kind === "nvm" ? ioPage(target, controller, logId) : discoveryPage(target, logId, local);
  if (page === undefined) return statusCode.invalidLogPage;
  if (offsetBytes > page.length) return statusCode.invalidField;
  const problem = dataInProblem(view, at, lengthBytes);
  if (problem !== undefined) return problem;
  const part = Buffer.alloc(lengthBytes);
  page.copy(part, 0, offsetBytes);
  if (!retainsEvent) acknowledge(controller, logId);
  return part;
}

function ioPage(target: Target, controller: Controller, logId: number): Buffer | undefined {
  switch (logId) {
    case logPage.errorInformation:
      return encodeErrorLog([{}]);
    case logPage.smart:
      return smart(target);
    case logPage.firmwareSlot:
      return firmwareSlots;
    case logPage.changedNamespaces:
      return encodeNamespaceList(controller.changedNamespaces);
    case logPage.commandsAndEffects:
      return effects;
    default:
      return undefined;
  }
}

/** Reading a page with RAE = 0 allows the next event of its kind. */
function acknowledge(controller: Controller, logId: number): void {
  if (logId === logPage.changedNamespaces) {
    controller.clearChangedNamespaces();
    controller.events.acknowledge("namespaceChanged");
  } else if (logId === logPage.discovery) controller.events.acknowledge("discoveryChanged");
}

function smart(target: Target): Buffer {
  const { readCommands, writeCommands, readBytes, writtenBytes } = target.volumes.statistics;
  // Units of 1000 blocks of 512 bytes, rounded up.
  const dataUnits = (bytes: number) => BigInt(Math.ceil(bytes / 512_000));
  return encodeSmartLog({
    temperature: kelvinAt25Celsius,
    availableSparePercent: 100,
    availableSpareThresholdPercent: 10,
    dataUnitsRead: dataUnits(readBytes),
    dataUnitsWritten: dataUnits(writtenBytes),
    hostReadCommands: BigInt(readCommands),
    hostWriteCommands: BigInt(writeCommands),
  });
}

function discoveryPage(target: Target, logId: number, local: LocalAddress): Buffer | undefined {
  if (logId !== logPage.discovery) return undefined;
  const { advertised } = target.configuration;
  const address = advertised?.address ?? local.localAddress;
  const entry = {
    transportType: discoveryTransport.tcp,
    addressFamily: address.includes(":") ? 2 : 1,
    // SQ flow control may be disabled; nothing is said about a secure channel.
    transportRequirements: 1 << 2,
    portId: 1,
    cntlid: 0xffff,
    adminQueueEntriesMax: 32,
    serviceId: String(advertised?.port ?? local.localPort),
    address,
  };
  const thisService = { ...entry, subtype: discoverySubtype.thisService, subsystemNqn: discoveryNqn };
  const subsystem = {
    ...entry,
    subtype: discoverySubtype.subsystem,
    subsystemNqn: target.configuration.subsystemNqn,
  };
  return encodeDiscoveryLog(target.generation, target.isPublished ? [thisService, subsystem] : [thisService]);
}
