/**
 * Messages of any size hold the same answer, and the same question has the same answer.
 *
 * @packageDocumentation
 */
import type { Answer } from "./answers.ts";
import type { Bench, Subject } from "./bench.ts";
import { ContractFailure, type ContractTest } from "./contract-test.ts";
import { expectSame } from "./same-answer.ts";

export const pagingTests: readonly ContractTest[] = [
  {
    name: "max_results_one",
    group: "paging",
    title: "with max_results 1 every message has at most one tuple, and all tuples come",
    needs: ["snapshot"],
    run: (bench) => compareSizes(bench, [1]),
  },
  {
    name: "max_results_any",
    group: "paging",
    title: "no message has more than max_results tuples, and all tuples come, whatever the number",
    needs: ["snapshot"],
    run: (bench) => compareSizes(bench, [2, 3, 7, 64, 2 ** 31 - 1]),
  },
  {
    name: "max_results_negative",
    group: "paging",
    title: "a negative max_results is refused or taken for 0, in any case within the time-out",
    needs: ["snapshot"],
    run: async (bench) => {
      const [subject] = await bench.subjects();
      for (const maxResults of [-1, -(2 ** 31)]) {
        const end = await bench.endOf({ ...subject!.question, maxResults });
        if (end.kind === "refused") {
          bench.note(`${maxResults}: ${end.code}`);
          continue;
        }
        expectSame(
          `${subject!.label}, with max_results ${maxResults}`,
          await bench.whole(subject!),
          end.answer,
        );
        bench.note(`${maxResults} is taken for 0`);
      }
    },
  },
  {
    name: "repeatable",
    group: "paging",
    title: "the same question, asked again, has the same answer",
    needs: ["snapshot"],
    run: async (bench) => {
      for (const subject of await bench.subjects())
        for (const time of ["second", "third"])
          expectSame(
            `${subject.label}, asked a ${time} time`,
            await bench.whole(subject),
            await bench.ask(subject.question),
          );
    },
  },
];

async function compareSizes(bench: Bench, sizes: readonly number[]): Promise<void> {
  for (const subject of await bench.subjects()) {
    const whole = await bench.whole(subject);
    for (const maxResults of sizes) await compareSize(bench, subject, whole, maxResults);
  }
}

async function compareSize(bench: Bench, subject: Subject, whole: Answer, maxResults: number): Promise<void> {
  const what = `${subject.label}, with max_results ${maxResults}`;
  const answer = await bench.ask({ ...subject.question, maxResults });
  const at = answer.messages.findIndex(({ tuples }) => tuples.length > maxResults);
  if (at >= 0)
    throw new ContractFailure(`${what}: message ${at} has ${answer.messages[at]!.tuples.length} tuples`);
  expectSame(what, whole, answer);
}
