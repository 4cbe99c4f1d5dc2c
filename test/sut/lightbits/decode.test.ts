import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Decoder,
  decodeClusterInfo,
  decodeDiff,
  decodeNothing,
  decodeSnapshot,
  decodeSnapshots,
  decodeVolume,
  decodeVolumes,
} from "../../../src/sut/lightbits/decode.ts";
import { ServiceError } from "../../../src/sut/port.ts";

const uuid = "0f0e0d0c-0b0a-4908-8706-050403020100";

function messageOf(decode: Decoder<unknown>, document: unknown): string {
  try {
    decode("GET /x", document);
  } catch (error) {
    if (error instanceof ServiceError && error.code === "ERR_BAD_ANSWER") return error.message;
    throw error;
  }
  throw new Error("it was accepted");
}

describe("decodeVolume", () => {
  // As a gateway writes it: int64 as text, uint32 as number, enum by name, zero values left out.
  const volume = {
    state: "Available",
    protectionState: "FullyProtected",
    replicaCount: 3,
    nodeList: ["aa"],
    UUID: uuid.toUpperCase(),
    nsid: 7,
    acl: { values: ["ALLOW_ANY"] },
    compression: "false",
    size: "4294967296",
    name: "v",
    sectorSize: 4096,
    projectName: "default",
    somethingNew: { of: "a later version" },
  };

  test("reads a volume and ignores fields that it does not know", () => {
    expect(decodeVolume("GET /x", volume)).toEqual({
      uuid,
      name: "v",
      sizeBytes: 4_294_967_296,
      sectorSizeBytes: 4096,
      state: "available",
      nsid: 7,
      sourceSnapshotUuid: undefined,
    });
  });

  test("takes int64 as number, an enum as number, and missing or null fields for zero", () => {
    expect(decodeVolume("GET /x", { UUID: uuid, size: 4096, state: 9, sectorSize: 512 })).toMatchObject({
      sizeBytes: 4096,
      state: "rollback",
      sectorSizeBytes: 512,
      name: "",
      nsid: undefined,
    });
    expect(decodeVolume("GET /x", { UUID: uuid, size: null, state: null, nsid: null })).toMatchObject({
      sizeBytes: 0,
      state: "creating",
      sectorSizeBytes: 4096,
    });
    expect(decodeVolume("GET /x", { ...volume, sectorSize: "sectorSize_512B" }).sectorSizeBytes).toBe(512);
  });

  test("knows every state by name and by number", () => {
    const states = [
      "Unknown",
      "Creating",
      "Available",
      "Deleting",
      "Deleted",
      5,
      6,
      "Failed",
      "Updating",
      "Rollback",
      "Migrating",
    ];
    states.forEach((name, number) => {
      if (typeof name === "number") {
        expect(messageOf(decodeVolume, { ...volume, state: number })).toContain("unknown state");
        return;
      }
      const byName = decodeVolume("GET /x", { ...volume, state: name }).state;
      expect(decodeVolume("GET /x", { ...volume, state: number }).state).toBe(byName);
      expect(byName).toBe(name === "Unknown" ? "creating" : name.toLowerCase());
    });
  });

  const wrong: Record<string, [object, RegExp]> = {
    "a size that JavaScript would round": [
      { size: "9007199254740993" },
      /size: expected 0 to 2\^53 - 1, got "9007/,
    ],
    "a negative size": [{ size: "-1" }, /size:/],
    "a fractional size": [{ size: 0.5 }, /size:/],
    "a size in hexadecimal": [{ size: "0x10" }, /size:/],
    "an object for a size": [{ size: {} }, /size: .*got an object/],
    "no UUID": [{ UUID: undefined }, /UUID: .*got nothing/],
    "a UUID that is none": [{ UUID: "../../x" }, /UUID: expected a UUID/],
    "an unheard-of state": [{ state: "Exploding" }, /unknown state Exploding/],
    "a state named like a method": [{ state: "constructor" }, /unknown state constructor/],
    "a sector size of 520": [
      { sectorSize: 520 },
      /sectorSize: expected a sector size of 512 or 4096, got 520/,
    ],
    "a number for a name": [{ name: 3 }, /name: .*got 3/],
  };
  test.for(Object.entries(wrong))("refuses %s", ([, [change, message]]) => {
    expect(messageOf(decodeVolume, { ...volume, ...change })).toMatch(message);
  });

  test("refuses lists and bare values in the place of an object", () => {
    for (const document of [null, [], 1, "x", true]) {
      expect(messageOf(decodeVolume, document)).toContain("the answer");
      expect(messageOf(decodeVolumes, document)).toContain("the answer");
      expect(messageOf(decodeNothing, document)).toContain("the answer");
    }
  });
});

