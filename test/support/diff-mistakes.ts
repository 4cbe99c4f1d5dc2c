/**
 * Mistakes of services and clients that take part in changed-block tracking, as wrappers around a service that is
 * right; named after what goes wrong.
 *
 * @packageDocumentation
 */
import { setTimeout as delay } from "node:timers/promises";
import type { BlockDevice, DiffPage, DiffRange, VolumeService } from "../../src/sut/port.ts";
import { replaced } from "../../src/sut/replaced.ts";

type Spoil = (service: VolumeService) => VolumeService;
type DiffRequest = Parameters<VolumeService["diff"]>[0];

const chunkBlocks = 64;

/** Every page told otherwise. */
function toldPages(alter: (page: DiffPage, request: DiffRequest) => DiffPage): Spoil {
  return (service) =>
    replaced(service, {
      async *diff(request, options) {
        for await (const page of service.diff(request, options)) yield alter(page, request);
      },
    });
}

function toldRanges(alter: (range: DiffRange, request: DiffRequest) => DiffRange | undefined): Spoil {
  return toldPages((page, request) => ({
    ...page,
    ranges: page.ranges.flatMap((range) => alter(range, request) ?? []),
  }));
}

function toldBitmaps(alter: (bitmap: Uint8Array) => Uint8Array): Spoil {
  return toldRanges(({ lbaStart, bitmap }) => ({ lbaStart, bitmap: alter(bitmap) }));
}

/** A whole answer at once, on one page. */
function toldAnswers(
  alter: (ranges: readonly DiffRange[], request: DiffRequest) => readonly DiffRange[],
): Spoil {
  return (service) =>
    replaced(service, {
      async *diff(request, options) {
        const ranges: DiffRange[] = [];
        for await (const page of service.diff(request, options)) ranges.push(...page.ranges);
        yield { offsetLba: request.offsetLba ?? 0, ranges: alter(ranges, request), nextOffsetLba: 0 };
      },
    });
}

function asking(alter: (request: DiffRequest) => DiffRequest): Spoil {
  return (service) =>
    replaced(service, { diff: (request, options) => service.diff(alter(request), options) });
}

function withoutBase({ baseSnapshotUuid: _, ...request }: DiffRequest): DiffRequest {
  return request;
}

/** Something else than the volume takes the writes, from the second volume on: that is the target. */
function onTarget(spoil: (device: BlockDevice) => BlockDevice): Spoil {
  return (service) => {
    let opened = 0;
    return replaced(service, {
      openVolume: async (uuid, options) => {
        const device = await service.openVolume(uuid, options);
        return ++opened % 2 === 0 ? spoil(device) : device;
      },
    });
  };
}

const whole = new Uint8Array(8).fill(0xff);

/** Diffs of whole objects list all of the volume, changed or not. */
export const tellsAllOfTheVolume: Spoil = toldAnswers((_, { offsetLba = 0 }) => {
  const first = offsetLba - (offsetLba % chunkBlocks);
  return Array.from({ length: 16 }, (_none, index) => ({
    lbaStart: first + index * chunkBlocks,
    bitmap: whole,
  }));
});

export const ignoresBase: Spoil = asking(withoutBase);

/** Whole ranges are told where single blocks were written. */
export const roundsToChunks: Spoil = toldBitmaps((bitmap) => bitmap.map(() => 0xff));

/** What is told reaches to the end of larger objects. */
export const roundsToObjects: Spoil = toldAnswers((ranges) =>
  [...new Set(ranges.map(({ lbaStart }) => lbaStart - (lbaStart % (4 * chunkBlocks))))].flatMap((first) =>
    [0, 1, 2, 3].map((index) => ({ lbaStart: first + index * chunkBlocks, bitmap: whole })),
  ),
);

/** One chunk more than was written, in every answer that is not empty. */
export const tellsOneChunkMore: Spoil = toldAnswers((ranges, { baseSnapshotUuid }) => {
  const last = ranges.at(-1);
  if (last === undefined || baseSnapshotUuid === undefined) return ranges;
  return [...ranges, { lbaStart: last.lbaStart + chunkBlocks, bitmap: whole }];
});

export const dropsEveryThirdRange: Spoil = toldAnswers((ranges) =>
  ranges.filter((_, index) => index % 3 !== 1),
);
export const dropsLastRange: Spoil = toldAnswers((ranges) => ranges.slice(0, -1));
/** A client wants `lbaStart`, which JSON leaves out if it is zero. */
export const losesChunkZero: Spoil = toldRanges((range) => (range.lbaStart === 0 ? undefined : range));
/** The last block of each range belongs to it, or does not. */
export const losesLastBlockOfRange: Spoil = toldBitmaps((bitmap) => {
  const shorter = new Uint8Array(bitmap);
  shorter[shorter.length - 1]! &= 0x7f;
  return shorter;
});
export const swapsBytesOfBitmap: Spoil = toldBitmaps((bitmap) => new Uint8Array(bitmap).reverse());
export const reversesBitsOfBytes: Spoil = toldBitmaps((bitmap) =>
  bitmap.map((byte) => {
    let reversed = 0;
    for (let bit = 0; bit < 8; bit++) reversed |= ((byte >> bit) & 1) << (7 - bit);
    return reversed;
  }),
);
/** Only the first block of a chunk is mapped. */
export const tellsFirstBlockOfChunk: Spoil = toldBitmaps((bitmap) => {
  const first = new Uint8Array(bitmap.length);
  const at = bitmap.findIndex((byte) => byte !== 0);
  if (at >= 0) first[at] = bitmap[at]! & -bitmap[at]!;
  return first;
});
/** A header before the data is counted in. */
export const shiftsByHeader: Spoil = toldRanges(({ lbaStart, bitmap }) => ({
  lbaStart: lbaStart + chunkBlocks,
  bitmap,
}));
/** Numbers have room for fewer digits than places need. */
export const roundsLargeNumbers: Spoil = toldRanges(({ lbaStart, bitmap }) => {
  const unit = 2 ** Math.max(0, Math.floor(Math.log2(lbaStart + 1)) - 5);
  return { lbaStart: lbaStart - (lbaStart % (unit * chunkBlocks)), bitmap };
});
/** Answers that do not begin at the start are about the wrong place. */
export const shiftsUnalignedStart: Spoil = (service) =>
  replaced(service, {
    async *diff(request, options) {
      const shift = (request.offsetLba ?? 0) % chunkBlocks;
      for await (const page of service.diff(request, options))
        yield shift === 0
          ? page
          : {
              ...page,
              ranges: page.ranges.map(({ lbaStart, bitmap }) => ({
                lbaStart: lbaStart + chunkBlocks,
                bitmap,
              })),
            };
    },
  });

