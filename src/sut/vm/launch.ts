/**
 * Brings up a guest on its disks, once: from a saved state if there is one, else by booting.
 *
 * A restored machine is the one that was saved right after its boot, on whatever is on the disks now; only its clock
 * and its source of random numbers are made new.
 *
 * @packageDocumentation
 */

import { randomBytes } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { chmod, copyFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Log } from "../log.ts";
import { ServiceError } from "../port.ts";
import { encodeArchive } from "./cpio.ts";
import type { GuestSettings } from "./guest-file.ts";
import { resumeState, saveState } from "./monitor.ts";
import { qemuArguments, socketName } from "./qemu-arguments.ts";
import { QemuProcess } from "./qemu-process.ts";
import { type ComingUp, earlyEnd, ready, runInGuest } from "./readiness.ts";
import { type SavedState, SavedStates, type StateDraft } from "./saved-states.ts";

interface LaunchRequest {
  /** The run directory, with the guest's disks. */
  readonly directory: string;
  readonly settings: GuestSettings;
  readonly agentPort: number;
  readonly nvmePort: number;
  readonly log: Log;
  readonly signal: AbortSignal | undefined;
}

export interface Launched {
  readonly process: QemuProcess;
  /** What the agent asks for. */
  readonly token: string;
  readonly from: "boot" | "saved state";
}

/** Name in the run directory of what a boot unpacks; removed when it has. */
export const initrdName = "initrd.cpio";

const restoreTimeoutMs = 30_000;
const saveTimeoutMs = 60_000;

/**
 * @throws {ServiceError} `ERR_CONFLICT` if a port is taken; `ERR_TARGET` if QEMU ended; `ERR_TIMEOUT` if the agent did
 * not answer in time; `ERR_ABORTED`. QEMU is gone in each case.
 */
export async function launch(request: LaunchRequest): Promise<Launched> {
  if (request.settings.cold) return await boot(request, undefined);
  const { log } = request;
  const states = await SavedStates.for(request.settings);
  const state = await states.open();
  if (state !== undefined) {
    try {
      return await restore(request, state);
    } catch (error) {
      if (!(error instanceof ServiceError) || error.code === "ERR_CONFLICT" || error.code === "ERR_ABORTED")
        throw error;
      log.warn(`the saved state of the guest is of no use, so it boots: ${error.message}`);
      await states.remove();
    }
  }
  let draft: StateDraft | undefined;
  try {
    draft = await states.draft();
  } catch (error) {
    log.warn(`the state of the guest will not be saved: ${(error as Error).message}`);
  }
  return await boot(request, draft);
}

async function boot(request: LaunchRequest, draft: StateDraft | undefined): Promise<Launched> {
  const { directory, settings } = request;
  const token = randomBytes(24).toString("hex");
  const initrd = join(directory, initrdName);
  try {
    await writeInitrd(initrd, settings, token);
    const process = await started(request, { initrd: initrdName });
    return await orKilled(process, async () => {
      const guest = { ...request, process, token };
      await ready(guest, {
        ...{ script: "true", timeoutMs: settings.startTimeoutMs },
        // A question that came before the guest had a network is not answered for a long time.
        firstTimeoutMs: 400,
      });
      if (draft !== undefined) await save(guest, draft);
      return { process, token, from: "boot" };
    });
  } finally {
    await rm(initrd, { force: true });
    await draft?.discard();
  }
}

async function restore(request: LaunchRequest, { memory, token }: SavedState): Promise<Launched> {
  await using _ = memory;
  const { directory, settings } = request;
  const process = await started(request, { initrd: settings.images.initrd, stateDescriptor: memory.fd });
  return await orKilled(process, async () => {
    let hasEnded = false;
    void process.ended().then(() => {
      hasEnded = true;
    });
    try {
      await resumeState(directory, { timeoutMs: restoreTimeoutMs, hasEnded: () => hasEnded });
    } catch (error) {
      if (!(await process.isRunning())) throw earlyEnd(directory, process);
      throw error;
    }
    await ready(
      { ...request, process, token },
      // It listens already.
      { script: freshen(), timeoutMs: restoreTimeoutMs, firstTimeoutMs: 2_000 },
    );
    return { process, token, from: "saved state" };
  });
}

async function started(
  { directory, settings, agentPort, nvmePort }: LaunchRequest,
  { initrd, stateDescriptor }: { readonly initrd: string; readonly stateDescriptor?: number },
): Promise<QemuProcess> {
  await rm(join(directory, socketName), { force: true });
  return await QemuProcess.spawn({
    directory,
    isDetached: settings.detached,
    stateDescriptor,
    parameters: qemuArguments({
      ...settings,
      ...{
        kernel: settings.images.kernel,
        initrd,
        agentPort,
        nvmePort,
        isIncoming: stateDescriptor !== undefined,
      },
    }),
  });
}

/** No process is left behind by what failed. */
async function orKilled(process: QemuProcess, call: () => Promise<Launched>): Promise<Launched> {
  try {
    return await call();
  } catch (error) {
    await process.kill();
    throw error;
  }
}

/** The kernel unpacks the archives one after the other; the last one is this guest's own. */
async function writeInitrd(
  path: string,
  { images, withExtras }: GuestSettings,
  token: string,
): Promise<void> {
  await rm(path, { force: true });
  await copyFile(images.initrd, path);
  await chmod(path, 0o600);
  if (withExtras) await pipeline(createReadStream(images.extras), createWriteStream(path, { flags: "a" }));
  const own = encodeArchive([
    { kind: "directory", path: "etc" },
    { kind: "directory", path: "etc/harrow" },
    { kind: "file", path: "etc/harrow/token", mode: 0o600, content: Buffer.from(token) },
  ]);
  await pipeline([own], createWriteStream(path, { flags: "a" }));
}

/** Saves the state of a guest that has touched no disk yet. A guest whose state cannot be saved is a good guest. */
async function save(guest: ComingUp, draft: StateDraft): Promise<void> {
  const { directory, log, token } = guest;
  const startMs = performance.now();
  try {
    await runInGuest(guest, "set -eu\nsync\necho 3 >/proc/sys/vm/drop_caches\n");
    await saveState(directory, { path: draft.path, timeoutMs: saveTimeoutMs });
    await draft.publish(token);
    log.debug(`the guest's state was saved in ${Math.round(performance.now() - startMs)} ms`);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    log.warn(`the state of the guest was not saved: ${error.message}`);
  }
  await runInGuest(guest, freshen());
}

/** A machine that stood still has an old clock; one that was restored draws the random numbers of the last time, too. */
function freshen(): string {
  const seed = randomBytes(64).toString("hex");
  return `set -eu\necho ${seed} >/dev/urandom\ndate -s @${Math.round(Date.now() / 1000)}\n`;
}
