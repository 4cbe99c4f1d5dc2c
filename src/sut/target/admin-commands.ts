/**
 * Commands of the admin queue, fabrics commands aside. None of them waits for the store, so Keep Alive is
 * answered while I/O is stuck.
 *
 * @packageDocumentation
 */
import { adminOpcode, readCdw, readCid, readOpcode } from "../nvme/commands.ts";
import { type StatusCode, statusCode } from "../nvme/status.ts";
import type { Controller } from "./controller.ts";
import { type FeatureAnswer, getFeature, setFeature } from "./features.ts";
import { identify } from "./identify.ts";
import { getLogPage, type LocalAddress } from "./log-pages.ts";
import type { Queue } from "./queue.ts";
import { dataInProblem } from "./sgl.ts";
import type { Target } from "./target.ts";

export class AdminCommands {
  readonly #target: Target;
  readonly #queue: Queue;
  readonly #controller: Controller;
  readonly #local: LocalAddress;

  constructor(target: Target, queue: Queue, controller: Controller, local: LocalAddress) {
    this.#target = target;
    this.#queue = queue;
    this.#controller = controller;
    this.#local = local;
  }

  execute(view: DataView, at: number): void {
    const cid = readCid(view, at);
    const opcode = readOpcode(view, at);
    const controller = this.#controller;
    // Keep Alive never fails: a host that saw it fail would stop sending it.
    if (opcode === adminOpcode.keepAlive) {
      this.#queue.succeed(cid);
      return;
    }
    if (!controller.isReady) {
      this.#queue.fail(cid, statusCode.commandSequenceError);
      return;
    }
    const isDiscovery = controller.kind === "discovery";
    switch (opcode) {
      case adminOpcode.identify:
        this.#answer(cid, view, at, identify(this.#target, controller, view, at));
        return;
      case adminOpcode.getLogPage:
        this.#answer(cid, view, at, getLogPage(this.#target, controller, view, at, this.#local));
        return;
      case adminOpcode.getFeatures:
        this.#answerFeature(cid, view, at, getFeature(controller, this.#target.configuration, view, at));
        return;
      case adminOpcode.setFeatures:
        this.#answerFeature(cid, view, at, setFeature(controller, this.#target.configuration, view, at));
        return;
      case adminOpcode.asyncEventRequest:
        this.#queue.slots.markPending(cid);
        if (controller.events.request(cid)) return;
        this.#queue.slots.unmarkPending(cid);
        this.#queue.fail(cid, statusCode.asyncEventLimitExceeded);
        return;
      case adminOpcode.abort:
        if (isDiscovery) break;
        this.#abort(cid, readCdw(view, at, 10));
        return;
    }
    this.#queue.fail(cid, statusCode.invalidOpcode);
  }

  #abort(cid: number, cdw10: number): void {
    const wasAborted = this.#controller.abort(cdw10 & 0xffff, cdw10 >>> 16);
    this.#queue.succeed(cid, wasAborted ? 0 : 1);
  }

  #answerFeature(cid: number, view: DataView, at: number, answer: FeatureAnswer): void {
    if (answer.kind === "refused") this.#queue.fail(cid, answer.code);
    else if (answer.kind === "value") this.#queue.succeed(cid, answer.dw0);
    else this.#answer(cid, view, at, answer.bytes);
  }

  /** Sends data if the host made room for exactly as much. */
  #answer(cid: number, view: DataView, at: number, answer: Uint8Array | StatusCode): void {
    if (!(answer instanceof Uint8Array)) {
      this.#queue.fail(cid, answer);
      return;
    }
    const problem = dataInProblem(view, at, answer.length);
    if (problem !== undefined) {
      this.#queue.fail(cid, problem);
      return;
    }
    this.#queue.sendData(cid, answer);
  }
}
