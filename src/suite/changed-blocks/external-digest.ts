/**
 * The sha256 of a piece of a device, by programs of the system that have nothing to do with harrow: `dd` past the page
 * cache, where there is one to pass, into `sha256sum`.
 *
 * @packageDocumentation
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { stat } from "node:fs/promises";
import { text } from "node:stream/consumers";

export interface DevicePiece {
  /** A block device, or a file that takes its place. */
  readonly path: string;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/**
 * @returns Hexadecimal digits.
 * @throws {Error} What the programs say, or that one is not there.
 */
export async function externalDigest(
  { path, offsetBytes, lengthBytes }: DevicePiece,
  signal: AbortSignal,
): Promise<string> {
  const isDevice = (await stat(path)).isBlockDevice();
  const flags = ["skip_bytes", "count_bytes", "fullblock", ...(isDevice ? ["direct"] : [])];
  const places = [`skip=${offsetBytes}`, `count=${lengthBytes}`];
  // On an abort they are killed at once.
  const options = { signal, killSignal: "SIGKILL" } as const;
  const read = spawn("dd", [`if=${path}`, "bs=1M", ...places, `iflag=${flags.join(",")}`, "status=none"], {
    ...options,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const sum = spawn("sha256sum", { ...options, stdio: ["pipe", "pipe", "pipe"] });
  let copied = 0;
  read.stdout.on("data", (chunk: Buffer) => {
    copied += chunk.length;
  });
  // Whoever ends early says why by its exit code.
  sum.stdin.on("error", () => undefined);
  read.stdout.pipe(sum.stdin);
  const ends = [ended(read), ended(sum)];
  const [complaint, digest, otherComplaint] = await Promise.all([
    text(read.stderr),
    text(sum.stdout),
    text(sum.stderr),
  ]).catch(() => ["", "", ""] as const);
  const codes = await Promise.all(ends);
  signal.throwIfAborted();
  const what = `sha256 of ${lengthBytes} bytes at ${offsetBytes} of ${path}`;
  if (codes[0] !== 0) throw new Error(`${what}: dd: ${complaint.trim() || codes[0]}`);
  if (codes[1] !== 0) throw new Error(`${what}: sha256sum: ${otherComplaint.trim() || codes[1]}`);
  if (copied !== lengthBytes) throw new Error(`${what}: there are only ${copied} bytes`);
  return /^[0-9a-f]{64}/.exec(digest)?.[0] ?? "";
}

/** Its exit code, or why there is none. */
async function ended(child: ReturnType<typeof spawn>): Promise<number | string> {
  try {
    const [code, killedBy] = (await once(child, "close")) as [number | null, string | null];
    return code ?? `killed by ${killedBy}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
