/**
 * What the control plane accepts: one strict schema per request.
 *
 * Unknown fields are refused, as a gateway refuses them, so a misspelt field is not silently without effect.
 * Fields of the real service that this target has no counterpart for are known by name and answered
 * `Unimplemented`.
 *
 * @packageDocumentation
 */

import { z } from "zod";
import { StatusError } from "./status.ts";
import { parseVolumeSize } from "./volume-size.ts";

/** Longest list answer and its default length. */
export const listLimitMax = 1000;

const objectName = z
  .string()
  .regex(/^[a-zA-Z0-9\-_.]{1,253}$/, "expected 1 to 253 characters of a-z A-Z 0-9 - _ .");

const uuid = z
  .string()
  .regex(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i, "expected a UUID")
  .toLowerCase();

const volumeSize = z.string().transform((text, context) => {
  const bytes = parseVolumeSize(text);
  if (bytes !== undefined) return bytes;
  context.addIssue({
    code: "custom",
    message: "expected a positive size such as '4 GiB', '4294967296b' or '4294967296'",
  });
  return z.NEVER;
});

/** A protobuf uint64 in a query: decimal text. */
const uint64 = z
  .string()
  .regex(/^\d{1,20}$/, "expected a decimal uint64")
  .transform(Number)
  .refine(Number.isSafeInteger, "expected at most 2^53 - 1");

const flag = z.enum(["true", "false"]).transform((text) => text === "true");

const accessList = z.strictObject({ values: z.array(z.string().min(1).max(253)).max(1024) });

const labels = z
  .array(z.strictObject({ key: z.string().min(1).max(253), value: z.string().max(253) }))
  .max(16);

const compression = z.enum(["true", "enable", "enabled", "false", "disable", "disabled"]);

/** The enum by name or by number; the default is 4096. */
const sectorSize = z
  .union([
    z.enum(["sectorSize_Default", "sectorSize_4K", "sectorSize_512B"]),
    z.literal(0),
    z.literal(512),
    z.literal(4096),
  ])
  .transform((value) => (value === "sectorSize_512B" || value === 512 ? 512 : 4096));

/** Present in the real service, absent here; empty values say nothing and pass. */
const unimplemented = z.unknown().optional();

const projectName = objectName.optional();

export const projectParams = z.object({ projectName });
export const objectParams = z.object({ projectName, UUID: uuid });
export const projectQuery = z.strictObject({ projectName });

export const createVolumeBody = z.strictObject({
  projectName,
  name: objectName,
  size: volumeSize,
  acl: accessList,
  replicaCount: z.int().min(1).max(1, "this target has one node, so expected 1"),
  IPAcl: accessList.optional(),
  compression: compression.optional(),
  sectorSize: sectorSize.optional(),
  sourceSnapshotUUID: uuid.optional(),
  sourceSnapshotName: objectName.optional(),
  labels: labels.optional(),
  minReplicas: z.int().optional(),
  qosPolicyUUID: unimplemented,
  qosPolicyName: unimplemented,
  placementRestrictions: unimplemented,
});

export const updateVolumeBody = z.strictObject({
  projectName,
  UUID: uuid.optional(),
  name: objectName.optional(),
  newName: objectName.optional(),
  size: volumeSize.optional(),
  Force: z.boolean().optional(),
  acl: accessList.optional(),
  IPAcl: accessList.optional(),
  compression: compression.optional(),
  labels: labels.optional(),
  qosPolicyUUID: unimplemented,
  qosPolicyName: unimplemented,
});

export const rollbackBody = z.strictObject({
  projectName,
  UUID: uuid.optional(),
  name: objectName.optional(),
  srcSnapshotUUID: uuid.optional(),
  srcSnapshotName: objectName.optional(),
});

export const createSnapshotBody = z.strictObject({
  projectName,
  name: objectName,
  sourceVolumeUUID: uuid.optional(),
  sourceVolumeName: objectName.optional(),
  description: z
    .string()
    .refine((text) => Buffer.byteLength(text) <= 256, "expected at most 256 bytes")
    .optional(),
  retentionTime: z
    .enum(["", "0s"], "snapshots are kept until they are deleted, so expected '0s' or nothing")
    .optional(),
});

const listQuery = {
  projectName,
  UUID: uuid.optional(),
  offsetUUID: uuid.optional(),
  limit: z
    .string()
    .regex(/^\d{1,4}$/, `expected 1 to ${listLimitMax}`)
    .transform((text) => (Number(text) === 0 ? listLimitMax : Number(text)))
    .refine((limit) => limit <= listLimitMax, `expected 1 to ${listLimitMax}`)
    .optional(),
  showAll: flag.optional(),
};

export const listVolumesQuery = z.strictObject({
  ...listQuery,
  name: objectName.optional(),
  snapshotUUID: uuid.optional(),
  failureDomain: unimplemented,
});

export const listSnapshotsQuery = z.strictObject({ ...listQuery, Name: objectName.optional() });

export const diffQuery = z.strictObject({
  projectName,
  snapshotName: objectName.optional(),
  baseSnapshotUUID: uuid.optional(),
  baseSnapshotName: objectName.optional(),
  offsetLBA: uint64.optional(),
});

/**
 * Checks a part of a request.
 *
 * @param part - Where the value came from, for the message.
 * @throws {StatusError} `InvalidArgument` that names every problem, or `Unimplemented`.
 */
export function parseRequest<Output>(
  schema: z.ZodType<Output>,
  value: unknown,
  part: "path" | "query" | "body",
): Output {
  const result = schema.safeParse(value ?? {});
  if (!result.success) throw new StatusError("InvalidArgument", `${part}: ${problemsOf(result.error)}`);
  for (const field of ["qosPolicyUUID", "qosPolicyName", "placementRestrictions", "failureDomain"]) {
    const given = (result.data as Record<string, unknown>)[field];
    if (
      given !== undefined &&
      given !== null &&
      given !== "" &&
      !(Array.isArray(given) && given.length === 0)
    ) {
      throw new StatusError("Unimplemented", `${part}: this target has no ${field}; leave it out`);
    }
  }
  return result.data;
}

const problemCountMax = 8;

function problemsOf(error: z.ZodError): string {
  const problems = error.issues
    .slice(0, problemCountMax)
    .map(
      (issue) =>
        (issue.path.length === 0 ? "" : `${issue.path.join(".").slice(0, 80)}: `) +
        issue.message.slice(0, 200),
    );
  const hiddenCount = error.issues.length - problems.length;
  return problems.join("; ") + (hiddenCount > 0 ? `; and ${hiddenCount} more` : "");
}
