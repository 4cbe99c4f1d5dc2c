/**
 * What is reported, against what the suite wrote: nothing missing, nothing invented.
 *
 * @packageDocumentation
 */
import type { Answer } from "./answers.ts";
import type { Bench, Subject } from "./bench.ts";
import { joined, minus, rangesOf, rangesText, roundedOut } from "./byte-ranges.ts";
import { ContractFailure, type ContractTest } from "./contract-test.ts";
import type { GivenSnapshot } from "./driver.ts";
import type { KnownSnapshot } from "./image.ts";

export const contentTests: readonly ContractTest[] = [
  {
    name: "allocated_complete",
    group: "content",
    title: "everything that holds data is allocated",
    needs: ["hooks"],
    run: async (bench) => {
      for (const subject of await bench.allocatedSubjects()) await expectComplete(bench, subject);
    },
  },
  {
    name: "allocated_precise",
    group: "content",
    title: "nothing that was never touched is allocated",
    needs: ["hooks"],
    run: async (bench) => {
      for (const subject of await bench.allocatedSubjects()) await expectPrecise(bench, subject);
    },
  },
  {
    name: "delta_complete",
    group: "content",
    title: "everything that differs is reported: a backup by this answer loses nothing",
    needs: ["hooks"],
    run: async (bench) => {
      for (const subject of await bench.deltaSubjects()) await expectComplete(bench, subject);
    },
  },
  {
    name: "delta_precise",
    group: "content",
    title: "nothing is reported that was not touched, but for the rest of its unit",
    needs: ["hooks"],
    run: async (bench) => {
      for (const subject of await bench.deltaSubjects()) await expectPrecise(bench, subject);
    },
  },
  {
    name: "delta_edges",
    group: "content",
    title: "the first and the last block of the volume are reported when they change",
    needs: ["hooks"],
    run: async (bench) => {
      const { blockSizeBytes } = bench.hooks;
      for (const subject of await bench.deltaSubjects()) {
        const { must } = subject.expectation!;
        const size = subject.target!.sizeBytes;
        const edges = [
          { start: 0, end: blockSizeBytes, name: "first" },
          { start: size - blockSizeBytes, end: size, name: "last" },
        ];
        const reported = rangesOf((await bench.whole(subject)).tuples);
        for (const { name, ...edge } of edges)
          if (minus([edge], must).length === 0 && minus([edge], reported).length > 0)
            throw new ContractFailure(
              `${subject.label}: the ${name} block, at ${edge.start}, has changed and is not reported`,
            );
      }
    },
  },
  {
    name: "delta_zeroed",
    group: "content",
    title: "blocks that held data and became zeros are reported, however that came about",
    needs: ["hooks"],
    run: async (bench) => {
      const { first, second, zeroed } = await bench.scene();
      const { blockSizeBytes } = bench.hooks;
      const must = joined(
        zeroed.map(({ block, blockCount }) => ({
          start: block * blockSizeBytes,
          end: (block + blockCount) * blockSizeBytes,
        })),
      );
      const { tuples } = await bench.whole({ question: { baseId: first.id, targetId: second.id } });
      const missing = minus(must, rangesOf(tuples));
      if (missing.length > 0)
        throw new ContractFailure(
          `from 'first' to 'second': ${rangesText(missing)} became zeros and are not reported`,
        );
    },
  },
  {
    name: "unchanged",
    group: "content",
    title: "between two snapshots without a write in between nothing has changed",
    needs: ["hooks"],
    run: async (bench) => {
      const { second, same } = await bench.scene();
      const { tuples, messages } = await bench.whole({ question: { baseId: second.id, targetId: same.id } });
      if (messages.length === 0) bench.note("no message: type and capacity are not told");
      if (tuples.length > 0)
        throw new ContractFailure(
          `from 'second' to 'same': ${rangesText(rangesOf(tuples))}, though nothing was written`,
        );
    },
  },
  {
    name: "delta_within_allocated",
    group: "content",
    title: "what has changed is allocated in one of the two snapshots",
    needs: ["two snapshots"],
    run: async (bench) => {
      for (const { label, question } of await bench.deltaSubjects()) {
        const delta = await bench.whole({ question });
        const base = bench.driver.snapshots.find(({ baseId }) => baseId === question.baseId);
        const ids = [base?.targetId ?? question.baseId!, question.targetId];
        const allocated = await Promise.all(ids.map((targetId) => bench.whole({ question: { targetId } })));
        const unit = Math.max(...[delta, ...allocated].map((answer) => unitOf(bench, answer)));
        const strange = minus(
          rangesOf(delta.tuples),
          roundedOut(joined(allocated.flatMap(({ tuples }) => rangesOf(tuples))), unit),
        );
        if (strange.length === 0) continue;
        const what = `${label}: ${rangesText(strange)} are allocated in neither`;
        // Of volumes that others wrote to, blocks may have been written and given back in between.
        if (bench.driver.hooks !== undefined) throw new ContractFailure(what);
        bench.note(what);
      }
    },
  },
  {
    name: "delta_chain",
    group: "content",
    title: "what has changed over two intervals has changed in one of them",
    needs: ["two snapshots"],
    run: async (bench) => {
      const chain = await chainOf(bench);
      if (chain === undefined) return bench.note("two snapshots make no chain: name three");
      const [a, b, c] = chain;
      const between = (base: GivenSnapshot, target: GivenSnapshot) =>
        bench.whole({ question: { baseId: base.baseId, targetId: target.targetId } });
      const whole = await between(a, c);
      const parts = [await between(a, b), await between(b, c)];
      const unit = Math.max(...[whole, ...parts].map((answer) => unitOf(bench, answer)));
      const sum = joined(parts.flatMap(({ tuples }) => rangesOf(tuples)));
      const strange = minus(rangesOf(whole.tuples), roundedOut(sum, unit));
      if (strange.length > 0)
        throw new ContractFailure(
          `changed from ${a.targetId} to ${c.targetId}, but neither up to nor since ${b.targetId}: ${rangesText(strange)}`,
        );
    },
  },
];

