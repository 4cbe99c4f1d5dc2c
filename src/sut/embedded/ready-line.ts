/**
 * The line by which an embedded target in a process of its own says where it listens.
 *
 * One line of JSON on standard output: `{"ready":{"api":"http://127.0.0.1:…","nvme":"127.0.0.1:…",
 * "subsystemNqn":"…"}}`, with `"csi":"tcp://127.0.0.1:…"` if that is served. Whatever else the process has to say goes to standard error.
 *
 * @packageDocumentation
 */

import { z } from "zod";
import type { EmbeddedTarget } from "./server.ts";

/** Longest line that is waited for, in characters. */
export const readyLineLengthMax = 16_384;

const readyMessage = z.object({
  ready: z.object({
    api: z.url({ protocol: /^http$/ }),
    nvme: z.string().regex(/^\S+:\d{1,5}$/),
    subsystemNqn: z.string().min(1).max(223),
    csi: z
      .string()
      .regex(/^tcp:\/\/\S+:\d{1,5}$/)
      .optional(),
  }),
});

export type ReadyMessage = z.infer<typeof readyMessage>["ready"];

export function readyLine(
  target: Pick<EmbeddedTarget, "apiUrl" | "nvmeEndpoint" | "subsystemNqn"> &
    Partial<Pick<EmbeddedTarget, "csiAddress">>,
): string {
  const ready: ReadyMessage = {
    api: target.apiUrl,
    nvme: target.nvmeEndpoint,
    subsystemNqn: target.subsystemNqn,
    ...(target.csiAddress !== undefined && { csi: target.csiAddress }),
  };
  return `${JSON.stringify({ ready })}\n`;
}

/** What a line says, or `undefined` if it is no such line. */
export function parseReadyLine(line: string): ReadyMessage | undefined {
  try {
    return readyMessage.safeParse(JSON.parse(line)).data?.ready;
  } catch {
    return undefined;
  }
}
