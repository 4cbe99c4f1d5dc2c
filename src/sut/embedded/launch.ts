/**
 * Starts the embedded target as a process of its own, to be stopped, crashed, cut off and started again.
 *
 * In a process of its own it shares no memory, no event loop and no fate with the checker. The token goes to it
 * through its environment, where other users of the host cannot read it, as they could a command line.
 *
 * @packageDocumentation
 */

import { randomBytes } from "node:crypto";
import type { CsiStyle } from "../csi/server/answer.ts";
import { connectLightbits, type LightbitsOptions } from "../lightbits/service.ts";
import type { VolumeService } from "../port.ts";
import { type TargetFaults, TargetFaultError } from "../target-faults.ts";
import { type Exit, TargetProcess } from "./target-process.ts";

export interface LaunchOptions {
  /** Program and leading arguments that run the target, such as `["node", "harrow.js", "serve"]`. */
  readonly command: readonly string[];
  /** Where its volumes live; in its memory if absent, and then gone with it. */
  readonly directory?: string;
  /** Has it keep unflushed writes in its memory, where a crash loses them; false if absent. */
  readonly volatileCache?: boolean;
  /** Decides which unflushed writes a crash loses, 0 to 2^32 - 1; 0 if absent. */
  readonly volatileCacheSeed?: number;
  /** Has it serve diffs as a CSI driver does, too, in a style; not if absent. */
  readonly csi?: CsiStyle;
  /** Address, with or without a port, that its discovery log names; the one that a host has reached if absent. */
  readonly advertise?: string;
  /** Bearer token; a random one if absent. */
  readonly token?: string;
  /** How long it may take until it serves; 20 s if absent. */
  readonly readyTimeoutMs?: number;
  /** How long it may take to end after SIGTERM, before it is killed; 10 s if absent. */
  readonly stopTimeoutMs?: number;
  /** Told how the process ended, if it was not stopped or killed from here. */
  readonly onUnexpectedExit?: (message: string) => void;
  /** Gives the URL by which the control plane is reached, in place of its own. */
  readonly apiVia?: (url: string) => Promise<string>;
  /** Told what it says on its standard output beside its answers, line by line. */
  readonly onLine?: (line: string) => void;
  /** How to reach it; what only the running target can tell is filled in. */
  readonly service: Omit<LightbitsOptions, "endpoint" | "token" | "caFile" | "insecure">;
}

export interface LaunchedTarget extends AsyncDisposable {
  /** The same service, whichever process answers. */
  readonly service: VolumeService;
  /** What can be done to it; a crash needs a directory, and is not told as an unexpected exit. */
  readonly faults: TargetFaults;
  readonly apiUrl: string;
  readonly nvmeEndpoint: string;
  /** Where diffs are served as a CSI driver does, if they are, as a client takes it. */
  readonly csiAddress: string | undefined;
  /** What it asks its callers for. */
  readonly token: string;
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

interface Ports {
  readonly apiPort: number;
  readonly nvmePort: number;
  readonly csiPort: number;
}

/** @throws {LaunchError} If the target does not serve within the time; no process is left. */
export async function launchEmbedded(options: LaunchOptions): Promise<LaunchedTarget> {
  const { directory, volatileCacheSeed, readyTimeoutMs = 20_000, stopTimeoutMs = 10_000 } = options;
  const token = options.token ?? randomBytes(24).toString("base64url");
  const start = ({ apiPort, nvmePort, csiPort }: Ports) =>
    TargetProcess.start({
      command: [
        ...options.command,
        ...["--host", "127.0.0.1", "--nvme-port", String(nvmePort), "--api-port", String(apiPort)],
        ...["--token-env", "HARROW_TOKEN", "--exit-with-parent"],
        ...(directory === undefined ? [] : ["--directory", directory]),
        ...(options.advertise === undefined ? [] : ["--advertise", options.advertise]),
        ...(options.csi === undefined ? [] : ["--csi-port", String(csiPort), "--csi-style", options.csi]),
        ...(options.volatileCache ? ["--volatile-cache"] : []),
        ...(volatileCacheSeed === undefined ? [] : ["--volatile-cache-seed", String(volatileCacheSeed)]),
      ],
      environment: { HARROW_TOKEN: token },
      readyTimeoutMs,
      stopTimeoutMs,
      onUnexpectedExit: options.onUnexpectedExit,
      onLine: options.onLine,
    });

  let { process: current, ready } = await start({ apiPort: 0, nvmePort: 0, csiPort: 0 });
  const { api, nvme, csi } = ready;
  const ports = {
    apiPort: portOf(api),
    nvmePort: portOf(nvme),
    csiPort: csi === undefined ? 0 : portOf(csi),
  };
  let service: VolumeService;
  try {
    const endpoint = (await options.apiVia?.(api)) ?? api;
    service = await connectLightbits({ ...options.service, endpoint, token });
  } catch (error) {
    await current.kill();
    throw error;
  }
  const dispose = async () => {
    try {
      await service[Symbol.asyncDispose]();
    } finally {
      await stop();
    }
  };
  let last: Promise<unknown> = Promise.resolve();
  /** Ends and starts follow each other, so that there are never two processes. */
  const inTurn = <Result>(run: () => Promise<Result>): Promise<Result> => {
    const done = last.then(run);
    last = done.catch(() => {});
    return done;
  };
  const startAgain = async (): Promise<void> => {
    if (disposal !== undefined)
      throw new TargetFaultError("the target is disposed of and cannot be started again");
    ({ process: current, ready } = await start(ports));
  };
  const stop = () => inTurn(() => current.stop());
  const restart = () =>
    inTurn(async () => {
      await current.stop();
      await startAgain();
    });
  const crash = () =>
    inTurn(async () => {
      if (directory === undefined) {
        const why =
          "keeps its volumes in memory and would come back without them: launch it with a directory";
        throw new TargetFaultError(`the target cannot crash: it ${why}`);
      }
      await current.kill();
      await startAgain();
    });
  const faults: TargetFaults = {
    crash: () => asFault("crash and come back", crash()),
    stop: () => asFault("stop", stop()),
    restart: () => asFault("restart", restart()),
    resetConnections: () => current.faults.resetConnections(),
    setPaused: (isPaused) => current.faults.setPaused(isPaused),
    setDelay: (delayMs) => current.faults.setDelay(delayMs),
    setCut: (isCut) => current.faults.setCut(isCut),
  };
  let disposal: Promise<void> | undefined;
  return {
    service,
    faults,
    apiUrl: api,
    nvmeEndpoint: nvme,
    csiAddress: csi,
    token,
    get subsystemNqn() {
      return ready.subsystemNqn;
    },
    get pid() {
      return current.pid;
    },
    get stderrTail() {
      return current.stderrTail;
    },
    stop,
    kill: () => inTurn(() => current.kill()),
    restart,
    [Symbol.asyncDispose]: () => (disposal ??= dispose()),
  };
}

async function asFault(what: string, done: Promise<unknown>): Promise<void> {
  try {
    await done;
  } catch (cause) {
    if (cause instanceof TargetFaultError) throw cause;
    throw new TargetFaultError(`the target did not ${what}: ${(cause as Error).message}`, { cause });
  }
}

/** The port at the end of a URL without a path, or of `host:port`. */
function portOf(address: string): number {
  return Number(/:(\d+)\/?$/.exec(address)?.[1]);
}
