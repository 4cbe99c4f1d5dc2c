import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { changedChunks, mappedChunks } from "../../../src/sut/linux/thin-xml.ts";

/**
 * Printed by thin_delta and thin_dump 0.9.0 about a device of 64 MiB (1024 chunks) on Linux 6.1: chunks 0-7, 12-15,
 * 40-41 and 1023 were written, a snapshot (1001) taken, 2-4, 20-21 and 1023 written, 12-13 discarded, and another
 * (1002) taken.
 */
const fixture = (name: string) => readFileSync(new URL(`fixtures/${name}`, import.meta.url), "utf8");
const pool = { chunkCount: 1024, chunkSectors: 128 };
const ids = { left: 1001, right: 1002 };
const delta = fixture("thin_delta-0.9.xml");
const dump = fixture("thin_dump-0.9.xml");
const badAnswer = expect.objectContaining({ code: "ERR_BAD_ANSWER" });

describe("changedChunks", () => {
  test("joins what differs, what was discarded and what is new, and leaves out what is the same", () => {
    expect(changedChunks({ text: delta, ...pool }, ids)).toEqual([
      { begin: 2, count: 3 },
      { begin: 12, count: 2 },
      { begin: 20, count: 2 },
      { begin: 1023, count: 1 },
    ]);
  });

  test("reads the form of version 1, which names its own version too", () => {
    const text = [
      '<superblock uuid="" time="10" transaction="0" version="2" data_block_size="128" nr_data_blocks="65536">',
      '  <diff left="1001" right="1002">',
      '    <left_only begin="3" length="1"/>',
      '    <different begin="4" length="2"/>',
      "  </diff>",
      "</superblock>",
    ].join("\n");
    expect(changedChunks({ text, ...pool }, ids)).toEqual([{ begin: 3, count: 3 }]);
  });

  const broken: Record<string, string> = {
    "is empty": "",
    "was cut off in a line": delta.slice(0, 200),
    "was cut off between lines": `${delta.split("\n").slice(0, 6).join("\n")}\n`,
    "lacks its last line": delta.replace("</superblock>", ""),
    "goes on after its end": `${delta}  <same begin="5000" length="1"/>\n`,
    "has a second superblock": delta + delta,
    "is the verbose form": fixture("thin_delta-0.9-verbose.xml"),
    "is about other devices": delta.replace('right="1002"', 'right="1003"'),
    "has an element that is not known": delta.replace("<left_only", "<renamed"),
    "has a range beyond the device": delta.replace('begin="1023"', 'begin="1024"'),
    "has a range that reaches beyond the device": delta.replace(
      'begin="1023" length="1"',
      'begin="1023" length="2"',
    ),
    "has a range that begins in another": delta.replace('begin="5"', 'begin="4"'),
    "has ranges out of order": delta.replace('begin="40"', 'begin="1"'),
    "has an empty range": delta.replace('length="3"', 'length="0"'),
    "has a length that is no number": delta.replace('length="3"', 'length="3x"'),
    "has a negative begin": delta.replace('begin="2"', 'begin="-2"'),
    "has a number beyond all bounds": delta.replace('begin="2"', 'begin="99999999999999999999"'),
    "has a range without length": delta.replace('begin="2" length="3"', 'begin="2"'),
    "has chunks of another size": delta.replace('data_block_size="128"', 'data_block_size="256"'),
    "has text that is no element": delta.replace("<same", "same"),
    "has text before it": `warning\n${delta}`,
  };
  test.for(Object.entries(broken))("refuses an answer that %s", ([, text]) => {
    expect(() => changedChunks({ text, ...pool }, ids)).toThrow(badAnswer);
  });

  test("says in which line it does not understand an answer", () => {
    const text = delta.replace("<left_only", "<renamed");
    expect(() => changedChunks({ text, ...pool }, ids)).toThrow(
      "thin_delta's answer, line 6: <renamed> has no place here",
    );
  });
});

describe("mappedChunks", () => {
  test("joins the mappings of a device", () => {
    expect(mappedChunks({ text: dump, ...pool }, 1002)).toEqual([
      { begin: 0, count: 8 },
      { begin: 14, count: 2 },
      { begin: 20, count: 2 },
      { begin: 40, count: 2 },
      { begin: 1023, count: 1 },
    ]);
  });

  test("finds nothing mapped in a device that was never written", () => {
    expect(mappedChunks({ text: fixture("thin_dump-0.9-empty.xml"), ...pool }, 1003)).toEqual([]);
  });

  test("follows references to leaves that devices share", () => {
    const text = [
      '<superblock uuid="" time="1" transaction="0" version="2" data_block_size="128" nr_data_blocks="9">',
      '  <def name="7">',
      '    <range_mapping origin_begin="4" data_begin="0" length="2" time="0"/>',
      "  </def>",
      '  <device dev_id="5" mapped_blocks="3" transaction="0" creation_time="0" snap_time="0">',
      '    <single_mapping origin_block="1" data_block="7" time="0"/>',
      '    <ref name="7"/>',
      "  </device>",
      "</superblock>",
    ].join("\n");
    expect(mappedChunks({ text, ...pool }, 5)).toEqual([
      { begin: 1, count: 1 },
      { begin: 4, count: 2 },
    ]);
    expect(() => mappedChunks({ text: text.replace('ref name="7"', 'ref name="8"'), ...pool }, 5)).toThrow(
      badAnswer,
    );
  });

  const broken: Record<string, string> = {
    "does not hold the device": fixture("thin_dump-0.9-gone.xml"),
    "holds another device": dump.replace('dev_id="1002"', 'dev_id="1"'),
    "holds a mapping twice": dump.replace('origin_begin="5"', 'origin_begin="2"'),
    "holds a mapping outside a device": dump
      .replace("</device>", "")
      .replace(
        "</superblock>",
        '</device>\n</superblock>\n<single_mapping origin_block="1" data_block="1" time="0"/>',
      ),
    "is of thin_delta": delta,
    "was cut off": dump.slice(0, -20),
  };
  test.for(Object.entries(broken))("refuses an answer that %s", ([, text]) => {
    expect(() => mappedChunks({ text, ...pool }, 1002)).toThrow(badAnswer);
  });
});
