/**
 * The embedded target as a process: serves, says where, has faults on command, and ends in order when told to.
 *
 * @packageDocumentation
 */

import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import { silentLog } from "../log.ts";
import { obeyFaultCommands } from "./fault-commands.ts";
import { readyLine } from "./ready-line.ts";
import { type EmbeddedOptions, serveEmbedded } from "./server.ts";

/**
 * Serves until `stop` is aborted, or until the parent is gone.
 *
 * @param io.output - Receives the ready line, and then the answers to commands.
 * @param io.parent - Standard input, if the process is to end with its parent: a pipe that closes when the
 *   parent ends, in whatever way. Its lines are commands; see `fault-commands.ts`.
 * @throws {Error} If the target cannot be started, or not be closed in order.
 */
export async function serveProcess(
  options: EmbeddedOptions,
  io: { readonly output: Writable; readonly parent: Readable | undefined; readonly stop: AbortSignal },
): Promise<void> {
  await using target = await serveEmbedded(options);
  const stop = io.parent === undefined ? io.stop : AbortSignal.any([io.stop, endOf(io.parent)]);
  io.output.write(readyLine(target));
  if (io.parent !== undefined) {
    const { parent, output } = io;
    obeyFaultCommands({ parent, output, faults: target.faults, log: options.log ?? silentLog });
  }
  if (!stop.aborted) await once(stop, "abort");
  // An open standard input would keep the process from ending.
  io.parent?.destroy();
}

function endOf(parent: Readable): AbortSignal {
  const controller = new AbortController();
  const end = () => controller.abort();
  parent.on("end", end).on("close", end).on("error", end);
  return controller.signal;
}
