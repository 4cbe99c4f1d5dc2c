/**
 * Volumes over REST: create (also as a clone of a snapshot), list, get, update, roll back, delete.
 *
 * Creating and deleting answer while the work goes on, and the object shows its state; an update and a
 * rollback answer when they are done, and show Updating and Rollback to others meanwhile.
 *
 * @packageDocumentation
 */

import { setImmediate as nextTurn } from "node:timers/promises";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { StoredVolume } from "../store/port.ts";
import type { Catalog, Notes } from "./catalog.ts";
import { checkEtag, checkProject, listPage, type RouteContext } from "./context.ts";
import {
  createVolumeBody,
  listLimitMax,
  listVolumesQuery,
  objectParams,
  parseRequest,
  projectParams,
  projectQuery,
  rollbackBody,
  updateVolumeBody,
} from "./requests.ts";
import { StatusError } from "./status.ts";

/** @param prefix - Where the routes hang: under a project, or directly under the version. */
export function volumeRoutes(app: FastifyInstance, prefix: string, context: RouteContext): void {
  const path = `${prefix}/volumes`;
  app.post(path, (request) => createVolume(request, context));
  app.get(path, (request) => ({ volumes: listVolumes(request, context.catalog) }));
  app.get(`${path}/`, (request) => oneVolume(request, context.catalog));
  app.get(`${path}/:UUID`, ({ params, query }) => {
    const { UUID, projectName } = parseRequest(objectParams, params, "path");
    checkProject(projectName, parseRequest(projectQuery, query, "query").projectName);
    return context.catalog.volumeJson(context.catalog.volume(UUID));
  });
  app.put(`${path}/:UUID`, (request) => updateVolume(request, context));
  app.put(`${path}/:UUID/rollback`, (request) => rollbackVolume(request, context));
  app.delete(`${path}/:UUID`, (request) => deleteVolume(request, context));
}

async function createVolume({ params, query, body }: FastifyRequest, context: RouteContext) {
  const { catalog } = context;
  const { projectName } = parseRequest(projectParams, params, "path");
  const wanted = parseRequest(createVolumeBody, body, "body");
  checkProject(projectName, parseRequest(projectQuery, query, "query").projectName, wanted.projectName);
  const { name, sourceSnapshotUUID, sourceSnapshotName } = wanted;
  const blockSizeBytes = wanted.sectorSize ?? 4096;
  const source =
    sourceSnapshotUUID === undefined && sourceSnapshotName === undefined
      ? undefined
      : catalog.snapshotBy(sourceSnapshotUUID, sourceSnapshotName);
  if (source !== undefined && catalog.snapshotState(source) !== "Available") {
    throw new StatusError(
      "FailedPrecondition",
      `snapshot ${source.uuid} is ${catalog.snapshotState(source)}; a clone needs it Available`,
    );
  }

  const before = catalog.store.volumeByName(name);
  if (before !== undefined) throw new StatusError("AlreadyExists", `a volume named ${name} exists`);
  const work = catalog.store.createVolume({
    name,
    sizeBytes: Math.ceil(wanted.size / blockSizeBytes) * blockSizeBytes,
    blockSizeBytes,
    ...(source !== undefined && { sourceSnapshotUuid: source.uuid }),
  });
  // The store registers the volume at once; if not, it is answered when it is there.
  const volume = catalog.store.volumeByName(name) ?? (await work);
  const inheritedLabels = source === undefined ? undefined : catalog.notes(source.uuid).labels;
  catalog.created(volume.uuid, notesOf({ ...wanted, labels: wanted.labels ?? inheritedLabels }));
  context.continueInBackground(`creating volume ${volume.uuid}`, work);
  return catalog.volumeJson(volume);
}

function listVolumes({ params, query }: FastifyRequest, catalog: Catalog) {
  const { projectName } = parseRequest(projectParams, params, "path");
  const filter = parseRequest(listVolumesQuery, query, "query");
  checkProject(projectName, filter.projectName);
  const volumes = catalog.store.volumes.filter(
    (volume) =>
      (filter.UUID === undefined || volume.uuid === filter.UUID) &&
      (filter.name === undefined || volume.name === filter.name) &&
      (filter.snapshotUUID === undefined || volume.sourceSnapshotUuid === filter.snapshotUUID) &&
      (filter.showAll === true || catalog.volumeState(volume) !== "Deleting"),
  );
  const page = listPage(volumes, { offsetUuid: filter.offsetUUID, limit: filter.limit ?? listLimitMax });
  return page.map((volume) => catalog.volumeJson(volume));
}

