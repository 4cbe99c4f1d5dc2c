/**
 * Where a cluster says that its volumes are served: addresses as text, and as entries of a discovery log.
 *
 * @packageDocumentation
 */

import { type DiscoveryEntry, discoverySubtype, discoveryTransport } from "../nvme/log-pages.ts";
import { ServiceError } from "../port.ts";
import { printable } from "../wording.ts";

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** Asks the discovery controller at an address what there is. */
export type DiscoverSubsystems = (endpoint: Endpoint) => Promise<readonly DiscoveryEntry[]>;

/**
 * Reads `host:port`, where an IPv6 address stands in brackets.
 *
 * @param field - Where it stood, for the message.
 * @throws {ServiceError} `ERR_BAD_ANSWER`.
 */
export function parseEndpoint(text: string, field = "nvmeEndpoints"): Endpoint {
  const match = /^(?:\[([0-9a-f:.]{2,45})\]|([\w.-]{1,253})):(\d{1,5})$/i.exec(text);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || !(port >= 1 && port <= 65535)) {
    throw new ServiceError("ERR_BAD_ANSWER", `${field}: expected host:port, got '${printable(text, 80)}'`);
  }
  return { host, port };
}

/** Where a subsystem is reached over TCP; entries of others, and addresses that make no sense, are passed over. */
export function endpointsOf(entries: readonly DiscoveryEntry[], subsystemNqn: string): readonly Endpoint[] {
  return entries
    .filter(
      (entry) =>
        entry.transportType === discoveryTransport.tcp &&
        entry.subtype === discoverySubtype.subsystem &&
        entry.subsystemNqn === subsystemNqn,
    )
    .map(({ address, serviceId }) => ({ host: address.trim(), port: Number(serviceId.trim()) }))
    .filter(({ host, port }) => /^[\w.:-]{1,253}$/.test(host) && port >= 1 && port <= 65535);
}
