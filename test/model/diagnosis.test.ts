import { describe, expect, test } from "vitest";
import { contentFormat, inflateBlock } from "../../src/generators/content.ts";
import { rng } from "../../src/generators/pcg.ts";
import { valueStream } from "../../src/generators/streams.ts";
import type { WrongBlock } from "../../src/model/content-checker.ts";
import { Diagnosis } from "../../src/model/diagnosis.ts";
import { Reconciler } from "../../src/model/reconciler.ts";
import { Tracker } from "../../src/model/tracker.ts";
import { snapshotView, volumeView } from "../../src/model/view.ts";
import { describeViolation, type FaultClass, type Rule, type Violation } from "../../src/model/violation.ts";
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
    rule?: Rule;
    shows?: (block: number, state: number) => boolean;
    wasProven?: boolean;
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
    rule: options.rule ?? (snapshot === undefined ? "quiescent" : "snapshot"),
    ...(options.shows === undefined ? {} : { shows: options.shows }),
    wasProven: options.wasProven ?? false,
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
  "has a sector of another block among its own": () => {
    const { block, versions } = blockWith("data");
    const bytes = contentOf(block, versions[0]!);
    const position = versionsOf(block + 1).find((state) => state > 0)!;
    bytes.set(contentOf(block + 1, position).subarray(1024, 1536), 1024);
    return [explain(block, bytes), "mixed"];
  },
  "has the first half of one block and the second of another": () => {
    const { block } = blockWith("data");
    const halves = [block + 1, block + 2].map((other) =>
      contentOf(other, versionsOf(other).find((state) => state > 0)!),
    );
    const bytes = halves[0]!;
    bytes.set(halves[1]!.subarray(2048), 2048);
    return [explain(block, bytes), "mixed"];
  },
  "has a sector of its own in the place of another": () => {
    const { block, versions } = blockWith("data");
    const bytes = contentOf(block, versions[0]!);
    bytes.copyWithin(1024, 512, 1024);
    return [explain(block, bytes), "torn"];
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

/** A block of a write of several, of which it shows the version before; and another block of that write. */
function missingPart() {
  const isMiddle = (block: number): boolean => {
    const [newest, before] = versionsOf(block);
    return newest! > 0 && before! > 0 && versionsOf(block + 1)[0] === newest;
  };
  const block = Array.from({ length: geometry.volumeBlocks[0]! - 1 }, (_, index) => index).find(isMiddle)!;
  const [newest, before] = versionsOf(block);
  const { firstBlock } = geometry.extent(geometry.pdOf(0, block));
  return { block, newest: newest!, bytes: contentOf(block, before!), next: block + 1 - firstBlock };
}

describe("the diagnosis of a block that lacks a write of which other blocks show a part", () => {
  const { block, newest, bytes, next } = missingPart();
  const partly = (other: number, state: number): boolean => other === next && state === newest;

  test("calls the write torn, and names a block that has it", () => {
    for (const rule of ["quiescent", "exhaustive"] as const) {
      const violation = explain(block, bytes, { rule, shows: partly });
      expect(violation).toMatchObject({ class: "torn", rule });
      expect(violation.summary).toBe(
        `part of the newest write is there: block ${block + 1} has it, this one is as it was before`,
      );
    }
  });

  test("calls it lost if no other block has it", () => {
    expect(explain(block, bytes, { shows: (_, state) => state !== newest }).class).toBe("lost-write");
  });

  test("asks only of the blocks of that write", () => {
    const asked = new Set<number>();
    explain(block, bytes, { shows: (other) => asked.add(other) === undefined });
    const { extent, operation } = workload.operationOf(newest)!;
    const all = Array.from({ length: operation.blockCount }, (_, index) => operation.firstBlock + index);
    expect([...asked]).toEqual(all.filter((other) => other !== block - extent.firstBlock));
  });

  test("calls it what it is otherwise after a crash, if it was read wrong once, or had been whole", () => {
    expect(explain(block, bytes, { shows: partly, rule: "durability" }).class).toBe("lost-write");
    expect(explain(block, bytes, { shows: partly, rereads: "healed" }).class).toBe("stale");
    expect(explain(block, bytes, { shows: partly, wasProven: true }).class).toBe("lost-write");
  });
});

describe("the diagnosis of an old version that was replaced by one that was read back", () => {
  test("says that the old one has come back", () => {
    const { block, versions } = blockWith("data", "data", "data");
    const before = explain(block, contentOf(block, versions[1]!), { wasProven: true });
    expect(before).toMatchObject({ class: "lost-write" });
    expect(before.summary).toContain("an old copy has come back");
    const older = explain(block, contentOf(block, versions[2]!), { wasProven: true });
    expect(older).toMatchObject({ class: "stale" });
    expect(older.summary).toContain("an old version has come back: 2 writes behind");
  });

  test("does not say so of what was read wrong once", () => {
    const { block, versions } = blockWith("data", "data");
    const violation = explain(block, contentOf(block, versions[1]!), { wasProven: true, rereads: "healed" });
    expect(violation.summary).toBe("the block holds an old version: 1 write behind");
  });
});

describe("the diagnosis of an operation in doubt that shows behind newer ones", () => {
  /** The model in which an operation is in doubt, and what was seen of it on a block. */
  function inDoubt(position: number, seen?: { block: number; happened: boolean }): ReturnType<typeof model> {
    const tracker = new Tracker();
    completeAll(tracker, workload, ltsMax, new Map([[Math.abs(position), "unknown"]]));
    if (seen !== undefined) tracker.decide(Math.abs(position), seen.block, seen.happened);
    const own = new Reconciler(workload, tracker);
    return { tracker, reconciler: own, diagnosis: new Diagnosis(workload, tracker, own) };
  }
  const { block, versions } = blockWith("data", "data", "data");
  const zeroed = blockWith("data", "data", "zeros");

  test.for([1, 2])("calls a write %d versions behind a ghost, whether or not anybody had looked", (age) => {
    const bytes = contentOf(block, versions[age]!);
    const violation = explain(block, bytes, { model: inDoubt(versions[age]!) });
    expect(violation.class).toBe("ghost-write");
    expect(violation.summary).toContain("it happened too late");
    const seen = inDoubt(versions[age]!, { block, happened: false });
    expect(explain(block, bytes, { model: seen })).toMatchObject({
      class: "ghost-write",
      summary: expect.stringContaining("had been shown not to have happened"),
    });
    const over = explain(block, bytes, { model: inDoubt(versions[age]!), wasProven: true });
    expect(over.summary).toContain("over a newer one that had been read back");
  });

  test("calls zeros that a zeroing in doubt can have made a ghost as well", () => {
    const model = inDoubt(zeroed.versions[2]!);
    const violation = explain(zeroed.block, new Uint8Array(4096), { model });
    expect(violation).toMatchObject({ class: "ghost-write" });
    expect(violation.summary).toContain("a zeroing whose outcome was unknown");
    expect(violation.operations.find(({ role }) => role === "observed")).toMatchObject(
      operationAt(zeroed.versions[2]!),
    );
    expect(explain(zeroed.block, new Uint8Array(4096)).class).toBe("zeroed");
  });

  test("does not, if it had happened in time, was seen once only, or a crash may have undone the newer one", () => {
    const bytes = contentOf(block, versions[1]!);
    const seen = inDoubt(versions[1]!, { block, happened: true });
    expect(explain(block, bytes, { model: seen }).class).toBe("lost-write");
    expect(explain(block, bytes, { model: inDoubt(versions[1]!), rereads: "healed" }).class).toBe("stale");
    const undone = explain(block, bytes, { model: inDoubt(versions[1]!), rule: "durability" });
    expect(undone.class).toBe("lost-write");
    const made = inDoubt(zeroed.versions[2]!, { block: zeroed.block, happened: true });
    expect(explain(zeroed.block, new Uint8Array(4096), { model: made }).class).toBe("zeroed");
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