async function expectComplete(bench: Bench, subject: Subject): Promise<void> {
  const missing = minus(subject.expectation!.must, rangesOf((await bench.whole(subject)).tuples));
  if (missing.length > 0)
    throw new ContractFailure(`${subject.label}: ${rangesText(missing)} are not reported`);
}

async function expectPrecise(bench: Bench, subject: Subject): Promise<void> {
  const answer = await bench.whole(subject);
  const { may, must } = subject.expectation!;
  const strange = minus(rangesOf(answer.tuples), roundedOut(may, unitOf(bench, answer)));
  if (strange.length > 0)
    throw new ContractFailure(`${subject.label}: ${rangesText(strange)} are reported and were not touched`);
  const [reported, changed] = [bytesOf(rangesOf(answer.tuples)), bytesOf(must)];
  if (changed > 0) bench.note(`${subject.label}: ${(reported / changed).toFixed(2)} times what differs`);
}

/** Bytes that are reported together. */
function unitOf({ driver }: Bench, { type, tuples }: Answer): number {
  const sizeBytes = type === "FIXED_LENGTH" ? tuples[0]?.sizeBytes : undefined;
  return sizeBytes ?? driver.granularityBytes ?? driver.hooks?.blockSizeBytes ?? 1;
}

function bytesOf(ranges: ReturnType<typeof joined>): number {
  return ranges.reduce((sum, { start, end }) => sum + end - start, 0);
}

async function chainOf(
  bench: Bench,
): Promise<readonly [GivenSnapshot, GivenSnapshot, GivenSnapshot] | undefined> {
  if (bench.driver.hooks !== undefined) {
    const { empty, first, third } = await bench.scene();
    const named = ({ id }: KnownSnapshot) => ({ targetId: id, baseId: id });
    return [named(empty), named(first), named(third)];
  }
  const [a, b, c] = bench.driver.snapshots;
  return a === undefined || b === undefined || c === undefined ? undefined : [a, b, c];
}
