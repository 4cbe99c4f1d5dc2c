/**
 * Snapshots over REST: create, list, get, delete, and the diff between two of them.
 *
 * @packageDocumentation
 */

import { setImmediate as nextTurn } from "node:timers/promises";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { chunkBlocks, type StoredSnapshot, StoreError } from "../store/port.ts";
import type { Catalog } from "./catalog.ts";
import { checkEtag, checkProject, listPage, type RouteContext } from "./context.ts";
import { diffPageJson } from "./proto-json.ts";
import {
  createSnapshotBody,
  diffQuery,
  listLimitMax,
  listSnapshotsQuery,
  objectParams,
  parseRequest,
  projectParams,
  projectQuery,
} from "./requests.ts";
import { StatusError, snapshotCreatingText, snapshotNameTakenText } from "./status.ts";

/** @param prefix - Where the routes hang: under a project, or directly under the version. */
export function snapshotRoutes(app: FastifyInstance, prefix: string, context: RouteContext): void {
  const path = `${prefix}/snapshots`;
  app.post(path, (request) => createSnapshot(request, context));
  app.get(path, (request) => ({ snapshots: listSnapshots(request, context.catalog) }));
  app.get(`${path}/:UUID`, ({ params, query }) => {
    const { UUID, projectName } = parseRequest(objectParams, params, "path");
    checkProject(projectName, parseRequest(projectQuery, query, "query").projectName);
    return context.catalog.snapshotJson(context.catalog.snapshot(UUID));
  });
  app.get(`${path}/diff/:UUID`, (request) => diffPage(request, context));
  // The same call with an empty UUID, for those who name the snapshot in the query.
  app.get(`${path}/diff/`, (request) => diffPage(request, context));
  app.delete(`${path}/:UUID`, (request) => deleteSnapshot(request, context));
}

async function createSnapshot({ params, query, body }: FastifyRequest, context: RouteContext) {
  const { catalog } = context;
  const { projectName } = parseRequest(projectParams, params, "path");
  const wanted = parseRequest(createSnapshotBody, body, "body");
  checkProject(projectName, parseRequest(projectQuery, query, "query").projectName, wanted.projectName);
  const volume = catalog.volumeBy(wanted.sourceVolumeUUID, wanted.sourceVolumeName);

  // The service answers both of these with 400, whatever the gateway's table says of an existing name.
  const before = catalog.store.snapshotByName(wanted.name);
  if (before !== undefined && before.state !== "deleted") {
    throw new StatusError("AlreadyExists", snapshotNameTakenText, 400);
  }
  if (isSnapshotCreating(catalog, volume.uuid)) {
    throw new StatusError("FailedPrecondition", snapshotCreatingText);
  }
  const state = catalog.volumeState(volume);
  if (state !== "Available") {
    throw new StatusError(
      "FailedPrecondition",
      `volume ${volume.uuid} is ${state}; a snapshot needs it Available`,
    );
  }

  const work = catalog.store.createSnapshot({ name: wanted.name, volumeUuid: volume.uuid });
  // The store registers the snapshot at once; if not, it is answered when it is there.
  const registered = catalog.store.snapshotByName(wanted.name);
  const snapshot = registered === undefined || registered.uuid === before?.uuid ? await work : registered;
  const { acl, ipAcl, compression, labels } = catalog.notes(volume.uuid);
  catalog.created(snapshot.uuid, {
    ...(acl !== undefined && { acl }),
    ...(ipAcl !== undefined && { ipAcl }),
    ...(compression !== undefined && { compression }),
    ...(labels !== undefined && { labels }),
    ...(wanted.description !== undefined && { description: wanted.description }),
  });
  context.continueInBackground(`creating snapshot ${snapshot.uuid}`, work);
  return catalog.snapshotJson(snapshot);
}

function isSnapshotCreating(catalog: Catalog, volumeUuid: string): boolean {
  return catalog.store.snapshots.some(
    (snapshot) => snapshot.sourceVolumeUuid === volumeUuid && catalog.snapshotState(snapshot) === "Creating",
  );
}

