/**
 * What `lvs` says about a volume group: the pool, and the logical volumes in it that are ours.
 *
 * @see lvmreport(7)
 *
 * @packageDocumentation
 */
import { z } from "zod";
import { ServiceError } from "../port.ts";
import { printable } from "../wording.ts";
import { type LvmLabel, lvmLabel } from "./lvm-tags.ts";

/** A logical volume that carries our tags. */
export interface LvmVolume extends LvmLabel {
  readonly lvName: string;
  readonly sizeBytes: number;
  /** Its number in the metadata of the pool. */
  readonly thinId: number;
  /** Path of its block device, if it is active. */
  readonly path: string;
  /** Somebody made something else of it that would go with it, such as a snapshot outside the pool. */
  readonly hasForeignDependents: boolean;
}

export interface LvmPoolState {
  readonly chunkBytes: number;
  /** New chunks are filled with zeros. */
  readonly isZeroing: boolean;
  /** What is wrong with it, in LVM's words; empty if nothing. */
  readonly health: string;
  /** While it is active: minor number of its device in the device mapper, and path of its metadata's. */
  readonly active: { readonly minor: number; readonly metadataPath: string } | undefined;
}

export interface LvmReport {
  readonly pool: LvmPoolState;
  /** One for each UUID. */
  readonly volumes: readonly LvmVolume[];
  /** What these were before they were put back, and is still there. */
  readonly superseded: readonly LvmVolume[];
}

/** Fields that the report has to have, for `lvs -a -o`. */
export const lvmReportFields =
  "lv_name,lv_size,lv_tags,lv_attr,lv_dm_path,lv_kernel_minor,lv_health_status," +
  "pool_lv,thin_id,chunk_size,zero,metadata_lv";

const count = z.string().regex(/^\d{1,16}$/);
const row = z.object({
  lv_name: z.string().max(200),
  lv_size: count.transform(Number),
  lv_tags: z.string().max(2 ** 20),
  lv_attr: z.string().min(9).max(32),
  lv_dm_path: z.string().max(1024),
  lv_kernel_minor: z.string().max(20),
  lv_health_status: z.string().max(100),
  pool_lv: z.string().max(200),
  thin_id: z.string().max(20),
  chunk_size: count.transform(Number),
  zero: z.string().max(20),
  metadata_lv: z.string().max(200),
});
type Row = z.infer<typeof row>;
const report = z.object({ report: z.tuple([z.object({ lv: z.array(row) })]) });

/**
 * Reads `lvs -a --reportformat json --units b --nosuffix -o` {@link lvmReportFields} of one volume group.
 *
 * @throws {ServiceError} `ERR_BAD_ANSWER` if it is none; `ERR_NOT_FOUND` or `ERR_INVALID_REQUEST` if the group has no
 * such pool; `ERR_CONFLICT` if two logical volumes say that they are the same.
 */
export function readLvmReport(
  text: string,
  where: { readonly volumeGroup: string; readonly pool: string; readonly tag: string },
): LvmReport {
  const rows = readRows(text);
  const { current, superseded } = latest(rows.flatMap((found) => volumeIn(found, where)));
  return { pool: poolIn(rows, where), volumes: current, superseded };
}

function readRows(text: string): readonly Row[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const shown = text === "" ? "nothing" : `'${printable(text, 100)}'`;
    throw new ServiceError("ERR_BAD_ANSWER", `lvs was to answer in JSON and said ${shown}`, { cause });
  }
  const parsed = report.safeParse(value);
  if (parsed.success) return parsed.data.report[0].lv;
  const issue = parsed.error.issues[0];
  const path = issue?.path.join(".") ?? "";
  throw new ServiceError("ERR_BAD_ANSWER", `the report of lvs at ${path}: ${issue?.message}`);
}

function poolIn(
  rows: readonly Row[],
  { volumeGroup, pool }: { readonly volumeGroup: string; readonly pool: string },
): LvmPoolState {
  const found = rows.find(({ lv_name }) => lv_name === pool);
  const pools = rows.filter(isThinPool).map(({ lv_name }) => lv_name);
  const others =
    pools.length === 0
      ? `it has no thin pool (lvcreate --type thin-pool -L SIZE -n NAME ${volumeGroup} makes one)`
      : `its thin pools are ${pools.slice(0, 10).join(", ")}`;
  if (found === undefined)
    throw new ServiceError("ERR_NOT_FOUND", `no logical volume ${volumeGroup}/${pool}: ${others}`);
  if (!isThinPool(found))
    throw new ServiceError("ERR_INVALID_REQUEST", `${volumeGroup}/${pool} is no thin pool: ${others}`);
  const { chunk_size: chunkBytes, lv_health_status: health, zero, metadata_lv, lv_kernel_minor } = found;
  if (chunkBytes === 0 || chunkBytes % 65_536 !== 0)
    throw new ServiceError(
      "ERR_BAD_ANSWER",
      `lvs says that ${volumeGroup}/${pool} has chunks of ${chunkBytes} bytes, and not a multiple of 64 KiB`,
    );
  const metadata = rows.find(({ lv_name }) => lv_name === metadata_lv);
  // Of the pool LVM tells the number of the device below, which takes messages, and not of the one with its name.
  const isActive = /^\d{1,9}$/.test(lv_kernel_minor) && metadata !== undefined;
  return {
    chunkBytes,
    isZeroing: zero === "zero",
    health,
    active: isActive ? { minor: Number(lv_kernel_minor), metadataPath: metadata.lv_dm_path } : undefined,
  };
}

function isThinPool({ lv_attr }: Row): boolean {
  return lv_attr[0] === "t";
}

function volumeIn(
  found: Row,
  { pool, tag }: { readonly pool: string; readonly tag: string },
): readonly LvmVolume[] {
  const label = lvmLabel(tag, found.lv_tags.split(","));
  if (label === undefined || found.pool_lv !== pool || !/^\d{1,8}$/.test(found.thin_id)) return [];
  return [
    {
      ...label,
      lvName: found.lv_name,
      sizeBytes: found.lv_size,
      thinId: Number(found.thin_id),
      path: found.lv_dm_path,
      // An origin of thin snapshots has V here; o and O are origins of what cannot be without them.
      hasForeignDependents: found.lv_attr[0]?.toLowerCase() === "o",
    },
  ];
}

function latest(found: readonly LvmVolume[]): {
  readonly current: readonly LvmVolume[];
  readonly superseded: readonly LvmVolume[];
} {
  const current = new Map<string, LvmVolume>();
  const superseded: LvmVolume[] = [];
  for (const volume of found.toSorted((a, b) => a.turn - b.turn)) {
    const before = current.get(volume.uuid);
    if (before?.turn === volume.turn)
      throw new ServiceError(
        "ERR_CONFLICT",
        `the logical volumes ${before.lvName} and ${volume.lvName} carry the same tags, with uuid ${volume.uuid}: ` +
          "take the tags off the one that was copied by hand (lvchange --deltag)",
      );
    if (before !== undefined) superseded.push(before);
    current.set(volume.uuid, volume);
  }
  return { current: [...current.values()], superseded };
}
