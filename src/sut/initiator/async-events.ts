/**
 * Async events: asks the controller for them and passes them on.
 *
 * What an event means is left to `controller.ts`.
 *
 * @packageDocumentation
 */
import { adminOpcode, asyncEventNotice, feature, writeSqe } from "../nvme/commands.ts";
import type { ControllerIdentity } from "../nvme/identify.ts";
import { describeStatus } from "../nvme/status.ts";
import type { AdminQueue } from "./admin-queue.ts";
import type { AssociationOptions } from "./association-options.ts";
import { ControllerError, messageOf } from "./errors.ts";

type EventOptions = Pick<AssociationOptions, "log" | "subsystemNqn">;

/** Enables the events that the controller knows and this initiator obeys; false if there are none. */
export async function configureEvents(
  admin: AdminQueue,
  identity: ControllerIdentity,
  { log, subsystemNqn }: EventOptions,
): Promise<boolean> {
  const notices = identity.oaes & asyncEventNotice.namespaceAttribute;
  if (notices === 0) {
    log.info(`${subsystemNqn} sends no events: changes are seen when namespaces are listed`);
    return false;
  }
  try {
    await admin.setFeatures(feature.asyncEventConfiguration, notices);
  } catch (error) {
    if (!(error instanceof ControllerError) || error.status === undefined) throw error;
    log.warn(`${subsystemNqn} refuses to configure events: ${error.message}`);
  }
  return true;
}

/**
 * Keeps one async event request posted; ends with the association, or when it is refused.
 *
 * @param onEvent - Takes DW0 of an event.
 */
export async function awaitEvents(
  admin: AdminQueue,
  { log, subsystemNqn }: EventOptions,
  isLive: () => boolean,
  onEvent: (event: number) => void,
): Promise<void> {
  try {
    while (isLive()) {
      const { status, isSuccess, dw0 } = await admin.execute({
        name: "Async Event Request",
        write: (slab, at, cid) => writeSqe(slab, at, adminOpcode.asyncEventRequest, cid, 0),
        timeoutTicks: Number.POSITIVE_INFINITY,
      });
      if (!isSuccess) {
        log.warn(`${subsystemNqn} refuses to report events: ${describeStatus(status)}`);
        return;
      }
      // Posted again first, by the next turn of this loop; the owner reads the log page meanwhile.
      queueMicrotask(() => onEvent(dw0));
    }
  } catch (error) {
    log.debug(`events of ${subsystemNqn} end: ${messageOf(error)}`);
  }
}
