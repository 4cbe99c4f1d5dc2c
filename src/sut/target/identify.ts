/**
 * What the target says of itself and of its namespaces: the answers to Identify.
 *
 * @see NVM Express Base Specification and NVM Command Set Specification, Identify command.
 * @packageDocumentation
 */
import { asyncEventNotice, identifyCns, nsidBroadcast, readCdw, readNsid } from "../nvme/commands.ts";
import { version14 } from "../nvme/fabrics.ts";
import {
  controllerAttribute,
  controllerType,
  deallocateFeature,
  encodeCommandSetLimits,
  encodeControllerIdentity,
  encodeNamespaceDescriptors,
  encodeNamespaceIdentity,
  encodeNamespaceList,
  fusedOperation,
  identifyLengthBytes,
  logPageAttribute,
  namespaceFeature,
  namespaceListCountMax,
  optionalCommand,
} from "../nvme/identify.ts";
import { discoveryNqn } from "../nvme/names.ts";
import { type StatusCode, statusCode } from "../nvme/status.ts";
import { chunkBlocks, type Namespace } from "../store/port.ts";
import { asyncEventRequestCountMax } from "./async-events.ts";
import { keepAliveGranularityMs } from "./connect.ts";
import type { Controller } from "./controller.ts";
import { inCapsuleLengthMax } from "./options.ts";
import type { Target } from "./target.ts";

/** NSIDs that a host should be ready for; more if the store has higher ones. */
const namespaceCountMin = 1024;
/** Abort commands at once (ACL + 1); they are answered on the spot, so the number is of no consequence. */
const abortCountMax = 4;
/** Identify structures that only some I/O command sets have; CNS 05 exists in this set but is empty. */
const commandSetNamespaceCns = 0x05;
const nvmCommandSet = 0;
/** Write zeroes in one command, as a power of two of 4 KiB: 65536 blocks of 512 bytes. */
const writeZeroesLimit = 13;
const modelNumber = "harrow embedded target";
const firmwareRevision = "1.0";

/** The 4096 bytes of an Identify, or the status to refuse it with. */
export function identify(
  target: Target,
  controller: Controller,
  view: DataView,
  at: number,
): Buffer | StatusCode {
  const cns = readCdw(view, at, 10) & 0xff;
  const commandSet = readCdw(view, at, 11) >>> 24;
  const nsid = readNsid(view, at);
  if (cns === identifyCns.controller) {
    return controller.kind === "nvm"
      ? ioController(target, controller)
      : discoveryController(target, controller);
  }
  if (controller.kind === "discovery") return statusCode.invalidField;
  const { store } = target.configuration;
  switch (cns) {
    case identifyCns.namespace: {
      if (nsid === 0 || nsid > nsidMax(target)) return statusCode.invalidNamespace;
      const namespace = store.namespace(nsid);
      return namespace === undefined
        ? Buffer.alloc(identifyLengthBytes)
        : namespaceIdentity(target, namespace);
    }
    case identifyCns.activeNamespaces: {
      if (nsid >= nsidBroadcast - 1) return statusCode.invalidNamespace;
      const nsids = store.namespaces.map((namespace) => namespace.nsid).filter((other) => other > nsid);
      return encodeNamespaceList(nsids.slice(0, namespaceListCountMax));
    }
    case identifyCns.namespaceDescriptors: {
      const namespace = store.namespace(nsid);
      if (namespace === undefined) return statusCode.invalidNamespace;
      return encodeNamespaceDescriptors({ nguid: nguidOf(namespace), uuid: namespace.uuid });
    }
    case commandSetNamespaceCns:
      if (commandSet !== nvmCommandSet) return statusCode.invalidField;
      if (store.namespace(nsid) === undefined) return statusCode.invalidNamespace;
      return Buffer.alloc(identifyLengthBytes);
    case identifyCns.commandSetController:
      if (commandSet !== nvmCommandSet) return statusCode.invalidField;
      return encodeCommandSetLimits({ wzsl: writeZeroesLimit });
    default:
      return statusCode.invalidField;
  }
}

/** Longest transfer in blocks, which is also what one command does in one step. */
function transferBlocks(target: Target, blockSizeBytes: number): number {
  return target.configuration.transferLengthMax / blockSizeBytes;
}