function listSnapshots({ params, query }: FastifyRequest, catalog: Catalog) {
  const { projectName } = parseRequest(projectParams, params, "path");
  const filter = parseRequest(listSnapshotsQuery, query, "query");
  checkProject(projectName, filter.projectName);
  const snapshots = catalog.store.snapshots.filter(
    (snapshot) =>
      (filter.UUID === undefined || snapshot.uuid === filter.UUID) &&
      (filter.Name === undefined || snapshot.name === filter.Name) &&
      (filter.showAll === true || (snapshot.state !== "deleting" && snapshot.state !== "deleted")),
  );
  const page = listPage(snapshots, { offsetUuid: filter.offsetUUID, limit: filter.limit ?? listLimitMax });
  return page.map((snapshot) => catalog.snapshotJson(snapshot));
}

async function deleteSnapshot(request: FastifyRequest, context: RouteContext) {
  const { catalog } = context;
  const { UUID, projectName } = parseRequest(objectParams, request.params, "path");
  checkProject(projectName, parseRequest(projectQuery, request.query, "query").projectName);
  const snapshot = catalog.snapshot(UUID);
  checkEtag(request, catalog, snapshot);
  const state = catalog.snapshotState(snapshot);
  if (state === "Creating")
    throw new StatusError("Unavailable", `snapshot ${UUID} is Creating; try again later`);
  if (state !== "Available") throw new StatusError("FailedPrecondition", `snapshot ${UUID} is ${state}`);
  const volume = catalog.store.volume(snapshot.sourceVolumeUuid);
  if (volume !== undefined && catalog.volumeState(volume) === "Updating") {
    throw new StatusError("Unavailable", `volume ${volume.uuid} is Updating; try again later`);
  }
  const work = catalog.store.deleteSnapshot(UUID);
  // A store that refuses does so at once, and then the client hears of it.
  await Promise.race([work, nextTurn()]);
  context.continueInBackground(`deleting snapshot ${UUID}`, work);
  return {};
}

function diffPage({ params, query }: FastifyRequest, { catalog, diffPageRangesMax }: RouteContext) {
  const { UUID, projectName } = parseRequest(objectParams.partial({ UUID: true }), params, "path");
  const wanted = parseRequest(diffQuery, query, "query");
  checkProject(projectName, wanted.projectName);
  const snapshot = comparable(catalog, catalog.snapshotBy(UUID, wanted.snapshotName));
  const { baseSnapshotUUID, baseSnapshotName } = wanted;
  const base =
    baseSnapshotUUID === undefined && baseSnapshotName === undefined
      ? undefined
      : comparable(catalog, catalog.snapshotBy(baseSnapshotUUID, baseSnapshotName));
  if (base?.uuid === snapshot.uuid)
    throw new StatusError("InvalidArgument", "the two snapshots are identical");

  const offsetLba = wanted.offsetLBA ?? 0;
  const blockCount = snapshot.sizeBytes / snapshot.blockSizeBytes;
  if (offsetLba > blockCount) {
    throw new StatusError("OutOfRange", `offsetLBA ${offsetLba} exceeds the snapshot's ${blockCount} blocks`);
  }
  try {
    const page = catalog.store.changedChunks({
      snapshotUuid: snapshot.uuid,
      ...(base !== undefined && { baseSnapshotUuid: base.uuid }),
      offsetLba: offsetLba - (offsetLba % chunkBlocks),
      chunkCountMax: diffPageRangesMax,
    });
    return diffPageJson(page, blockCount);
  } catch (error) {
    if (error instanceof StoreError && error.code === "ERR_NOT_ON_CHAIN") {
      throw new StatusError(
        "InvalidArgument",
        `snapshots ${base?.uuid} and ${snapshot.uuid} are not on same chain`,
      );
    }
    throw error;
  }
}

/** A snapshot that is gone, or going, is not found; one still being created is not ready. */
function comparable(catalog: Catalog, snapshot: StoredSnapshot): StoredSnapshot {
  const state = catalog.snapshotState(snapshot);
  if (state === "Creating")
    throw new StatusError("FailedPrecondition", `snapshot ${snapshot.uuid} is Creating`);
  if (state !== "Available")
    throw new StatusError("NotFound", `snapshot ${snapshot.uuid} not found: it is ${state}`);
  return snapshot;
}
