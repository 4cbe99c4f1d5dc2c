import { describe, expect, test } from "vitest";
import { contentFormat, inflateBlock } from "../../src/generators/content.ts";
import { rng } from "../../src/generators/pcg.ts";
import { valueStream } from "../../src/generators/streams.ts";
import type { WrongBlock } from "../../src/model/content-checker.ts";
import { Diagnosis } from "../../src/model/diagnosis.ts";
import { Reconciler } from "../../src/model/reconciler.ts";
import { Tracker } from "../../src/model/tracker.ts";
import { snapshotView, volumeView } from "../../src/model/view.ts";
import { describeViolation, type FaultClass, type Violation } from "../../src/model/violation.ts";
import { effectOf, operationAt, positionOf } from "../../src/selectors/operations.ts";
import { coldSnapshot, completeAll, smallShape, smallWorkload } from "../support/workloads.ts";

const ltsMax = 400;
/** When snapshot 3 is taken. */
const cut = 200;
const workload = smallWorkload(12n);
const { geometry } = workload;
const sectorCount = 8;

function model() {
  const tracker = new Tracker();
  completeAll(tracker, workload, cut);
  coldSnapshot(tracker, 3);
  completeAll(tracker, workload, ltsMax);
  const reconciler = new Reconciler(workload, tracker);
  return { tracker, reconciler, diagnosis: new Diagnosis(workload, tracker, reconciler) };
}

const { reconciler, tracker: sure } = model();
const versionsOf = (block: number, lts = ltsMax): number[] => {
  const extent = geometry.extent(geometry.pdOf(0, block));
  return [...reconciler.versions(extent, block - extent.firstBlock, volumeView(sure, 0, lts))];
};

/** The first block of the volume whose versions, newest first, start as asked. */
function blockWith(...shape: ("data" | "zeros")[]): { block: number; versions: number[] } {
  for (let block = 0; block < geometry.volumeBlocks[0]!; block++) {
    const versions = versionsOf(block);
    if (
      shape.every(
        (kind, index) =>
          versions[index] !== undefined && (kind === "data" ? versions[index]! > 0 : versions[index]! <= 0),
      )
    )
      return { block, versions };
  }
  throw new Error(`no block has the versions ${shape}`);
}

const contentOf = (block: number, position: number): Uint8Array =>
  position <= 0
    ? new Uint8Array(4096)
    : inflateBlock(workload.run.format, {
        vd: rng(workload.run.format.seed, BigInt(position), valueStream(0, block)),
        volume: 0,
        block,
        sectorCount,
      });

function explain(
  block: number,
  bytes: Uint8Array,
  options: {
    snapshot?: number;
    wrong?: Partial<WrongBlock>;
    provenBefore?: boolean;
    rereads?: "same" | "healed";
    model?: ReturnType<typeof model>;
  } = {},
): Violation {
  const extent = geometry.extent(geometry.pdOf(0, block));
  const { diagnosis, reconciler: own, tracker } = options.model ?? model();
  const { snapshot } = options;
  const view =
    snapshot === undefined
      ? volumeView(tracker, 0, ltsMax)
      : snapshotView(tracker, tracker.snapshot(0, snapshot)!);
  const states = new Float64Array(extent.blockCount);
  const open = own.stateOf(extent, view, states).find((one) => one.block === block - extent.firstBlock);
  const allowed = open?.candidates.map(({ state }) => state) ?? [states[block - extent.firstBlock]!];
  return diagnosis.explain({
    extent,
    wrong: { block: block - extent.firstBlock, allowed, ...options.wrong },
    view,
    rule: snapshot === undefined ? "quiescent" : "snapshot",
    ...(options.snapshot === undefined ? {} : { snapshot: options.snapshot }),
    provenBefore: options.provenBefore ?? false,
    bytes,
    rereads: options.rereads ?? "same",
  });
}

