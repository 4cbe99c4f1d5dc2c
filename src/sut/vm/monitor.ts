/**
 * What is asked of a guest's QEMU: to pause and go on, to save its state, to take one over, and to end.
 *
 * @packageDocumentation
 */

import { open } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { ServiceError } from "../port.ts";
import { socketName } from "./qemu-arguments.ts";
import { QmpConnection } from "./qmp.ts";

const pollMs = 10;

/** Connects to the monitor of the guest in a run directory, for as long as `call` takes. */
async function withMonitor<Value>(
  directory: string,
  call: (monitor: QmpConnection) => Promise<Value>,
): Promise<Value> {
  // The path of a socket may have 107 bytes: through the descriptor of its directory it is always short.
  await using handle = await open(directory, "r");
  using monitor = await QmpConnection.open(`/proc/self/fd/${handle.fd}/${socketName}`);
  return await call(monitor);
}

export async function setPaused(directory: string, isPaused: boolean): Promise<void> {
  await withMonitor(directory, (monitor) => monitor.execute(isPaused ? "stop" : "cont"));
}

export async function quit(directory: string): Promise<void> {
  await withMonitor(directory, (monitor) => monitor.execute("quit"));
}

/** `running`, `paused` and others, in QEMU's words. */
export async function runState(directory: string): Promise<string> {
  return await withMonitor(directory, status);
}

/**
 * Saves the machine to a file while it stands still, and lets it go on.
 *
 * @param path - Absolute, of a file that is there: QEMU has a shell write to it.
 * @throws {ServiceError} `ERR_TARGET` or `ERR_TIMEOUT` if it could not be saved; it goes on all the same.
 */
export async function saveState(
  directory: string,
  { path, timeoutMs }: { readonly path: string; readonly timeoutMs: number },
): Promise<void> {
  await withMonitor(directory, async (monitor) => {
    await monitor.execute("stop");
    try {
      // As fast as the file takes it; without this it is 128 MiB a second.
      await monitor.execute("migrate-set-parameters", { "max-bandwidth": 2 ** 40 });
      await monitor.execute("migrate", { uri: `exec:exec cat >'${path.replaceAll("'", "'\\''")}'` });
      await until(timeoutMs, "saved its state", async () => {
        const { status, "error-desc": reason } = migration.parse(await monitor.execute("query-migrate"));
        if (status === "failed" || status === "cancelled")
          throw new ServiceError("ERR_TARGET", `QEMU did not save its state: ${reason ?? status}`);
        return status === "completed";
      });
    } finally {
      await monitor.execute("cont");
    }
  });
}

/**
 * Waits until QEMU, which was told to expect one, has taken over a state, and lets the machine go on.
 *
 * @param hasEnded - Whether QEMU is gone, as it is after a state that it could not use.
 */
export async function resumeState(
  directory: string,
  { timeoutMs, hasEnded }: { readonly timeoutMs: number; readonly hasEnded: () => boolean },
): Promise<void> {
  await until(timeoutMs, "served its monitor", async () => {
    try {
      await withMonitor(directory, async (monitor) => {
        await until(
          timeoutMs,
          "taken over the saved state",
          async () => (await status(monitor)) !== "inmigrate",
        );
        await monitor.execute("cont");
      });
      return true;
    } catch (error) {
      // Its socket appears a moment after its start.
      if (hasEnded() || !(error instanceof ServiceError) || error.code !== "ERR_UNREACHABLE") throw error;
      return false;
    }
  });
}

const migration = z.object({ status: z.string().optional(), "error-desc": z.string().optional() });
const runStatus = z.object({ status: z.string() });

async function status(monitor: QmpConnection): Promise<string> {
  const { data } = runStatus.safeParse(await monitor.execute("query-status"));
  if (data === undefined)
    throw new ServiceError("ERR_BAD_ANSWER", "the monitor answered query-status without a status");
  return data.status;
}

async function until(timeoutMs: number, what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!(await isSo())) {
    if (performance.now() > deadlineMs)
      throw new ServiceError("ERR_TIMEOUT", `QEMU has not ${what} within ${timeoutMs} ms`);
    await sleep(pollMs);
  }
}
