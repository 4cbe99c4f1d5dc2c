import { describe, expect, test } from "vitest";
import { findingOf } from "../../../bench/fio-contrast/fio.ts";
import { cellText } from "../../../bench/fio-contrast/table.ts";

describe("findingOf", () => {
  const at = "at file /tmp/ff offset 1392640, length 4096 (requested block: offset=1392640, length=4096)";
  // As fio 3.33 printed them.
  const outputs: readonly (readonly [string, string | undefined])[] = [
    [`verify: bad header numberio 1159, wanted 3000 ${at}\n`, "bad header numberio"],
    [`fio: something else\nverify: bad magic header 0, wanted acca ${at}\n`, "bad magic"],
    [`crc32c: verify failed ${at}\n       Expected CRC: 1\n       Received CRC: 2\n`, "crc32c"],
    ["fio: norandommap given for variable block sizes, verify limited\n", undefined],
  ];
  test.for(outputs)("names what fio says first: %s", ([output, finding]) => {
    expect(findingOf(output)).toBe(finding);
  });
});

describe("cellText", () => {
  test("counts the runs that saw the fault, and each name if there are several", () => {
    expect(cellText({ runCount: 5, findings: [] })).toBe("0 of 5");
    expect(cellText({ runCount: 5, findings: ["torn", "torn"] })).toBe("2 of 5: torn");
    expect(cellText({ runCount: 5, findings: ["a", "b", "b"] })).toBe("3 of 5: b 2, a 1");
  });

  test("shows a dash where no run was made", () => {
    expect(cellText(undefined)).toBe("–");
  });
});
