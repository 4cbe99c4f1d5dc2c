import { describe, expect, test } from "vitest";
import { parseVolumeSize } from "../../../src/sut/control-plane/volume-size.ts";

describe("parseVolumeSize", () => {
  test.for([
    ["4 gib", 4_294_967_296],
    ["4GiB", 4_294_967_296],
    ["4294967296b", 4_294_967_296],
    ["4096", 4096],
    ["3 kb", 3000],
    ["9007199254740991", Number.MAX_SAFE_INTEGER],
  ] as const)("reads %s as %d bytes", ([text, bytes]) => {
    expect(parseVolumeSize(text)).toBe(bytes);
  });

  test.for(["", "0", "0 gib", "-1", "1.5gib", "4 gibi", "gib", "9007199254740992", "9000 tib gib", "1e3"])(
    "refuses '%s'",
    (text) => {
      expect(parseVolumeSize(text)).toBeUndefined();
    },
  );
});
