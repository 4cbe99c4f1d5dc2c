import { describe, expect, test } from "vitest";
import { changedBlocksTests } from "../../../src/suite/changed-blocks/suite.ts";
import { fuzzFailure, galleryMistake, type Mistake, resultsOf } from "../../support/changed-blocks.ts";
import * as mistakes from "../../support/diff-mistakes.ts";

interface Row {
  readonly mistake: () => Mistake;
  /** Tests that fail by it, each alone. */
  readonly kills: readonly string[];
  /** What at least one of them says. */
  readonly says: RegExp;
}

const wrapped = (service: NonNullable<Mistake["service"]>) => (): Mistake => ({ service });
const gallery = (id: string) => (): Mistake => galleryMistake(id);

/** Which mistake makes which test fail. */
const rows: Readonly<Record<string, Row>> = {
  "tells all of the volume": {
    mistake: wrapped(mistakes.tellsAllOfTheVolume),
    kills: ["no_change_diff", "snapshot_lifecycle"],
    says: /over-report/,
  },
  "ignores the base": {
    mistake: wrapped(mistakes.ignoresBase),
    kills: [
      "no_change_diff",
      "incremental_new_region",
      "partial_overwrite",
      "write_after_snapshot_isolation",
    ],
    says: /over-report/,
  },
  "ends one range too early (M53)": {
    mistake: gallery("M53"),
    kills: ["full_scan_accuracy", "sync_integrity", "large_sequential", "pagination_stress"],
    says: /omission/,
  },
  "counts what was touched before the base as clean (M52)": {
    mistake: gallery("M52"),
    kills: ["overwrite_same_region", "partial_overwrite", "delete_then_rewrite"],
    says: /omission/,
  },
  "leaves out what became zeros (M54)": {
    mistake: gallery("M54"),
    kills: ["delete_then_rewrite"],
    says: /omission/,
  },
  "ignores a deallocation (M30)": {
    mistake: gallery("M30"),
    kills: ["delete_then_rewrite"],
    says: /omission/,
  },
  "loses a write (M16)": {
    mistake: gallery("M16"),
    kills: ["full_scan_accuracy", "scattered_writes", "sync_integrity", "idempotent_sync"],
    says: /omission/,
  },
  "tells whole objects": {
    mistake: wrapped(mistakes.roundsToObjects),
    kills: ["scattered_writes", "boundary_alignment", "partial_overwrite"],
    says: /over-report/,
  },
  "tells whole chunks": {
    mistake: wrapped(mistakes.roundsToChunks),
    kills: ["boundary_alignment"],
    says: /over-report/,
  },
  "tells one chunk more than was written": {
    mistake: wrapped(mistakes.tellsOneChunkMore),
    kills: ["rapid_snapshot_chain", "long_chain_walk", "write_after_snapshot_isolation"],
    says: /over-report/,
  },
  "drops a range in three": {
    mistake: wrapped(mistakes.dropsEveryThirdRange),
    kills: ["large_sequential", "incremental_sync_integrity", "non_adjacent_diff"],
    says: /omission/,
  },
  "answers the same question otherwise (H07)": {
    mistake: gallery("H07"),
    kills: ["idempotent_sync", "pagination_stress"],
    says: /omission|nondeterministic/,
  },
  "reverses the bits of each byte": {
    mistake: wrapped(mistakes.reversesBitsOfBytes),
    kills: ["boundary_alignment"],
    says: /omission/,
  },
  "lists deleted snapshots": {
    mistake: wrapped(mistakes.listsDeletedSnapshots),
    kills: ["snapshot_lifecycle"],
    says: /still in the listing/,
  },
  "says that nothing has changed since a deleted base (H06)": {
    mistake: gallery("H06"),
    kills: ["deleted_base_snapshot"],
    says: /deleted-base-answered/,
  },
  "takes the first page for all of it": {
    mistake: wrapped(mistakes.takesFirstPageForAll),
    kills: ["pagination_stress", "large_sequential"],
    says: /omission/,
  },
  "compares with the snapshot before, whatever the base": {
    mistake: wrapped(mistakes.comparesWithPreviousOnly),
    kills: ["non_adjacent_diff"],
    says: /omission/,
  },
  "compares with the volume as it is": {
    mistake: wrapped(mistakes.comparesWithLiveVolume),
    kills: ["write_after_snapshot_isolation", "rapid_snapshot_chain"],
    says: /over-report/,
  },
  "writes copies short": {
    mistake: wrapped(mistakes.truncatesCopy),
    kills: ["sync_integrity", "full_scan_accuracy", "non_adjacent_diff"],
    says: /the target: block \d+ should hold/,
  },
  "writes copies to the next block": {
    mistake: wrapped(mistakes.seeksWrong),
    kills: ["sync_integrity", "boundary_alignment"],
    says: /misdirected|zeroed/,
  },
  "destroys what lies beside a copy": {
    mistake: wrapped(mistakes.clobbersWhatIsBeside),
    kills: ["incremental_sync_integrity", "partial_overwrite", "rapid_snapshot_chain", "long_chain_walk"],
    says: /holds zeros/,
  },
  "is slow": {
    mistake: wrapped(mistakes.copiesSlowly),
    kills: ["sync_throughput_baseline"],
    says: /expected at least 10/,
  },
};

