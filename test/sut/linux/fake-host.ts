/**
 * A Linux host with a dm-thin pool and nvmet, as far as our scripts can tell: it reads their last lines, not shell.
 *
 * What scripts do in a real shell and kernel is for `test/linux`.
 */
import { type ServiceErrorCode, ServiceError } from "../../../src/sut/port.ts";
import type { Shell, ShellOptions, ShellResult } from "../../../src/sut/linux/shell.ts";

/** When a script gets lost: before it has done anything, or after all of it. */
export type Loss = "before" | "after";

export class FakeHost implements Shell {
  readonly description = "fake host";
  readonly scripts: string[] = [];
  /** Origin by thin id. */
  readonly ids = new Map<number, number | undefined>();
  /** Thin id and sectors by device name. */
  readonly devices = new Map<string, { readonly id: number; readonly sectors: number }>();
  /** Number by UUID. */
  readonly namespaces = new Map<string, number>();
  isPoolUp = false;
  isBlank = true;
  isLinked = false;
  transactionId = "0";
  chunkSectors = 128;
  blockSizeBytes = 4096;
  /** Standard output of thin_delta and thin_dump. */
  answer = "";
  /** Asked before each script; a number is a status with which it fails at once. */
  plan: (script: string) => Loss | number | "hang-before" | "hang-after" | undefined = () => undefined;
  lossCode: ServiceErrorCode = "ERR_UNREACHABLE";

  /** Loses power: what is in the pool stays. */
  restart(): void {
    this.devices.clear();
    this.namespaces.clear();
    this.isPoolUp = false;
    this.isLinked = false;
  }

  async run(script: string, _options?: ShellOptions): Promise<ShellResult> {
    this.scripts.push(script);
    const what = this.plan(script);
    if (what === "hang-before") return new Promise(() => {});
    if (what === "before") throw new ServiceError(this.lossCode, "the answer was lost");
    if (typeof what === "number") return { status: what, stdout: "", stderr: "told to fail\n" };
    const result = this.#run(script);
    if (what === "hang-after") return new Promise(() => {});
    if (what === "after") throw new ServiceError(this.lossCode, "the answer was lost");
    return result;
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #run(script: string): ShellResult {
    const out: string[] = [];
    const fail = (status: number, stderr: string): ShellResult => ({ status, stdout: "", stderr });
    if (script.includes('echo "made $made"')) return this.#bringUp(script);
    const body = script.slice(script.lastIndexOf("\n}\n") + 3).split("\n");
    const asksPool = body.includes("expect_pool") || script.includes("reserve_metadata_snap");
    if (asksPool && !this.isPoolUp) return fail(87, "pool harrow is not active there");
    for (const line of body) {
      const words = (line.match(/'[^']*'|"[^"]*"|\S+/g) ?? []).map((word) =>
        word.replace(/^['"]|['"]$/g, ""),
      );
      const [command, first = "", second = "", third = ""] = words;
      switch (command) {
        case "message": {
          const [verb, id, origin] = first.split(" ");
          if (this.ids.has(Number(id))) return fail(81, "File exists");
          if (verb === "create_snap" && !this.ids.has(Number(origin))) return fail(82, "No data available");
          this.ids.set(Number(id), origin === undefined ? undefined : Number(origin));
          break;
        }
        case "show":
        case "show_if_active":
          if (command === "show_if_active" && !this.devices.has(first)) break;
          if (!this.ids.has(Number(third))) return fail(82, "No data available");
          this.devices.set(first, { id: Number(third), sectors: Number(second) });
          break;
        case "hide":
          this.devices.delete(first);
          break;
        case "forget":
          if ([...this.devices.values()].some(({ id }) => id === Number(first))) return fail(83, "busy");
          this.ids.delete(Number(first));
          break;
        case "thin_ls":
          return { status: 0, stdout: [...this.ids.keys()].map((id) => `${id} \n`).join(""), stderr: "" };
        case "thin_delta":
        case "thin_dump":
          return { status: 0, stdout: this.answer, stderr: "" };
        case "export_device":
          if (!this.devices.has(second.replace("/dev/mapper/", ""))) return fail(1, "no such device");
          if (!this.namespaces.has(first)) this.namespaces.set(first, Number(third));
          out.push(`${first} ${this.namespaces.get(first)}`);
          break;
        case "unexport":
          this.namespaces.delete(first);
          break;
        case "open_port":
          this.isLinked = true;
          break;
        case "close_port":
          this.isLinked = false;
          break;
      }
    }
    return { status: 0, stdout: out.map((line) => `${line}\n`).join(""), stderr: "" };
  }

  #bringUp(script: string): ShellResult {
    const wasUp = this.isPoolUp;
    const isMade = !wasUp && this.isBlank;
    if (isMade && !script.includes("[ 1 = 1 ] ||")) return { status: 85, stdout: "", stderr: "blank" };
    if (isMade) this.transactionId = /set_transaction_id 0 ([0-9]+)/.exec(script)?.[1] ?? "";
    this.isPoolUp = true;
    this.isBlank = false;
    const lines = [
      `made ${isMade ? 1 : 0}`,
      `activated ${wasUp ? 0 : 1}`,
      "metadata-path /dev/vda",
      "metadata 254:0",
      "data 254:16",
      `block-size ${this.blockSizeBytes}`,
      // The lines of dmsetup 1.02.185 on Linux 6.1.
      `table 0 8388608 thin-pool 254:0 254:16 ${this.chunkSectors} 0 1 error_if_no_space `,
      `status 0 8388608 thin-pool ${this.transactionId} 1654/16384 3/65536 - rw discard_passdown error_if_no_space - 1024 `,
    ];
    return { status: 0, stdout: `${lines.join("\n")}\n`, stderr: "" };
  }
}