/** Each way in which a block of the volume can be wrong, and what it must be called. */
const faults: Record<string, () => [Violation, FaultClass]> = {
  "still holds the version before the newest": () => {
    const { block, versions } = blockWith("data", "data");
    return [explain(block, contentOf(block, versions[1]!)), "lost-write"];
  },
  "is still zeros though data was written": () => {
    const { block } = blockWith("data", "zeros");
    return [explain(block, new Uint8Array(4096)), "lost-write"];
  },
  "shows the version before, once": () => {
    const { block, versions } = blockWith("data", "data");
    return [explain(block, contentOf(block, versions[1]!), { rereads: "healed" }), "stale"];
  },
  "holds the version before the version before": () => {
    const { block, versions } = blockWith("data", "data", "data");
    return [explain(block, contentOf(block, versions[2]!)), "stale"];
  },
  "is zeros in the place of good data": () => {
    const { block } = blockWith("data", "data");
    return [explain(block, new Uint8Array(4096)), "zeroed"];
  },
  "shows data from before it was made zeros": () => {
    const { block, versions } = blockWith("zeros", "data");
    return [explain(block, contentOf(block, versions[1]!)), "resurrected"];
  },
  "holds what belongs to its neighbour": () => {
    const { block } = blockWith("data");
    const neighbour = block + 1;
    const position = versionsOf(neighbour).find((state) => state > 0)!;
    return [explain(block, contentOf(neighbour, position)), "misdirected"];
  },
  "has its first half new and its second half old": () => {
    const { block, versions } = blockWith("data", "data");
    const bytes = contentOf(block, versions[0]!);
    bytes.set(contentOf(block, versions[1]!).subarray(2048), 2048);
    return [explain(block, bytes), "torn"];
  },
  "has sectors of zeros": () => {
    const { block, versions } = blockWith("data");
    const bytes = contentOf(block, versions[0]!);
    bytes.fill(0, 512, 1024);
    return [explain(block, bytes), "torn"];
  },
  "has 64 bytes of another block inside": () => {
    const { block, versions } = blockWith("data");
    const other = block + 1;
    const bytes = contentOf(block, versions[0]!);
    const position = versionsOf(other).find((state) => state > 0)!;
    bytes.set(contentOf(other, position).subarray(1088, 1152), 1088);
    return [explain(block, bytes), "mixed"];
  },
  "has one bit flipped in its fill": () => {
    const { block, versions } = blockWith("data");
    const bytes = contentOf(block, versions[0]!);
    bytes[777]! ^= 16;
    return [explain(block, bytes), "bit-flip"];
  },
  "has one bit flipped in a header": () => {
    const { block, versions } = blockWith("data");
    const bytes = contentOf(block, versions[0]!);
    bytes[512 + 3]! ^= 1;
    return [explain(block, bytes), "bit-flip"];
  },
  "has a bit set where all should be zeros": () => {
    const { block } = blockWith("zeros");
    const bytes = new Uint8Array(4096);
    bytes[4095] = 128;
    return [explain(block, bytes), "bit-flip"];
  },
  "holds another run's data": () => {
    const { block } = blockWith("data");
    const format = contentFormat({ ...smallShape.content, seed: 999n });
    return [explain(block, inflateBlock(format, { vd: 5n, volume: 0, block, sectorCount })), "foreign"];
  },
  "holds what this seed will write only later": () => {
    const { block } = blockWith("data");
    const extent = geometry.extent(geometry.pdOf(0, block));
    let lts = workload.window.nextLts(workload.window.lastLts(extent.pd, ltsMax)!);
    for (;;) {
      const operation = workload.operationOn(lts, block - extent.firstBlock);
      if (operation !== undefined && effectOf(operation.kind) === "data")
        return [explain(block, contentOf(block, positionOf(lts, operation.operationId))), "foreign"];
      lts = workload.window.nextLts(lts);
    }
  },
  "is noise": () => {
    const { block } = blockWith("data");
    return [
      explain(
        block,
        Uint8Array.from({ length: 4096 }, (_, index) => (index * index * 31 + 7 * index) & 255),
      ),
      "garbage",
    ];
  },
  "is well-formed, with a descriptor that no operation drew": () => {
    const { block } = blockWith("data");
    return [
      explain(block, inflateBlock(workload.run.format, { vd: 0x1234567n, volume: 0, block, sectorCount })),
      "garbage",
    ];
  },
};

