import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { launchEmbedded } from "../../../src/sut/embedded/launch.ts";
import { LaunchError } from "../../../src/sut/embedded/target-process.ts";
import { overTcp } from "../../support/over-tcp.ts";

const fixture = fileURLToPath(new URL("./serve-fixture.ts", import.meta.url));

const connectNamespaces = overTcp();

const serve = [process.execPath, "--import", "tsx", fixture];
/** A program that is no target; the flags of the launch come after the dashes. */
const script = (code: string) => [process.execPath, "-e", code, "--"];
const service = { connectNamespaces, waitTimeoutMs: 10_000 };

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "harrow-launch-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe("a launched target", () => {
  test("serves, keeps flushed blocks over a crash and a restart, and ends when it is disposed", async () => {
    await using target = await launchEmbedded({ command: serve, service, directory });
    const volume = await target.service.createVolume({
      name: "v",
      sizeBytes: 2 ** 20,
      sectorSizeBytes: 4096,
    });
    const from = new Uint8Array(4096).fill(5);
    {
      await using device = await target.service.openVolume(volume.uuid);
      expect(await device.write({ block: 3, blockCount: 1, from })).toEqual({ kind: "ok" });
      expect(await device.flush()).toEqual({ kind: "ok" });
    }

    expect(await target.kill()).toEqual({ code: null, signal: "SIGKILL" });
    expect(target.pid).toBeUndefined();
    await expect(target.service.listVolumes()).rejects.toMatchObject({ code: "ERR_UNREACHABLE" });

    await target.restart();
    const { subsystemNqn, nvmeEndpoint } = target;
    expect(await target.service.listVolumes()).toMatchObject([{ uuid: volume.uuid, state: "available" }]);
    {
      await using device = await target.service.openVolume(volume.uuid);
      const into = new Uint8Array(4096);
      expect(await device.read({ block: 3, blockCount: 1, into })).toEqual({ kind: "ok" });
      expect(into).toEqual(from);
    }
    const pid = target.pid ?? 0;
    await target.restart();
    expect(target).toMatchObject({ subsystemNqn, nvmeEndpoint });
    expect(isAlive(pid)).toBe(false);
    expect(await target.stop()).toEqual({ code: 0, signal: null });
  });

  test("takes only the token that it was given", async () => {
    await using target = await launchEmbedded({ command: serve, service, token: "a-token-of-a-test" });
    const ask = (token: string) =>
      fetch(`${target.apiUrl}/api/v2/version`, { headers: { authorization: `Bearer ${token}` } });
    expect((await ask("another")).status).toBe(401);
    expect((await ask("a-token-of-a-test")).status).toBe(200);
  });

  test("that does not end on SIGTERM is killed", async () => {
    const ready = { api: "http://127.0.0.1:1", nvme: "127.0.0.1:1", subsystemNqn: "nqn.x" };
    const command = script(
      `process.on("SIGTERM", () => {}); console.log(${JSON.stringify(JSON.stringify({ ready }))}); process.stdin.resume()`,
    );
    await using target = await launchEmbedded({ command, service, stopTimeoutMs: 50 });
    expect(await target.stop()).toEqual({ code: null, signal: "SIGKILL" });
  });

  test("ends when its parent is gone", async () => {
    const args = ["--host", "127.0.0.1", "--nvme-port", "0", "--api-port", "0", "--exit-with-parent"];
    const [program = "", ...leading] = serve;
    const child = spawn(program, [...leading, ...args], { stdio: ["pipe", "pipe", "inherit"] });
    await once(child.stdout, "data");
    child.stdin.destroy();
    expect(await once(child, "exit")).toEqual([0, null]);
  });
});

describe("a target that does not come up", () => {
  const failures: Record<string, [readonly string[], RegExp]> = {
    "ends early": [
      script('console.error("the disk is full"); process.exit(3)'),
      /ended with code 3 before it served; on standard error:\nthe disk is full$/,
    ],
    "is not there": [["/nowhere/harrow"], /could not be started.*ENOENT/s],
    "says something else": [
      script('console.log("hello"); process.stdin.resume()'),
      /was to say {"ready":…} first, and said 'hello'; nothing on standard error$/,
    ],
    "says too much": [
      script('process.stdout.write("x".repeat(100_000)); process.stdin.resume()'),
      /said more than 16384 characters/,
    ],
  };
  const launchError = async (command: readonly string[], readyTimeoutMs: number): Promise<LaunchError> => {
    const error = await launchEmbedded({ command, service, readyTimeoutMs }).catch(
      (reason: unknown) => reason,
    );
    if (error instanceof LaunchError) return error;
    throw error;
  };

  test.for(Object.entries(failures))("because it %s is reported", async ([, [command, message]]) => {
    expect((await launchError(command, 20_000)).message).toMatch(message);
  });

  test("in time is killed", async () => {
    const command = script("console.error(process.pid); process.stdin.resume()");
    const { message } = await launchError(command, 1500);
    const pid = /did not serve within 1500 ms; on standard error:\n(\d+)$/.exec(message)?.[1];
    expect(isAlive(Number(pid))).toBe(false);
  });
});
