/**
 * The embedded target as a process: serves, says where, and ends in order when it is told to.
 *
 * @packageDocumentation
 */

import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import { readyLine } from "./ready-line.ts";
import { type EmbeddedOptions, serveEmbedded } from "./server.ts";

/**
 * Serves until `stop` is aborted, or until the parent is gone.
 *
 * @param io.output - Receives the ready line.
 * @param io.parent - Standard input, if the process is to end with its parent: a pipe that closes when the
 *   parent ends, in whatever way. What arrives on it is dropped.
 * @throws {Error} If the target cannot be started, or not be closed in order.
 */
export async function serveProcess(
  options: EmbeddedOptions,
  io: { readonly output: Writable; readonly parent: Readable | undefined; readonly stop: AbortSignal },
): Promise<void> {
  await using target = await serveEmbedded(options);
  const stop = io.parent === undefined ? io.stop : AbortSignal.any([io.stop, endOf(io.parent)]);
  io.output.write(readyLine(target));
  if (!stop.aborted) await once(stop, "abort");
  // An open standard input would keep the process from ending.
  io.parent?.destroy();
}

function endOf(parent: Readable): AbortSignal {
  const controller = new AbortController();
  const end = () => controller.abort();
  parent.on("end", end).on("close", end).on("error", end).resume();
  return controller.signal;
}
