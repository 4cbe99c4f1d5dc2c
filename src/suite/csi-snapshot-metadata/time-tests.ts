/**
 * What later events must not change, and what happens when a reader leaves, is slow, or is not alone.
 *
 * @packageDocumentation
 */
import { setTimeout as sleep } from "node:timers/promises";
import { CsiRefusal } from "../../sut/csi/refusal.ts";
import type { MetadataMessage } from "../../sut/csi/messages.ts";
import { ask, type Answer } from "./answers.ts";
import type { Bench, Subject } from "./bench.ts";
import { ContractFailure, type ContractTest } from "./contract-test.ts";
import { expectSame } from "./same-answer.ts";
import { SceneVolume } from "./scene.ts";

/** Deadlines that a service is told of: some are over before the answer is, if the answer is long or slow. */
const deadlinesMs = [20, 60, 250];

export const timeTests: readonly ContractTest[] = [
  {
    name: "cancelled_reader",
    group: "time",
    title: "a reader that leaves in the middle disturbs no later answer",
    needs: ["snapshot"],
    run: async (bench) => {
      for (const subject of await bench.subjects()) {
        const question = { ...subject.question, maxResults: 1 };
        for (const messageCount of [1, 2]) {
          let count = 0;
          for await (const _ of ask(bench.client, question, { signal: bench.signal }))
            if (++count === messageCount) break;
        }
        const after = await bench.ask(question);
        expectSame(`${subject.label}, after a reader left`, await bench.whole(subject), after);
      }
    },
  },
  {
    name: "parallel_readers",
    group: "time",
    title: "several readers at once have the answers that each would have alone",
    needs: ["snapshot"],
    run: async (bench) => {
      const subjects = (await bench.subjects()).slice(0, 4);
      const wholes = [];
      for (const subject of subjects) wholes.push(await bench.whole(subject));
      const answers = await Promise.all(
        subjects.flatMap(({ question }) => [bench.ask({ ...question, maxResults: 1 }), bench.ask(question)]),
      );
      for (const [index, answer] of answers.entries())
        expectSame(
          `${subjects[index >> 1]!.label}, one of ${answers.length} at once`,
          wholes[index >> 1]!,
          answer,
        );
    },
  },
  {
    name: "deadline_is_no_end",
    group: "time",
    title: "an answer that its deadline cuts off ends with an error, not as if it were whole",
    needs: ["snapshot"],
    run: async (bench) => {
      const ends = { whole: 0, cut: 0 };
      const subjects = await bench.subjects();
      for (const subject of new Set([...subjects.slice(0, 3), ...subjects.slice(-1)]))
        for (const toldDeadlineMs of deadlinesMs) ends[await readSlowly(bench, subject, toldDeadlineMs)]++;
      bench.note(`${ends.whole} answers were whole before their deadline, ${ends.cut} ended with an error`);
    },
  },
  {
    name: "stable",
    group: "time",
    title: "later writes and snapshots, and the deletion of others, change no answer",
    needs: ["hooks", "deleting"],
    run: async (bench) => {
      const hooks = bench.hooks;
      const volume = await SceneVolume.create(hooks, 1024);
      await volume.write(0, 3);
      const older = await volume.snapshot("older");
      await volume.write(100, 10);
      const base = await volume.snapshot("base");
      await volume.write(105, 10);
      const target = await volume.snapshot("target");
      const question = { baseId: base.id, targetId: target.id };
      const before = await bench.ask(question);
      const expectUnchanged = async (what: string) =>
        expectSame(`changed from 'base' to 'target', ${what}`, before, await bench.ask(question));
      await volume.write(107, 2);
      await volume.write(900);
      await expectUnchanged("after later writes");
      const later = await volume.snapshot("later");
      await expectUnchanged("after a later snapshot");
      await hooks.deleteSnapshot!(later.id);
      await expectUnchanged("after the deletion of a later snapshot");
      await hooks.deleteSnapshot!(older.id);
      await expectUnchanged("after the deletion of an older snapshot");
    },
  },
  {
    name: "grown_old_snapshots",
    group: "time",
    title: "after the volume has grown, older snapshots have the answers that they had",
    needs: ["hooks", "growing"],
    run: async (bench) => {
      const { first, second, beforeGrowth } = await bench.scene();
      const after = await bench.whole({ question: { baseId: first.id, targetId: second.id } });
      if (beforeGrowth === undefined) throw new ContractFailure("before it grew there was no answer");
      const { capacityBytes } = after;
      if (capacityBytes !== beforeGrowth.capacityBytes)
        bench.note(
          `volume_capacity_bytes follows the volume: ${beforeGrowth.capacityBytes}, then ${capacityBytes}`,
        );
      const before: Answer = { ...beforeGrowth, capacityBytes };
      expectSame("changed from 'first' to 'second', after the volume has grown", before, after);
    },
  },
  {
    name: "grown_capacity",
    group: "time",
    title: "volume_capacity_bytes is the size of the volume, of a snapshot after growth the new one",
    needs: ["hooks"],
    run: async (bench) => {
      const { volume, first, second, third, grown } = await bench.scene();
      const sizes = new Set([first.sizeBytes, volume.image.sizeBytes]);
      const old = await bench.whole({ question: { baseId: first.id, targetId: second.id } });
      if (old.capacityBytes === undefined || !sizes.has(old.capacityBytes))
        throw new ContractFailure(
          `of '${second.label}', of ${second.sizeBytes} bytes, volume_capacity_bytes is ${old.capacityBytes}`,
        );
      if (grown === undefined) return bench.note("the volume did not grow");
      const { capacityBytes } = await bench.whole({ question: { baseId: third.id, targetId: grown.id } });
      if (capacityBytes !== grown.sizeBytes)
        throw new ContractFailure(
          `of '${grown.label}', of ${grown.sizeBytes} bytes, volume_capacity_bytes is ${capacityBytes}`,
        );
    },
  },
];

/** Reads a message, and the rest only when the deadline, of which only the service was told, is over. */
async function readSlowly(bench: Bench, subject: Subject, toldDeadlineMs: number): Promise<"whole" | "cut"> {
  const whole = await bench.whole(subject);
  const what = `${subject.label}, with a deadline of ${toldDeadlineMs} ms`;
  const messages: MetadataMessage[] = [];
  try {
    const options = { signal: bench.signal, toldDeadlineMs };
    for await (const message of ask(bench.client, { ...subject.question, maxResults: 1 }, options)) {
      if (messages.length === 0) await sleep(toldDeadlineMs + 10);
      messages.push(message);
    }
  } catch (error) {
    if (
      error instanceof CsiRefusal &&
      (error.grpcCode === "DeadlineExceeded" || error.grpcCode === "Canceled")
    )
      return "cut";
    throw error;
  }
  const tuples = messages.flatMap((message) => message.tuples);
  if (tuples.length < whole.tuples.length)
    throw new ContractFailure(
      `${what}: a clean end after ${tuples.length} of ${whole.tuples.length} tuples: the rest would count as unchanged`,
    );
  expectSame(what, whole, { ...whole, messages, tuples });
  return "whole";
}