describe("decodeSnapshots", () => {
  test("reads snapshots, and nothing for an empty list", () => {
    expect(decodeSnapshots("GET /x", {}).snapshots).toEqual([]);
    const snapshot = { UUID: uuid, name: "s", size: "8192", state: "Deleting", sourceVolumeUUID: uuid };
    expect(decodeSnapshots("GET /x", { snapshots: [snapshot] }).snapshots).toEqual([
      {
        uuid,
        name: "s",
        sizeBytes: 8192,
        sectorSizeBytes: 4096,
        state: "deleting",
        sourceVolumeUuid: uuid,
        description: "",
      },
    ]);
    expect(messageOf(decodeSnapshots, { snapshots: [snapshot, { ...snapshot, size: [] }] })).toMatch(
      /snapshots\.1\.size: .*got a list of 0/,
    );
  });
});

describe("decodeDiff", () => {
  test("reads the three bit maps of the facts, and a chunk 0 without lbaStart", () => {
    const page = decodeDiff("GET /x", {
      nextOffsetLBA: "251200",
      lbaRanges: [
        { lbaEnd: "64", dataBitMap: "AgAAAAAAAAA=" },
        { lbaStart: "250880", lbaEnd: "250943", dataBitMap: "AAAAAP////8=" },
        { lbaStart: 251136, dataBitMap: "/////wAAAAA" }, // without padding
      ],
    });
    expect(page.nextOffsetLBA).toBe(251_200);
    expect(page.lbaRanges.map(({ lbaStart, bitmap }) => [lbaStart, [...bitmap]])).toEqual([
      [0, [2, 0, 0, 0, 0, 0, 0, 0]],
      [250_880, [0, 0, 0, 0, 255, 255, 255, 255]],
      [251_136, [255, 255, 255, 255, 0, 0, 0, 0]],
    ]);
  });

  test.for([{}, { lbaRanges: [] }, { lbaRanges: null }, { nextOffsetLBA: "0" }, { nextOffsetLBA: 0 }])(
    "reads %j as the end with no change",
    (document) => {
      expect(decodeDiff("GET /x", document)).toEqual({ nextOffsetLBA: 0, lbaRanges: [] });
    },
  );

  test("keeps what a checker has to see: overlaps, disorder, long bit maps, strange starts", () => {
    const lbaRanges = [
      { lbaStart: "65", dataBitMap: "AQ==" },
      { lbaStart: "64", dataBitMap: Buffer.alloc(16, 1).toString("base64") },
      { lbaStart: "64" },
    ];
    const page = decodeDiff("GET /x", { lbaRanges });
    expect(page.lbaRanges.map(({ lbaStart, bitmap }) => [lbaStart, bitmap.length])).toEqual([
      [65, 1],
      [64, 16],
      [64, 0],
    ]);
  });

  test("refuses more ranges than any service gives, before it decodes them", () => {
    const lbaRanges = new Array(200_001).fill({ lbaStart: "not looked at" });
    expect(messageOf(decodeDiff, { lbaRanges })).toContain("lbaRanges: expected at most 200000 items");
  });

  test.for(["A", "AAAAA", "AA=A", "A===", "****", "AA AA"])(
    "refuses '%s', which is not base64",
    (dataBitMap) => {
      expect(messageOf(decodeDiff, { lbaRanges: [{ dataBitMap }] })).toContain(
        "lbaRanges.0.dataBitMap: expected base64",
      );
    },
  );

  test("gives back any bit map and any safe address", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 24 }),
        fc.maxSafeNat(),
        fc.boolean(),
        (bytes, lbaStart, isText) => {
          const dataBitMap = Buffer.from(bytes).toString("base64");
          const range = { lbaStart: isText ? String(lbaStart) : lbaStart, dataBitMap };
          const page = decodeDiff("GET /x", { lbaRanges: [range] });
          expect([...(page.lbaRanges[0]?.bitmap ?? [])]).toEqual([...bytes]);
          expect(page.lbaRanges[0]?.lbaStart).toBe(lbaStart);
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe("decodeClusterInfo", () => {
  test("reads where the data path is", () => {
    expect(decodeClusterInfo("GET /x", { subsystemNQN: "nqn.x", nvmeEndpoints: ["10.0.0.1:4420"] })).toEqual({
      subsystemNqn: "nqn.x",
      nvmeEndpoints: ["10.0.0.1:4420"],
      discoveryEndpoints: [],
    });
    expect(messageOf(decodeClusterInfo, { nvmeEndpoints: [1] })).toContain("nvmeEndpoints");
  });
});

describe("every decoder", () => {
  const scalar = fc.oneof(
    fc.constantFrom<unknown>(
      null,
      true,
      "",
      "0",
      uuid,
      "Available",
      0,
      1,
      2,
      -1,
      0.5,
      1e308,
      "AAAA",
      "18446744073709551615",
    ),
    fc.string({ maxLength: 12 }),
    fc.double(),
  );
  const nested = fc.oneof(
    { depthSize: "small" },
    scalar,
    fc.array(scalar, { maxLength: 3 }),
    fc.object({ maxDepth: 1 }),
  );
  const fields = [
    "UUID",
    "name",
    "size",
    "state",
    "nsid",
    "sectorSize",
    "sourceVolumeUUID",
    "sourceSnapshotUUID",
    "description",
    "lbaStart",
    "dataBitMap",
    "nextOffsetLBA",
    "subsystemNQN",
    "nvmeEndpoints",
  ];
  const object = fc.dictionary(fc.constantFrom(...fields), nested, { maxKeys: 8 });
  const valid = fc.record({
    UUID: fc.constant(uuid),
    size: fc.constant("1"),
    state: fc.constant("Available"),
  });
  // A valid object of which some fields are anything: the deep paths are reached too.
  const nearlyValid = fc.tuple(valid, object).map(([base, noise]) => ({ ...base, ...noise }));
  const list = fc.oneof(nested, fc.array(fc.oneof(object, nearlyValid), { maxLength: 4 }));
  const document = fc.oneof(
    scalar,
    object,
    nearlyValid,
    fc.record(
      { volumes: list, snapshots: list, lbaRanges: list, nextOffsetLBA: nested },
      { requiredKeys: [] },
    ),
  );
  const decoders: [string, Decoder<unknown>][] = Object.entries({
    decodeVolume,
    decodeVolumes,
    decodeSnapshot,
    decodeSnapshots,
    decodeDiff,
    decodeClusterInfo,
    decodeNothing,
  });

  test.for(decoders)("%s answers any document with a value or ERR_BAD_ANSWER", ([, decode]) => {
    let acceptedCount = 0;
    fc.assert(
      fc.property(document, (given) => {
        try {
          decode("GET /x", given);
          acceptedCount += 1;
        } catch (error) {
          expect(error).toBeInstanceOf(ServiceError);
          expect((error as ServiceError).code).toBe("ERR_BAD_ANSWER");
          expect((error as ServiceError).message.length).toBeLessThan(600);
        }
      }),
      { numRuns: 4000 },
    );
    expect(acceptedCount).toBeGreaterThan(20);
  });
});