/** `…/volumes/?name=X` is the get call with an empty UUID, which some clients use to read one volume. */
function oneVolume({ params, query }: FastifyRequest, catalog: Catalog) {
  const { projectName } = parseRequest(projectParams, params, "path");
  const filter = parseRequest(
    listVolumesQuery.pick({ projectName: true, UUID: true, name: true }),
    query,
    "query",
  );
  checkProject(projectName, filter.projectName);
  return catalog.volumeJson(catalog.volumeBy(filter.UUID, filter.name));
}

async function updateVolume(request: FastifyRequest, { catalog }: RouteContext) {
  const { UUID, projectName } = parseRequest(objectParams, request.params, "path");
  const changes = parseRequest(updateVolumeBody, request.body, "body");
  checkProject(projectName, changes.projectName);
  const volume = catalog.volume(UUID);
  checkEtag(request, catalog, volume);
  checkUnoccupied(catalog, volume);

  const { size, newName } = changes;
  const sizeBytes =
    size === undefined ? volume.sizeBytes : Math.ceil(size / volume.blockSizeBytes) * volume.blockSizeBytes;
  if (sizeBytes < volume.sizeBytes && changes.Force !== true) {
    throw new StatusError(
      "InvalidArgument",
      `shrinking from ${volume.sizeBytes} to ${sizeBytes} bytes loses data: set Force to do it all the same`,
    );
  }
  if (newName !== undefined && newName !== volume.name) {
    if (catalog.store.volumeByName(newName) !== undefined) {
      throw new StatusError("AlreadyExists", `a volume named ${newName} exists`);
    }
    await catalog.store.renameVolume(UUID, newName);
  }
  if (sizeBytes !== volume.sizeBytes) await catalog.store.resizeVolume(UUID, sizeBytes);
  const notes = notesOf(changes);
  if (Object.keys(notes).length > 0) catalog.annotate(UUID, notes);
  return {};
}

async function rollbackVolume(request: FastifyRequest, { catalog }: RouteContext) {
  const { UUID, projectName } = parseRequest(objectParams, request.params, "path");
  const wanted = parseRequest(rollbackBody, request.body, "body");
  checkProject(projectName, wanted.projectName);
  const volume = catalog.volume(UUID);
  const snapshot = catalog.snapshotBy(wanted.srcSnapshotUUID, wanted.srcSnapshotName);
  checkEtag(request, catalog, volume);
  checkUnoccupied(catalog, volume, "Unavailable");
  if (snapshot.sourceVolumeUuid !== UUID) {
    throw new StatusError("InvalidArgument", `snapshot ${snapshot.uuid} is not one of volume ${UUID}`);
  }
  if (catalog.snapshotState(snapshot) !== "Available") {
    throw new StatusError(
      "FailedPrecondition",
      `snapshot ${snapshot.uuid} is ${catalog.snapshotState(snapshot)}; a rollback needs it Available`,
    );
  }
  await catalog.store.rollbackVolume(UUID, snapshot.uuid);
  return {};
}

async function deleteVolume(request: FastifyRequest, context: RouteContext) {
  const { catalog } = context;
  const { UUID, projectName } = parseRequest(objectParams, request.params, "path");
  checkProject(projectName, parseRequest(projectQuery, request.query, "query").projectName);
  const volume = catalog.volume(UUID);
  checkEtag(request, catalog, volume);
  checkUnoccupied(catalog, volume);
  const work = catalog.store.deleteVolume(UUID);
  // A store that refuses does so at once, and then the client hears of it.
  await Promise.race([work, nextTurn()]);
  context.continueInBackground(`deleting volume ${UUID}`, work);
  return {};
}

/**
 * Refuses to change a volume that something else is happening to.
 *
 * @param deletingCode - What a volume in Deleting is answered with: the calls differ in it.
 */
function checkUnoccupied(
  catalog: Catalog,
  volume: StoredVolume,
  deletingCode: "FailedPrecondition" | "Unavailable" = "FailedPrecondition",
): void {
  const state = catalog.volumeState(volume);
  switch (state) {
    case "Available":
      return;
    case "Creating":
    case "Updating":
      throw new StatusError("Unavailable", `volume ${volume.uuid} is ${state}; try again later`);
    case "Rollback":
      throw new StatusError("Aborted", `volume ${volume.uuid} is being rolled back; try again later`);
    case "Deleting":
      throw new StatusError(deletingCode, `volume ${volume.uuid} is deleting`);
  }
}

function notesOf(request: {
  readonly acl?: { readonly values: readonly string[] } | undefined;
  readonly IPAcl?: { readonly values: readonly string[] } | undefined;
  readonly compression?: string | undefined;
  readonly labels?: Notes["labels"] | undefined;
}): Notes {
  return {
    ...(request.acl !== undefined && { acl: request.acl.values }),
    ...(request.IPAcl !== undefined && { ipAcl: request.IPAcl.values }),
    ...(request.compression !== undefined && { compression: request.compression }),
    ...(request.labels !== undefined && { labels: request.labels }),
  };
}
