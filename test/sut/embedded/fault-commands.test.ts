import { PassThrough } from "node:stream";
import { describe, expect, test } from "vitest";
import { FaultChannel } from "../../../src/sut/embedded/fault-channel.ts";
import { obeyFaultCommands, parseFaultAnswer } from "../../../src/sut/embedded/fault-commands.ts";
import type { Log } from "../../../src/sut/log.ts";
import { TargetFaultError } from "../../../src/sut/target-faults.ts";

/** A target that notes what is done to it, and what it answers and logs. */
function startTarget(setCut: (isCut: boolean) => Promise<void> = () => Promise.resolve()) {
  const parent = new PassThrough();
  const output = new PassThrough().setEncoding("utf8");
  const done: unknown[] = [];
  const warnings: string[] = [];
  const answers: string[] = [];
  output.on("data", (text: string) => answers.push(...text.split("\n").filter((line) => line !== "")));
  const log: Log = { debug() {}, info() {}, warn: (message) => void warnings.push(message), error() {} };
  const faults = {
    resetConnections: () => void done.push("reset"),
    setPaused: (isPaused: boolean) => void done.push({ isPaused }),
    setDelay: (delayMs: number) => void done.push({ delayMs }),
    setCut: (isCut: boolean) => {
      done.push({ isCut });
      return setCut(isCut);
    },
  };
  obeyFaultCommands({ parent, output, faults, log });
  return { parent, output, done, warnings, answers };
}

const turn = () => new Promise((resolve) => setTimeout(resolve, 5));

describe("a target with faults on command", () => {
  test("does what it is told, in order, and says so", async () => {
    const { parent, done, answers, warnings } = startTarget();
    parent.write(
      '{"id":0,"fault":{"kind":"reset"}}\n{"id":1,"fault":{"kind":"pause","isPaused":true}}\n{"id":2,',
    );
    parent.write('"fault":{"kind":"delay","delayMs":20}}\n{"id":7,"fault":{"kind":"cut","isCut":true}}\n');
    await turn();
    expect(done).toEqual(["reset", { isPaused: true }, { delayMs: 20 }, { isCut: true }]);
    expect(answers).toEqual(['{"done":0}', '{"done":1}', '{"done":2}', '{"done":7}']);
    expect(warnings).toEqual([]);
  });

  test("says what it could not do, and goes on", async () => {
    const { parent, answers } = startTarget(() => Promise.reject(new Error("port taken")));
    parent.write('{"id":1,"fault":{"kind":"cut","isCut":false}}\n{"id":2,"fault":{"kind":"reset"}}\n');
    await turn();
    expect(answers).toEqual(['{"failed":1,"message":"port taken"}', '{"done":2}']);
  });

  test.for([
    "hello",
    "",
    "null",
    "{}",
    '{"id":1}',
    '{"id":1,"fault":{"kind":"explode"}}',
    '{"id":1,"fault":{"kind":"delay","delayMs":-1}}',
    '{"id":1,"fault":{"kind":"delay","delayMs":1e99}}',
    '{"id":-1,"fault":{"kind":"reset"}}',
    '{"id":1,"fault":{"kind":"pause"}}',
    '{"id":1,"fault":{"kind":"reset","more":1}}',
    `{"id":1,"fault":{"kind":"reset"},"pad":"${"x".repeat(10_000)}"}`,
  ])("logs and ignores '%s'", async (line) => {
    const { parent, answers, warnings, done } = startTarget();
    parent.write(`${line}\n{"id":9,"fault":{"kind":"reset"}}\n`);
    await turn();
    expect(warnings).toEqual([expect.stringMatching(/^ignoring a line/)]);
    expect(warnings[0]!.length).toBeLessThan(400);
    expect([done, answers]).toEqual([["reset"], ['{"done":9}']]);
  });

  test("keeps a bounded number of commands waiting", async () => {
    const { parent, warnings, done } = startTarget(() => new Promise(() => {}));
    parent.write('{"id":0,"fault":{"kind":"cut","isCut":true}}\n');
    for (let id = 1; id < 100; id++) parent.write(`{"id":${id},"fault":{"kind":"reset"}}\n`);
    await turn();
    expect(done).toEqual([{ isCut: true }]);
    expect(warnings).toHaveLength(36);
  });
});

describe("the parent's side", () => {
  function connect(setCut?: (isCut: boolean) => Promise<void>) {
    const target = startTarget(setCut);
    const channel = new FaultChannel((line) => void target.parent.write(line));
    target.output.on("data", (text: string) => {
      for (const line of text.split("\n")) channel.said(line);
    });
    return { target, channel };
  }

  test("resolves when the target has said that it is done, not before", async () => {
    let finish = () => {};
    const { target, channel } = connect(() => new Promise((resolve) => (finish = resolve)));
    let isDone = false;
    const cut = channel.setCut(true).then(() => (isDone = true));
    await turn();
    expect([target.done, isDone]).toEqual([[{ isCut: true }], false]);
    finish();
    await cut;
    await Promise.all([channel.resetConnections(), channel.setPaused(false), channel.setDelay(3)]);
    expect(target.done.slice(1)).toEqual(["reset", { isPaused: false }, { delayMs: 3 }]);
  });

  test("rejects with what the target said, with why it ended, and at once after the end", async () => {
    const { channel } = connect((isCut) => (isCut ? new Promise(() => {}) : Promise.reject(new Error("no"))));
    await expect(channel.setCut(false)).rejects.toThrow(/^the target said: no$/);
    const waiting = expect(channel.setCut(true)).rejects.toThrow(TargetFaultError);
    await turn();
    channel.end("the target has ended by SIGKILL");
    await waiting;
    await expect(channel.resetConnections()).rejects.toThrow("the target has ended by SIGKILL");
  });

  test.for([-1, 0.5, 600_001, Number.NaN])("does not ask for a delay of %d ms", async (delayMs) => {
    const { target, channel } = connect();
    await expect(channel.setDelay(delayMs)).rejects.toThrow(/from 0 to 600000 ms/);
    expect(target.done).toEqual([]);
  });

  test.for(["", "{", "[]", '{"done":"1"}', '{"failed":1}', '{"done":1,"failed":1}'])(
    "takes '%s' for no answer",
    (line) => {
      expect(parseFaultAnswer(line)).toBeUndefined();
    },
  );
});
