/**
 * The embedded target on this machine, as `harrow serve` runs it, for hosts that reach it through an address
 * translation.
 *
 * @packageDocumentation
 */
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type LaunchedTarget, launchEmbedded, type LaunchOptions } from "../../src/sut/embedded/launch.ts";
import type { BlockDevice } from "../../src/sut/port.ts";
import { overTcp } from "../support/over-tcp.ts";
import { machineAddress } from "./kernel-host.ts";

const entry = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
export class EmbeddedTarget implements AsyncDisposable {
  readonly launched: LaunchedTarget;
  readonly #directory: string;
  /** What {@link newWarnings} has told of the process that runs. */
  #told = "";

  private constructor(launched: LaunchedTarget, directory: string) {
    this.launched = launched;
    this.#directory = directory;
  }

  static async start(options: Pick<LaunchOptions, "volatileCache"> = {}): Promise<EmbeddedTarget> {
    const directory = await mkdtemp(join(tmpdir(), "harrow-target-"));
    try {
      const launched = await launchEmbedded({
        command: [process.execPath, entry, "serve"],
        directory,
        advertise: machineAddress,
        service: { connectNamespaces: overTcp(), waitTimeoutMs: 20_000 },
        ...options,
      });
      return new EmbeddedTarget(launched, directory);
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  get nqn(): string {
    return this.launched.subsystemNqn;
  }

  get port(): number {
    return Number(this.launched.nvmeEndpoint.split(":").at(-1));
  }

  get pid(): number {
    if (this.launched.pid === undefined) throw new Error("the target does not run");
    return this.launched.pid;
  }

  /** What the target has warned of since this was asked last, or since its last start. */
  newWarnings(): string {
    const said = this.launched.stderrTail;
    const isSameProcess = said.startsWith(this.#told);
    const news = isSameProcess ? said.slice(this.#told.length) : said;
    this.#told = said;
    return news.trim();
  }

  /** @returns Its UUID. */
  async createVolume(name: string, mib: number, sectorSizeBytes: number): Promise<string> {
    const { service } = this.launched;
    return (await service.createVolume({ name, sizeBytes: mib * 2 ** 20, sectorSizeBytes })).uuid;
  }

  /** Opens a volume with harrow's own initiator. */
  openVolume(uuid: string): Promise<BlockDevice> {
    return this.launched.service.openVolume(uuid);
  }

  get openFileCount(): number {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }

  get memoryMiB(): number {
    const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.pid}/status`, "utf8"))?.[1];
    return Math.round(Number(kib) / 1024);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.launched[Symbol.asyncDispose]();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** Reads blocks from the volume's start. @throws {Error} Unless that succeeds. */
export async function readBytes(
  device: BlockDevice,
  offsetBytes: number,
  lengthBytes: number,
): Promise<Uint8Array> {
  const into = new Uint8Array(lengthBytes);
  const { blockSizeBytes } = device.capabilities;
  const range = { block: offsetBytes / blockSizeBytes, blockCount: lengthBytes / blockSizeBytes };
  const outcome = await device.read({ ...range, into });
  if (outcome.kind !== "ok") throw new Error(`read: ${outcome.kind} ${outcome.code}: ${outcome.message}`);
  return into;
}