function ioController(target: Target, controller: Controller): Buffer {
  const { configuration } = target;
  // A command is applied in one turn of the event loop, so it is atomic to other commands whatever its size;
  // of a power failure nothing is promised beyond one block. Counted in the largest blocks there are.
  const atomicWriteUnit = transferBlocks(target, 4096) - 1;
  return encodeControllerIdentity({
    ...commonIdentity(target, controller),
    // Several controllers, one for each host and each reconnect.
    cmic: 1 << 1,
    oaes: asyncEventNotice.namespaceAttribute,
    controllerType: controllerType.io,
    lpa: logPageAttribute.effects | logPageAttribute.offset,
    sqes: 0x66,
    cqes: 0x44,
    nn: nsidMax(target),
    mnan: nsidMax(target),
    oncs: optionalCommand.compare | optionalCommand.datasetManagement | optionalCommand.writeZeroes,
    fuses: fusedOperation.compareAndWrite,
    // Bits 2:1 are 11b: a flush of the broadcast NSID flushes all namespaces.
    vwc: (configuration.volatileWriteCache ? 1 : 0) | 0b110,
    awun: atomicWriteUnit,
    awupf: 0,
    acwu: atomicWriteUnit,
    subsystemNqn: configuration.subsystemNqn,
    ioccsz: (64 + inCapsuleLengthMax) / 16,
    iorcsz: 1,
    psd0MaximumPower: 0x09c4,
  });
}

function discoveryController(target: Target, controller: Controller): Buffer {
  return encodeControllerIdentity({
    ...commonIdentity(target, controller),
    oaes: asyncEventNotice.discoveryLog,
    controllerType: controllerType.discovery,
    lpa: logPageAttribute.offset,
    subsystemNqn: discoveryNqn,
  });
}

function commonIdentity(target: Target, controller: Controller) {
  const { configuration } = target;
  return {
    serialNumber: configuration.serial,
    modelNumber,
    firmwareRevision,
    rab: 6,
    mdts: configuration.mdts,
    cntlid: controller.cntlid,
    version: version14,
    ctratt: controllerAttribute.hostId128 | controllerAttribute.trafficBasedKeepAlive,
    acl: abortCountMax - 1,
    aerl: asyncEventRequestCountMax - 1,
    frmw: 3,
    elpe: 0,
    kas: keepAliveGranularityMs / 100,
    maxcmd: configuration.queueDepthMax,
    // SGLs are supported, and so is an offset into the capsule.
    sgls: 0x0010_0001,
    msdbd: 1,
  };
}

function namespaceIdentity(target: Target, namespace: Namespace): Buffer {
  const { blockSizeBytes, blockCount } = namespace;
  const size = BigInt(blockCount);
  const pageBlocks = 4096 / blockSizeBytes;
  const atomicUnit = transferBlocks(target, blockSizeBytes) - 1;
  return encodeNamespaceIdentity({
    nsze: size,
    ncap: size,
    nuse: BigInt(namespace.allocatedBlockCount),
    nsfeat: namespaceFeature.thin | namespaceFeature.ownAtomicUnits | namespaceFeature.preferredGranularity,
    lbaFormats: [{ metadataLengthBytes: 0, blockSizeShift: Math.log2(blockSizeBytes) }],
    nmic: 1,
    dlfeat: deallocateFeature.zeros | deallocateFeature.inWriteZeroes,
    nawun: atomicUnit,
    nawupf: 0,
    nacwu: atomicUnit,
    npwg: pageBlocks - 1,
    npwa: pageBlocks - 1,
    npdg: chunkBlocks - 1,
    npda: chunkBlocks - 1,
    nows: transferBlocks(target, blockSizeBytes) - 1,
    nguid: nguidOf(namespace),
  });
}

/** Highest NSID that is valid, whether or not it is active. */
function nsidMax(target: Target): number {
  const highest = target.configuration.store.namespaces.at(-1)?.nsid ?? 0;
  return Math.max(namespaceCountMin, highest);
}

/** The NGUID is the UUID: one stable identity on every path and after every restart. */
function nguidOf(namespace: Namespace): string {
  return namespace.uuid.replaceAll("-", "");
}
