import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { lastWords, runCommand } from "../../../src/sut/vm/command.ts";

const shell = (script: string, options: { timeoutMs?: number; signal?: AbortSignal } = {}) =>
  runCommand("sh", ["-c", script], { timeoutMs: 10_000, ...options });

function isRunning(pid: number): boolean {
  try {
    // What has ended but was not waited for is no longer running.
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

describe.skipIf(process.platform !== "linux")("a command", () => {
  test("gives its status and what it said", async () => {
    expect(await shell("echo out; echo err >&2; exit 7")).toEqual({
      status: 7,
      stdout: "out\n",
      stderr: "err\n",
    });
  });

  test("speaks English, whatever the language of the user", async () => {
    expect((await shell("echo $LC_ALL")).stdout).toBe("C\n");
  });

  test("reads nothing from this process", async () => {
    expect((await shell("cat; echo end")).stdout).toBe("end\n");
  });

  test("is ended with all that it started when its time is over", async () => {
    const note = join(mkdtempSync(join(tmpdir(), "harrow-command-")), "pid");
    const late = shell(`sleep 600 & echo $! >'${note}'; wait`, { timeoutMs: 500 });
    await expect(late).rejects.toMatchObject({ code: "ERR_TIMEOUT", message: "sh did not end within 0.5 s" });
    const pid = Number(readFileSync(note, "utf8"));
    await vi.waitFor(() => expect(isRunning(pid)).toBe(false));
    rmSync(dirname(note), { recursive: true });
  });

  test("that pays no heed to being ended is killed", { timeout: 20_000 }, async () => {
    const deaf = shell("trap '' TERM; while :; do sleep 1; done", { timeoutMs: 300 });
    await expect(deaf).rejects.toMatchObject({ code: "ERR_TIMEOUT" });
  });

  test("is ended when it is aborted, and does not start when it was", async () => {
    const controller = new AbortController();
    const running = expect(shell("exec sleep 600", { signal: controller.signal })).rejects.toMatchObject({
      code: "ERR_ABORTED",
    });
    controller.abort();
    await running;
    await expect(shell("true", { signal: controller.signal })).rejects.toMatchObject({ code: "ERR_ABORTED" });
  });

  test("is ended when it says too much", async () => {
    await expect(shell("exec yes")).rejects.toMatchObject({ code: "ERR_BAD_ANSWER" });
  });

  test("that does not exist is refused by its name", async () => {
    await expect(runCommand("harrow-no-such-program", [], { timeoutMs: 1000 })).rejects.toMatchObject({
      code: "ERR_UNSUPPORTED",
      message: "harrow-no-such-program is not installed or not in PATH",
    });
  });
});

test("the last words of a program are a few lines on one, without control characters", () => {
  expect(lastWords("a\nb\n\n  c\u001b[0m  \nd\ne\n")).toBe("b | c [0m | d | e");
  expect(lastWords("x".repeat(5000)).length).toBeLessThan(1000);
});
