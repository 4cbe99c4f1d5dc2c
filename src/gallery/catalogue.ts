/**
 * The catalogue: every fault class that a block-volume checker must catch, with its incident and who must notice it.
 *
 * M01 to M62 are published classes; H01 and on are those that harrow's diagnosis has a name for beside them.
 * Incidents are as published by those who had them; commits and issues are of the project named. A class that is to
 * be added is a row here and a file in `classes/`.
 *
 * @packageDocumentation
 */
import { swappedBlocks } from "./classes/h01-swapped-blocks.ts";
import { fromTheFuture } from "./classes/h02-from-the-future.ts";
import { extraData } from "./classes/h03-extra-data.ts";
import { falseCompare } from "./classes/h04-false-compare.ts";
import { lostSnapshot } from "./classes/h05-lost-snapshot.ts";
import { deletedBaseAnswered } from "./classes/h06-deleted-base-answered.ts";
import { diffNondeterministic } from "./classes/h07-diff-nondeterministic.ts";
import { refusedWriteStored } from "./classes/h08-refused-write-stored.ts";
import { wentBack } from "./classes/h09-went-back.ts";
import { bitFlipRest } from "./classes/m01-bit-flip-rest.ts";
import { bitFlipWritePath } from "./classes/m02-bit-flip-write-path.ts";
import { bitFlipReadPath } from "./classes/m03-bit-flip-read-path.ts";
import { zeroedBlock } from "./classes/m04-zeroed-block.ts";
import { cacheLineMix } from "./classes/m05-cache-line-mix.ts";
import { shornSector } from "./classes/m06-shorn-sector.ts";
import { tornMultiblock } from "./classes/m07-torn-multiblock.ts";
import { nonAtomicVisible } from "./classes/m08-non-atomic-visible.ts";
import { misdirectedWrite } from "./classes/m09-misdirected-write.ts";
import { addressTruncation } from "./classes/m10-address-truncation.ts";
import { misdirectedRead } from "./classes/m11-misdirected-read.ts";
import { splitBoundary } from "./classes/m12-split-boundary.ts";
import { crossVolumeLeak } from "./classes/m13-cross-volume-leak.ts";
import { payloadInterleave } from "./classes/m14-payload-interleave.ts";
import { bufferReuse } from "./classes/m15-buffer-reuse.ts";
import { lostWrite } from "./classes/m16-lost-write.ts";
import { lostThenMasked } from "./classes/m17-lost-then-masked.ts";
import { lostNMultiple } from "./classes/m18-lost-n-multiple.ts";
import { writeVersusUnmapRace } from "./classes/m19-write-vs-unmap-race.ts";
import { staleCacheRead } from "./classes/m20-stale-cache-read.ts";
import { staleReplica } from "./classes/m21-stale-replica.ts";
import { ghostLateWrite } from "./classes/m22-ghost-late-write.ts";
import { replayedWrite } from "./classes/m23-replayed-write.ts";
import { flushLie } from "./classes/m24-flush-lie.ts";
import { fuaIgnored } from "./classes/m25-fua-ignored.ts";
import { reorderAcrossFlush } from "./classes/m26-reorder-across-flush.ts";
import { unserialisable } from "./classes/m27-unserialisable.ts";
import { writeHole } from "./classes/m28-write-hole.ts";
import { discardWrongRange } from "./classes/m29-discard-wrong-range.ts";
import { discardNoop } from "./classes/m30-discard-noop-or-stale.ts";
import { trimCloneExposesParent } from "./classes/m31-trim-clone-exposes-parent.ts";
import { discardCorruptsSnapshot } from "./classes/m32-discard-corrupts-snapshot.ts";
import { discardVersusReprovision } from "./classes/m33-discard-vs-reprovision.ts";
import { zeroRangeEdges } from "./classes/m34-zero-range-edges.ts";
import { dirtyReuse } from "./classes/m35-dirty-reuse.ts";
import { holeNotRecorded } from "./classes/m36-hole-not-recorded.ts";
import { allocRace } from "./classes/m37-alloc-race.ts";
import { doubleAllocation } from "./classes/m38-double-allocation.ts";
import { allocLostOnReload } from "./classes/m39-alloc-lost-on-reload.ts";
import { resizeEdge } from "./classes/m40-resize-edge.ts";
import { cowGranularity } from "./classes/m41-cow-granularity.ts";
import { snapLeakLate } from "./classes/m42-snap-leak-late.ts";
import { snapMissEarly } from "./classes/m43-snap-miss-early.ts";
import { snapTorn } from "./classes/m44-snap-torn.ts";
import { snapMutable } from "./classes/m46-snap-mutable.ts";
import { deleteCorruptsChain } from "./classes/m47-delete-corrupts-chain.ts";
import { restoreIncomplete } from "./classes/m48-restore-incomplete.ts";
import { replicaSnapDivergence } from "./classes/m49-replica-snap-divergence.ts";
import { diffOmitUnderIo } from "./classes/m50-diff-omit-under-io.ts";
import { diffOmitAfterGrowth } from "./classes/m51-diff-omit-after-growth.ts";
import { diffOmitDirtyDirty } from "./classes/m52-diff-omit-dirty-dirty.ts";
import { diffOmitTail } from "./classes/m53-diff-omit-tail.ts";
import { diffOmitTrim } from "./classes/m54-diff-omit-trim.ts";
import { diffWrongOffset } from "./classes/m55-diff-wrong-offset.ts";
import { diffOverReport } from "./classes/m56-diff-over-report.ts";
import { diffIgnoresParent } from "./classes/m57-diff-ignores-parent.ts";
import { diffContract } from "./classes/m58-diff-contract.ts";
import { diffAlgebra } from "./classes/m59-diff-algebra.ts";
import { errorSwallowed } from "./classes/m60-error-swallowed.ts";
import { shortCountedFull } from "./classes/m61-short-counted-full.ts";
import { lostCompletion } from "./classes/m62-lost-completion.ts";
import type { GalleryClass } from "./mutant.ts";