/** One call is taken for all of the answer. */
export const takesFirstPageForAll: Spoil = (service) =>
  replaced(service, {
    async *diff(request, options) {
      for await (const page of service.diff(request, options)) {
        yield { ...page, nextOffsetLba: 0 };
        return;
      }
    },
  });

/** A stream that is cut ends as if it were complete: after so many ranges. */
export const endsCutStreamCleanly: Spoil = toldAnswers((ranges) => ranges.slice(0, 3));
/** After a time-out the rest counts as unchanged: the later half. */
export const takesTimeoutForUnchanged: Spoil = toldAnswers((ranges) =>
  ranges.slice(0, Math.ceil(ranges.length / 2)),
);
/** A tracker that can not be used says that nothing has changed, where it ought to say that all may have. */
export const tellsNothingWithoutTracker: Spoil = toldAnswers((ranges, { baseSnapshotUuid }) =>
  baseSnapshotUuid === undefined ? ranges : [],
);

/** A deleted base is as no base: all is told. */
export const takesDeletedBaseForEmpty: Spoil = (service) => {
  const deleted = new Set<string>();
  return replaced(service, {
    deleteSnapshot: async (uuid, options) => {
      await service.deleteSnapshot(uuid, options);
      deleted.add(uuid);
    },
    diff: (request, options) =>
      service.diff(deleted.has(request.baseSnapshotUuid ?? "") ? withoutBase(request) : request, options),
  });
};

/** A diff is always against the snapshot before, whatever base was named. */
export const comparesWithPreviousOnly: Spoil = (service) => {
  const order: string[] = [];
  return replaced(service, {
    createSnapshot: async (request, options) => {
      const snapshot = await service.createSnapshot(request, options);
      order.push(snapshot.uuid);
      return snapshot;
    },
    diff: (request, options) => {
      const previous = order[order.indexOf(request.snapshotUuid) - 1];
      const isNamed = request.baseSnapshotUuid !== undefined && previous !== undefined;
      return service.diff(isNamed ? { ...request, baseSnapshotUuid: previous } : request, options);
    },
  });
};

/** A diff of a snapshot shows the volume as it is when it is asked. */
export const comparesWithLiveVolume: Spoil = (service) =>
  replaced(service, {
    async *diff(request, options) {
      const { sourceVolumeUuid } = await service.getSnapshot(request.snapshotUuid);
      const name = `live-${Math.random().toString(16).slice(2)}`;
      const live = await service.createSnapshot({ name, volumeUuid: sourceVolumeUuid });
      try {
        yield* service.diff({ ...request, snapshotUuid: live.uuid }, options);
      } finally {
        await service.deleteSnapshot(live.uuid);
      }
    },
  });

/** Deleted snapshots stay in the list. */
export const listsDeletedSnapshots: Spoil = (service) => {
  const deleted: Awaited<ReturnType<VolumeService["getSnapshot"]>>[] = [];
  return replaced(service, {
    deleteSnapshot: async (uuid, options) => {
      const snapshot = await service.getSnapshot(uuid, options);
      await service.deleteSnapshot(uuid, options);
      deleted.push(snapshot);
    },
    listSnapshots: async (options) => [...(await service.listSnapshots(options)), ...deleted],
  });
};

/** The copy writes the end of each transfer short. */
export const truncatesCopy: Spoil = onTarget((device) =>
  replaced(device, {
    write: (request, options) => {
      const { blockSizeBytes } = device.capabilities;
      const blockCount = Math.max(1, request.blockCount - 1);
      const from = request.from.subarray(0, blockCount * blockSizeBytes);
      return device.write({ block: request.block, blockCount, from }, options);
    },
  }),
);

/** The copy seeks in units of another size: what is not at the start lands one block too late. */
export const seeksWrong: Spoil = onTarget((device) =>
  replaced(device, {
    write: (request, options) => device.write({ ...request, block: request.block + 1 }, options),
  }),
);

/** The copy writes whole larger blocks, and zeros what is before the first. */
export const clobbersWhatIsBeside: Spoil = onTarget((device) =>
  replaced(device, {
    write: async (request, options) => {
      if (request.block > 0) await device.writeZeroes({ block: request.block - 1, blockCount: 1 }, options);
      return device.write(request, options);
    },
  }),
);

/** Each transfer to the target takes long. */
export const copiesSlowly: Spoil = onTarget((device) =>
  replaced(device, {
    flush: async (options) => {
      await delay(4000);
      return device.flush(options);
    },
  }),
);
