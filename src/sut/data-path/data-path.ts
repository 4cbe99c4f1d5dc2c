/**
 * The one NVMe/TCP connection through which all volumes of a service are reached.
 *
 * A service has one subsystem and its volumes are namespaces of it, so the connection is made for the first
 * volume that is opened, and made again when it is found lost for good. How to connect is given by the caller.
 *
 * @packageDocumentation
 */

import type { Clock } from "../clock.ts";
import { ControllerError } from "../initiator/errors.ts";
import {
  type BlockDevice,
  type CallOptions,
  type OutcomeCode,
  ServiceError,
  type ServiceErrorCode,
} from "../port.ts";
import { type DiscoverSubsystems, type Endpoint, endpointsOf, parseEndpoint } from "./endpoints.ts";

/** Where a service says that its volumes are. */
export interface Subsystem {
  readonly subsystemNqn: string;
  /** `host:port`, each of the one subsystem. */
  readonly nvmeEndpoints: readonly string[];
  /** Discovery controllers to be asked if there are no others. */
  readonly discoveryEndpoints: readonly string[];
}

/** A connection to a subsystem, such as the initiator's controller. */
export interface NamespaceConnection extends AsyncDisposable {
  /**
   * @param options.waitMs - How long to wait for a namespace that is not there yet.
   * @throws {ControllerError} `ERR_CLOSED` or `ERR_CONNECTION_LOST` from a connection that is of no more use.
   */
  openNamespace(
    request: { readonly uuid: string },
    options?: { readonly signal?: AbortSignal; readonly waitMs?: number },
  ): Promise<BlockDevice>;
}

export type ConnectNamespaces = (where: {
  /** Not empty, the one to be tried first; all lead to the same subsystem. */
  readonly endpoints: readonly Endpoint[];
  readonly subsystemNqn: string;
}) => Promise<NamespaceConnection>;

export interface DataPathOptions {
  /** Called once per endpoint until a connection stands. */
  readonly connect: ConnectNamespaces;
  /** Asked where the volumes are if the service names only discovery controllers. */
  readonly discover: DiscoverSubsystems;
  /** Where the volumes are, as their service tells it. */
  readonly subsystem: () => Promise<Subsystem>;
  /** Deadline for opening a namespace. */
  readonly waitTimeoutMs: number;
  readonly clock: Clock;
}

/** A volume that was just created may be announced to hosts a little later. */
const namespaceWaitMs = 2000;

export class DataPath implements AsyncDisposable {
  readonly #options: DataPathOptions;
  /** Those made so far; devices may still use one that is not used for new devices. */
  readonly #connections: NamespaceConnection[] = [];
  #current: Promise<NamespaceConnection> | undefined;
  #isDisposed = false;
  /** Index of the endpoint to begin with. */
  #firstEndpoint = 0;

  constructor(options: DataPathOptions) {
    this.#options = options;
  }

  /** @throws {ServiceError} Also for whatever goes wrong with the connection. */
  async openNamespace(uuid: string, { signal }: CallOptions = {}): Promise<BlockDevice> {
    const { waitTimeoutMs, clock } = this.#options;
    const deadline = new AbortController();
    const timer = clock.setTimeout(() => deadline.abort(), waitTimeoutMs);
    try {
      return await this.#openWithin(deadline.signal, uuid, signal);
    } finally {
      clock.clearTimeout(timer);
    }
  }

