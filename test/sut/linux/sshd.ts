/** OpenSSH's server as a process of a test: keys of its own, on a free port of 127.0.0.1. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, connect, type AddressInfo } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const program = "/usr/sbin/sshd";

/** Why there can be none here. */
export function sshdUnavailable(): string | undefined {
  for (const path of [program, "/usr/bin/ssh", "/usr/bin/ssh-keygen"])
    if (!existsSync(path))
      return `${path} is not there: apt-get install --no-install-recommends openssh-server openssh-client`;
  return undefined;
}

export class Sshd implements AsyncDisposable {
  readonly directory: string;
  readonly port: number;
  #child: ChildProcess;

  private constructor(directory: string, port: number, child: ChildProcess) {
    this.directory = directory;
    this.port = port;
    this.#child = child;
  }

  static async start(): Promise<Sshd> {
    const directory = await mkdtemp(join(tmpdir(), "harrow-sshd-"));
    for (const name of ["host", "user", "stranger", "other-host"])
      execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(directory, name)]);
    const port = await freePort();
    const key = async (name: string) => (await readFile(join(directory, `${name}.pub`), "utf8")).trim();
    await writeFile(join(directory, "authorized_keys"), `${await key("user")}\n`);
    await writeFile(join(directory, "known_hosts"), `[127.0.0.1]:${port} ${await key("host")}\n`);
    await writeFile(join(directory, "wrong_hosts"), `[127.0.0.1]:${port} ${await key("other-host")}\n`);
    await writeFile(join(directory, "no_hosts"), "");
    await writeFile(
      join(directory, "sshd_config"),
      `Port ${port}
ListenAddress 127.0.0.1
HostKey ${join(directory, "host")}
AuthorizedKeysFile ${join(directory, "authorized_keys")}
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PidFile none
PrintMotd no
`,
    );
    if (process.getuid?.() === 0) await mkdir("/run/sshd", { recursive: true });
    const sshd = new Sshd(directory, port, spawnSshd(directory));
    await sshd.#answers();
    return sshd;
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  get options() {
    return {
      destination: `${userInfo().username}@127.0.0.1`,
      port: this.port,
      identityFile: this.path("user"),
      options: this.knownHosts("known_hosts"),
    };
  }

  knownHosts(name: string): string[] {
    return [
      `UserKnownHostsFile=${this.path(name)}`,
      "GlobalKnownHostsFile=/dev/null",
      "StrictHostKeyChecking=yes",
    ];
  }

  /** Ends the server with every connection that it has. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    // Looked for while the server is there to have children, and stopped while it takes no new ones.
    process.kill(this.#child.pid!, "SIGSTOP");
    for (const pid of this.sessions()) process.kill(pid, "SIGKILL");
    process.kill(this.#child.pid!, "SIGKILL");
    await ended;
  }

  async startAgain(): Promise<void> {
    this.#child = spawnSshd(this.directory);
    await this.#answers();
  }

  /** Processes that serve connections. */
  sessions(): number[] {
    const children = (pid: number): number[] => {
      const path = `/proc/${pid}/task/${pid}/children`;
      if (!existsSync(path)) return [];
      const found = execFileSync("cat", [path], { encoding: "utf8" })
        .trim()
        .split(/\s+/)
        .filter(Boolean)
        .map(Number);
      return found;
    };
    const own = children(this.#child.pid!);
    return own.flatMap((pid) => [...children(pid), pid]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await rm(this.directory, { recursive: true, force: true });
  }

  async #answers(): Promise<void> {
    for (let attempt = 0; attempt < 100; attempt++) {
      const socket = connect(this.port, "127.0.0.1");
      const isUp = await new Promise<boolean>((resolve) => {
        socket.once("data", () => resolve(true)).once("error", () => resolve(false));
        socket.once("close", () => resolve(false));
        setTimeout(() => resolve(false), 2000);
      });
      socket.destroy();
      if (isUp) return;
      await sleep(50);
    }
    throw new Error("sshd did not answer");
  }
}

function spawnSshd(directory: string): ChildProcess {
  return spawn(program, ["-D", "-e", "-f", join(directory, "sshd_config")], {
    stdio: "ignore",
    detached: true,
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
