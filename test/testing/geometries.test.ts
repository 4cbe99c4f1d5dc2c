import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { geometries } from "../../src/testing/arbitraries.ts";
import {
  drawGeometry,
  type GeometrySpec,
  geometryOf,
  geometryText,
  parseGeometry,
  simplerGeometries,
  type TestGeometry,
} from "../../src/testing/geometries.ts";

const specs: Record<string, GeometrySpec> = {
  "that says nothing": {},
  "that says everything": {
    blockSizes: [512],
    extentBlocks: { min: 1, max: 7 },
    extents: { min: 2, max: 3 },
    volumes: { min: 2, max: 4 },
    startExtents: 1,
    contents: ["text", "incompressible"],
  },
  "that leaves no choice": { extentBlocks: { min: 9, max: 9 }, extents: { min: 5, max: 5 } },
};
const ranges = {
  extentBlocks: { min: 8, max: 64 },
  extents: { min: 4, max: 8 },
  volumes: { min: 1, max: 1 },
};

function expectAllowed(geometry: TestGeometry, spec: GeometrySpec): void {
  const { blockSizes = [512, 4096], contents = ["incompressible", "compressible", "text"] } = spec;
  expect(blockSizes).toContain(geometry.blockSize);
  expect(contents).toContain(geometry.content);
  expect(geometry.startExtents).toBe(spec.startExtents);
  for (const name of ["extentBlocks", "extents", "volumes"] as const) {
    const { min, max } = spec[name] ?? ranges[name];
    expect(geometry[name]).toBeGreaterThanOrEqual(min);
    expect(geometry[name]).toBeLessThanOrEqual(max);
  }
}

const seeds = fc.record({ seed: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), index: fc.nat(100) });

describe("a drawn geometry", () => {
  test.for(Object.entries(specs))("is what a specification %s allows", ([, spec]) => {
    fc.assert(fc.property(seeds, (place) => expectAllowed(drawGeometry(spec, place), spec)));
  });

  test("is the same for a seed and a number, and others come up for others", () => {
    const texts = (seed: bigint): readonly string[] =>
      Array.from({ length: 20 }, (_, index) => geometryText(drawGeometry({}, { seed, index })));
    expect(texts(1n)).toEqual(texts(1n));
    expect(texts(1n)).not.toEqual(texts(2n));
    expect(new Set(texts(1n)).size).toBeGreaterThan(15);
  });

  test("comes to each end of each range, and to each item of each list", () => {
    const spec = specs["that says everything"]!;
    const all = Array.from({ length: 200 }, (_, index) => drawGeometry(spec, { seed: 1n, index }));
    const values = (name: keyof TestGeometry) => [...new Set(all.map((one) => one[name]))].sort();
    expect(values("extentBlocks")).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(values("extents")).toEqual([2, 3]);
    expect(values("volumes")).toEqual([2, 3, 4]);
    expect(values("content")).toEqual(["incompressible", "text"]);
  });

  test.for<[string, GeometrySpec, string]>([
    ["an empty list", { blockSizes: [] }, "blockSizes of geometries: expected one or more, got none"],
    ["no content", { contents: [] }, "contents of geometries: expected one or more, got none"],
    [
      "a range the wrong way round",
      { extents: { min: 4, max: 3 } },
      "extents of geometries, 4 to 3: expected",
    ],
    ["a range from zero", { volumes: { min: 0, max: 1 } }, "volumes of geometries, 0 to 1: expected"],
    ["a range of halves", { extentBlocks: { min: 1.5, max: 2 } }, "extentBlocks of geometries, 1.5 to 2:"],
  ])("is refused for %s", ([, spec, message]) => {
    expect(() => drawGeometry(spec, { seed: 1n, index: 0 })).toThrow(message);
  });

  test("is that of volumes of one size", () => {
    const { blockSizeBytes, extentBlocks, volumeBlocks, extentCount } = geometryOf({
      ...{ blockSize: 512, extentBlocks: 7, extents: 3, volumes: 2 },
      ...{ startExtents: 1, content: "text" },
    });
    expect({ blockSizeBytes, extentBlocks, volumeBlocks, extentCount }).toEqual({
      ...{ blockSizeBytes: 512, extentBlocks: 7, volumeBlocks: [21, 21], extentCount: 6 },
    });
  });
});

describe("simpler geometries", () => {
  test.for(Object.entries(specs))("are allowed by a specification %s, and simpler", ([, spec]) => {
    fc.assert(
      fc.property(seeds, (place) => {
        const geometry = drawGeometry(spec, place);
        const simpler = simplerGeometries(geometry, spec);
        const size = ({ extentBlocks, extents, volumes }: TestGeometry) => extentBlocks * extents * volumes;
        for (const one of simpler) {
          expectAllowed(one, spec);
          expect(size(one)).toBeLessThan(size(geometry));
          expect(size(one)).toBeGreaterThanOrEqual(size(simpler[0]!));
        }
      }),
    );
  });

  test("are the least first, then those that are least in one way", () => {
    const geometry = parseGeometry("512x20x6x3-text");
    const spec = { volumes: { min: 2, max: 4 } };
    expect(simplerGeometries(geometry, spec).map(geometryText)).toEqual([
      "512x8x4x2-text",
      "512x20x6x2-text",
      "512x20x4x3-text",
      "512x8x6x3-text",
    ]);
  });

  test("are none of the simplest", () => {
    expect(simplerGeometries(parseGeometry("4096x8x4x1-text"), {})).toEqual([]);
  });
});

describe("a geometry as text", () => {
  test("is short, and read as the same", () => {
    const geometry: TestGeometry = {
      ...{ blockSize: 4096, extentBlocks: 16, extents: 8, volumes: 1 },
      ...{ startExtents: undefined, content: "text" },
    };
    expect(geometryText(geometry)).toBe("4096x16x8x1-text");
    expect(geometryText({ ...geometry, startExtents: 2 })).toBe("4096x16x8x1+2-text");
    for (const spec of Object.values(specs))
      fc.assert(
        fc.property(geometries(spec), (one) => {
          expect(parseGeometry(geometryText(one))).toEqual(one);
        }),
      );
  });

  test.for([
    ...["", "text", "4096x16x8-text", "1024x16x8x1-text", "4096x16x8x1", "4096x16x8x1-words"],
    ...["4096x0x8x1-text", "4096x16x0x1-text", "4096x16x8x0-text", "4096x16x8x1+0-text", "4096x-1x8x1-text"],
    ...["4096x16x8x1-text ", " 4096x16x8x1-text", "4096x16x8x1+-text", "4096x1e3x8x1-text"],
    ...["4096x100000x8x1-text", "4096x16x8x100-text"],
  ])("is refused if it is '%s'", (text) => {
    expect(() => parseGeometry(text)).toThrow(`geometry '${text}': expected such as 4096x16x8x1-text`);
  });
});
