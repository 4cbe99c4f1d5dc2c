/**
 * Questions that have no answer, or none but an empty one.
 *
 * @packageDocumentation
 */
import { randomUUID } from "node:crypto";
import type { GrpcCodeName } from "../../sut/lightbits/grpc-status.ts";
import type { Question, QuestionEnd } from "./answers.ts";
import { questionText } from "./answers.ts";
import type { Bench } from "./bench.ts";
import { minus, rangesOf, rangesText } from "./byte-ranges.ts";
import { ContractFailure, type ContractTest } from "./contract-test.ts";
import type { GivenSnapshot } from "./driver.ts";
import { SceneVolume } from "./scene.ts";

/** Codes that say "this question has no answer", rather than "something is broken". */
const soundRefusals: ReadonlySet<GrpcCodeName> = new Set([
  "InvalidArgument",
  "NotFound",
  "FailedPrecondition",
  "OutOfRange",
]);

export const refusalTests: readonly ContractTest[] = [
  {
    name: "unknown_snapshot",
    group: "refusals",
    title: "what is allocated in a snapshot that never was is refused as NOT_FOUND",
    needs: [],
    run: (bench) => expectCode(bench, { targetId: randomUUID() }, "NotFound"),
  },
  {
    name: "unknown_base",
    group: "refusals",
    title: "changes since a snapshot that never was are refused as NOT_FOUND",
    needs: ["snapshot"],
    run: async (bench) =>
      expectCode(bench, { baseId: randomUUID(), targetId: (await anySnapshot(bench)).targetId }, "NotFound"),
  },
  {
    name: "unknown_target",
    group: "refusals",
    title: "changes up to a snapshot that never was are refused as NOT_FOUND",
    needs: ["snapshot"],
    run: async (bench) =>
      expectCode(bench, { baseId: (await anySnapshot(bench)).baseId, targetId: randomUUID() }, "NotFound"),
  },
  {
    name: "missing_ids",
    group: "refusals",
    title: "a question without a snapshot id is refused as INVALID_ARGUMENT",
    needs: ["snapshot"],
    run: async (bench) => {
      const { baseId, targetId } = await anySnapshot(bench);
      await expectCode(bench, { targetId: "" }, "InvalidArgument");
      await expectCode(bench, { baseId: "", targetId }, "InvalidArgument");
      await expectCode(bench, { baseId, targetId: "" }, "InvalidArgument");
    },
  },
  {
    name: "same_snapshot",
    group: "refusals",
    title: "from a snapshot to itself nothing has changed, or the question is refused",
    needs: ["snapshot"],
    run: async (bench) => {
      const question = await anySnapshot(bench);
      const end = await bench.endOf(question);
      expectSoundRefusal(bench, question, end);
      if (end.kind === "refused") return;
      const reported = rangesOf(end.answer.tuples);
      if (reported.length > 0)
        throw new ContractFailure(`${questionText(question)} reports ${rangesText(reported)}`);
      bench.note("answered, with nothing");
    },
  },
  {
    name: "swapped_snapshots",
    group: "refusals",
    title: "changes from a newer to an older snapshot are refused, or are those of the other direction",
    needs: ["two snapshots"],
    run: async (bench) => {
      for (const subject of await bench.deltaSubjects()) {
        const { baseId, targetId } = subject.question;
        const forward = await bench.whole(subject);
        if (forward.tuples.length === 0) continue;
        const idOf = (id: string | undefined) =>
          bench.driver.snapshots.find((given) => given.baseId === id || given.targetId === id);
        const question = {
          baseId: idOf(targetId)?.baseId ?? targetId,
          targetId: idOf(baseId)?.targetId ?? baseId!,
        };
        const end = await bench.endOf(question);
        expectSoundRefusal(bench, question, end);
        if (end.kind === "refused") continue;
        // Blocks of a part that only one of the two has cannot be in both directions.
        const sizes = [forward.capacityBytes, end.answer.capacityBytes].filter((size) => size !== undefined);
        const must = (subject.expectation?.must ?? rangesOf(forward.tuples)).filter(
          (range) => range.end <= Math.min(...sizes),
        );
        const missing = minus(must, rangesOf(end.answer.tuples));
        if (missing.length > 0)
          throw new ContractFailure(
            `${questionText(question)} ends cleanly without ${rangesText(missing)}, which differ`,
          );
        bench.note("answered, with the changes of the other direction");
      }
    },
  },
  {
    name: "foreign_base",
    group: "refusals",
    title: "changes between snapshots of different volumes are refused",
    needs: ["hooks"],
    run: async (bench) => {
      const { foreign, first } = await bench.scene();
      for (const [base, target] of [
        [foreign, first],
        [first, foreign],
      ] as const) {
        const question = { baseId: base.id, targetId: target.id };
        const end = await bench.endOf(question);
        expectSoundRefusal(bench, question, end);
        if (end.kind === "answered")
          throw new ContractFailure(
            `${questionText(question)} ends cleanly after ${end.answer.tuples.length} tuples, though '${base.label}' and '${target.label}' are of two volumes`,
          );
      }
    },
  },
  {
    name: "deleted_base",
    group: "refusals",
    title: "changes since a deleted snapshot are refused, or are the right ones",
    needs: ["hooks", "deleting"],
    run: async (bench) => {
      const volume = await SceneVolume.create(bench.hooks, 1024);
      await volume.write(10, 5);
      const base = await volume.snapshot("base");
      for (const block of [0, 12, 700]) await volume.write(block);
      const target = await volume.snapshot("target");
      const question = { baseId: base.id, targetId: target.id };
      const { must, may } = volume.image.expectation(target, base);
      await bench.hooks.deleteSnapshot!(base.id);
      const end = await bench.endOf(question);
      expectSoundRefusal(bench, question, end);
      if (end.kind === "refused") return;
      const reported = rangesOf(end.answer.tuples);
      const missing = minus(must, reported);
      if (missing.length > 0)
        throw new ContractFailure(
          `the base was deleted, and ${questionText(question)} ends cleanly without ${rangesText(missing)}, which have changed`,
        );
      const extra = minus(reported, may);
      if (extra.length > 0)
        throw new ContractFailure(
          `the base was deleted, and ${questionText(question)} reports ${rangesText(extra)}, which have not changed`,
        );
      bench.note("the driver still knows what has changed since a deleted base");
    },
  },
  {
    name: "deleted_snapshot",
    group: "refusals",
    title: "a deleted snapshot is NOT_FOUND, as target and alone",
    needs: ["hooks", "deleting"],
    run: async (bench) => {
      const volume = await SceneVolume.create(bench.hooks, 1024);
      const base = await volume.snapshot("base");
      await volume.write(10, 5);
      const target = await volume.snapshot("target");
      await bench.hooks.deleteSnapshot!(target.id);
      await expectCode(bench, { targetId: target.id }, "NotFound");
      await expectCode(bench, { baseId: base.id, targetId: target.id }, "NotFound");
    },
  },
];

async function anySnapshot(bench: Bench): Promise<GivenSnapshot> {
  const [given] = bench.driver.snapshots;
  if (bench.driver.hooks === undefined && given !== undefined) return given;
  const { id } = (await bench.scene()).second;
  return { targetId: id, baseId: id };
}

async function expectCode(bench: Bench, question: Question, code: GrpcCodeName): Promise<void> {
  const end = await bench.endOf(question);
  if (end.kind === "refused" && end.code === code) return;
  const observed =
    end.kind === "refused" ? end.message : `a clean end after ${end.answer.tuples.length} tuples`;
  throw new ContractFailure(`${questionText(question)}: expected ${code}, got ${observed}`);
}

/** An answer is fine here, and so is a refusal; a breakdown is not. */
function expectSoundRefusal(bench: Bench, question: Question, end: QuestionEnd): void {
  if (end.kind !== "refused") return;
  if (!soundRefusals.has(end.code))
    throw new ContractFailure(`${questionText(question)} is no reason to fail: ${end.message}`);
  bench.note(`refused as ${end.code}`);
}
