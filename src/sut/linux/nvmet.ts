/**
 * The kernel's NVMe/TCP target: one subsystem, one port, and a namespace for each device that is exported.
 *
 * A namespace carries the UUID of what it shows, also as NGUID. Any host may connect. Numbers are handed out in turn,
 * so that one that just became free is not soon another device.
 *
 * @packageDocumentation
 */
import { createHash } from "node:crypto";
import { isIP } from "node:net";
import { nqnProblem } from "../nvme/names.ts";
import { type CallOptions, ServiceError } from "../port.ts";
import { dmCodes } from "./dm-scripts.ts";
import * as scripts from "./nvmet-scripts.ts";
import { runScript } from "./scripts.ts";
import type { Shell } from "./shell.ts";

export class Nvmet {
  readonly #shell: Shell;
  readonly #target: scripts.TargetAddress;
  readonly #nsids = new Map<string, number>();
  #nsidLast = 0;

  /** @throws {ServiceError} `ERR_INVALID_REQUEST` */
  constructor(shell: Shell, target: scripts.TargetAddress) {
    const { subsystemNqn, address, port } = target;
    const problem =
      nqnProblem(subsystemNqn) ?? (subsystemNqn.includes("/") ? "a / can not be in it" : undefined);
    if (problem !== undefined) throw invalid(`subsystemNqn: ${problem}`);
    if (isIP(address) === 0)
      throw invalid(`"${address}" is no IP address for the kernel to listen at; say listen.address`);
    if (!Number.isInteger(port) || port < 1 || port > 65535)
      throw invalid(`port: expected 1 to 65535, got ${port}`);
    this.#shell = shell;
    this.#target = target;
  }

  /** Number of the namespace that shows a device, if there is one. */
  nsidOf(uuid: string): number | undefined {
    return this.#nsids.get(uuid);
  }

  /**
   * Makes subsystem, namespaces and port as they should be; namespaces that are not named stay as they are.
   *
   * @param request.unexported - UUIDs that are not to be exported.
   */
  async bringUp(
    request: {
      readonly exports: readonly { readonly uuid: string; readonly path: string }[];
      readonly unexported: readonly string[];
    },
    options?: CallOptions,
  ): Promise<void> {
    const had = new Map(this.#nsids);
    // What had a number takes it again, before others take the next ones.
    const exports = [...request.exports]
      .sort((one, other) => (had.get(one.uuid) ?? Infinity) - (had.get(other.uuid) ?? Infinity) || 0)
      .map(({ uuid, path }) => ({ uuid, path, nsidFrom: had.get(uuid) ?? this.#nextNsid() }));
    const serial = createHash("sha256").update(this.#target.subsystemNqn).digest("hex").slice(0, 20);
    const text = scripts.bringUpScript(this.#target, { exports, unexported: request.unexported, serial });
    this.#nsids.clear();
    this.#learn(await this.#run("bringing it up", text, options));
  }

  async export(
    request: { readonly uuid: string; readonly path: string },
    options?: CallOptions,
  ): Promise<void> {
    const text = scripts.exportScript(this.#target, { ...request, nsidFrom: this.#nextNsid() });
    this.#learn(await this.#run(`exporting ${request.uuid}`, text, options));
  }

  async unexport(uuid: string, options?: CallOptions): Promise<void> {
    this.#nsids.delete(uuid);
    await this.#run(`unexporting ${uuid}`, scripts.unexportScript(this.#target, uuid), options);
  }

  /** Runs `work` while nobody has the device of a namespace open; hosts do not see it meanwhile. */
  async detached(uuid: string, work: () => Promise<void>, options?: CallOptions): Promise<void> {
    const enable = (isEnabled: boolean): Promise<string> => {
      const doing = `${isEnabled ? "attaching" : "detaching"} the device of ${uuid}`;
      return this.#run(doing, scripts.setEnabledScript(this.#target, uuid, isEnabled), options);
    };
    await enable(false);
    try {
      await work();
    } finally {
      await enable(true);
    }
  }

  /** Tells hosts that a device has got another size. */
  async revalidate(uuid: string, options?: CallOptions): Promise<void> {
    await this.#run(
      `telling hosts the size of ${uuid}`,
      scripts.revalidateScript(this.#target, uuid),
      options,
    );
  }

  async resetConnections(): Promise<void> {
    const text = scripts.setLinkedScript(this.#target, ["unlinked", "linked"]);
    await this.#run("resetting the connections", text);
  }

  async setCut(isCut: boolean): Promise<void> {
    const text = scripts.setLinkedScript(this.#target, [isCut ? "unlinked" : "linked"]);
    await this.#run(isCut ? "cutting hosts off" : "letting hosts back", text);
  }

  #nextNsid(): number {
    return (this.#nsidLast = (this.#nsidLast % scripts.nsidMax) + 1);
  }

  #learn(printed: string): void {
    for (const line of printed.split("\n")) {
      if (line === "") continue;
      const [, uuid, digits] = /^([0-9a-f-]{36}) ([0-9]{1,4})$/.exec(line) ?? [];
      if (uuid === undefined)
        throw new ServiceError(
          "ERR_BAD_ANSWER",
          `subsystem ${this.#target.subsystemNqn}: no namespace was told`,
        );
      this.#nsids.set(uuid, Number(digits));
      this.#nsidLast = Math.max(this.#nsidLast, Number(digits)) % scripts.nsidMax;
    }
  }

  #run(doing: string, text: string, options: CallOptions = {}): Promise<string> {
    const where = `NVMe target ${this.#target.subsystemNqn}: ${doing}`;
    return runScript(this.#shell, { doing: where, text, codes: dmCodes }, options);
  }
}

function invalid(message: string): ServiceError {
  return new ServiceError("ERR_INVALID_REQUEST", message);
}