export const catalogue: readonly GalleryClass[] = [
  // Payload
  {
    id: "M01",
    title: "bit-flip-rest",
    fault: "a bit of a stored block changes",
    incident: "Krioukov et al., FAST '08; 3 of 15 SSDs in Zheng et al., FAST '13",
    checker: "quiescent",
    names: ["bit-flip"],
    rereads: "same",
    mutant: bitFlipRest,
  },
  {
    id: "M02",
    title: "bit-flip-write-path",
    fault: "data is damaged on its way to the medium, after the host has summed it",
    incident: "Zheng et al., FAST '13; what SPDK's error bdev imitates",
    checker: "quiescent",
    names: ["bit-flip"],
    rereads: "same",
    mutant: bitFlipWritePath,
  },
  {
    id: "M03",
    title: "bit-flip-read-path",
    fault: "a read returns damaged data, the next one does not",
    incident: "digest errors in SPDK's CI, spdk #3886",
    checker: "quiescent",
    names: ["bit-flip"],
    rereads: "healed",
    mutant: bitFlipReadPath,
  },
  {
    id: "M04",
    title: "zeroed-block",
    fault: "a good block turns to zeros",
    incident: "512-byte runs of zeros at Algolia, 2015",
    checker: "quiescent",
    names: ["zeroed"],
    mutant: zeroedBlock,
  },
  {
    id: "M05",
    title: "cache-line-mix",
    fault: "64-byte pieces of another block lie inside a block",
    incident: "raspberrypi/linux #7496, 2026",
    checker: "quiescent",
    names: ["mixed"],
    mutant: cacheLineMix,
  },
  {
    id: "M06",
    title: "shorn-sector",
    fault: "a power loss leaves the first part of a block new and the rest old",
    incident: "shorn writes on 3 SSDs, Zheng et al., FAST '13",
    checker: "durability",
    names: ["torn"],
    mutant: shornSector,
  },
  {
    id: "M07",
    title: "torn-multiblock",
    fault: "the first blocks of a write are stored, the others are not",
    incident: "blk-mq of Linux 4.19, ffe81d45322c",
    checker: "quiescent",
    names: ["torn"],
    mutant: tornMultiblock,
  },
  {
    id: "M08",
    title: "non-atomic-visible",
    fault: "a read beside a write sees half of a block old and half of it new",
    incident: "no public report; why fsx and fio check atomic writes",
    checker: "exhaustive",
    names: ["torn"],
    mutant: nonAtomicVisible,
  },
  // Placement
  {
    id: "M09",
    title: "misdirected-write",
    fault: "the data of one block lands on another",
    incident: "Krioukov et al., FAST '08",
    checker: "quiescent",
    names: ["misdirected", "lost-write"],
    mutant: misdirectedWrite,
  },
  {
    id: "M10",
    title: "address-truncation",
    fault: "the upper bits of an address are lost beyond 2^32 blocks",
    incident: "SPDK unmap beyond 2 TB, 16d862d038",
    checker: "quiescent",
    names: ["resurrected"],
    mutant: addressTruncation,
  },
  {
    id: "M11",
    title: "misdirected-read",
    fault: "a read returns another block, the next one does not",
    incident: "Krioukov et al., FAST '08",
    checker: "quiescent",
    names: ["misdirected"],
    rereads: "healed",
    mutant: misdirectedRead,
  },
  {
    id: "M12",
    title: "split-boundary",
    fault: "a request over a boundary goes wrong in its second half",
    incident: "FreeBSD nvme at 128 KiB, r290198",
    checker: "quiescent",
    names: ["misdirected"],
    mutant: splitBoundary,
  },
  {
    id: "M13",
    title: "cross-volume-leak",
    fault: "the data of one volume appears on another",
    incident: "two devices over NVMe/TCP, nvme-cli #844",
    checker: "quiescent",
    names: ["misdirected"],
    mutant: crossVolumeLeak,
  },
  {
    id: "M14",
    title: "payload-interleave",
    fault: "the data of two commands is mixed on the wire",
    incident: "SPDK nvme/tcp, 449dee3563",
    checker: "quiescent",
    names: ["mixed"],
    mutant: payloadInterleave,
  },
  {
    id: "M15",
    title: "buffer-reuse",
    fault: "a buffer is used again before its data has been sent",
    incident: "zero-copy sends in SPDK, a1f20e789f; nvme-tcp, 825619b09ad3",
    checker: "quiescent",
    names: ["misdirected"],
    mutant: bufferReuse,
  },
  // Lost, stale, out of order
  {
    id: "M16",
    title: "lost-write",
    fault: "a write is acknowledged and never stored",
    incident: "Krioukov et al., FAST '08",
    checker: "quiescent",
    names: ["lost-write"],
    rereads: "same",
    mutant: lostWrite,
  },
  {
    id: "M17",
    title: "lost-then-masked",
    fault: "a write is lost, and a later one hides that",
    incident: "a fio user in fio #50",
    checker: "pre-read",
    names: ["lost-write"],
    mutant: lostThenMasked,
  },
  {
    id: "M18",
    title: "lost-n-multiple",
    fault: "exactly as many writes are lost as a small generation counter has values",
    incident: "the 126 keys of vdbench",
    checker: "quiescent",
    names: ["stale"],
    mutant: lostNMultiple,
  },
  {
    id: "M19",
    title: "write-vs-unmap-race",
    fault: "a write beside a deallocation of its neighbours is dropped",
    incident: "spdk #3688; Longhorn engine, 2b2b4aa3",
    checker: "quiescent",
    names: ["lost-write"],
    mutant: writeVersusUnmapRace,
  },
  {
    id: "M20",
    title: "stale-cache-read",
    fault: "a read returns an older version, the next one does not",
    incident: "what fsx flushes caches for before discards",
    checker: "exhaustive",
    names: ["stale"],
    rereads: "healed",
    mutant: staleCacheRead,
  },
  {
    id: "M21",
    title: "stale-replica",
    fault: "after a failover a copy serves that has missed writes",
    incident: "DRBD 2026; Mayastor, dcfae9d4",
    checker: "quiescent",
    names: ["stale", "lost-write"],
    mutant: staleReplica,
  },
  {
    id: "M22",
    title: "ghost-late-write",
    fault: "a write that timed out on the old path lands after newer ones",
    incident: "spdk #3593; nvme host, disconnect waits since a5e1fc8d6b",
    checker: "quiescent",
    names: ["ghost-write"],
    mutant: ghostLateWrite,
  },
  {
    id: "M23",
    title: "replayed-write",
    fault: "an old write is delivered a second time",
    incident: "no public report of its own",
    checker: "quiescent",
    names: ["stale"],
    mutant: replayedWrite,
  },
  {
    id: "M24",
    title: "flush-lie",
    fault: "a flush is acknowledged, and a power cut loses what was written before it",
    incident: "consumer SSDs in 2022; diskchecker.pl",
    checker: "durability",
    names: ["lost-write", "stale", "zeroed"],
    mutant: flushLie,
  },
  {
    id: "M25",
    title: "fua-ignored",
    fault: "a write with FUA is lost in a power cut",
    incident: "why the Linux NVMe driver minds FUA and flush together",
    checker: "durability",
    names: ["lost-write", "stale"],
    mutant: fuaIgnored,
  },
  {
    id: "M26",
    title: "reorder-across-flush",
    fault: "what was written after a flush survives a power cut, something before it does not",
    incident: "flush and write sent apart, Linux NVMe driver",
    checker: "durability",
    names: ["lost-write"],
    mutant: reorderAcrossFlush,
  },
  {
    id: "M27",
    title: "unserialisable",
    fault: "a power cut leaves what no order of the operations explains",
    incident: "8 of 15 SSDs, Zheng et al., FAST '13",
    checker: "durability",
    names: ["stale"],
    mutant: unserialisable,
  },
  {
    id: "M28",
    title: "write-hole",
    fault: "a crash amid a partial stripe damages another block of the stripe",
    incident: "parity pollution, Krioukov et al., FAST '08; SPDK raid5f, f84f0cc811",
    checker: "durability",
    names: ["garbage"],
    mutant: writeHole,
  },
  // Zeros, deallocation, thin volumes
  {
    id: "M29",
    title: "discard-wrong-range",
    fault: "a deallocation hits other blocks",
    incident: "md raid0 at Algolia, 2015",
    checker: "quiescent",
    names: ["resurrected", "zeroed", "lost-write"],
    mutant: discardWrongRange,
  },
  {
    id: "M30",
    title: "discard-noop-or-stale",
    fault: "deallocated blocks are promised to be zeros, and show old data",
    incident: "UNMAP promises nothing, Linux 7985090aa020",
    checker: "quiescent",
    names: ["resurrected"],
    mutant: discardNoop,
  },
  {
    id: "M31",
    title: "trim-clone-exposes-parent",
    fault: "a deallocation on a clone shows the block of its snapshot",
    incident: "SPDK, d3594f8437",
    checker: "clone",
    names: ["lost-write"],
    mutant: trimCloneExposesParent,
  },
  {
    id: "M32",
    title: "discard-corrupts-snapshot",
    fault: "a deallocation frees a block that a snapshot shares",
    incident: "dm-thin in Linux 3.9, f046f89a99cc",
    checker: "snapshot",
    names: ["mutated"],
    mutant: discardCorruptsSnapshot,
  },
  {
    id: "M33",
    title: "discard-vs-reprovision",
    fault: "a deallocation still under way hits a block that was just written",
    incident: "dm-thin, 2a0fbffb1e50",
    checker: "quiescent",
    names: ["lost-write"],
    mutant: discardVersusReprovision,
  },
  {
    id: "M34",
    title: "zero-range-edges",
    fault: "zeroing a range that is not aligned touches its neighbours",
    incident: "Longhorn, 09d7452b; the 512-byte discards of krbd's tests",
    checker: "quiescent",
    names: ["zeroed", "lost-write", "torn"],
    mutant: zeroRangeEdges,
  },
  {
    id: "M35",
    title: "dirty-reuse",
    fault: "blocks that were never written show what a deleted volume held",
    incident: "why SPDK's lvols have clear methods; cloud SSDs in 2013",
    checker: "quiescent",
    names: ["extra-data"],
    mutant: dirtyReuse,
  },
  {
    id: "M36",
    title: "hole-not-recorded",
    fault: "zeros made between two snapshots are missing from what a backup copies",
    incident: "OpenZFS #4996 and #15526",
    checker: "sync",
    names: ["early-miss"],
    mutant: holeNotRecorded,
  },
  // Allocation and metadata
  {
    id: "M37",
    title: "alloc-race",
    fault: "of two first writes to one chunk at the same time one is lost",
    incident: "SPDK blob, db3d1201a4",
    checker: "quiescent",
    names: ["lost-write"],
    mutant: allocRace,
  },
  {
    id: "M38",
    title: "double-allocation",
    fault: "two addresses own one piece of the medium",
    incident: "SPDK, cc27c1ab11 and 7137bde120",
    checker: "quiescent",
    names: ["misdirected"],
    mutant: doubleAllocation,
  },
  {
    id: "M39",
    title: "alloc-lost-on-reload",
    fault: "a mapping that was right in memory is wrong after a restart",
    incident: "SPDK, 0d1aa0252d, 7ba6746e8c and 453faf0158",
    checker: "durability",
    names: ["zeroed", "lost-write"],
    mutant: allocLostOnReload,
  },
  {
    id: "M40",
    title: "resize-edge",
    fault: "old data shows in what a volume has grown by",
    incident: "krbd, after shrinking and growing",
    checker: "quiescent",
    names: ["extra-data"],
    mutant: resizeEdge,
  },
  {
    id: "M41",
    title: "cow-granularity",
    fault: "copying a unit larger than the block brings back its stale rest",
    incident: "Longhorn #4354",
    checker: "quiescent",
    names: ["lost-write", "stale"],
    mutant: cowGranularity,
  },
  // Snapshots
  {
    id: "M42",
    title: "snap-leak-late",
    fault: "a snapshot shows a write that was submitted after it",
    incident: "mappings swapped under I/O, spdk #3113",
    checker: "snapshot",
    names: ["late-leak"],
    mutant: snapLeakLate,
  },
  {
    id: "M43",
    title: "snap-miss-early",
    fault: "a snapshot lacks a write that had completed before it",
    incident: "host caches in OpenEBS #873",
    checker: "snapshot",
    names: ["early-miss"],
    mutant: snapMissEarly,
  },
  {
    id: "M44",
    title: "snap-torn",
    fault: "a snapshot is no single instant",
    incident: "no public report",
    checker: "cut",
    names: ["torn-cut"],
    mutant: snapTorn,
  },
  {
    id: "M45",
    title: "group-skew",
    fault: "members of a group snapshot are of different instants",
    incident: "no public report",
    checker: "cut",
    names: ["torn-cut"],
    mutant: {
      level: "none",
      why: "no service that harrow drives takes group snapshots; the model judges them, in its own tests",
    },
  },
  {
    id: "M46",
    title: "snap-mutable",
    fault: "a snapshot changes when its volume is written to",
    incident: "Longhorn, 2c02476f; SPDK, 826aac635e",
    checker: "snapshot",
    names: ["mutated"],
    mutant: snapMutable,
  },
  {
    id: "M47",
    title: "delete-corrupts-chain",
    fault: "deleting a snapshot damages what stands on it",
    incident: "Longhorn, 2c02476f; SPDK, fa09c9ac9b",
    checker: "quiescent",
    names: ["lost-write", "stale"],
    mutant: deleteCorruptsChain,
  },
  {
    id: "M48",
    title: "restore-incomplete",
    fault: "a rollback leaves newer blocks behind",
    incident: "Longhorn #1298",
    checker: "quiescent",
    names: ["resurrected"],
    mutant: restoreIncomplete,
  },
  {
    id: "M49",
    title: "replica-snap-divergence",
    fault: "one snapshot differs from replica to replica",
    incident: "Longhorn #4513",
    checker: "snapshot",
    names: ["mutated"],
    mutant: replicaSnapDivergence,
  },
  // Diffs
  {
    id: "M50",
    title: "diff-omit-under-io",
    fault: "a block written while the snapshot was taken is missing from the diff",
    incident: "Ceph PR 52109; VMware CBT in ESXi 6.0",
    checker: "diff",
    names: ["omission"],
    mutant: diffOmitUnderIo,
  },
  {
    id: "M51",
    title: "diff-omit-after-growth",
    fault: "blocks beyond the old size are missing from the diff",
    incident: "VMware CBT at 128 GB",
    checker: "diff",
    names: ["omission"],
    mutant: diffOmitAfterGrowth,
  },
  {
    id: "M52",
    title: "diff-omit-dirty-dirty",
    fault: "a block written before both snapshots is reported unchanged",
    incident: "Ceph PR 4593",
    checker: "diff",
    names: ["omission"],
    mutant: diffOmitDirtyDirty,
  },
  {
    id: "M53",
    title: "diff-omit-tail",
    fault: "the last blocks are missing from the diff",
    incident: "thin_delta, 45422dbf",
    checker: "diff",
    names: ["omission"],
    mutant: diffOmitTail,
  },
  {
    id: "M54",
    title: "diff-omit-trim",
    fault: "deallocated blocks are missing from the diff",
    incident: "OpenZFS #4996",
    checker: "diff",
    names: ["omission"],
    mutant: diffOmitTrim,
  },
  {
    id: "M55",
    title: "diff-wrong-offset",
    fault: "ranges are reported at a wrong offset",
    incident: "Ceph PR 44483",
    checker: "diff",
    names: ["wrong-offset"],
    mutant: diffWrongOffset,
  },
  {
    id: "M56",
    title: "diff-over-report",
    fault: "blocks are reported that nobody touched",
    incident: "no public report; QEMU bitmaps say how coarse they are",
    checker: "diff",
    names: ["over-report"],
    mutant: diffOverReport,
  },
  {
    id: "M57",
    title: "diff-ignores-parent",
    fault: "a diff without base leaves out what was inherited",
    incident: "Ceph PR 32403",
    checker: "diff",
    names: ["omission"],
    mutant: diffIgnoresParent,
  },
  {
    id: "M58",
    title: "diff-contract",
    fault: "ranges are unsorted, overlap or come twice",
    incident: "unsorted extents, Ceph PR 45601",
    checker: "diff",
    names: ["contract"],
    mutant: diffContract,
  },
  {
    id: "M59",
    title: "diff-algebra",
    fault: "a diff over a long span reports blocks that no diff of its parts does",
    incident: "no public report",
    checker: "diff",
    names: ["algebra"],
    mutant: diffAlgebra,
  },
  // Protocol and reporting
  {
    id: "M60",
    title: "error-swallowed",
    fault: "the target failed a command, and the host saw success",
    incident: "truenas plugin #96, 2026",
    checker: "quiescent",
    names: ["lost-write"],
    mutant: errorSwallowed,
  },
  {
    id: "M61",
    title: "short-counted-full",
    fault: "a part of a transfer is reported as all of it",
    incident: "Linux 4.10 to 4.17 block layer",
    checker: "quiescent",
    names: ["torn"],
    mutant: shortCountedFull,
  },
  {
    id: "M62",
    title: "lost-completion",
    fault: "a command never completes",
    incident: "hangs over TCP, spdk #2743",
    checker: "liveness",
    names: ["no-completion"],
    mutant: lostCompletion,
  },
  // Beside the 62: what else the diagnosis has a name for
  {
    id: "H01",
    title: "swapped-blocks",
    fault: "two stored blocks have changed places",
    incident: "what a corruptor does to any target",
    checker: "quiescent",
    names: ["misdirected"],
    mutant: swappedBlocks,
  },
  {
    id: "H02",
    title: "from-the-future",
    fault: "a block holds what this run would write later",
    incident: "volumes used again with the same seed",
    checker: "quiescent",
    names: ["foreign"],
    mutant: fromTheFuture,
  },
  {
    id: "H03",
    title: "extra-data",
    fault: "data appears where nothing was ever written",
    incident: "what a corruptor does to any target",
    checker: "quiescent",
    names: ["extra-data"],
    mutant: extraData,
  },
  {
    id: "H04",
    title: "false-compare",
    fault: "a fused compare-and-write says the opposite of what it found",
    incident: "no public report",
    checker: "compare",
    names: ["wrong-compare"],
    mutant: falseCompare,
  },
  {
    id: "H05",
    title: "lost-snapshot",
    fault: "a snapshot that was acknowledged is gone after a crash",
    incident: "no public report",
    checker: "durability",
    names: ["lost-snapshot"],
    mutant: lostSnapshot,
  },
  {
    id: "H06",
    title: "deleted-base-answered",
    fault: "a diff against a deleted snapshot is answered, not refused",
    incident: "what Lightbits clusters refuse",
    checker: "diff",
    names: ["deleted-base-answered"],
    mutant: deletedBaseAnswered,
  },
  {
    id: "H07",
    title: "diff-nondeterministic",
    fault: "the same diff, asked twice, differs",
    incident: "no public report",
    checker: "diff",
    names: ["nondeterministic"],
    mutant: diffNondeterministic,
  },
  {
    id: "H08",
    title: "refused-write-stored",
    fault: "a write is refused, and stored all the same",
    incident: "no public report",
    checker: "quiescent",
    names: ["refused-write"],
    mutant: refusedWriteStored,
  },
  {
    id: "H09",
    title: "went-back",
    fault: "a read goes back behind what another one has shown",
    incident: "no public report",
    checker: "exhaustive",
    names: ["went-back"],
    mutant: wentBack,
  },
];

export const classesById: ReadonlyMap<string, GalleryClass> = new Map(
  catalogue.map((entry) => [entry.id, entry]),
);