describe("the diagnosis of a block of the volume", () => {
  test.for(Object.entries(faults))("names a block that %s", ([, fault]) => {
    const [violation, expected] = fault();
    expect(violation.class).toBe(expected);
    expect(violation.rule).toBe("quiescent");
    expect(describeViolation(violation)).toContain(`${expected}: volume 0, block ${violation.block}`);
  });

  test("says from where a misdirected block comes, and who wrote it", () => {
    const { block } = blockWith("data");
    const position = versionsOf(block + 1).find((state) => state > 0)!;
    const violation = explain(block, contentOf(block + 1, position));
    expect(violation.summary).toContain(`block ${block + 1} of volume 0, 1 blocks after`);
    expect(violation.operations.find(({ role }) => role === "observed")).toMatchObject(operationAt(position));
  });

  test("says which bit of which byte is flipped", () => {
    const { block, versions } = blockWith("data");
    const bytes = contentOf(block, versions[0]!);
    bytes[777]! ^= 16;
    expect(explain(block, bytes).summary).toBe("bit 4 of byte 777 is flipped, all else is right");
  });

  test("says which sectors of a torn block hold which version", () => {
    const { block, versions } = blockWith("data", "data");
    const bytes = contentOf(block, versions[0]!);
    bytes.set(contentOf(block, versions[1]!).subarray(1536), 1536);
    const [newest, older] = versions.map((state) => operationAt(state).lts);
    expect(explain(block, bytes).observed).toMatch(
      new RegExp(`^sectors 0 to 2: data of lts ${newest}, .*; sectors 3 to 7: data of lts ${older}, `),
    );
  });

  test("calls a write that the target refused, and stored, by that name", () => {
    const { block, versions } = blockWith("data", "data");
    const tracker = new Tracker();
    completeAll(tracker, workload, ltsMax, new Map([[versions[0]!, "failed"]]));
    const own = new Reconciler(workload, tracker);
    const diagnosis = new Diagnosis(workload, tracker, own);
    const violation = explain(block, contentOf(block, versions[0]!), {
      model: { tracker, reconciler: own, diagnosis },
    });
    expect(violation.class).toBe("refused-write");
  });

  test("calls a write in doubt that comes after it was shown not to have happened a ghost", () => {
    const { block, versions } = blockWith("data", "data");
    const tracker = new Tracker();
    completeAll(tracker, workload, ltsMax, new Map([[versions[0]!, "unknown"]]));
    tracker.decide(versions[0]!, block, false);
    const own = new Reconciler(workload, tracker);
    const diagnosis = new Diagnosis(workload, tracker, own);
    const violation = explain(block, contentOf(block, versions[0]!), {
      model: { tracker, reconciler: own, diagnosis },
    });
    expect(violation.class).toBe("ghost-write");
  });
});

describe("the diagnosis of a block of a snapshot", () => {
  /** A block that was written before the cut and again after it. */
  const candidates = Array.from({ length: geometry.volumeBlocks[0]! }, (_, block) => block).filter(
    (block) => {
      const versions = versionsOf(block, cut);
      return (
        versionsOf(block)[0]! !== versions[0]! &&
        versionsOf(block)[0]! > 0 &&
        versions[0]! > 0 &&
        versions[1]! > 0
      );
    },
  );
  const block = candidates[0]!;

  test("names a write after the cut that shows in it", () => {
    const violation = explain(block, contentOf(block, versionsOf(block)[0]!), { snapshot: 3 });
    expect(violation).toMatchObject({ class: "late-leak", rule: "snapshot", snapshot: 3 });
  });

  test("names a write before the cut that is missing", () => {
    const violation = explain(block, contentOf(block, versionsOf(block, cut)[1]!), {
      snapshot: 3,
    });
    expect(violation.class).toBe("early-miss");
  });

  test("names zeros that were made after the cut", () => {
    const zeroed = Array.from({ length: geometry.volumeBlocks[0]! }, (_, index) => index).find(
      (index) => versionsOf(index)[0]! < 0 && versionsOf(index, cut)[0]! > 0,
    )!;
    const violation = explain(zeroed, new Uint8Array(4096), { snapshot: 3 });
    expect(violation.class).toBe("late-leak");
  });

  test("names a change of what was right when it was read before", () => {
    const violation = explain(block, contentOf(block, versionsOf(block)[0]!), {
      snapshot: 3,
      provenBefore: true,
    });
    expect(violation.class).toBe("mutated");
  });
});
