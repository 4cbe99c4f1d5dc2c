/**
 * Trouble for a guest that serves: killed, paused, slow, cut off.
 *
 * @packageDocumentation
 */
import type { LinuxVolumeService } from "../linux/service.ts";
import { delayMsMax, TargetFaultError, type TargetFaults } from "../target-faults.ts";
import type { Guest } from "./guest.ts";

export class GuestFaults implements TargetFaults {
  readonly #guest: Guest;
  readonly #service: LinuxVolumeService;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(guest: Guest, service: LinuxVolumeService) {
    this.#guest = guest;
    this.#service = service;
  }

  crash(): Promise<void> {
    return this.#inTurn("crashing the guest", async () => {
      await this.#guest.crash();
      await this.#service.bringUp();
    });
  }

  stop(): Promise<void> {
    return this.#inTurn("stopping the guest", () => this.#guest.stop());
  }

  restart(): Promise<void> {
    return this.#inTurn("starting the guest again", async () => {
      await this.#guest.restart();
      await this.#service.bringUp();
    });
  }

  resetConnections(): Promise<void> {
    return this.#inTurn("resetting connections", () => this.#service.resetConnections());
  }

  setCut(isCut: boolean): Promise<void> {
    return this.#inTurn(isCut ? "cutting hosts off" : "letting hosts back", () =>
      this.#service.setCut(isCut),
    );
  }

  setPaused(isPaused: boolean): Promise<void> {
    return this.#inTurn(isPaused ? "pausing the guest" : "letting the guest go on", () =>
      this.#guest.setPaused(isPaused),
    );
  }

  /** All that the guest sends is late: to a host that is the same as what arrives being late. */
  setDelay(delayMs: number): Promise<void> {
    if (!(Number.isInteger(delayMs) && delayMs >= 0 && delayMs <= delayMsMax))
      return Promise.reject(
        new TargetFaultError(`a delay of ${delayMs} ms: expected 0 to ${delayMsMax} ms, whole`),
      );
    // The queue holds what is late: its own limit of 1000 packets would drop some.
    const script =
      delayMs === 0
        ? "if tc qdisc show dev eth0 | grep -q netem; then tc qdisc del dev eth0 root; fi"
        : `modprobe sch_netem && tc qdisc replace dev eth0 root netem delay ${delayMs}ms limit 1000000`;
    return this.#inTurn(`delaying the guest's network by ${delayMs} ms`, async () => {
      const { status, stderr } = await this.#guest.shell.run(script);
      if (status !== 0) throw new Error(`tc in the guest ended with ${status}: ${stderr.slice(-300)}`);
    });
  }

  #inTurn(doing: string, work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work).catch((cause: unknown) => {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new TargetFaultError(`${doing}: ${why}`, { cause });
    });
    this.#turn = done.catch(() => undefined);
    return done;
  }
}
