import { describe, expect, test } from "vitest";
import type { LinuxVolumeService } from "../../../src/sut/linux/service.ts";
import type { ShellResult } from "../../../src/sut/linux/shell.ts";
import { delayMsMax, TargetFaultError } from "../../../src/sut/target-faults.ts";
import type { Guest } from "../../../src/sut/vm/guest.ts";
import { GuestFaults } from "../../../src/sut/vm/guest-faults.ts";

/** A guest and its service that write down what is asked of them, one thing at a time. */
function faultsOf({ fails, status = 0 }: { readonly fails?: string; readonly status?: number } = {}) {
  const done: string[] = [];
  let underWay = 0;
  const asked =
    (what: string) =>
    async (argument?: unknown): Promise<void> => {
      expect(++underWay, `${what} while something else goes on`).toBe(1);
      await new Promise((resolve) => setImmediate(resolve));
      underWay--;
      if (what === fails) throw new Error(`no ${what} today`);
      done.push(argument === undefined ? what : `${what} ${argument}`);
    };
  const run = async (script: string): Promise<ShellResult> => {
    done.push(script);
    return { status, stdout: "", stderr: "RTNETLINK answers: no" };
  };
  const guest = {
    crash: asked("crash"),
    stop: asked("stop"),
    restart: asked("restart"),
    setPaused: asked("pause"),
    shell: { run },
  };
  const service = {
    bringUp: asked("bring up"),
    resetConnections: asked("reset"),
    setCut: asked("cut"),
  };
  const faults = new GuestFaults(guest as unknown as Guest, service as unknown as LinuxVolumeService);
  return { faults, done };
}

describe("trouble for a guest", () => {
  test("takes its turns, and brings up what was started anew before the next", async () => {
    const { faults, done } = faultsOf();
    await Promise.all([
      faults.crash(),
      faults.setCut(true),
      faults.setCut(false),
      faults.restart(),
      faults.resetConnections(),
      faults.setPaused(true),
      faults.stop(),
    ]);
    expect(done).toEqual([
      ...["crash", "bring up", "cut true", "cut false", "restart", "bring up", "reset", "pause true"],
      "stop",
    ]);
  });

  test("that can not be brought about is told, and does not keep off what follows", async () => {
    const { faults, done } = faultsOf({ fails: "bring up" });
    const crashed = faults.crash();
    const after = faults.resetConnections();
    await expect(crashed).rejects.toThrow(new TargetFaultError("crashing the guest: no bring up today"));
    await after;
    expect(done).toEqual(["crash", "reset"]);
  });

  test("delays what the guest sends, and ends that without a word if there was none", async () => {
    const { faults, done } = faultsOf();
    await faults.setDelay(15);
    await faults.setDelay(0);
    expect(done[0]).toMatch(/netem delay 15ms\b/);
    expect(done[1]).toMatch(/^if tc qdisc show dev eth0 \| grep -q netem; then tc qdisc del /);
  });

  test.for([-1, 0.5, Number.NaN, delayMsMax + 1])("refuses a delay of %d ms", async (delayMs) => {
    const { faults, done } = faultsOf();
    await expect(faults.setDelay(delayMs)).rejects.toThrow(/expected 0 to 600000 ms, whole/);
    expect(done).toEqual([]);
  });

  test("tells what the guest said when it could not be delayed", async () => {
    const { faults } = faultsOf({ status: 2 });
    await expect(faults.setDelay(5)).rejects.toThrow(/by 5 ms: .* ended with 2: RTNETLINK answers: no/);
  });
});
