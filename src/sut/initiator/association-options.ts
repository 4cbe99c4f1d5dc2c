/**
 * What an association is made with; the defaults are in `controller.ts`.
 *
 * @packageDocumentation
 */
import type { Clock } from "../clock.ts";
import type { DigestModes } from "./initialization.ts";
import type { Log } from "../log.ts";

export interface AssociationOptions extends DigestModes {
  readonly host: string;
  readonly port: number;
  readonly subsystemNqn: string;
  readonly hostNqn: string;
  /** UUID of this host; keep it and `hostNqn` a stable pair. */
  readonly hostId: string;
  /** I/O queues asked for; 0 for a discovery controller. */
  readonly ioQueueCount: number;
  /** Commands in flight per I/O queue. */
  readonly queueDepth: number;
  /** 0 turns keep alive off. */
  readonly keepAliveMs: number;
  /** Longest wait for the answer to a command; afterwards the association is given up. */
  readonly commandTimeoutMs: number;
  readonly connectTimeoutMs: number;
  /** Drives deadlines, Keep Alive and reconnecting. */
  readonly clock: Clock;
  readonly log: Log;
}
