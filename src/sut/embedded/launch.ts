/**
 * Starts the embedded target as a process of its own, to be stopped, killed and started again.
 *
 * In a process of its own it shares no memory, no event loop and no fate with the checker. The token goes to it
 * through its environment, where other users of the host cannot read it, as they could a command line.
 *
 * @packageDocumentation
 */

import { randomBytes } from "node:crypto";
import { connectLightbits, type LightbitsOptions } from "../lightbits/service.ts";
import type { VolumeService } from "../port.ts";
import { type Exit, TargetProcess } from "./target-process.ts";

export interface LaunchOptions {
  /** Program and leading arguments that run the target, such as `["node", "harrow.js", "serve"]`. */
  readonly command: readonly string[];
  /** Where its volumes live; in its memory if absent, and then gone with it. */
  readonly directory?: string;
  /** Bearer token; a random one if absent. */
  readonly token?: string;
  /** How long it may take until it serves; 20 s if absent. */
  readonly readyTimeoutMs?: number;
  /** How long it may take to end after SIGTERM, before it is killed; 10 s if absent. */
  readonly stopTimeoutMs?: number;
  /** Told how the process ended, if it was not stopped or killed from here. */
  readonly onUnexpectedExit?: (message: string) => void;
  /** How to reach it; what only the running target can tell is filled in. */
  readonly service: Omit<LightbitsOptions, "endpoint" | "token" | "caFile" | "insecure">;
}

export interface LaunchedTarget extends AsyncDisposable {
  /** The same service, whichever process answers. */
  readonly service: VolumeService;
  readonly apiUrl: string;
  readonly nvmeEndpoint: string;
  /** Stays the same with a directory; volumes in memory are gone after a restart, and their subsystem too. */
  readonly subsystemNqn: string;
  /** Process id; `undefined` while none runs. */
  readonly pid: number | undefined;
  /** The end of what the latest process said on its standard error. */
  readonly stderrTail: string;
  /** Ends the process in order: SIGTERM, and SIGKILL if it takes too long. */
  stop(): Promise<Exit>;
  /** Ends the process at once (SIGKILL), as a crash does. */
  kill(): Promise<Exit>;
  /** Starts a new process on the same ports and directory, after stopping one that still runs. */
  restart(): Promise<void>;
}

/** @throws {LaunchError} If the target does not serve within the time; no process is left. */
export async function launchEmbedded(options: LaunchOptions): Promise<LaunchedTarget> {
  const { directory, readyTimeoutMs = 20_000, stopTimeoutMs = 10_000 } = options;
  const token = options.token ?? randomBytes(24).toString("base64url");
  const start = ({ apiPort, nvmePort }: { readonly apiPort: number; readonly nvmePort: number }) =>
    TargetProcess.start({
      command: [
        ...options.command,
        ...["--host", "127.0.0.1", "--nvme-port", String(nvmePort), "--api-port", String(apiPort)],
        ...["--token-env", "HARROW_TOKEN", "--exit-with-parent"],
        ...(directory === undefined ? [] : ["--directory", directory]),
      ],
      environment: { HARROW_TOKEN: token },
      readyTimeoutMs,
      stopTimeoutMs,
      onUnexpectedExit: options.onUnexpectedExit,
    });

  let { process: current, ready } = await start({ apiPort: 0, nvmePort: 0 });
  const { api, nvme } = ready;
  const ports = { apiPort: portOf(api), nvmePort: portOf(nvme) };
  let service: VolumeService;
  try {
    service = await connectLightbits({ ...options.service, endpoint: api, token });
  } catch (error) {
    await current.kill();
    throw error;
  }
  const dispose = async () => {
    try {
      await service[Symbol.asyncDispose]();
    } finally {
      await current.stop();
    }
  };
  let disposal: Promise<void> | undefined;
  return {
    service,
    apiUrl: api,
    nvmeEndpoint: nvme,
    get subsystemNqn() {
      return ready.subsystemNqn;
    },
    get pid() {
      return current.pid;
    },
    get stderrTail() {
      return current.stderrTail;
    },
    stop: () => current.stop(),
    kill: () => current.kill(),
    restart: async () => {
      await current.stop();
      ({ process: current, ready } = await start(ports));
    },
    [Symbol.asyncDispose]: () => (disposal ??= dispose()),
  };
}

/** The port at the end of a URL without a path, or of `host:port`. */
function portOf(address: string): number {
  return Number(/:(\d+)\/?$/.exec(address)?.[1]);
}
