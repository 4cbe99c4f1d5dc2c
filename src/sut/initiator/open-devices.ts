/**
 * The devices that are open on a controller, and how they follow their namespaces.
 *
 * An NSID may name another namespace after a while, so a device is bound to a name that lasts: UUID or NGUID.
 *
 * @packageDocumentation
 */
import type { Association } from "./association.ts";
import { ControllerError } from "./errors.ts";
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
import type { NamespaceProperties } from "./namespace-properties.ts";

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
    if (properties === undefined) return undefined;
    const device: NamespaceDevice = new NamespaceDevice(
      this.#carrier,
      this.#identityOf(names),
      properties,
      () => void this.#devices.delete(device),
    );
    this.#devices.set(device, selectorOf(names));
    return device;
  }

  /**
   * Finds every device again; a namespace that is not what it was is gone.
   *
   * @throws {ControllerError} If a device could not be asked for. The others have been found again all the
   * same, unless the association is lost.
   */
  async refresh(association: Association): Promise<void> {
    const failures: unknown[] = [];
    for (const [device, selector] of this.#devices) {
      try {
        await this.#refreshOne(association, device, selector);
      } catch (error) {
        failures.push(error);
        if (!association.isLive) break;
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  /** Disposes all devices, which waits for what is in flight. */
  async close(): Promise<void> {
    await Promise.all([...this.#devices.keys()].map((device) => device[Symbol.asyncDispose]()));
  }

  async #refreshOne(
    association: Association,
    device: NamespaceDevice,
    selector: NamespaceSelector,
  ): Promise<void> {
    const names = await readNames(association.admin, device.nsid);
    const isSame = names !== undefined && matches(names, selector);
    const found = isSame ? names : await find(association, selector);
    const properties = found === undefined ? undefined : await propertiesIfUsable(association, found.nsid);
    if (found === undefined || properties === undefined) device.markGone();
    else device.update(this.#identityOf(found), properties);
  }

  #identityOf(names: NamespaceNames) {
    return { name: `${this.#subsystemNqn} namespace ${names.nsid}`, uuid: names.uuid, nsid: names.nsid };
  }
}

/** A namespace that is refused, or has got a format that cannot be read, is as good as gone. */
async function propertiesIfUsable(
  association: Association,
  nsid: number,
): Promise<NamespaceProperties | undefined> {
  try {
    return await readProperties(association, nsid);
  } catch (error) {
    const isUnreadable = error instanceof ControllerError && error.code === "ERR_UNSUPPORTED";
    if (isUnreadable || isRefusal(error)) return undefined;
    throw error;
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
