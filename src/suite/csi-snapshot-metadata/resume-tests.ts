/**
 * An answer that broke off can be taken up again, at any byte.
 *
 * @packageDocumentation
 */
import type { Answer } from "./answers.ts";
import type { Bench, Subject } from "./bench.ts";
import { ContractFailure, type ContractTest } from "./contract-test.ts";
import { expectTail } from "./same-answer.ts";

export const resumeTests: readonly ContractTest[] = [
  {
    name: "resume_boundaries",
    group: "resume",
    title: "from the end of each tuple on, the rest of the answer comes, no more and no less",
    needs: ["snapshot"],
    run: (bench) =>
      resume(bench, ({ tuples }) => tuples.map(({ byteOffset, sizeBytes }) => byteOffset + sizeBytes)),
  },
  {
    name: "resume_starts",
    group: "resume",
    title: "from the start of each tuple on, that tuple and the rest come",
    needs: ["snapshot"],
    run: (bench) => resume(bench, ({ tuples }) => tuples.map(({ byteOffset }) => byteOffset)),
  },
  {
    name: "resume_inside",
    group: "resume",
    title: "from a byte inside a tuple on, aligned or not, the rest comes, and the tuple that holds the byte",
    needs: ["snapshot"],
    run: (bench) =>
      resume(bench, ({ tuples }) =>
        tuples.map(({ byteOffset, sizeBytes }, index) => {
          const distances = [1, 511, Math.floor(sizeBytes / 2), sizeBytes - 1];
          return byteOffset + distances[index % distances.length]!;
        }),
      ),
  },
  {
    name: "resume_gaps",
    group: "resume",
    title: "from a byte between two tuples on, the rest comes",
    needs: ["snapshot"],
    run: (bench) =>
      resume(bench, ({ tuples }) =>
        tuples.slice(1).flatMap(({ byteOffset }, index) => {
          const end = tuples[index]!.byteOffset + tuples[index]!.sizeBytes;
          return byteOffset > end ? [byteOffset - 1, Math.floor((end + byteOffset) / 2)] : [];
        }),
      ),
  },
  {
    name: "resume_in_small_messages",
    group: "resume",
    title:
      "max_results and starting_offset hold together: one tuple a call, taken up again after each, is the answer",
    needs: ["snapshot"],
    run: async (bench) => {
      const [subject] = await bench.subjects();
      const whole = await bench.whole(subject!);
      let offset = 0;
      for (let count = 0; count < Math.min(whole.tuples.length, bench.offsetsMax); count++) {
        const question = { ...subject!.question, startingOffset: offset, maxResults: 1 };
        const tail = await bench.ask(question);
        expectTail(`${subject!.label}, from byte ${offset} with max_results 1`, whole, offset, tail);
        const [first] = tail.tuples;
        if (first === undefined) break;
        offset = first.byteOffset + first.sizeBytes;
      }
    },
  },
  {
    name: "offset_last_byte",
    group: "resume",
    title: "from the last byte of the volume on, at most the last tuple comes",
    needs: ["snapshot"],
    run: async (bench) => {
      for (const subject of await bench.subjects()) {
        const { capacityBytes } = await bench.whole(subject);
        const end = subject.target?.sizeBytes ?? capacityBytes;
        if (end !== undefined) await resumeAt(bench, subject, end - 1);
      }
    },
  },
  {
    name: "offset_at_end",
    group: "resume",
    title: "from the end of the volume on, nothing comes, without an error",
    needs: ["snapshot"],
    run: async (bench) => {
      const [subject] = await bench.subjects();
      const startingOffset = await endOffset(bench, subject!);
      const end = await bench.endOf({ ...subject!.question, startingOffset });
      if (end.kind === "refused" && end.code === "OutOfRange")
        return bench.note(
          `refused as OUT_OF_RANGE, though offset ${startingOffset} does not exceed the size`,
        );
      if (end.kind === "refused") throw new ContractFailure(`at ${startingOffset}: ${end.message}`);
      const [tuple] = end.answer.tuples;
      if (tuple !== undefined)
        throw new ContractFailure(
          `${subject!.label}, from byte ${startingOffset}: ${tuple.sizeBytes} bytes at ${tuple.byteOffset}`,
        );
    },
  },
  {
    name: "offset_beyond_end",
    group: "resume",
    title: "an offset beyond the end of the volume is refused as OUT_OF_RANGE",
    needs: ["snapshot"],
    run: async (bench) => {
      for (const subject of await firstOfEachKind(bench)) {
        const end = await endOffset(bench, subject);
        await expectOutOfRange(bench, subject, [end + 1, end + 4096, end * 1024, 2n ** 62n, 2n ** 63n - 1n]);
      }
    },
  },
  {
    name: "offset_negative",
    group: "resume",
    title: "a negative offset is refused as OUT_OF_RANGE",
    needs: ["snapshot"],
    run: async (bench) => {
      for (const subject of await firstOfEachKind(bench))
        await expectOutOfRange(bench, subject, [-1, -4096, -(2n ** 63n)]);
    },
  },
];

