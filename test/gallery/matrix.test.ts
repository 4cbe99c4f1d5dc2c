import { describe, expect, test } from "vitest";
import { lostWrite } from "../../src/gallery/classes/m16-lost-write.ts";
import { isAsPromised, runMatrix } from "../../src/gallery/matrix.ts";
import type { GalleryClass, PortMutant } from "../../src/gallery/mutant.ts";
import { replaced } from "../../src/sut/replaced.ts";
import { galleryJson, galleryMarkdown, galleryText, listText, rowText } from "../../src/gallery/report.ts";

const lost: GalleryClass = {
  id: "M16",
  title: "lost-write",
  fault: "a write is acknowledged and never stored",
  incident: "somewhere",
  checker: "quiescent",
  names: ["lost-write"],
  rereads: "same",
  mutant: lostWrite,
};
const notBuilt: GalleryClass = { ...lost, id: "M45", mutant: { level: "none", why: "nobody has one" } };

function port(service: PortMutant["service"], more: Partial<PortMutant> = {}): PortMutant {
  return { level: "port", setting: "memory", ...(service && { service }), ...more };
}

async function resultOf(entry: GalleryClass, signal = new AbortController().signal) {
  const results = await runMatrix({
    classes: [entry],
    seeds: [1n, 2n],
    serveCommand: [],
    signal,
    log: { info: () => {}, warn: () => {} },
  });
  return results[0];
}

describe("the matrix says of a class", () => {
  test("who killed it, how soon, by which name, and that nobody else could have", async () => {
    const result = await resultOf(lost);
    expect(result?.verdict).toMatchObject({
      seedCount: 2,
      killedCount: 2,
      namedCount: 2,
      controlCleanCount: 2,
      unwatchedSurvivedCount: 2,
      by: ["quiescent"],
      diagnoses: ["lost-write"],
      problems: [],
    });
    expect(result?.verdict?.firstAlarm?.operations).toBeGreaterThan(100);
    expect(result?.verdict?.firstAlarm?.bytesWritten).toBeGreaterThan(100 * 4096);
    expect(isAsPromised(result!)).toBe(true);
  });

  test("that it survived, if nothing lies", async () => {
    const result = await resultOf({ ...lost, mutant: port((service) => service) });
    expect(result?.verdict).toMatchObject({ killedCount: 0, unwatchedSurvivedCount: 0 });
    expect(result?.verdict?.problems[0]).toBe("seed 1: survived: consistent; the fault struck 0 times");
    expect(isAsPromised(result!)).toBe(false);
  });

  test("that its name is another one", async () => {
    const result = await resultOf({ ...lost, names: ["torn"] });
    expect(result?.verdict).toMatchObject({ killedCount: 2, namedCount: 0 });
    expect(result?.verdict?.problems[0]).toContain("quiescent/lost-write/same, expected torn");
    expect(isAsPromised(result!)).toBe(false);
  });

  test("that a first name must be among all, though another may come first", async () => {
    expect((await resultOf({ ...lost, names: ["lost-write", "torn"] }))?.verdict?.namedCount).toBe(2);
    expect((await resultOf({ ...lost, names: ["torn", "lost-write"] }))?.verdict?.namedCount).toBe(0);
    expect((await resultOf({ ...lost, rereads: "healed" }))?.verdict?.namedCount).toBe(0);
  });

  test("that another checker would have found it as well", async () => {
    const result = await resultOf({ ...lost, checker: "pre-read" });
    expect(result?.verdict).toMatchObject({ killedCount: 2, unwatchedSurvivedCount: 0 });
    expect(result?.verdict?.problems[0]).toMatch(
      /^seed 1: with pre-read switched off: quiescent\/lost-write/,
    );
  });

  test("that it could not be run", async () => {
    const closed = port((service) =>
      replaced(service, { openVolume: () => Promise.reject(new Error("no way in")) }),
    );
    const result = await resultOf({ ...lost, mutant: closed });
    expect(result?.verdict?.problems).toEqual([
      "seed 1: fault: could not be run: no way in",
      "seed 2: fault: could not be run: no way in",
    ]);
    expect(isAsPromised(result!)).toBe(false);
  });

  test("nothing, if it is not built, and that is no failure", async () => {
    const result = await resultOf(notBuilt);
    expect(result).toEqual({ entry: notBuilt, verdict: undefined });
    expect(isAsPromised(result!)).toBe(true);
  });

  test("nothing after an interruption", async () => {
    expect(await resultOf(lost, AbortSignal.abort())).toBeUndefined();
  });

  test("nothing after an interruption amid its runs, and begins no other", async () => {
    const stop = new AbortController();
    let opened = 0;
    const results = await runMatrix({
      classes: [lost, lost],
      seeds: [1n, 2n],
      serveCommand: [],
      signal: stop.signal,
      log: { info: () => {}, warn: () => {} },
      onOpen: () => {
        opened++;
        stop.abort();
      },
    });
    expect(results).toEqual([]);
    expect(opened).toBe(1);
  });
});

describe("the report", () => {
  test("has a row for each class, the sum, and what went wrong", async () => {
    const [good, bad, none] = [
      (await resultOf(lost))!,
      (await resultOf({ ...lost, names: ["torn"] }))!,
      (await resultOf(notBuilt))!,
    ];
    expect(rowText(good)).toMatch(
      /^M16 {2}lost-write +killed +by quiescent +as lost-write +[\d,]+ operations, .* s\n$/,
    );
    expect(rowText(bad)).toContain("\n     seed 1: killed by another name: ");
    expect(rowText(none)).toMatch(/^M45 .*not built: nobody has one\n$/);
    expect(galleryText([good, bad, none])).toBe(
      [
        "",
        "classes    2 of 2 killed with every seed, 1 not built",
        "runs       4 of 4 killed by the checker responsible, 2 with the right name",
        "controls   4 of 4 consistent without the fault",
        "unwatched  4 of 4 survived with the checker responsible switched off",
        "",
      ].join("\n"),
    );
    const { seed, classes } = JSON.parse(galleryJson([good, bad, none], 1n));
    expect(seed).toBe("0x1");
    expect(classes[0]).toMatchObject({
      id: "M16",
      title: "lost-write",
      killed: true,
      by: ["quiescent"],
      diagnosis: "lost-write",
      seeds: { count: 2, killed: 2, named: 2 },
    });
    expect(classes[0].operations).toBe(good.verdict!.firstAlarm!.operations);
    expect(classes[2]).toMatchObject({ id: "M45", built: false, killed: false, why: "nobody has one" });
    const table = galleryMarkdown([good, none]).split("\n");
    expect(table[2]).toMatch(
      /^\| M16 lost-write \| a write .* \| somewhere \| quiescent \| 2 of 2 \| `lost-write` \|/,
    );
    expect(table[3]).toBe(
      "| M45 lost-write | a write is acknowledged and never stored | somewhere | | not built: nobody has one | | | | |",
    );
    for (const line of table.slice(0, -1)) expect(line.split("|").length).toBe(table[0]!.split("|").length);
  });

  test("lists classes without running them", () => {
    expect(listText([lost, notBuilt])).toBe(
      [
        "M16  lost-write",
        "     a write is acknowledged and never stored",
        "     seen at: somewhere",
        "     port, memory; to be noticed by quiescent",
        "M45  lost-write",
        "     a write is acknowledged and never stored",
        "     seen at: somewhere",
        "     not built: nobody has one; to be noticed by quiescent",
        "",
      ].join("\n"),
    );
  });
});
