/**
 * Objects of the service, from JSON to the port's types.
 *
 * Tolerant where protobuf's JSON allows a choice: int64 as text or number, a missing or null field for zero,
 * an enum by name or number, base64 with or without padding. Strict otherwise: a value of another type, or a
 * number that JavaScript would round, is `ERR_BAD_ANSWER`. Nothing is judged: ranges may overlap, run
 * backwards or lie beyond the volume.
 *
 * @packageDocumentation
 */

import { z } from "zod";
import {
  type DiffRange,
  ServiceError,
  type Snapshot,
  type SnapshotState,
  type Volume,
  type VolumeState,
} from "../port.ts";
import { printable } from "../wording.ts";

/** int64 or uint64 that is used as a size or an address: a safe non-negative integer. */
const int64 = z
  .union(
    [z.string().regex(/^\d{1,20}$/, "expected an unsigned decimal integer"), z.number()],
    "expected an int64 as text or number",
  )
  .nullish()
  .transform((value) => Number(value ?? 0))
  .refine((value) => Number.isSafeInteger(value) && value >= 0, "expected 0 to 2^53 - 1");

const uint32 = z
  .int()
  .min(0)
  .max(0xffff_ffff)
  .nullish()
  .transform((value) => value ?? 0);

const text = z
  .string()
  .max(4096)
  .nullish()
  .transform((value) => value ?? "");

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const uuid = z.string().regex(uuidPattern, "expected a UUID").toLowerCase();
const optionalUuid = text
  .refine((value) => value === "" || uuidPattern.test(value), "expected a UUID or nothing")
  .transform((value) => value.toLowerCase());

/** An enum by name or number; a missing one is number 0. */
function enumOf<State extends string>(
  names: Readonly<Record<string, State>>,
  numbers: Readonly<Record<number, State>>,
) {
  return z
    .union([z.string(), z.int()], "expected an enum by name or number")
    .nullish()
    .transform((value, context): State => {
      const key = value ?? 0;
      const known = typeof key === "string" ? Object.hasOwn(names, key) : Object.hasOwn(numbers, key);
      const state = known ? (typeof key === "string" ? names[key] : numbers[key]) : undefined;
      if (state !== undefined) return state;
      context.addIssue({
        code: "custom",
        message: `unknown state ${printable(String(key), 40)}, known are ${Object.keys(names).join(", ")}`,
      });
      return z.NEVER;
    });
}

// Unknown, which is also what a missing state means, is an object that is not there yet.
const volumeState = enumOf<VolumeState>(
  {
    Unknown: "creating",
    Creating: "creating",
    Available: "available",
    Deleting: "deleting",
    Deleted: "deleted",
    Failed: "failed",
    Updating: "updating",
    Rollback: "rollback",
    Migrating: "migrating",
  },
  {
    0: "creating",
    1: "creating",
    2: "available",
    3: "deleting",
    4: "deleted",
    7: "failed",
    8: "updating",
    9: "rollback",
    10: "migrating",
  },
);

const snapshotState = enumOf<SnapshotState>(
  {
    Unknown: "creating",
    Creating: "creating",
    Available: "available",
    Deleting: "deleting",
    Deleted: "deleted",
    Failed: "failed",
  },
  { 0: "creating", 1: "creating", 2: "available", 3: "deleting", 4: "deleted", 7: "failed" },
);

/** Bytes per block; 0, or missing, is the service's default of 4096. */
const sectorSize = z
  .union(
    [
      z.literal([0, 512, 4096]),
      z.literal(["0", "512", "4096"]).transform(Number),
      z.literal("sectorSize_512B").transform(() => 512),
      z.literal(["sectorSize_Default", "sectorSize_4K"]).transform(() => 4096),
    ],
    "expected a sector size of 512 or 4096",
  )
  .nullish()
  .transform((value) => value || 4096);

const volumeMessage = z
  .object({
    UUID: uuid,
    name: text,
    size: int64,
    sectorSize,
    state: volumeState,
    nsid: uint32,
    sourceSnapshotUUID: optionalUuid,
  })
  .transform(
    (message): Volume => ({
      uuid: message.UUID,
      name: message.name,
      sizeBytes: message.size,
      sectorSizeBytes: message.sectorSize,
      state: message.state,
      nsid: message.nsid === 0 ? undefined : message.nsid,
      sourceSnapshotUuid: message.sourceSnapshotUUID === "" ? undefined : message.sourceSnapshotUUID,
    }),
  );

/** A volume as it was at one time, which its ETag names; empty if the service gives none. */
export interface VolumeVersion {
  readonly volume: Volume;
  readonly etag: string;
}

/** It goes back in a header, so it must be fit for one. */
const etag = text.refine((value) => /^[\x21-\x7e]{0,256}$/.test(value), "expected an ETag");

const volumeVersionMessage = z
  .looseObject({ ETag: etag })
  .transform(({ ETag, ...rest }) => ({ etag: ETag, volume: rest }))
  .pipe(z.object({ etag: z.string(), volume: volumeMessage }));