  async #openWithin(deadline: AbortSignal, uuid: string, signal?: AbortSignal): Promise<BlockDevice> {
    const { waitTimeoutMs } = this.#options;
    const either = signal === undefined ? deadline : AbortSignal.any([signal, deadline]);
    for (let attempt = 1; ; attempt++) {
      const connecting = this.#shared();
      try {
        const connection = await unlessAborted(connecting, either);
        return await connection.openNamespace({ uuid }, { signal: either, waitMs: namespaceWaitMs });
      } catch (error) {
        if (signal?.aborted)
          throw new ServiceError("ERR_ABORTED", `opening ${uuid}: cancelled`, { cause: error });
        if (deadline.aborted) {
          throw new ServiceError("ERR_TIMEOUT", `opening ${uuid}: not done in ${waitTimeoutMs} ms`, {
            cause: error,
          });
        }
        if (!isLost(error)) throw serviceErrorOf(uuid, error);
        if (this.#current === connecting) {
          this.#current = undefined;
          // Whoever gave up its connection has tried this endpoint for long.
          this.#firstEndpoint += 1;
        }
        if (attempt === 2) throw serviceErrorOf(uuid, error);
      }
    }
  }

  #shared(): Promise<NamespaceConnection> {
    if (this.#isDisposed) return Promise.reject(new ServiceError("ERR_ABORTED", "the service is closed"));
    if (this.#current === undefined) {
      const connecting = this.#open();
      this.#current = connecting;
      connecting.catch(() => {
        if (this.#current === connecting) this.#current = undefined;
      });
    }
    return this.#current;
  }

  async #open(): Promise<NamespaceConnection> {
    const info = await this.#options.subsystem();
    const { subsystemNqn } = info;
    if (subsystemNqn === "") throw new ServiceError("ERR_BAD_ANSWER", "the service names no subsystem NQN");
    const connection = await this.#connectAny(await this.#endpoints(info), subsystemNqn);
    if (this.#isDisposed) {
      await connection[Symbol.asyncDispose]();
      throw new ServiceError("ERR_ABORTED", "the service is closed");
    }
    this.#connections.push(connection);
    return connection;
  }

  /** Those that the service names, else those that one of its discovery controllers names. */
  async #endpoints({
    subsystemNqn,
    nvmeEndpoints,
    discoveryEndpoints,
  }: Subsystem): Promise<readonly Endpoint[]> {
    if (nvmeEndpoints.length > 0) return nvmeEndpoints.map((text) => parseEndpoint(text));
    const failures: unknown[] = [];
    for (const text of discoveryEndpoints) {
      const endpoint = parseEndpoint(text, "discoveryEndpoints");
      try {
        const found = endpointsOf(await this.#options.discover(endpoint), subsystemNqn);
        if (found.length > 0) return found;
      } catch (error) {
        if (!(error instanceof ControllerError)) throw error;
        failures.push(error);
      }
    }
    const asked =
      discoveryEndpoints.length === 0
        ? "the service names no NVMe endpoints and no discovery endpoints"
        : `the service names no NVMe endpoints, and no discovery controller (${discoveryEndpoints.length} asked) one for ${subsystemNqn}`;
    const [failure] = failures;
    throw new ServiceError(
      failure === undefined ? "ERR_BAD_ANSWER" : "ERR_UNREACHABLE",
      failure === undefined ? asked : `${asked}: ${String((failure as Error).message)}`,
      { cause: failure },
    );
  }

  /** Tries the endpoints in turn; only what another may do better leads to the next. */
  async #connectAny(endpoints: readonly Endpoint[], subsystemNqn: string): Promise<NamespaceConnection> {
    const begin = this.#firstEndpoint % endpoints.length;
    for (let index = 0; ; index++) {
      const at = (begin + index) % endpoints.length;
      const ordered = [...endpoints.slice(at), ...endpoints.slice(0, at)];
      try {
        const connection = await this.#options.connect({ endpoints: ordered, subsystemNqn });
        this.#firstEndpoint = at;
        return connection;
      } catch (error) {
        if (!(error instanceof ControllerError) || error.code === "ERR_ABORTED") throw error;
        if (index + 1 === endpoints.length || this.#isDisposed) throw error;
      }
    }
  }

  /** Closes the connections; one that is still being made is closed when it stands. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    const connections = this.#connections.splice(0);
    await Promise.all(connections.map((connection) => connection[Symbol.asyncDispose]()));
  }
}

function isLost(error: unknown): boolean {
  return (
    error instanceof ControllerError && (error.code === "ERR_CLOSED" || error.code === "ERR_CONNECTION_LOST")
  );
}

const serviceCodes: Partial<Record<OutcomeCode, ServiceErrorCode>> = {
  ERR_NAMESPACE_GONE: "ERR_NOT_FOUND",
  ERR_INVALID_REQUEST: "ERR_INVALID_REQUEST",
  ERR_UNSUPPORTED: "ERR_UNSUPPORTED",
  ERR_TIMEOUT: "ERR_TIMEOUT",
  ERR_CONNECTION_LOST: "ERR_UNREACHABLE",
  ERR_CLOSED: "ERR_UNREACHABLE",
  ERR_ABORTED: "ERR_ABORTED",
};

function serviceErrorOf(uuid: string, error: unknown): ServiceError {
  if (error instanceof ServiceError) return error;
  const code = error instanceof ControllerError ? serviceCodes[error.code] : undefined;
  const said = error instanceof Error ? error.message : String(error);
  const isHidden = code === "ERR_NOT_FOUND";
  const message = isHidden ? `${said} (does the volume's ACL hold this host's NQN?)` : said;
  return new ServiceError(code ?? "ERR_TARGET", `opening ${uuid}: ${message}`, { cause: error });
}

/** Settles as the promise does, or rejects when the signal aborts; the promise itself goes on for others. */
function unlessAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
