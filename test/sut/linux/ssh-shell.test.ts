import { existsSync } from "node:fs";
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type SshOptions, sshShell } from "../../../src/sut/linux/ssh-shell.ts";
import { Sshd, sshdUnavailable } from "./sshd.ts";

const unavailable = sshdUnavailable();

describe.skipIf(unavailable !== undefined)(
  `with an sshd${unavailable ? ` (skipped: ${unavailable})` : ""}`,
  () => {
    let sshd: Sshd;
    const before = new Set<string>();
    beforeAll(async () => {
      for (const name of await leftovers()) before.add(name);
      sshd = await Sshd.start();
    });
    afterAll(async () => {
      await sshd?.[Symbol.asyncDispose]();
      expect((await leftovers()).filter((name) => !before.has(name))).toEqual([]);
    });

    test("keeps status, standard output and standard error apart", async () => {
      await using shell = sshShell(sshd.options);
      expect(await shell.run("echo out; echo 'a b' >&2; exit 3")).toEqual({
        status: 3,
        stdout: "out\n",
        stderr: "a b\n",
      });
      expect(await shell.run("printf x; printf y >&2")).toEqual({ status: 0, stdout: "x", stderr: "y" });
      expect(await shell.run("exit 255")).toEqual({ status: 255, stdout: "", stderr: "" });
      expect(await shell.run("kill -9 $(sh -c 'echo $PPID')")).toMatchObject({ status: 137 });
      expect(await shell.run("set -eu; trap 'echo bye' EXIT; false; echo not")).toEqual({
        status: 1,
        stdout: "bye\n",
        stderr: "",
      });
    });

    test("takes long scripts, whose commands find nothing on their standard input", async () => {
      await using shell = sshShell(sshd.options);
      const many = Array.from({ length: 20_000 }, (_, index) => `x=${index} # ${"-".repeat(40)}`).join("\n");
      expect(await shell.run(`cat\n${many}\ncat; echo $x; case $x in *9) echo nine ;; esac`)).toEqual({
        status: 0,
        stdout: "19999\nnine\n",
        stderr: "",
      });
      expect(await shell.run("readlink /proc/self/fd/0")).toMatchObject({ stdout: "/dev/null\n" });
      expect(await shell.run("echo 'ä€🙂' # no end of line")).toMatchObject({ stdout: "ä€🙂\n" });
    });

    test("logs in once, and runs more scripts at a time than the server has sessions", async () => {
      await using shell = sshShell(sshd.options);
      await shell.run("true");
      const connections = sshd.sessions().length;
      const results = await Promise.all(
        Array.from({ length: 24 }, (_, index) => shell.run(`sleep 0.05; echo ${index}`)),
      );
      expect(results.map(({ stdout }) => stdout)).toEqual(results.map((_, index) => `${index}\n`));
      expect(sshd.sessions().length).toBe(connections);
    });

    test("ends its connection when it is disposed of, and refuses scripts from then on", async () => {
      const shell = sshShell(sshd.options);
      await shell.run("true");
      const late = shell.run("sleep 30");
      late.catch(() => {});
      await sleep(100);
      await shell[Symbol.asyncDispose]();
      await shell[Symbol.asyncDispose]();
      await expect(late).rejects.toMatchObject({ code: "ERR_ABORTED" });
      await expect(shell.run("true")).rejects.toMatchObject({ code: "ERR_UNREACHABLE" });
      await expect.poll(() => sshd.sessions().length, { timeout: 5000 }).toBe(0);
    });

    test("gives a script up at its deadline, or when it is cancelled, and runs the next", async () => {
      await using shell = sshShell(sshd.options);
      await shell.run("true");
      const start = performance.now();
      await expect(shell.run("sleep 20", { timeoutMs: 300 })).rejects.toMatchObject({
        code: "ERR_TIMEOUT",
        message: expect.stringContaining("300 ms"),
      });
      await expect(shell.run("sleep 20", { signal: AbortSignal.timeout(200) })).rejects.toMatchObject({
        code: "ERR_ABORTED",
      });
      await expect(shell.run("sleep 20", { signal: AbortSignal.abort() })).rejects.toMatchObject({
        code: "ERR_ABORTED",
      });
      expect(await shell.run("echo on")).toMatchObject({ stdout: "on\n" });
      expect(performance.now() - start).toBeLessThan(8000);
    });

    test("takes no more standard output than it was told, and the end of the standard error", async () => {
      await using shell = sshShell(sshd.options);
      expect((await shell.run("head -c 100000 /dev/zero", { stdoutBytesMax: 100_000 })).stdout).toHaveLength(
        100_000,
      );
      await expect(shell.run("head -c 100001 /dev/zero", { stdoutBytesMax: 100_000 })).rejects.toMatchObject({
        code: "ERR_BAD_ANSWER",
      });
      await expect(shell.run("cat /dev/zero", { stdoutBytesMax: 100_000 })).rejects.toMatchObject({
        code: "ERR_BAD_ANSWER",
      });
      const { status, stderr } = await shell.run(
        "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo end >&2; exit 4",
      );
      expect(status).toBe(4);
      expect(stderr.length).toBeLessThan(1.1 * 2 ** 20);
      expect(stderr.endsWith("xend\n")).toBe(true);
    });

    test("tells of a connection that was lost, and logs in again when the server is back", async () => {
      await using shell = sshShell(sshd.options);
      await shell.run("true");
      const cut = shell.run("echo begun; sleep 20");
      const told = expect(cut).rejects.toMatchObject({ code: "ERR_UNREACHABLE" });
      await sleep(300);
      await sshd.stop();
      await told;
      await expect(shell.run("true")).rejects.toMatchObject({
        code: "ERR_UNREACHABLE",
        message: expect.stringContaining("does it run, and does sshd listen there"),
      });
      await sshd.startAgain();
      expect(await shell.run("echo back")).toMatchObject({ stdout: "back\n" });
    });

    const refusals: Record<string, [(options: SshOptions) => SshOptions, string, string]> = {
      "a host key that is not known": [
        (options) => ({ ...options, options: sshd.knownHosts("no_hosts") }),
        "ERR_UNAUTHENTICATED",
        "its host key is not known here: connect once by hand",
      ],
      "a host key that has changed": [
        (options) => ({ ...options, options: sshd.knownHosts("wrong_hosts") }),
        "ERR_UNAUTHENTICATED",
        "ssh-keygen -R",
      ],
      "a key that is refused": [
        (options) => ({ ...options, identityFile: sshd.path("stranger") }),
        "ERR_UNAUTHENTICATED",
        "ssh-copy-id",
      ],
      "an option that ssh does not have": [
        (options) => ({ ...options, options: [...sshd.knownHosts("known_hosts"), "NoSuchOption=1"] }),
        "ERR_INVALID_REQUEST",
        "ssh_config(5)",
      ],
      "a port where nobody listens": [
        (options) => ({ ...options, port: 1 }),
        "ERR_UNREACHABLE",
        "Connection refused",
      ],
      "a name that does not exist": [
        (options) => ({ ...options, destination: "no-such-host.invalid" }),
        "ERR_UNREACHABLE",
        "is the name right?",
      ],
    };
    test.for(Object.entries(refusals))("says what to do about %s", async ([, [change, code, words]]) => {
      await using shell = sshShell(change(sshd.options));
      await expect(shell.run("true")).rejects.toMatchObject({
        code,
        message: expect.stringContaining(words),
      });
    });

    test("says what to do about a key that others may read", async () => {
      await chmod(sshd.path("user"), 0o644);
      try {
        await using shell = sshShell(sshd.options);
        await expect(shell.run("true")).rejects.toMatchObject({
          code: "ERR_UNAUTHENTICATED",
          message: expect.stringContaining("chmod 600"),
        });
      } finally {
        await chmod(sshd.path("user"), 0o600);
      }
    });
  },
);

