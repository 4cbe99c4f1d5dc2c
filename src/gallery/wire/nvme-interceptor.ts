/**
 * Who decides what becomes of the PDUs that pass the proxy, and what can be done with a connection.
 *
 * @packageDocumentation
 */
import type { WirePdu } from "./wire-pdu.ts";

/** Decides about PDUs; one of it sees all connections. */
export interface NvmeInterceptor {
  /**
   * Asked for each PDU, in the order in which they arrive on a connection and in a direction.
   *
   * @returns Whether it goes on as it is. If not, it goes no further, unless the interceptor sends it, or a changed
   *   copy, or another one in its place: at once, later, or again.
   */
  intercept(pdu: WirePdu, connection: WireConnection): boolean;
}

/** A connection of a host with a target, by way of the proxy. */
export interface WireConnection {
  /** Queue of the controller, 0 for the admin queue; absent before Connect. */
  readonly qid: number | undefined;
  readonly isClosed: boolean;
  /**
   * Sends a PDU in its direction, past the interceptor: one that came over this connection, or a copy of it.
   *
   * @param afterMs - Time until then; meanwhile others overtake it. Not sent if the connection is closed by then.
   */
  send(pdu: WirePdu, options?: { readonly afterMs?: number }): void;
  /**
   * Completes a command in the target's name, which should not hear of it.
   *
   * @param command - A command capsule that came over this connection.
   * @param completion - STATUS as `statusField` makes it, and what else the command returns.
   */
  answer(
    command: WirePdu,
    completion: { readonly status: number; readonly dw0?: number; readonly dw1?: number },
  ): void;
  /** Resets both sides (RST). May be repeated. */
  reset(): void;
}
