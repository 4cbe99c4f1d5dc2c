/**
 * Keep Alive commands, at twice the rate that was promised at Connect.
 *
 * One that is not answered is seen by the deadline of its queue, as with any other command.
 *
 * @packageDocumentation
 */
import { adminOpcode, writeSqe } from "../nvme/commands.ts";
import { describeStatus } from "../nvme/status.ts";
import type { AdminQueue } from "./admin-queue.ts";
import type { AssociationOptions } from "./association-options.ts";
import { messageOf } from "./errors.ts";
import { ticksOf } from "./ticker.ts";

export class KeepAlive {
  readonly #options: Pick<AssociationOptions, "keepAliveMs" | "clock" | "log">;
  #timer: unknown;

  constructor(options: Pick<AssociationOptions, "keepAliveMs" | "clock" | "log">) {
    this.#options = options;
  }

  /** Sends on `admin` until {@link stop}; nothing if keep alive is turned off. */
  start(admin: AdminQueue): void {
    const { keepAliveMs, clock, log } = this.#options;
    if (keepAliveMs === 0) return;
    this.#timer = clock.setTimeout(() => {
      this.start(admin);
      admin
        .execute({
          name: "Keep Alive",
          write: (slab, at, cid) => writeSqe(slab, at, adminOpcode.keepAlive, cid, 0),
          timeoutTicks: ticksOf(keepAliveMs),
        })
        .then(
          ({ isSuccess, status }) => {
            if (!isSuccess) log.warn(`Keep Alive: ${describeStatus(status)}`);
          },
          (error: unknown) => log.debug(messageOf(error)),
        );
    }, keepAliveMs / 2);
  }

  /** May be repeated. */
  stop(): void {
    this.#options.clock.clearTimeout(this.#timer);
  }
}
