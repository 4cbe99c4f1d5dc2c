import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  hostNqnOfUuid,
  nqnProblem,
  readNqnField,
  uuidFromBytes,
  uuidToBytes,
  writeNqnField,
} from "../../../src/sut/nvme/names.ts";

describe("NQNs", () => {
  test("of the specification's forms are fine", () => {
    expect(nqnProblem("nqn.2014-08.org.nvmexpress.discovery")).toBeUndefined();
    expect(nqnProblem(hostNqnOfUuid("F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6"))).toBeUndefined();
    expect(nqnProblem("nqn.2024-01.test:sub1")).toBeUndefined();
  });

  const bad: Record<string, string> = {
    "": "is not an NQN",
    "iqn.2024-01.test:sub1": "is not an NQN",
    "nqn.2024-13.test:sub1": "is not an NQN",
    "nqn.2024-01.test:": "is not an NQN",
    [`nqn.2024-01.test:${"x".repeat(207)}`]: "224 bytes, at most 223",
  };
  test.for(Object.entries(bad))("'%s' is refused with a reason", ([nqn, reason]) => {
    expect(nqnProblem(nqn)).toContain(reason);
  });

  test("of 223 bytes fit into their field", () => {
    const nqn = `nqn.2024-01.test:${"x".repeat(206)}`;
    const field = Buffer.alloc(256, 0xff);
    writeNqnField(field, 0, nqn);
    expect(readNqnField(field)).toBe(nqn);
    expect(field.subarray(223).every((byte) => byte === 0)).toBe(true);
  });
});

describe("UUIDs", () => {
  test("keep the byte order of their text", () => {
    const uuid = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
    expect(uuidToBytes(uuid.toUpperCase()).toString("hex")).toBe("f81d4fae7dec11d0a76500a0c91e6bf6");
    expect(uuidFromBytes(uuidToBytes(uuid))).toBe(uuid);
  });

  test("come back from their bytes", () => {
    fc.assert(
      fc.property(fc.uuid(), (uuid) => {
        expect(uuidFromBytes(uuidToBytes(uuid))).toBe(uuid);
      }),
    );
  });

  test("of another shape are refused", () => {
    expect(() => uuidToBytes("f81d4fae7dec11d0a76500a0c91e6bf6")).toThrow("8-4-4-4-12");
  });
});
