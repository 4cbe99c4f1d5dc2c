/**
 * The devices that are open on a controller, and how they follow their namespaces.
 *
 * An NSID may name another namespace after a while, so a device is bound to a name that lasts: UUID or NGUID.
 *
 * @packageDocumentation
 */
import type { Association } from "./association.ts";
import { NamespaceDevice, type RequestCarrier } from "./namespace-device.ts";
import {
  isRefusal,
  listNames,
  matches,
  type NamespaceNames,
  type NamespaceSelector,
  readNames,
  readProperties,
  selectorOf,
} from "./namespace-list.ts";

export class OpenDevices {
  readonly #carrier: RequestCarrier;
  readonly #subsystemNqn: string;
  readonly #devices = new Map<NamespaceDevice, NamespaceSelector>();

  constructor(carrier: RequestCarrier, subsystemNqn: string) {
    this.#carrier = carrier;
    this.#subsystemNqn = subsystemNqn;
  }

  /** Opens a namespace, or resolves with `undefined` if it is not there. */
  async open(association: Association, selector: NamespaceSelector): Promise<NamespaceDevice | undefined> {
    const names = await find(association, selector);
    if (names === undefined) return undefined;
    const properties = await readProperties(association, names.nsid);
    const device: NamespaceDevice = new NamespaceDevice(
      this.#carrier,
      this.#identityOf(names),
      properties,
      () => void this.#devices.delete(device),
    );
    this.#devices.set(device, selectorOf(names));
    return device;
  }

  /** Finds every device again; a namespace that is not what it was is gone. */
  async refresh(association: Association): Promise<void> {
    for (const [device, selector] of this.#devices) {
      const names = await readNames(association.admin, device.nsid);
      const isSame = names !== undefined && matches(names, selector);
      const found = isSame ? names : await find(association, selector);
      if (found === undefined) {
        device.markGone();
        continue;
      }
      try {
        device.update(this.#identityOf(found), await readProperties(association, found.nsid));
      } catch (error) {
        if (!isRefusal(error)) throw error;
        device.markGone();
      }
    }
  }

  /** Disposes all devices, which waits for what is in flight. */
  async close(): Promise<void> {
    await Promise.all([...this.#devices.keys()].map((device) => device[Symbol.asyncDispose]()));
  }

  #identityOf(names: NamespaceNames) {
    return { name: `${this.#subsystemNqn} namespace ${names.nsid}`, uuid: names.uuid, nsid: names.nsid };
  }
}

async function find(
  association: Association,
  selector: NamespaceSelector,
): Promise<NamespaceNames | undefined> {
  if ("nsid" in selector) return readNames(association.admin, selector.nsid);
  const all = await listNames(association.admin);
  return all.find((names) => matches(names, selector));
}
