/**
 * What is said on the admin queue to bring a controller up and to shut it down.
 *
 * Queues are opened and closed by `association.ts`.
 *
 * @see NVM Express Base Specification, controller initialization and shutdown for message-based controllers.
 * @packageDocumentation
 */
import { type Clock, delay } from "../clock.ts";
import { identifyCns } from "../nvme/commands.ts";
import { controllerConfiguration, controllerStatus, decodeCapabilities, property } from "../nvme/fabrics.ts";
import {
  type CommandSetLimits,
  type ControllerIdentity,
  controllerType,
  decodeCommandSetLimits,
} from "../nvme/identify.ts";
import type { AdminQueue } from "./admin-queue.ts";
import type { AssociationOptions } from "./association-options.ts";
import { ControllerError } from "./errors.ts";
import type { Log } from "../log.ts";

const shutdownPollMs = 20;
const shutdownPollsMax = 50;

/**
 * Enables the controller and returns MQES.
 *
 * @throws {ControllerError} If it reports a fatal status, or is not ready within CAP.TO.
 */
export async function enableController(
  admin: AdminQueue,
  clock: Clock,
  signal: AbortSignal,
): Promise<number> {
  const { low, high } = await admin.getProperty("CAP", property.cap, true);
  const cap = decodeCapabilities(low, high);
  const { enable, entrySizes, allCommandSets } = controllerConfiguration;
  const configuration = entrySizes | (cap.supportsCommandSets ? allCommandSets : 0);
  await admin.setProperty("CC", property.cc, configuration | enable);
  const polls = (cap.timeoutHalfSeconds + 1) * 25;
  for (let poll = 0; poll < polls; poll++) {
    const { low: csts } = await admin.getProperty("CSTS", property.csts, false);
    if ((csts & controllerStatus.fatal) !== 0) {
      throw new ControllerError(
        "ERR_TARGET",
        `controller reports a fatal status: CSTS 0x${csts.toString(16)}`,
      );
    }
    if ((csts & controllerStatus.ready) !== 0) return cap.mqes;
    await delay(clock, 20, signal);
  }
  throw new ControllerError("ERR_TIMEOUT", `controller was not ready within ${polls * 20} ms`);
}

/**
 * Checks who the controller is that was connected as `cntlid`.
 *
 * @throws {ControllerError} If it is another, or none that this initiator can use.
 */
export function checkIdentity(
  identity: ControllerIdentity,
  cntlid: number,
  options: Pick<AssociationOptions, "ioQueueCount" | "keepAliveMs" | "subsystemNqn" | "log">,
): void {
  const { icdoff, ioccsz, controllerType: type, kas } = identity;
  const problem = (message: string) => new ControllerError("ERR_TARGET", message, { isPermanent: true });
  if (identity.cntlid !== cntlid) {
    throw problem(`Identify names CNTLID ${identity.cntlid}, Connect returned ${cntlid}`);
  }
  if (icdoff !== 0) throw problem(`ICDOFF ${icdoff} is not supported, only 0 is`);
  if (options.ioQueueCount > 0 && type !== controllerType.discovery && ioccsz < 4) {
    throw problem(`IOCCSZ ${ioccsz} is below 4, which leaves no room for a command`);
  }
  if (options.keepAliveMs > 0 && kas === 0) {
    options.log.debug(`${options.subsystemNqn} reports no keep alive granularity (KAS 0)`);
  }
}

/** Limits of the NVM command set, or `undefined` if the controller does not tell them. */
export async function readLimits(admin: AdminQueue, log: Log): Promise<CommandSetLimits | undefined> {
  try {
    return decodeCommandSetLimits(await admin.identify(identifyCns.commandSetController, 0));
  } catch (error) {
    if (!(error instanceof ControllerError) || error.status === undefined) throw error;
    log.debug(`limits of the NVM command set are not told: ${error.message}`);
    return undefined;
  }
}

/** Asks for a normal shutdown and waits a second at most until it is complete. */
export async function shutDownController(admin: AdminQueue, clock: Clock): Promise<void> {
  const { enable, entrySizes, shutdownNormal } = controllerConfiguration;
  await admin.setProperty("CC", property.cc, enable | entrySizes | shutdownNormal);
  for (let poll = 0; poll < shutdownPollsMax; poll++) {
    const { low } = await admin.getProperty("CSTS", property.csts, false);
    if ((low & controllerStatus.shutdownMask) === controllerStatus.shutdownComplete) return;
    await delay(clock, shutdownPollMs, undefined);
  }
}
