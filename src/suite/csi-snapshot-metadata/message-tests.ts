/**
 * What holds for every message and every tuple, whatever was asked.
 *
 * @packageDocumentation
 */
import type { BlockTuple } from "../../sut/csi/messages.ts";
import type { Answer } from "./answers.ts";
import type { Bench } from "./bench.ts";
import { ContractFailure, type ContractTest } from "./contract-test.ts";

/** Smallest unit that a block device can be read in. */
const sectorBytes = 512;

export const messageTests: readonly ContractTest[] = [
  {
    name: "identity_announces_service",
    group: "messages",
    title: "the plugin lists SNAPSHOT_METADATA_SERVICE among its capabilities",
    needs: [],
    run: async (bench) => {
      const identity = await bench.client.identity({ signal: bench.signal });
      if (identity === undefined)
        return bench.note("no Identity service stands before the one of Kubernetes");
      bench.note(`${identity.name} ${identity.version}`);
      if (!identity.hasSnapshotMetadata)
        throw new ContractFailure(`${identity.name} does not list it, so that nobody will ask for its diffs`);
    },
  },
  everyAnswer("type_known", "block_metadata_type is FIXED_LENGTH or VARIABLE_LENGTH", ({ messages }) => {
    const at = messages.findIndex(({ type }) => type === "UNKNOWN");
    return at < 0 ? undefined : `message ${at} has block_metadata_type UNKNOWN`;
  }),
  everyAnswer(
    "type_constant",
    "block_metadata_type is the same in all messages of an answer",
    ({ messages, type }) => {
      const at = messages.findIndex((message) => message.type !== type);
      return at < 0 ? undefined : `message ${at} is ${messages[at]!.type}, after ${type} in message 0`;
    },
  ),
  everyAnswer(
    "capacity_constant",
    "volume_capacity_bytes is positive, and the same in all messages of an answer",
    ({ messages, capacityBytes }) => {
      if (capacityBytes !== undefined && capacityBytes <= 0)
        return `message 0 has volume_capacity_bytes ${capacityBytes}`;
      const at = messages.findIndex((message) => message.capacityBytes !== capacityBytes);
      return at < 0
        ? undefined
        : `message ${at} has volume_capacity_bytes ${messages[at]!.capacityBytes}, after ${capacityBytes} in message 0`;
    },
  ),
  everyAnswer("sizes_positive", "size_bytes is greater than zero", ({ tuples }) => {
    const at = tuples.findIndex(({ sizeBytes }) => sizeBytes <= 0);
    return at < 0 ? undefined : `${tupleText(tuples, at)} has no bytes`;
  }),
  everyAnswer(
    "ascending_order",
    "byte_offset increases from tuple to tuple, also across messages",
    ({ tuples }) => {
      const at = tuples.findIndex(
        ({ byteOffset }, index) => index > 0 && byteOffset <= tuples[index - 1]!.byteOffset,
      );
      return at < 0 ? undefined : `${tupleText(tuples, at)} follows ${tupleText(tuples, at - 1)}`;
    },
  ),
  everyAnswer("no_overlap", "no tuple reaches into another, also across messages", ({ tuples }) => {
    // Only what is in order can be said to reach into the next; the rest is for the test of the order.
    const at = tuples.findIndex(({ byteOffset }, index) => {
      const before = tuples[index - 1];
      return (
        before !== undefined &&
        byteOffset >= before.byteOffset &&
        byteOffset < before.byteOffset + before.sizeBytes
      );
    });
    return at < 0 ? undefined : `${tupleText(tuples, at - 1)} reaches into ${tupleText(tuples, at)}`;
  }),
  everyAnswer("fixed_sizes_equal", "with FIXED_LENGTH all tuples have one size", ({ type, tuples }) => {
    if (type !== "FIXED_LENGTH") return undefined;
    const at = tuples.findIndex(({ sizeBytes }) => sizeBytes !== tuples[0]!.sizeBytes);
    return at < 0 ? undefined : `${tupleText(tuples, at)}, after ${tupleText(tuples, 0)}`;
  }),
  everyAnswer(
    "aligned",
    "tuples lie on sectors of 512 bytes; with FIXED_LENGTH, on multiples of their size",
    ({ type, tuples }) => {
      const at = tuples.findIndex(({ byteOffset, sizeBytes }) => {
        const unit = type === "FIXED_LENGTH" ? sizeBytes : sectorBytes;
        return byteOffset % unit !== 0 || sizeBytes % sectorBytes !== 0;
      });
      return at < 0 ? undefined : `${tupleText(tuples, at)} is not aligned`;
    },
  ),
  everyAnswer(
    "within_capacity",
    "every tuple lies within the volume, from 0 to volume_capacity_bytes",
    ({ tuples, capacityBytes = 0 }) => {
      const at = tuples.findIndex(
        ({ byteOffset, sizeBytes }) => byteOffset < 0 || byteOffset + sizeBytes > capacityBytes,
      );
      return at < 0 ? undefined : `${tupleText(tuples, at)} is not within ${capacityBytes} bytes`;
    },
  ),
];

/** A test that looks at the whole answers to all questions, and at what is left of them from somewhere inside. */
function everyAnswer(
  name: string,
  title: string,
  problem: (answer: Answer) => string | undefined,
): ContractTest {
  return {
    name,
    group: "messages",
    title,
    needs: ["snapshot"],
    run: async (bench) => {
      let tupleCount = 0;
      for (const subject of await bench.subjects()) {
        const whole = await bench.whole(subject);
        expectNone(subject.label, problem(whole));
        tupleCount += whole.tuples.length;
        // The same in small messages: there the borders between messages lie elsewhere.
        if (whole.tuples.length < 2) continue;
        const small = await inSmallMessages(bench, subject.question);
        expectNone(`${subject.label}, with max_results 3`, problem(small));
      }
      bench.note(`${tupleCount} tuples`);
    },
  };
}

function inSmallMessages(bench: Bench, question: Parameters<Bench["ask"]>[0]): Promise<Answer> {
  return bench.whole({ question: { ...question, maxResults: 3 } });
}

function expectNone(label: string, problem: string | undefined): void {
  if (problem !== undefined) throw new ContractFailure(`${label}: ${problem}`);
}

function tupleText(tuples: readonly BlockTuple[], index: number): string {
  const { byteOffset, sizeBytes } = tuples[index]!;
  return `tuple ${index} (${sizeBytes} bytes at ${byteOffset})`;
}
