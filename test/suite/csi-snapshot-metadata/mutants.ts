/**
 * Mistakes that drivers make, or could make, each with the tests of the contract that must notice it.
 *
 * Those with a source were made by real software; the others stand for one clause of the specification each.
 *
 * @packageDocumentation
 */
import { setTimeout as sleep } from "node:timers/promises";
import { StatusError } from "../../../src/sut/control-plane/status.ts";
import type { BlockTuple, MetadataMessage } from "../../../src/sut/csi/messages.ts";
import type { CsiStyle, MetadataQuestion } from "../../../src/sut/csi/server/answer.ts";
import type { CsiBug, CsiBugContext } from "../../../src/sut/csi/server/bug.ts";

export interface CsiMutant {
  /** Where it is known from. */
  readonly source?: string;
  /** `fixed` if absent. */
  readonly style?: CsiStyle;
  /** Names of tests of which each fails. */
  readonly noticedBy: readonly string[];
  /** Made anew for each run: some remember what they were asked. */
  readonly bug: () => CsiBug;
}

const block = 4096;

/** Changes the tuples of an answer, and leaves messages of the length that was asked for. */
function tuples(
  change: (
    all: readonly BlockTuple[],
    question: MetadataQuestion,
    context: CsiBugContext,
  ) => readonly BlockTuple[],
): () => CsiBug {
  return () => (question, context) => {
    const messages = [...context.proceed(question)];
    const changed = change(
      messages.flatMap((message) => message.tuples),
      question,
      context,
    );
    return inMessages(messages[0]!, changed, question.maxResults || 1024);
  };
}

/** Changes the tuples of answers about changes only. */
const deltaTuples: typeof tuples = (change) =>
  tuples((all, question, context) => (question.baseId === undefined ? all : change(all, question, context)));

function inMessages(
  head: MetadataMessage,
  all: readonly BlockTuple[],
  lengthMax: number,
): readonly MetadataMessage[] {
  const messages: MetadataMessage[] = [];
  for (let at = 0; at === 0 || at < all.length; at += lengthMax)
    messages.push({ ...head, tuples: all.slice(at, at + lengthMax) });
  return messages;
}

/** Answers another question. */
function asks(other: (question: MetadataQuestion, context: CsiBugContext) => MetadataQuestion): () => CsiBug {
  return () => (question, context) => context.proceed(other(question, context));
}

/** Answers where there should be a refusal. */
function insteadOf(
  code: string,
  answer: (question: MetadataQuestion, context: CsiBugContext) => Iterable<MetadataMessage>,
): () => CsiBug {
  return () => (question, context) => {
    try {
      return [...context.proceed(question)];
    } catch (error) {
      const isMeant =
        (error instanceof StatusError && error.code === code) || (error as { code?: string }).code === code;
      if (!isMeant) throw error;
      return answer(question, context);
    }
  };
}

const nothing: MetadataMessage = { type: "FIXED_LENGTH", capacityBytes: 8192 * block, tuples: [] };

/** Every message changed by itself. */
function messagesOf(change: (message: MetadataMessage, index: number) => MetadataMessage): () => CsiBug {
  return () => (question, context) => [...context.proceed(question)].map(change);
}

const allocatedInstead = (question: MetadataQuestion, { proceed }: CsiBugContext) =>
  proceed({ ...question, baseId: undefined });

/** Snapshots of the target's volume, the oldest first. */
function siblings({ targetId }: MetadataQuestion, { store }: CsiBugContext): readonly string[] {
  const volume = store.snapshot(targetId)?.sourceVolumeUuid;
  return store.snapshots
    .filter(({ sourceVolumeUuid }) => sourceVolumeUuid === volume)
    .map(({ uuid }) => uuid);
}

/** Moves the blocks of each chunk of 64 about. */
function inChunks(place: (index: number) => number): () => CsiBug {
  return deltaTuples((all) =>
    all
      .map(({ byteOffset, sizeBytes }) => {
        const at = byteOffset / block;
        return { byteOffset: (at - (at % 64) + place(at % 64)) * block, sizeBytes };
      })
      .sort((a, b) => a.byteOffset - b.byteOffset),
  );
}