describe("with a stand-in for the ssh program", () => {
  let directory: string;
  const { PATH } = process.env;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "harrow-fake-ssh-"));
    process.env["PATH"] = `${directory}:${PATH}`;
  });
  afterEach(async () => {
    process.env["PATH"] = PATH;
    await rm(directory, { recursive: true, force: true });
  });
  const provide = async (text: string) => {
    await writeFile(join(directory, "ssh"), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  };
  /** Runs what it is told here, and notes its parameters. */
  const faithful = () => `printf '%s\\n' "$*" >>${directory}/calls
for last; do :; done
eval "$last"`;
  const calls = async () => (await readFile(join(directory, "calls"), "utf8")).trim().split("\n");

  test("never lets a destination, a key or an option be taken for another parameter", async () => {
    await provide(faithful());
    for (const destination of ["-oProxyCommand=x", "", " ", "a b", "a\nb", "x".repeat(600)])
      expect(() => sshShell({ destination })).toThrow(/no destination/);
    for (const option of ["-v", "nothing", "A=", "A=b\nc", ""])
      expect(() => sshShell({ destination: "a", options: [option] })).toThrow(/no option/);
    for (const port of [0, 65_536, 1.5, Number.NaN])
      expect(() => sshShell({ destination: "a", port })).toThrow(/expected 1 to 65535/);
    expect(() => sshShell({ destination: "a", identityFile: join(directory, "none") })).toThrow(
      /cannot be read/,
    );
    await using shell = sshShell({ destination: "root@storage1", port: 2222, options: ["ProxyJump=a b"] });
    expect(await shell.run("echo hi")).toEqual({ status: 0, stdout: "hi\n", stderr: "" });
    const [master, session] = await calls();
    expect(master).toMatch(
      /ControlMaster=yes .*BatchMode=yes .*ProxyJump=a b .*-p 2222 -- root@storage1 sh -s$/,
    );
    expect(session).toMatch(/ControlMaster=no .*-- root@storage1 sh -s$/);
    expect(shell.description).toBe("ssh root@storage1");
  });

  test("keeps its socket where only this user can go, and takes it away", async () => {
    await provide(faithful());
    const shell = sshShell({ destination: "a" });
    await shell.run("true");
    const path = /ControlPath=(\S+)\/control/.exec((await calls())[0]!)![1]!;
    const { mode } = await import("node:fs").then(({ statSync }) => statSync(path));
    expect(mode & 0o777).toBe(0o700);
    await shell[Symbol.asyncDispose]();
    expect(existsSync(path)).toBe(false);
  });

  test("leaves out what the login shell says", async () => {
    await provide(`echo 'Welcome!'; echo 'harrow-' ; echo 'Last login' >&2\n${faithful()}`);
    await using shell = sshShell({ destination: "a" });
    expect(await shell.run("echo out; echo err >&2; exit 7")).toEqual({
      status: 7,
      stdout: "out\n",
      stderr: "err\n",
    });
  });

  test("runs scripts by sudo, and says what to do if that wants a password", async () => {
    await provide(faithful());
    await writeFile(join(directory, "sudo"), '#!/bin/sh\n[ "$1" = -n ] && shift\nAS_ROOT=1 exec "$@"\n', {
      mode: 0o755,
    });
    await using shell = sshShell({ destination: "a", sudo: true });
    expect(await shell.run("echo $AS_ROOT")).toMatchObject({ stdout: "1\n" });
    await writeFile(join(directory, "sudo"), "#!/bin/sh\necho 'sudo: a password is required' >&2; exit 1\n");
    await expect(shell.run("true")).rejects.toMatchObject({
      code: "ERR_FORBIDDEN",
      message: expect.stringContaining("NOPASSWD"),
    });
  });

  test("says that there is no ssh program", async () => {
    process.env["PATH"] = directory;
    await using shell = sshShell({ destination: "a" });
    await expect(shell.run("true")).rejects.toMatchObject({
      code: "ERR_UNSUPPORTED",
      message: expect.stringContaining("openssh-client"),
    });
  });

  test("waits for a login no longer than it was told", async () => {
    await provide("exec sleep 60");
    await using shell = sshShell({ destination: "a", connectTimeoutMs: 1 });
    await expect(shell.run("true", { timeoutMs: 400 })).rejects.toMatchObject({ code: "ERR_TIMEOUT" });
  });

  test("ends the program of a script that nobody waits for", async () => {
    await provide(`case "$*" in *ControlMaster=yes*) ;; *) echo $$ >${directory}/pid; exec sleep 60 ;; esac
${faithful()}`);
    await using shell = sshShell({ destination: "a" });
    await expect(shell.run("true", { timeoutMs: 2000 })).rejects.toMatchObject({ code: "ERR_TIMEOUT" });
    const pid = Number(await readFile(join(directory, "pid"), "utf8"));
    await expect.poll(() => existsSync(`/proc/${pid}`)).toBe(false);
  });

  const answers: Record<string, [string, string]> = {
    "is no shell": ["echo 'This account is not available'; exit 1", "ERR_BAD_ANSWER"],
    "ends without a word": ["exit 255", "ERR_UNREACHABLE"],
    "is cut off before the script's end": [
      `case "$*" in *ControlMaster=yes*) ;; *) read -r begin; eval "$begin"; echo half; exit 255 ;; esac\n`,
      "ERR_UNREACHABLE",
    ],
    "says a status that is none": [
      `case "$*" in *ControlMaster=yes*) ;; *) read -r begin; eval "$begin"; set -- $begin; echo "\${2%;} 9999" >&2; exit 0 ;; esac\n`,
      "ERR_UNREACHABLE",
    ],
  };
  test.for(Object.entries(answers))("does not take for a result what %s", async ([, [text, code]]) => {
    await provide(`${text}\n${faithful()}`);
    await using shell = sshShell({ destination: "a" });
    await expect(shell.run("echo x")).rejects.toMatchObject({ code });
  });
});

async function leftovers(): Promise<string[]> {
  return (await readdir(tmpdir())).filter((name) => name.startsWith("harrow-ssh-"));
}
