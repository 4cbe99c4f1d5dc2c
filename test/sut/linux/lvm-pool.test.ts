import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LvmPool, type LvmPoolOptions } from "../../../src/sut/linux/lvm-pool.ts";
import { readLvmReport } from "../../../src/sut/linux/lvm-report.ts";
import { type LvmLabel, lvmLabel, lvmTags } from "../../../src/sut/linux/lvm-tags.ts";
import type { Shell, ShellResult } from "../../../src/sut/linux/shell.ts";
import { ServiceError } from "../../../src/sut/port.ts";

/** Said by lvs of LVM 2.03.16 about a group with two snapshots of a volume of ours, and with others' volumes. */
const recorded = readFileSync(new URL("fixtures/lvs-2.03.16.json", import.meta.url), "utf8");
const where = { volumeGroup: "vg-0", pool: "thin-pool", tag: "harrow" };
const volumeUuid = "d9df5c0a-0555-44a4-b9b8-b69523aa14e9";
const firstUuid = "cf9cb84d-be71-4831-9892-9684119920d5";
const secondUuid = "8ce299c2-c9e6-4ede-abd3-c7dff2567702";

/** A report with rows changed by the name of their logical volume. */
function reportWith(changes: Readonly<Record<string, Readonly<Record<string, string>>>>): string {
  const value = JSON.parse(recorded) as { report: [{ lv: Record<string, string>[] }] };
  for (const row of value.report[0].lv) Object.assign(row, changes[row["lv_name"]!]);
  return JSON.stringify(value);
}