/** Mistakes that products and their clients have made, and what finds them: a test by its name, or a drawn case. */
const seen: Readonly<Record<string, { readonly mistake: () => Mistake; readonly by: string }>> = {
  "a diff of whole objects that lists the entire image (Ceph tracker 50787)": {
    mistake: wrapped(mistakes.tellsAllOfTheVolume),
    by: "no_change_diff",
  },
  "wrong offsets after a start inside an object (Ceph tracker 53784, host-path driver)": {
    mistake: wrapped(mistakes.shiftsUnalignedStart),
    by: "pagination_stress",
  },
  "an object that is dirty in two intervals (Ceph tracker 11557)": {
    mistake: gallery("M52"),
    by: "overwrite_same_region",
  },
  "missing blocks in a differential backup (benji 136, backy2 86)": {
    mistake: wrapped(mistakes.dropsEveryThirdRange),
    by: "large_sequential",
  },
  "the last range that is missing": { mistake: wrapped(mistakes.dropsLastRange), by: "full_scan_accuracy" },
  "one call that is taken for the whole answer (Bareos 2152, yavijava 10)": {
    mistake: wrapped(mistakes.takesFirstPageForAll),
    by: "pagination_stress",
  },
  "a cancelled stream that ends cleanly (host-path driver)": {
    mistake: wrapped(mistakes.endsCutStreamCleanly),
    by: "scattered_writes",
  },
  "a header that shifts everything (ceph-csi with LUKS)": {
    mistake: wrapped(mistakes.shiftsByHeader),
    by: "incremental_new_region",
  },
  "discards that are ignored (LVM recipes without left_only)": {
    mistake: gallery("M54"),
    by: "delete_then_rewrite",
  },
  "a broken tracker that says that nothing has changed (XO 8313)": {
    mistake: wrapped(mistakes.tellsNothingWithoutTracker),
    by: "incremental_new_region",
  },
  "a part of a bitmap after a time-out (Nimble)": {
    mistake: wrapped(mistakes.takesTimeoutForUnchanged),
    by: "large_sequential",
  },
  "the first block of a chunk in place of all (Longhorn v2)": {
    mistake: wrapped(mistakes.tellsFirstBlockOfChunk),
    by: "full_scan_accuracy",
  },
  "a zero that JSON leaves out": { mistake: wrapped(mistakes.losesChunkZero), by: "full_scan_accuracy" },
  "places that lose their last digits": {
    mistake: wrapped(mistakes.roundsLargeNumbers),
    by: "large_sequential",
  },
  "a last block that does not belong": {
    mistake: wrapped(mistakes.losesLastBlockOfRange),
    by: "full_scan_accuracy",
  },
  "bitmaps in the other byte order": {
    mistake: wrapped(mistakes.swapsBytesOfBitmap),
    by: "boundary_alignment",
  },
  "bitmaps in the other bit order": {
    mistake: wrapped(mistakes.reversesBitsOfBytes),
    by: "boundary_alignment",
  },
  "a deleted base that counts as empty": {
    mistake: wrapped(mistakes.takesDeletedBaseForEmpty),
    by: "deleted_base_snapshot",
  },
};

/** Cases within which a mistake of the second table is found. */
const casesMax = 12;

describe("the changed-blocks suite", () => {
  describe.for(Object.entries(rows))("with a service that %s", ([, { mistake, kills, says }]) => {
    test(`fails in ${kills.join(", ")}`, async () => {
      const messages: string[] = [];
      for (const name of kills) {
        const result = (await resultsOf([name], mistake())).get(name);
        expect([name, result?.kind]).toEqual([name, "fail"]);
        if (result?.kind === "fail") messages.push(result.message);
      }
      expect(messages.join("\n")).toMatch(says);
    });
  });

  test("has no test that no mistake makes fail", () => {
    const killed = new Set(Object.values(rows).flatMap(({ kills }) => kills));
    expect(changedBlocksTests.map(({ name }) => name).filter((name) => !killed.has(name))).toEqual([]);
  });

  test.for(Object.entries(seen))("finds %s", async ([, { mistake, by }]) => {
    expect((await resultsOf([by], mistake())).get(by)?.kind).toBe("fail");
  });

  test.for(Object.entries(seen))("finds by a drawn case %s", async ([, { mistake }]) => {
    expect(await fuzzFailure(casesMax, mistake())).toMatchObject({ kind: "fail" });
  });
});