export const csiMutants: Readonly<Record<string, CsiMutant>> = {
  "reports the whole volume": {
    source: "Ceph tracker 50787",
    noticedBy: ["delta_precise"],
    bug: deltaTuples((_, { targetId }, { store }) =>
      Array.from({ length: store.snapshot(targetId)!.sizeBytes / block }, (__, index) => ({
        byteOffset: index * block,
        sizeBytes: block,
      })),
    ),
  },
  "counts blocks from an offset that is not aligned": {
    source: "Ceph tracker 53784, csi-driver-host-path",
    noticedBy: ["resume_inside"],
    bug: tuples((all, { startingOffset }) => {
      const shift = Number(startingOffset % BigInt(block));
      return all.map(({ byteOffset, sizeBytes }) => ({ byteOffset: byteOffset + shift, sizeBytes }));
    }),
  },
  "loses blocks that changed in both of two intervals": {
    source: "Ceph tracker 11557",
    noticedBy: ["delta_complete", "delta_edges"],
    bug: deltaTuples((all, question, context) => {
      const ids = siblings(question, context);
      const [from, to] = [ids.indexOf(question.baseId!), ids.indexOf(question.targetId)];
      if (to < from + 2) return all;
      const part = (baseId: string, targetId: string) =>
        new Set(
          [...context.proceed({ ...question, startingOffset: 0n, baseId, targetId })].flatMap((message) =>
            message.tuples.map(({ byteOffset }) => byteOffset),
          ),
        );
      const [early, late] = [part(ids[from]!, ids[from + 1]!), part(ids[from + 1]!, ids[to]!)];
      return all.filter(({ byteOffset }) => !early.has(byteOffset) || !late.has(byteOffset));
    }),
  },
  "loses a tuple in the middle": {
    source: "benji issue 136, backy2 issue 86",
    noticedBy: ["delta_complete"],
    bug: deltaTuples((all) => all.filter((_, index) => index !== all.length >> 1)),
  },
  "loses the last tuple": {
    source: "benji issue 136, backy2 issue 86",
    noticedBy: ["delta_edges", "delta_complete"],
    bug: deltaTuples((all) => all.slice(0, -1)),
  },
  "takes the first page for the whole": {
    source: "Bareos pull request 2152, yavijava issue 10",
    noticedBy: ["delta_complete", "max_results_one"],
    bug: () => (question, context) => {
      const [first] = context.proceed({ ...question, maxResults: question.maxResults || 64 });
      return [first!];
    },
  },
  "ends cleanly when the caller's deadline comes": {
    source: "csi-driver-host-path, ceph-csi",
    noticedBy: ["deadline_is_no_end"],
    bug: () =>
      async function* (question, { proceed, deadlineMs }) {
        for (const message of proceed(question)) {
          yield message;
          if (Number.isFinite(deadlineMs) && question.maxResults === 1) {
            await sleep(Math.max(0, deadlineMs - Date.now() - 8));
            return;
          }
        }
      },
  },
  "adds the length of an encryption header": {
    source: "ceph-csi, encrypted images",
    noticedBy: ["delta_complete", "delta_precise"],
    bug: deltaTuples((all) =>
      all.map(({ byteOffset, sizeBytes }) => ({ byteOffset: byteOffset + 16 * 2 ** 20, sizeBytes })),
    ),
  },
  "takes the length of an encryption header off, below zero": {
    source: "ceph-csi, encrypted images",
    noticedBy: ["within_capacity", "delta_complete"],
    bug: deltaTuples((all) =>
      all.map(({ byteOffset, sizeBytes }) => ({ byteOffset: byteOffset - 16 * 2 ** 20, sizeBytes })),
    ),
  },
  "leaves out what was discarded": {
    source: "recipes for LVM that ignore left_only",
    noticedBy: ["delta_zeroed", "delta_complete"],
    bug: deltaTuples((all) =>
      all.filter(({ byteOffset }) => byteOffset < 4160 * block || byteOffset >= 4224 * block),
    ),
  },
  "has lost track, and answers with nothing": {
    source: "Xen Orchestra pull request 8313",
    noticedBy: ["delta_complete", "delta_edges"],
    bug: deltaTuples(() => []),
  },
  "ends half-way when time runs out": {
    source: "Nimble Storage, partial bitmap",
    noticedBy: ["delta_complete"],
    bug: deltaTuples((all) => all.slice(0, all.length >> 1)),
  },
  "reports only the first block of a unit": {
    source: "Longhorn v2 constructMappings",
    noticedBy: ["delta_complete"],
    bug: deltaTuples((all) => all.filter(({ byteOffset }) => (byteOffset / block) % 8 === 0)),
  },
  "leaves out what starts at zero": {
    source: "JSON without fields that are zero",
    noticedBy: ["delta_edges", "delta_complete"],
    bug: tuples((all) => all.filter(({ byteOffset }) => byteOffset !== 0)),
  },
  "reads the offset as a number with too few bits": {
    source: "int64 in a float",
    noticedBy: ["resume_inside"],
    bug: asks((question) => ({
      ...question,
      startingOffset: BigInt(Math.fround(Number(question.startingOffset))),
    })),
  },
  "has the bytes of its bitmap in the other order": {
    noticedBy: ["delta_complete"],
    bug: inChunks((index) => (7 - (index >> 3)) * 8 + (index & 7)),
  },
  "has the bits of its bitmap in the other order": {
    noticedBy: ["delta_complete"],
    bug: inChunks((index) => (index & ~7) + (7 - (index & 7))),
  },
  "takes the end of a range for its last block": {
    style: "variable",
    noticedBy: ["delta_precise", "within_capacity"],
    bug: tuples((all) =>
      all.map(({ byteOffset, sizeBytes }) => ({ byteOffset, sizeBytes: sizeBytes + block })),
    ),
  },
  "takes the last block of a range for its end": {
    style: "variable",
    noticedBy: ["delta_complete"],
    bug: tuples((all) =>
      all.map(({ byteOffset, sizeBytes }) => ({ byteOffset, sizeBytes: Math.max(block, sizeBytes - block) })),
    ),
  },
  "takes a deleted base for an empty one": {
    source: "a diff service under test",
    noticedBy: ["deleted_base", "unknown_base"],
    bug: insteadOf("NotFound", (question, context) =>
      context.store.snapshot(question.targetId) === undefined
        ? context.proceed(question)
        : allocatedInstead(question, context),
    ),
  },
  "answers with nothing since a deleted base": {
    noticedBy: ["deleted_base", "unknown_base", "unknown_target", "unknown_snapshot", "deleted_snapshot"],
    bug: insteadOf("NotFound", () => [nothing]),
  },
  "says UNKNOWN in its last message": {
    noticedBy: ["type_known"],
    bug:
      () =>
      (question, { proceed }) => {
        const messages = [...proceed(question)];
        return [...messages.slice(0, -1), { ...messages.at(-1)!, type: "UNKNOWN" }];
      },
  },
  "changes the type between messages": {
    noticedBy: ["type_constant"],
    bug: messagesOf((message, index) => (index === 0 ? message : { ...message, type: "VARIABLE_LENGTH" })),
  },
  "changes the capacity between messages": {
    noticedBy: ["capacity_constant"],
    bug: messagesOf((message, index) => ({
      ...message,
      capacityBytes: message.capacityBytes + index * block,
    })),
  },
  "ends with a tuple of no bytes": {
    noticedBy: ["sizes_positive"],
    bug: tuples((all) => [...all, { byteOffset: 8191 * block, sizeBytes: 0 }]),
  },
  "sorts by nothing": {
    noticedBy: ["ascending_order"],
    bug: tuples((all) => (all.length < 3 ? all : [all[1]!, all[0]!, ...all.slice(2)])),
  },
  "has ranges that reach into the next": {
    style: "variable",
    noticedBy: ["no_overlap"],
    bug: tuples((all) =>
      all.map(({ byteOffset, sizeBytes }, index) => {
        const next = all[index + 1];
        return {
          byteOffset,
          sizeBytes: next === undefined ? sizeBytes : next.byteOffset - byteOffset + block,
        };
      }),
    ),
  },
  "joins two blocks although it is FIXED_LENGTH": {
    noticedBy: ["fixed_sizes_equal"],
    bug: tuples((all) =>
      all.flatMap((tuple, index) => {
        const [before, next] = [all[index - 1], all[index + 1]];
        if (before?.byteOffset === 127 * block && tuple.byteOffset === 128 * block) return [];
        return next?.byteOffset === 128 * block && tuple.byteOffset === 127 * block
          ? [{ ...tuple, sizeBytes: 2 * block }]
          : [tuple];
      }),
    ),
  },
  "counts in bytes that are no sectors": {
    noticedBy: ["aligned"],
    bug: tuples((all) =>
      all.map(({ byteOffset, sizeBytes }) => ({ byteOffset: byteOffset + 100, sizeBytes })),
    ),
  },
  "rounds the end of the volume up": {
    style: "variable",
    noticedBy: ["within_capacity"],
    bug: tuples((all, { targetId }, { store }) =>
      all.map(({ byteOffset, sizeBytes }) => ({
        byteOffset,
        sizeBytes:
          byteOffset + sizeBytes === store.snapshot(targetId)!.sizeBytes ? sizeBytes + block : sizeBytes,
      })),
    ),
  },
  "sends one tuple more than max_results": {
    noticedBy: ["max_results_one", "max_results_any"],
    bug: asks((question) => ({
      ...question,
      maxResults: question.maxResults <= 0 ? question.maxResults : question.maxResults + 1,
    })),
  },
  "loses a tuple between full messages": {
    noticedBy: ["max_results_any"],
    bug:
      () =>
      (question, { proceed }) =>
        [...proceed(question)].map((message, index) =>
          question.maxResults > 1 && index > 0 ? { ...message, tuples: message.tuples.slice(1) } : message,
        ),
  },
  "never ends with a negative max_results": {
    source: "csi-driver-host-path",
    noticedBy: ["max_results_negative"],
    bug: () =>
      async function* (question, { proceed }) {
        if (question.maxResults < 0) await sleep(60_000, undefined, { ref: false });
        yield* proceed(question);
      },
  },
  "answers otherwise every other time": {
    noticedBy: ["repeatable"],
    bug: () => {
      let count = 0;
      return tuples((all) => (count++ % 2 === 0 ? all : all.slice(1)))();
    },
  },
  "skips a block when it goes on": {
    noticedBy: ["resume_boundaries"],
    bug: asks((question) => {
      const offset = question.startingOffset + BigInt(block);
      return question.startingOffset > 0n && offset <= 8192n * BigInt(block)
        ? { ...question, startingOffset: offset }
        : question;
    }),
  },
  "leaves out the tuple that starts at the offset": {
    noticedBy: ["resume_starts"],
    bug: tuples((all, { startingOffset }) =>
      startingOffset === 0n ? all : all.filter(({ byteOffset }) => byteOffset > Number(startingOffset)),
    ),
  },
  "repeats the tuple before the offset": {
    noticedBy: ["resume_boundaries"],
    bug: asks((question) =>
      question.startingOffset >= BigInt(block) && question.startingOffset <= 8192n * BigInt(block)
        ? { ...question, startingOffset: question.startingOffset - BigInt(block) }
        : question,
    ),
  },
  "finds nothing from an offset between two tuples": {
    noticedBy: ["resume_gaps"],
    bug: tuples((all, { startingOffset }) =>
      (all[0]?.byteOffset ?? 0) > Number(startingOffset) && startingOffset > 0n ? [] : all,
    ),
  },
  "loses a tuple if it goes on with a small max_results": {
    noticedBy: ["resume_in_small_messages"],
    bug: tuples((all, { startingOffset, maxResults }) =>
      startingOffset > 0n && maxResults === 1 ? all.slice(1) : all,
    ),
  },
  "rounds an offset in the last block up": {
    noticedBy: ["offset_last_byte"],
    bug: tuples((all, { startingOffset, targetId }, { store }) => {
      const { sizeBytes } = store.snapshot(targetId)!;
      return Number(startingOffset) > sizeBytes - block && Number(startingOffset) < sizeBytes ? [] : all;
    }),
  },
  "starts again from the beginning at the end": {
    noticedBy: ["offset_at_end"],
    bug: asks((question, { store }) =>
      Number(question.startingOffset) === store.snapshot(question.targetId)?.sizeBytes
        ? { ...question, startingOffset: 0n }
        : question,
    ),
  },
  "answers with nothing from beyond the end": {
    source: "csi-driver-host-path",
    noticedBy: ["offset_beyond_end"],
    bug: insteadOf("OutOfRange", (question, { proceed }) =>
      question.startingOffset > 0n ? [nothing] : proceed(question),
    ),
  },
  "takes a negative offset for zero": {
    noticedBy: ["offset_negative"],
    bug: asks((question) => (question.startingOffset < 0n ? { ...question, startingOffset: 0n } : question)),
  },
  "looks for a snapshot without an id": {
    noticedBy: ["missing_ids"],
    bug:
      () =>
      (question, { proceed }) => {
        if (question.targetId === "" || question.baseId === "")
          throw new StatusError("NotFound", "snapshot '' not found");
        return proceed(question);
      },
  },
  "fails inside for a snapshot it does not know": {
    noticedBy: ["unknown_snapshot", "unknown_base", "unknown_target"],
    bug: insteadOf("NotFound", () => {
      throw new StatusError("Internal", "nil pointer");
    }),
  },
  "reports everything from a snapshot to itself": {
    noticedBy: ["same_snapshot"],
    bug: () => (question, context) =>
      question.baseId === question.targetId ? allocatedInstead(question, context) : context.proceed(question),
  },
  "answers with nothing from newer to older": {
    noticedBy: ["swapped_snapshots"],
    bug: insteadOf("ERR_INVALID", () => [nothing]),
  },
  "answers for snapshots of two volumes": {
    noticedBy: ["foreign_base"],
    bug: insteadOf("ERR_NOT_ON_CHAIN", allocatedInstead),
  },
  "still answers for a deleted snapshot": {
    noticedBy: ["deleted_snapshot"],
    bug: insteadOf("NotFound", ({ targetId, baseId }, { store }) => {
      if (
        store.snapshot(targetId) === undefined &&
        (baseId === undefined || store.snapshot(baseId) !== undefined)
      )
        return [nothing];
      throw new StatusError("NotFound", "gone");
    }),
  },
  "tells of the last interval as all that is allocated": {
    noticedBy: ["allocated_complete"],
    bug: asks((question, context) => {
      const ids = siblings(question, context);
      const at = ids.indexOf(question.targetId);
      return question.baseId === undefined && at > 0 ? { ...question, baseId: ids[at - 1]! } : question;
    }),
  },
  "takes the whole volume for allocated": {
    noticedBy: ["allocated_precise"],
    bug: tuples((all, { baseId }) =>
      baseId === undefined
        ? Array.from({ length: 8192 }, (_, index) => ({ byteOffset: index * block, sizeBytes: block }))
        : all,
    ),
  },
  "always reports the first block": {
    noticedBy: ["unchanged"],
    bug: deltaTuples((all, { startingOffset }) =>
      startingOffset === 0n && all[0]?.byteOffset !== 0 ? [{ byteOffset: 0, sizeBytes: block }, ...all] : all,
    ),
  },
  "reports a block that nothing was written to": {
    noticedBy: ["delta_within_allocated", "delta_precise"],
    bug: deltaTuples((all) =>
      [...all, { byteOffset: 7000 * block, sizeBytes: block }].sort((a, b) => a.byteOffset - b.byteOffset),
    ),
  },
  "reports more over two intervals than in both": {
    noticedBy: ["delta_chain"],
    bug: deltaTuples((all, question, context) => {
      const ids = siblings(question, context);
      if (ids.indexOf(question.targetId) < ids.indexOf(question.baseId!) + 4) return all;
      return [...all, { byteOffset: 7000 * block, sizeBytes: block }].sort(
        (a, b) => a.byteOffset - b.byteOffset,
      );
    }),
  },
  "goes on where a reader left": {
    noticedBy: ["cancelled_reader"],
    bug: () => {
      let left = 0;
      return function* (question, { proceed }) {
        let at = 0;
        let isWhole = false;
        const from = left;
        left = 0;
        try {
          for (const message of proceed(question)) {
            if (at++ < from) continue;
            yield message;
          }
          isWhole = true;
        } finally {
          if (!isWhole) left = at;
        }
      };
    },
  },
  "shares one cursor between readers": {
    noticedBy: ["parallel_readers"],
    bug: () => {
      const cursors = new Map<string, Iterator<MetadataMessage>>();
      return async function* (question, { proceed }) {
        const key = `${question.baseId} ${question.targetId} ${question.startingOffset}`;
        const shared = cursors.get(key) ?? [...proceed(question)][Symbol.iterator]();
        cursors.set(key, shared);
        try {
          for (let next = shared.next(); !next.done; next = shared.next()) {
            yield next.value;
            await sleep(1);
          }
        } finally {
          cursors.delete(key);
        }
      };
    },
  },
  "shows what was written after the snapshot": {
    noticedBy: ["stable"],
    bug: asks((question, context) => {
      const newest = siblings(question, context).at(-1)!;
      return question.baseId === undefined ? question : { ...question, targetId: newest };
    }),
  },
  "loses what it knew when the volume grows": {
    noticedBy: ["grown_old_snapshots"],
    bug: deltaTuples((all, { targetId }, { store }) => {
      const target = store.snapshot(targetId)!;
      return store.volume(target.sourceVolumeUuid)!.sizeBytes > target.sizeBytes ? all.slice(1) : all;
    }),
  },
  "keeps to the size that the volume had first": {
    noticedBy: ["grown_capacity", "within_capacity"],
    bug: messagesOf((message) => ({ ...message, capacityBytes: 8192 * block })),
  },
};
