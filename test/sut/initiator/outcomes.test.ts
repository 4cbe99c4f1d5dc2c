import { describe, expect, test } from "vitest";
import { outcomeOfStatus } from "../../../src/sut/initiator/outcomes.ts";

/** SCT, SC, and what a write and a read that end so are. */
const rows: readonly (readonly [string, number, number, string, string, string])[] = [
  ["invalid opcode", 0, 0x01, "failed", "failed", "ERR_UNSUPPORTED"],
  ["invalid field", 0, 0x02, "failed", "failed", "ERR_INVALID_REQUEST"],
  ["data transfer error", 0, 0x04, "unknown", "failed", "ERR_TARGET"],
  ["internal error", 0, 0x06, "unknown", "failed", "ERR_TARGET"],
  ["abort requested", 0, 0x07, "unknown", "failed", "ERR_TARGET"],
  ["SQ deleted", 0, 0x08, "unknown", "failed", "ERR_TARGET"],
  ["failed fused command", 0, 0x09, "failed", "failed", "ERR_COMPARE_FAILED"],
  ["missing fused command", 0, 0x0a, "failed", "failed", "ERR_TARGET"],
  ["invalid namespace", 0, 0x0b, "failed", "failed", "ERR_NAMESPACE_GONE"],
  ["wrong SGL length", 0, 0x0f, "failed", "failed", "ERR_INVALID_REQUEST"],
  ["write protection", 0, 0x20, "failed", "failed", "ERR_TARGET"],
  ["an interrupted command", 0, 0x21, "unknown", "failed", "ERR_TARGET"],
  ["transient transport error", 0, 0x22, "unknown", "failed", "ERR_TARGET"],
  ["LBA out of range", 0, 0x80, "failed", "failed", "ERR_OUT_OF_RANGE"],
  ["capacity exceeded", 0, 0x81, "unknown", "failed", "ERR_CAPACITY"],
  ["reservation conflict", 0, 0x83, "failed", "failed", "ERR_TARGET"],
  ["write fault", 2, 0x80, "unknown", "failed", "ERR_MEDIA"],
  ["unrecovered read error", 2, 0x81, "unknown", "failed", "ERR_MEDIA"],
  ["compare failure", 2, 0x85, "failed", "failed", "ERR_COMPARE_FAILED"],
  ["a path error", 3, 0x00, "unknown", "failed", "ERR_TARGET"],
  ["an inaccessible ANA group", 3, 0x02, "unknown", "failed", "ERR_TARGET"],
  ["a vendor's own", 7, 0xc0, "unknown", "failed", "ERR_TARGET"],
];

describe("the outcome of", () => {
  test.for(rows)("%s leaves a write %s", ([, sct, sc, write, read, code]) => {
    for (const dnr of [false, true]) {
      const status = { sct, sc, dnr };
      expect(outcomeOfStatus(status, true, "write")).toMatchObject({ kind: write, code, status });
      expect(outcomeOfStatus(status, false, "read")).toMatchObject({ kind: read, code, status });
    }
  });

  test("a command is worded with what it was and what the status says", () => {
    const outcome = outcomeOfStatus({ sct: 2, sc: 0x80, dnr: false }, true, "write of 8 blocks at 4096 on x");
    expect(outcome).toMatchObject({ message: "write of 8 blocks at 4096 on x: write fault (2/80)" });
  });
});