async function resume(bench: Bench, offsetsIn: (whole: Answer) => readonly number[]): Promise<void> {
  let count = 0;
  for (const subject of await bench.subjects()) {
    const whole = await bench.whole(subject);
    const end = subject.target?.sizeBytes ?? whole.capacityBytes ?? 0;
    // The very end is for a test of its own.
    const offsets = [...new Set(offsetsIn(whole))].filter((offset) => offset >= 0 && offset < end);
    for (const offset of evenly(offsets, bench.offsetsMax)) {
      await resumeAt(bench, subject, offset);
      count++;
    }
    if (offsets.length > bench.offsetsMax)
      bench.note(`${subject.label}: ${bench.offsetsMax} of ${offsets.length} offsets tried`);
  }
  bench.note(`${count} offsets`);
}

async function resumeAt(bench: Bench, subject: Subject, offset: number): Promise<void> {
  const whole = await bench.whole(subject);
  const tail = await bench.ask({ ...subject.question, startingOffset: offset });
  expectTail(`${subject.label}, from byte ${offset}`, whole, offset, tail);
}

/** The first and the last, and some between. */
function evenly(offsets: readonly number[], countMax: number): readonly number[] {
  if (offsets.length <= countMax) return offsets;
  const step = (offsets.length - 1) / (countMax - 1);
  return Array.from({ length: countMax }, (_, index) => offsets[Math.round(index * step)]!);
}

/** A question about changes, if there is one, and one about what is allocated. */
async function firstOfEachKind(bench: Bench): Promise<readonly Subject[]> {
  const [[delta], [allocated]] = [await bench.deltaSubjects(), await bench.allocatedSubjects()];
  return [delta, allocated].filter((subject) => subject !== undefined);
}

/** Where a snapshot may end: a driver may tell of the volume as it is now. */
async function endOffset(bench: Bench, subject: Subject): Promise<number> {
  const { capacityBytes } = await bench.whole(subject);
  if (capacityBytes === undefined && subject.target === undefined)
    throw new ContractFailure(`${subject.label}: no message, and so no capacity`);
  return Math.max(capacityBytes ?? 0, subject.target?.sizeBytes ?? 0);
}

async function expectOutOfRange(
  bench: Bench,
  subject: Subject,
  offsets: readonly (number | bigint)[],
): Promise<void> {
  for (const startingOffset of offsets) {
    const end = await bench.endOf({ ...subject.question, startingOffset });
    if (end.kind === "refused" && end.code === "OutOfRange") continue;
    const observed =
      end.kind === "refused" ? end.message : `a clean end after ${end.answer.tuples.length} tuples`;
    throw new ContractFailure(
      `${subject.label}, from byte ${startingOffset}: expected OUT_OF_RANGE, got ${observed}`,
    );
  }
}
