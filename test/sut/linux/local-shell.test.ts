import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { localShell } from "../../../src/sut/linux/local-shell.ts";
import { quoted, runScript } from "../../../src/sut/linux/scripts.ts";

/** Scripts that need no root. */
const shell = () => localShell({ userId: 0 });

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe("localShell", () => {
  test("says up front that it needs root", () => {
    expect(() => localShell({ userId: 1000 })).toThrow(expect.objectContaining({ code: "ERR_FORBIDDEN" }));
  });

  test("tells status and output of a script, which finds nothing on its standard input", async () => {
    await using local = shell();
    const script = "echo out; echo err >&2; cat; exit 7";
    expect(await local.run(script)).toEqual({ status: 7, stdout: "out\n", stderr: "err\n" });
    expect((await local.run("kill -9 $$")).status).toBe(137);
    expect(await runScript(local, { doing: "counting", text: `echo ${"x".repeat(200_000)} | wc -c` })).toBe(
      "200001\n",
    );
  });

  test("ends a script that takes too long, with what it started, and lets it put things right", async () => {
    await using local = shell();
    const began = performance.now();
    const script =
      "trap 'echo right >/dev/null; exit 1' TERM; (trap '' TERM; exec sleep 1000) & echo $! >&2; wait";
    const run = local.run(script, { timeoutMs: 300 });
    await expect(run).rejects.toMatchObject({ code: "ERR_TIMEOUT" });
    expect(performance.now() - began).toBeLessThan(5000);
  });

  test("ends what a script started, even if that ignores the first signal", async () => {
    await using local = shell();
    const folder = mkdtempSync(join(tmpdir(), "harrow-local-shell-"));
    const file = join(folder, "pid");
    const stop = new AbortController();
    const script = `sh -c 'trap "" TERM; echo $$ >"$0"; sleep 1000' ${quoted(file)} & wait`;
    const run = local.run(script, { signal: stop.signal });
    while (!existsSync(file) || readFileSync(file, "utf8") === "") await sleep(20);
    stop.abort();
    await expect(run).rejects.toMatchObject({ code: "ERR_ABORTED" });
    const pid = Number(readFileSync(file, "utf8"));
    rmSync(folder, { recursive: true });
    for (let waitedMs = 0; isAlive(pid) && waitedMs < 2000; waitedMs += 20) await sleep(20);
    expect(isAlive(pid)).toBe(false);
  });

  test("takes no more output than it was told", async () => {
    await using local = shell();
    const run = local.run("yes", { stdoutBytesMax: 10_000 });
    await expect(run).rejects.toMatchObject({ code: "ERR_BAD_ANSWER" });
  });

  test("keeps only the end of a long standard error", async () => {
    await using local = shell();
    const { stderr } = await local.run("yes line | head -n 100000 >&2; echo last >&2");
    expect(stderr.length).toBeLessThanOrEqual(65_536);
    expect(stderr.endsWith("line\nlast\n")).toBe(true);
  });

  test("ends what runs when it is closed, and runs nothing after", async () => {
    const local = shell();
    const run = local.run("sleep 1000");
    run.catch(() => {});
    await local[Symbol.asyncDispose]();
    await expect(run).rejects.toMatchObject({ code: "ERR_ABORTED" });
    await expect(local.run("true")).rejects.toMatchObject({ code: "ERR_UNREACHABLE" });
  });
});
