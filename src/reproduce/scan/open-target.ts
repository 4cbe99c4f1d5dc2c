/**
 * Opens what is to be scanned, for reading only: a file, a block device, or a namespace by NVMe/TCP.
 *
 * @packageDocumentation
 */
import { randomUUID } from "node:crypto";
import { openBlockDevice } from "../../sut/block/open.ts";
import { connectController, type Controller } from "../../sut/initiator/controller.ts";
import { silentLog } from "../../sut/log.ts";
import { hostNqnOfUuid } from "../../sut/nvme/names.ts";
import type { RunLog } from "../../runner/run-log.ts";
import { ScanError } from "./scan.ts";
import type { ReadableDevice } from "./survey.ts";

export interface ScanTarget extends AsyncDisposable {
  /** For people. */
  readonly description: string;
  readonly device: ReadableDevice;
}

const scheme = "nvme-tcp:";
/** Of I/O controllers over TCP (NVM Express TCP Transport Specification, TCP port usage). */
const portDefault = 4420;
const queues = { ioQueueCount: 2, queueDepth: 128 } as const;

export interface OpenScanTargetOptions {
  /** Of a file or block device, which does not say it by itself. */
  readonly blockSizeBytes: number;
  readonly log: RunLog;
  readonly signal: AbortSignal;
}

/**
 * @param target - A path, or `nvme-tcp://host:port/<subsystem NQN>[?nsid=N][&hostnqn=…]`.
 * @throws {ScanError} If it is no such thing.
 * @throws {ServiceError} If a path can not be used.
 * @throws {ControllerError} If a namespace can not be reached.
 */
export async function openScanTarget(target: string, options: OpenScanTargetOptions): Promise<ScanTarget> {
  if (target.startsWith(scheme)) return openNamespace(addressOf(target), options);
  if (/^[a-z][a-z+-]*:\/\//.test(target))
    throw new ScanError(`${target}: expected a path, or ${scheme}//host:port/<subsystem NQN>[?nsid=N]`);
  const { blockSizeBytes } = options;
  const device = await openBlockDevice({ path: target, blockSizeBytes, io: "threads", access: "read" });
  return {
    description: device.identity.name,
    device,
    [Symbol.asyncDispose]: async () => device[Symbol.asyncDispose](),
  };
}

interface NamespaceAddress {
  readonly host: string;
  readonly port: number;
  readonly subsystemNqn: string;
  /** The only one, if absent. */
  readonly nsid: number | undefined;
  readonly hostNqn: string | undefined;
}

function addressOf(target: string): NamespaceAddress {
  const expected = `expected ${scheme}//host:port/<subsystem NQN>[?nsid=N]`;
  let url: URL;
  try {
    url = new URL(target);
  } catch {
    throw new ScanError(`${target}: ${expected}`);
  }
  const subsystemNqn = decodeURIComponent(url.pathname.slice(1));
  if (url.hostname === "" || subsystemNqn === "") throw new ScanError(`${target}: ${expected}`);
  for (const key of url.searchParams.keys())
    if (key !== "nsid" && key !== "hostnqn") throw new ScanError(`${target}: unknown ${key}; ${expected}`);
  const nsid = url.searchParams.get("nsid");
  if (nsid !== null && !/^[1-9]\d{0,9}$/.test(nsid))
    throw new ScanError(`${target}: nsid ${nsid}: expected a number from 1`);
  return {
    // An IPv6 address is in brackets in a URL, and nowhere else.
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? portDefault : Number(url.port),
    subsystemNqn,
    nsid: nsid === null ? undefined : Number(nsid),
    hostNqn: url.searchParams.get("hostnqn") ?? undefined,
  };
}

async function openNamespace(
  { nsid, hostNqn, ...where }: NamespaceAddress,
  { log, signal }: OpenScanTargetOptions,
): Promise<ScanTarget> {
  const hostId = randomUUID();
  const controller = await connectController({
    ...where,
    ...queues,
    hostNqn: hostNqn ?? hostNqnOfUuid(hostId),
    hostId,
    signal,
    log: { ...silentLog, info: (message) => log.info(message), warn: (message) => log.warn(message) },
  });
  try {
    const device = await controller.openNamespace({ nsid: nsid ?? (await onlyNsid(controller)) }, { signal });
    return {
      description: `${device.identity.name} at ${where.host}:${where.port}`,
      device,
      [Symbol.asyncDispose]: async () => controller[Symbol.asyncDispose](),
    };
  } catch (error) {
    await controller[Symbol.asyncDispose]();
    throw error;
  }
}

async function onlyNsid(controller: Controller): Promise<number> {
  const all = await controller.namespaces();
  if (all.length === 1) return all[0]!.nsid;
  const nsids = all.map(({ nsid }) => nsid).join(", ");
  throw new ScanError(
    all.length === 0
      ? "the subsystem shows no namespace to this host"
      : `the subsystem has ${all.length} namespaces: add ?nsid= with one of ${nsids}`,
  );
}