/** A snapshot with what only this adapter needs: the block size of a clone, and the mark of who made it. */
export interface DescribedSnapshot extends Snapshot {
  readonly sectorSizeBytes: number;
  readonly description: string;
}

const snapshotMessage = z
  .object({
    UUID: uuid,
    name: text,
    size: int64,
    sectorSize,
    state: snapshotState,
    sourceVolumeUUID: optionalUuid,
    description: text,
  })
  .transform(
    (message): DescribedSnapshot => ({
      uuid: message.UUID,
      name: message.name,
      sizeBytes: message.size,
      sectorSizeBytes: message.sectorSize,
      state: message.state,
      sourceVolumeUuid: message.sourceVolumeUUID,
      description: message.description,
    }),
  );

const base64 = z
  .string()
  .nullish()
  .transform((value, context): Uint8Array => {
    const digits = (value ?? "").replace(/={1,2}$/, "");
    if (/^[A-Za-z0-9+/]*$/.test(digits) && digits.length % 4 !== 1) return Buffer.from(digits, "base64");
    context.addIssue({ code: "custom", message: `expected base64, got '${printable(value ?? "", 40)}'` });
    return z.NEVER;
  });

/** A range as it came: its bits in the server's order, and `lbaEnd` as 0 if it was absent. */
interface RangeAsSent extends DiffRange {
  readonly lbaEnd: number;
}

const diffRange = z
  .object({ lbaStart: int64, lbaEnd: int64, dataBitMap: base64 })
  .transform(({ lbaStart, lbaEnd, dataBitMap }): RangeAsSent => ({ lbaStart, lbaEnd, bitmap: dataBitMap }));

/** A list whose length is checked before its items are, which take more memory decoded than as text. */
function listOf<Item extends z.ZodType>(item: Item, { countMax }: { readonly countMax: number }) {
  return z
    .array(z.unknown())
    .max(countMax, `expected at most ${countMax} items`)
    .nullish()
    .transform((value) => value ?? [])
    .pipe(z.array(item));
}

/** Objects in one list; the service gives at most 1000. */
const objectCountMax = 10_000;
/** Ranges in one page of a diff; the service gives at most 10000. */
const rangeCountMax = 200_000;

const diffMessage = z.object({
  nextOffsetLBA: int64,
  lbaRanges: listOf(diffRange, { countMax: rangeCountMax }),
});

export interface ClusterInfo {
  readonly subsystemNqn: string;
  /** `host:port` each. */
  readonly nvmeEndpoints: readonly string[];
  /** `host:port` each, of controllers that know where the volumes are. */
  readonly discoveryEndpoints: readonly string[];
}

/** Addresses of one kind; a cluster has a few per node. */
const addresses = listOf(text, { countMax: 1000 });

const clusterInfoMessage = z
  .object({ subsystemNQN: text, nvmeEndpoints: addresses, discoveryEndpoints: addresses })
  .transform(
    (info): ClusterInfo => ({
      subsystemNqn: info.subsystemNQN,
      nvmeEndpoints: info.nvmeEndpoints,
      discoveryEndpoints: info.discoveryEndpoints,
    }),
  );

const volumesMessage = z.object({ volumes: listOf(volumeMessage, { countMax: objectCountMax }) });
const snapshotsMessage = z.object({ snapshots: listOf(snapshotMessage, { countMax: objectCountMax }) });

/** Each decoder takes what was asked (for messages) and the JSON document, and throws `ERR_BAD_ANSWER`. */
export const decodeVolume = decoder(volumeMessage);
export const decodeVolumeVersion: Decoder<VolumeVersion> = decoder(volumeVersionMessage);
export const decodeVolumes = decoder(volumesMessage);
export const decodeSnapshot = decoder(snapshotMessage);
export const decodeSnapshots = decoder(snapshotsMessage);
export const decodeDiff = decoder(diffMessage);
export const decodeClusterInfo = decoder(clusterInfoMessage);
/** For answers that hold nothing of interest; still a JSON object, else it is another service that answers. */
export const decodeNothing = decoder(z.looseObject({}).transform(() => undefined));

export type Decoder<Value> = (call: string, document: unknown) => Value;

function decoder<Schema extends z.ZodType>(schema: Schema): Decoder<z.output<Schema>> {
  return (call, document) => {
    const result = schema.safeParse(document);
    if (result.success) return result.data;
    const [issue] = result.error.issues;
    const where = issue === undefined || issue.path.length === 0 ? "the answer" : issue.path.join(".");
    throw new ServiceError(
      "ERR_BAD_ANSWER",
      `${call}: ${where}: ${printable(issue?.message ?? "not understood", 200)}, got ${kindAt(document, issue?.path ?? [])}`,
    );
  };
}

/** The value at a path of a document, for a message: its JSON if it is short, else its type. */
function kindAt(document: unknown, path: readonly PropertyKey[]): string {
  let value = document;
  for (const key of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return "nothing";
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "object" && value !== null) return "an object";
  return value === undefined ? "nothing" : printable(JSON.stringify(value), 60);
}