describe("tags of LVM", () => {
  const uuid = fc.uuid();
  const label: fc.Arbitrary<LvmLabel> = fc.record({
    uuid,
    name: fc.string({ unit: "grapheme", maxLength: 40 }).filter((name) => Buffer.byteLength(name) <= 255),
    role: fc.constantFrom("volume", "snapshot"),
    sourceUuid: fc.option(uuid, { nil: undefined }),
    turn: fc.nat({ max: 999_999_999 }),
  });

  test("read as what was written, with any name, in whatever order LVM tells them", () => {
    fc.assert(
      fc.property(label, fc.func(fc.nat()), (written, rank) => {
        const tags = lvmTags("harrow", written).toSorted((a, b) => rank(a) - rank(b));
        expect(lvmLabel("harrow", [...tags, "theirs", "harrow2.uuid=x"])).toEqual(written);
        expect(lvmLabel("harrow2", tags)).toBeUndefined();
      }),
    );
  });

  test("have only characters that LVM takes", () => {
    fc.assert(
      fc.property(label, (written) => {
        for (const tag of lvmTags("harrow", written)) expect(tag).toMatch(/^[\w+.][\w+.\-/=!:&#]{0,1023}$/);
      }),
    );
  });

  test("have each other byte as two digits", () => {
    const written = {
      uuid: volumeUuid,
      name: "a\n+ä",
      role: "snapshot",
      sourceUuid: firstUuid,
      turn: 0,
    } as const;
    expect(lvmTags("harrow", written)).toEqual([
      "harrow",
      `harrow.uuid=${volumeUuid}`,
      "harrow.role=snapshot",
      `harrow.source=${firstUuid}`,
      "harrow.name=a+0a+2b+c3+a4",
    ]);
  });

  test("are not written for a name that is too long", () => {
    const written = { uuid: volumeUuid, role: "volume", sourceUuid: undefined, turn: 0 } as const;
    expect(lvmTags("harrow", { ...written, name: "x".repeat(255) })).toHaveLength(4);
    expect(() => lvmTags("harrow", { ...written, name: "ä".repeat(128) })).toThrow(
      /256 bytes .* at most 255/,
    );
  });

  const uuidTag = `harrow.uuid=${volumeUuid}`;
  const whole = ["harrow", uuidTag, "harrow.role=volume", "harrow.name=a"];
  const others: Record<string, readonly string[]> = {
    "without the tag itself": whole.slice(1),
    "without a UUID": whole.filter((tag) => tag !== uuidTag),
    "with two UUIDs": [...whole, `harrow.uuid=${firstUuid}`],
    "with a UUID that is none": ["harrow", "harrow.uuid=../x", "harrow.role=volume", "harrow.name=a"],
    "with another role": ["harrow", uuidTag, "harrow.role=pool", "harrow.name=a"],
    "with a name that was not written so": ["harrow", uuidTag, "harrow.role=volume", "harrow.name=a+4"],
    "with a turn that is no number": [...whole, "harrow.turn=-1"],
  };
  test.for(Object.entries(others))("mean nothing %s", ([, tags]) => {
    expect(lvmLabel("harrow", whole)).toMatchObject({ uuid: volumeUuid, turn: 0 });
    expect(lvmLabel("harrow", tags)).toBeUndefined();
  });
});

describe("a report of lvs", () => {
  test("tells the pool, and of its volumes those that are ours", () => {
    const { pool, volumes, superseded } = readLvmReport(recorded, where);
    expect(pool).toEqual({
      chunkBytes: 65_536,
      isZeroing: true,
      health: "",
      active: { minor: 2, metadataPath: "/dev/mapper/vg--0-thin--pool_tmeta" },
    });
    expect(superseded).toEqual([]);
    const common = { turn: 0, hasForeignDependents: false };
    expect(volumes.toSorted((a, b) => a.thinId - b.thinId)).toEqual([
      {
        ...{ ...common, uuid: volumeUuid, name: "vol ä/1", role: "volume", sourceUuid: undefined, thinId: 2 },
        ...{ lvName: `harrow-${volumeUuid}`, sizeBytes: 201_326_592 },
        path: "/dev/mapper/vg--0-harrow--d9df5c0a--0555--44a4--b9b8--b69523aa14e9",
      },
      {
        ...{ ...common, uuid: firstUuid, name: "s1", role: "snapshot", sourceUuid: volumeUuid, thinId: 3 },
        ...{ lvName: `harrow-${firstUuid}`, sizeBytes: 100_663_296 },
        path: "/dev/mapper/vg--0-harrow--cf9cb84d--be71--4831--9892--9684119920d5",
      },
      {
        ...{ ...common, uuid: secondUuid, name: "s2", role: "snapshot", sourceUuid: volumeUuid, thinId: 4 },
        ...{ lvName: `harrow-${secondUuid}`, sizeBytes: 100_663_296 },
        path: "/dev/mapper/vg--0-harrow--8ce299c2--c9e6--4ede--abd3--c7dff2567702",
      },
    ]);
  });

  test("takes the highest turn for the volume, and what it was before for superseded", () => {
    const tags = lvmTags("harrow", {
      ...{ uuid: volumeUuid, name: "x", role: "volume", sourceUuid: undefined, turn: 3 },
    }).join(",");
    const report = readLvmReport(reportWith({ [`harrow-${secondUuid}`]: { lv_tags: tags } }), where);
    expect(report.volumes.find(({ uuid }) => uuid === volumeUuid)).toMatchObject({ thinId: 4, turn: 3 });
    expect(report.superseded).toMatchObject([{ thinId: 2, turn: 0 }]);
  });

  test("does not choose between two that say that they are the same", () => {
    const { lv_tags } = JSON.parse(recorded).report[0].lv.find(
      ({ lv_name }: { lv_name: string }) => lv_name === `harrow-${volumeUuid}`,
    );
    expect(() => readLvmReport(reportWith({ "foreign-thin": { lv_tags } }), where)).toThrow(
      /foreign-thin and harrow-d9df5c0a.* carry the same tags.*lvchange --deltag/,
    );
  });

  test("has no volume of ours in another pool, or outside of any", () => {
    for (const pool_lv of ["", "other"]) {
      const text = reportWith({ [`harrow-${volumeUuid}`]: { pool_lv } });
      expect(readLvmReport(text, where).volumes).toHaveLength(2);
    }
  });

  const wrong: Record<string, [string, string, RegExp]> = {
    nothing: ["", "ERR_BAD_ANSWER", /said nothing/],
    "other words": ["lvs: hello", "ERR_BAD_ANSWER", /'lvs: hello'/],
    "half a report": [recorded.slice(0, 900), "ERR_BAD_ANSWER", /in JSON/],
    "another document": ['{"report":[]}', "ERR_BAD_ANSWER", /at report/],
    "a size that is none": [reportWith({ foreign: { lv_size: "16.00m" } }), "ERR_BAD_ANSWER", /lv_size/],
    "chunks of an odd size": [
      reportWith({ "thin-pool": { chunk_size: "4096" } }),
      "ERR_BAD_ANSWER",
      /64 KiB/,
    ],
    "no such pool": [
      reportWith({ "thin-pool": { lv_name: "p2" } }),
      "ERR_NOT_FOUND",
      /its thin pools are p2/,
    ],
    "something else of that name": [
      reportWith({ "thin-pool": { lv_attr: "-wi-a-----" } }),
      "ERR_INVALID_REQUEST",
      /is no thin pool: it has no thin pool \(lvcreate --type thin-pool/,
    ],
  };
  test.for(Object.entries(wrong))("is refused if it is %s", ([, [text, code, words]]) => {
    let error: unknown;
    try {
      readLvmReport(text, where);
    } catch (caught) {
      error = caught;
    }
    expect(error).toMatchObject({ code, message: expect.stringMatching(words) });
  });
});

describe("a thin pool of LVM, behind stand-ins for its commands", () => {
  let directory: string;
  let shell: LocalSh;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "harrow-lvm-"));
    shell = new LocalSh(directory);
    for (const name of [
      "lvcreate",
      "lvremove",
      "lvchange",
      "lvextend",
      "lvrename",
      "dmsetup",
      "thin_delta",
      "thin_dump",
    ])
      await provide(name, "");
    await reports(recorded);
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  /** A command that notes its parameters and does what it is told. */
  const provide = async (name: string, text: string) => {
    const path = join(directory, name);
    await writeFile(
      path,
      `#!/bin/sh\nPATH=$PATH:/usr/bin:/bin\necho "${name} $*" >>${directory}/calls\n${text}\n`,
    );
    await chmod(path, 0o755);
  };
  const reports = async (text: string) => {
    await writeFile(join(directory, "report"), text);
    await provide("lvs", `echo 'WARNING: something' >&2; cat ${directory}/report`);
  };
  const says = (name: string, text: string) => provide(name, `echo '  ${text}' >&2; exit 5`);
  const calls = async (): Promise<string[]> => {
    const lines = (await readFile(join(directory, "calls"), "utf8")).trim().split("\n");
    return lines.map((line) => line.replace(" -qq -y --config backup{archive=0}", ""));
  };
  const changing = async () => (await calls()).filter((line) => !line.startsWith("lvs "));
  const poolOf = (options: Partial<LvmPoolOptions> = {}) => new LvmPool({ shell, ...where, ...options });

  test("asks for one group, and takes names of ours alone into its commands", async () => {
    const pool = poolOf();
    expect((await pool.list()).map(({ name }) => name).toSorted()).toEqual(["s1", "s2", "vol ä/1"]);
    await pool.remove(firstUuid);
    await pool.deactivate(secondUuid);
    await pool.grow(volumeUuid, 300_000_001);
    const made = await pool.snapshot({ name: "$(x) 'y'", sourceUuid: volumeUuid, role: "snapshot" });
    expect(made).toMatchObject({ name: "$(x) 'y'", sizeBytes: 201_326_592, sourceUuid: volumeUuid });
    expect(await changing()).toEqual([
      `lvremove -f vg-0/harrow-${firstUuid}`,
      `lvchange -an vg-0/harrow-${secondUuid}`,
      `lvextend -L 300000256b vg-0/harrow-${volumeUuid}`,
      `lvcreate -s -an -ky vg-0/harrow-${volumeUuid} -n harrow-${made.uuid} --addtag harrow --addtag harrow.uuid=${made.uuid} ` +
        `--addtag harrow.role=snapshot --addtag harrow.source=${volumeUuid} --addtag harrow.name=+24+28x+29+20+27y+27`,
    ]);
    for (const line of await calls())
      if (line.startsWith("lvs ")) expect(line).toMatch(/^lvs -a --reportformat json .* vg-0$/);
  });

  test("makes a volume that is not active, and tells the size that LVM gave it", async () => {
    shell.afterwards = async (script) => {
      const tags = [...script.matchAll(/--addtag '([^']*)'/g)].map(([, tag]) => tag);
      if (tags.length > 0) await reports(reportWith({ "foreign-thin": { lv_tags: tags.join(",") } }));
    };
    const made = await poolOf().create({ name: "v", sizeBytes: 10_000_000 });
    expect(made).toMatchObject({ name: "v", role: "volume", sourceUuid: undefined, sizeBytes: 33_554_432 });
    expect(await changing()).toEqual([
      `lvcreate -an -ky -V 10000384b -T vg-0/thin-pool -n harrow-${made.uuid} --addtag harrow ` +
        `--addtag harrow.uuid=${made.uuid} --addtag harrow.role=volume --addtag harrow.name=v`,
    ]);
  });

  test("does nothing for what is not its own, and nothing about volumes that others depend on", async () => {
    await reports(reportWith({ [`harrow-${volumeUuid}`]: { lv_attr: "owi-a-tz-k" } }));
    const pool = poolOf();
    const unknown = "00000000-0000-4000-8000-000000000000";
    for (const refused of [
      () => pool.remove(unknown),
      () => pool.activate(unknown),
      () => pool.deactivate(unknown),
      () => pool.grow(unknown, 2 ** 40),
      () => pool.snapshot({ name: "x", sourceUuid: unknown, role: "snapshot" }),
      () => pool.changes({ baseUuid: unknown, uuid: firstUuid }),
      () => pool.rollback({ volumeUuid, snapshotUuid: unknown }, (work) => work()),
    ])
      await expect(refused()).rejects.toMatchObject({ code: "ERR_NOT_FOUND" });
    await expect(pool.remove(volumeUuid)).rejects.toMatchObject({ code: "ERR_BUSY" });
    const request = { volumeUuid, snapshotUuid: firstUuid };
    await expect(pool.rollback(request, (work) => work())).rejects.toMatchObject({ code: "ERR_BUSY" });
    await expect(
      pool.rollback({ volumeUuid: firstUuid, snapshotUuid: secondUuid }, (work) => work()),
    ).rejects.toMatchObject({ code: "ERR_INVALID_REQUEST" });
    await expect(pool.grow(volumeUuid, 1)).rejects.toMatchObject({ code: "ERR_INVALID_REQUEST" });
    await pool.grow(volumeUuid, 201_326_592);
    expect(await changing()).toEqual([]);
  });

  test("commits a rollback once, while the volume is detached, and gives the new one its name", async () => {
    const pool = poolOf();
    const steps: string[] = [];
    await pool.rollback({ volumeUuid, snapshotUuid: firstUuid }, async (work) => {
      steps.push(...(await changing().catch(() => [])), "detached");
      await work();
      steps.push(...(await changing()), "attached");
    });
    const name = `vg-0/harrow-${volumeUuid}`;
    expect(steps).toEqual([
      "detached",
      `lvchange -an ${name}`,
      `lvcreate -s -an -ky vg-0/harrow-${firstUuid} -n harrow-${volumeUuid}.1 --addtag harrow --addtag harrow.uuid=${volumeUuid} ` +
        "--addtag harrow.role=volume --addtag harrow.name=vol+20+c3+a4+2f1 --addtag harrow.turn=1",
      `lvremove -f ${name}`,
      `lvrename ${name}.1 ${name}`,
      `lvchange -ay -K ${name}`,
      "attached",
    ]);
  });

  test("makes the volume active again if it cannot be put back, and says why", async () => {
    await says(
      "lvcreate",
      "Cannot create new thin volume, free space in thin pool vg-0/thin-pool reached threshold.",
    );
    await expect(
      poolOf().rollback({ volumeUuid, snapshotUuid: firstUuid }, (work) => work()),
    ).rejects.toMatchObject({
      code: "ERR_TARGET",
      message: expect.stringContaining("give the pool more space"),
    });
    const name = `vg-0/harrow-${volumeUuid}`;
    expect(await changing()).toEqual([
      `lvchange -an ${name}`,
      expect.stringMatching(/^lvcreate /),
      `lvchange -ay -K ${name}`,
    ]);
  });

  test("puts an old one out of the way that cannot be removed", async () => {
    await says("lvremove", "Logical volume vg-0/x in use.");
    await poolOf().rollback({ volumeUuid, snapshotUuid: firstUuid }, (work) => work());
    const name = `vg-0/harrow-${volumeUuid}`;
    expect((await changing()).slice(2)).toEqual([
      `lvremove -f ${name}`,
      `lvrename ${name} ${name}.old-1`,
      `lvrename ${name}.1 ${name}`,
      `lvchange -ay -K ${name}`,
    ]);
  });

  test("finishes a rollback whose answer was lost, and does not make it twice", async () => {
    const pool = poolOf({ waitTimeoutMs: 5000 });
    shell.afterwards = async (script) => {
      if (!script.includes("lvcreate -s")) return;
      shell.afterwards = async () => {};
      const tags = lvmTags("harrow", {
        ...{ uuid: volumeUuid, name: "x", role: "volume", sourceUuid: undefined, turn: 1 },
      }).join(",");
      await reports(reportWith({ "foreign-thin": { lv_name: `harrow-${volumeUuid}.1`, lv_tags: tags } }));
      await rm(join(directory, "calls"));
      throw new ServiceError("ERR_UNREACHABLE", "lost");
    };
    await pool.rollback({ volumeUuid, snapshotUuid: firstUuid }, (work) => work());
    const name = `vg-0/harrow-${volumeUuid}`;
    expect(await changing()).toEqual([
      `lvremove -f ${name}`,
      `lvrename ${name}.1 ${name}`,
      `lvchange -ay -K ${name}`,
    ]);
  });

  test("looks what became of a call whose answer was lost, and does what is still to be done once more", async () => {
    const pool = poolOf({ waitTimeoutMs: 5000 });
    let lost = 0;
    shell.afterwards = async (script) => {
      if (!script.includes("lvremove") || lost++ > 0) return;
      throw new ServiceError("ERR_TIMEOUT", "lost");
    };
    await pool.remove(firstUuid);
    expect(await changing()).toEqual(Array(2).fill(`lvremove -f vg-0/harrow-${firstUuid}`));
    lost = 0;
    shell.afterwards = async (script) => {
      if (!script.includes("lvremove") || lost++ > 0) return;
      await reports(reportWith({ [`harrow-${firstUuid}`]: { lv_tags: "" } }));
      throw new ServiceError("ERR_TIMEOUT", "lost");
    };
    await pool.remove(firstUuid);
    expect(await changing()).toHaveLength(3);
  });

  test("does not wait for a host that does not come back for longer than it was told", async () => {
    const pool = poolOf({ waitTimeoutMs: 600 });
    await pool.list();
    shell.afterwards = async () => {
      throw new ServiceError("ERR_UNREACHABLE", "lost");
    };
    const start = performance.now();
    const late = pool.snapshot({ name: "x", sourceUuid: volumeUuid, role: "snapshot" });
    await expect(late).rejects.toMatchObject({ code: "ERR_UNREACHABLE" });
    expect(performance.now() - start).toBeLessThan(5000);
  });

  test("lets go of the metadata snapshot whatever becomes of a diff", async () => {
    // A pool that shows block 51 as its metadata snapshot while it holds one.
    await provide(
      "dmsetup",
      `case "$1 $4" in
message*reserve*) [ ! -e ${directory}/held ] || { echo 'device-mapper: message ioctl failed: Device or resource busy' >&2; exit 1; }
  touch ${directory}/held ;;
message*release*) rm ${directory}/held ;;
status*) held=-; [ ! -e ${directory}/held ] || held=51; echo "0 2097152 thin-pool 5 115/1024 5/16384 $held rw" ;;
esac`,
    );
    await provide("thin_delta", "echo broken >&2; exit 1");
    const pool = poolOf();
    const compare = () => pool.changes({ baseUuid: firstUuid, uuid: secondUuid });
    await expect(compare()).rejects.toMatchObject({ code: "ERR_TARGET" });
    const messages = (await changing()).filter((line) => !line.startsWith("dmsetup status"));
    expect(messages).toEqual([
      "dmsetup message /dev/dm-2 0 reserve_metadata_snap",
      "thin_delta --metadata-snap --thin1 3 --thin2 4 /dev/mapper/vg--0-thin--pool_tmeta",
      "dmsetup message /dev/dm-2 0 release_metadata_snap",
    ]);
    await provide(
      "thin_delta",
      `echo '<superblock uuid="" time="3" transaction="5" data_block_size="128" nr_data_blocks="0">
  <diff left="3" right="4">
    <same begin="0" length="3"/>
    <right_only begin="5" length="2"/>
  </diff>
</superblock>'`,
    );
    expect(await compare()).toEqual([{ begin: 5, count: 2 }]);
    await writeFile(join(directory, "held"), "");
    await expect(compare()).rejects.toMatchObject({
      code: "ERR_BUSY",
      message: expect.stringContaining("dmsetup message /dev/dm-2 0 release_metadata_snap"),
    });
    const exclusive = poolOf({ isExclusive: true });
    expect(await exclusive.changes({ baseUuid: firstUuid, uuid: secondUuid })).toEqual([
      { begin: 5, count: 2 },
    ]);
  });

  /** As said by LVM 2.03.16. */
  const refusals: Record<string, [string, string, string]> = {
    "a group that does not exist": [
      'Volume group "vg-0" not found\n  Cannot process volume group vg-0',
      "ERR_NOT_FOUND",
      "vgs lists the volume groups",
    ],
    "a user other than root": [
      "WARNING: Running as a non-root user. Functionality may be unavailable.\n  /run/lock/lvm/P_global:aux: open failed: Permission denied",
      "ERR_FORBIDDEN",
      "LVM wants root",
    ],
    "a volume in use": ["Logical volume vg-0/x in use.", "ERR_BUSY", "exported, mounted or open elsewhere"],
    "a volume that is gone": ['Failed to find logical volume "vg-0/x"', "ERR_NOT_FOUND", "Failed to find"],
    "a name that is taken": [
      'Logical Volume "x" already exists in volume group "vg-0"',
      "ERR_CONFLICT",
      "already",
    ],
    "a group without space": [
      'Volume group "vg-0" has insufficient free space (0 extents): 1 required.',
      "ERR_TARGET",
      "give the pool more space",
    ],
    "anything else": ["Something new.", "ERR_TARGET", "Something new."],
  };
  test.for(Object.entries(refusals))(
    "tells %s in LVM's words, with what to do",
    async ([, [said, code, words]]) => {
      await says("lvremove", said);
      await expect(poolOf().remove(firstUuid)).rejects.toMatchObject({
        code,
        message: expect.stringContaining(words),
      });
      await says("lvs", said);
      await expect(poolOf().list()).rejects.toMatchObject({ code, message: expect.stringContaining(words) });
    },
  );

  test("says which package is missing on that host", async () => {
    shell.isBare = true;
    await rm(join(directory, "thin_delta"));
    await expect(poolOf().bringUp()).rejects.toMatchObject({
      code: "ERR_UNSUPPORTED",
      message: expect.stringContaining("install the package thin-provisioning-tools"),
    });
    await rm(join(directory, "lvs"));
    await expect(poolOf().bringUp()).rejects.toMatchObject({
      code: "ERR_UNSUPPORTED",
      message: expect.stringContaining("install the package lvm2"),
    });
  });

  test("does not use a pool that would show what others have left, or that has failed", async () => {
    const path = "vg-0/thin-pool";
    await reports(reportWith({ "thin-pool": { zero: "" } }));
    await expect(poolOf().bringUp()).rejects.toThrow(`lvchange -Zy ${path}`);
    await reports(reportWith({ "thin-pool": { lv_health_status: "metadata_read_only" } }));
    await expect(poolOf().bringUp()).rejects.toThrow(/LVM says metadata_read_only; lvconvert --repair/);
    expect(await changing()).toEqual([]);
  });

  test("warnings are no errors", async () => {
    await provide(
      "lvremove",
      "echo '  WARNING: Sum of all thin volume sizes exceeds the size of thin pool.' >&2",
    );
    await poolOf().remove(firstUuid);
  });

  test("takes no name that LVM would not, or that is more than a name", () => {
    for (const name of ["", "-x", "a b", "a/b", "..", "x".repeat(128), "a\n", "$(x)"]) {
      expect(() => poolOf({ volumeGroup: name })).toThrow(/the volume group cannot be called/);
      expect(() => poolOf({ pool: name })).toThrow(/the pool cannot be called/);
    }
    for (const tag of ["", "-x", "a.b", "a=b", "x".repeat(65)])
      expect(() => poolOf({ tag })).toThrow(/the tag cannot be/);
    expect(poolOf().description).toBe("LVM thin pool vg-0/thin-pool at a test");
    expect(() => poolOf().chunkBytes).toThrow(/was not brought up yet/);
  });

  const sizes = [0, -1, 1.5, Number.NaN, 2 ** 53];
  test.for(sizes)("refuses a size of %d bytes before it asks", async (sizeBytes) => {
    const pool = poolOf();
    await expect(pool.create({ name: "x", sizeBytes })).rejects.toMatchObject({
      code: "ERR_INVALID_REQUEST",
    });
    await expect(pool.grow(volumeUuid, sizeBytes)).rejects.toMatchObject({ code: "ERR_INVALID_REQUEST" });
    await expect(calls()).rejects.toThrow();
  });
});

/** Runs scripts by this machine's sh, which finds the stand-ins first. */
class LocalSh implements Shell {
  readonly description = "a test";
  /** Only the stand-ins and what is needed beside them are found. */
  isBare = false;
  /** Called when a script has run. */
  afterwards: (script: string) => Promise<void> = async () => {};
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async run(script: string): Promise<ShellResult> {
    const PATH = this.isBare ? this.#directory : `${this.#directory}:${process.env["PATH"]}`;
    const text = this.isBare ? script.replace(/^PATH=.*$/m, "") : script;
    const tools = this.isBare ? 'cat() { /bin/cat "$@"; }\ngrep() { /bin/grep "$@"; }\n' : "";
    const result = await new Promise<ShellResult>((resolve) => {
      const child = execFile("/bin/sh", ["-c", tools + text], { env: { PATH } }, (error, stdout, stderr) => {
        resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr });
      });
      child.stdin?.end();
    });
    await this.afterwards(script);
    return result;
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
