/**
 * Finds out which namespaces a controller has and who they are.
 *
 * @packageDocumentation
 */
import { identifyCns } from "../nvme/commands.ts";
import {
  decodeNamespaceDescriptors,
  decodeNamespaceIdentity,
  decodeNamespaceList,
  namespaceListCountMax,
} from "../nvme/identify.ts";
import type { AdminQueue } from "./admin-queue.ts";
import type { Association } from "./association.ts";
import { ControllerError } from "./errors.ts";
import { type NamespaceProperties, namespaceProperties } from "./namespace-properties.ts";

/** The names of a namespace; those it does not have are `undefined`. */
export interface NamespaceNames {
  readonly nsid: number;
  readonly uuid: string | undefined;
  /** 32 hexadecimal digits. */
  readonly nguid: string | undefined;
  /** 16 hexadecimal digits. */
  readonly eui64: string | undefined;
}

/** One of the names of a namespace. */
export type NamespaceSelector =
  | { readonly uuid: string }
  | { readonly nguid: string }
  | { readonly nsid: number };

/** Pages of the active list that are read at most: more namespaces than that are not believed. */
const listPagesMax = 64;
/** Namespaces that are asked at once. */
const parallelCount = 16;

export function matches(names: NamespaceNames, selector: NamespaceSelector): boolean {
  if ("uuid" in selector) return names.uuid === selector.uuid.toLowerCase();
  if ("nguid" in selector) return names.nguid === selector.nguid.toLowerCase();
  return names.nsid === selector.nsid;
}

/** The name that follows a namespace to another NSID. */
export function selectorOf(names: NamespaceNames): NamespaceSelector {
  if (names.uuid !== undefined) return { uuid: names.uuid };
  if (names.nguid !== undefined) return { nguid: names.nguid };
  return { nsid: names.nsid };
}

/** NSIDs of all active namespaces, ascending. */
async function activeNsids(admin: AdminQueue): Promise<number[]> {
  const nsids: number[] = [];
  for (let page = 0; page < listPagesMax; page++) {
    const previous = nsids.at(-1) ?? 0;
    const found = decodeNamespaceList(await admin.identify(identifyCns.activeNamespaces, previous));
    const ascending = found.filter((nsid) => nsid > previous);
    nsids.push(...ascending);
    if (ascending.length < namespaceListCountMax) break;
  }
  return nsids;
}

/**
 * Names of one namespace, or `undefined` if it is not active.
 *
 * @throws {ControllerError} If the connection is lost.
 */
export async function readNames(admin: AdminQueue, nsid: number): Promise<NamespaceNames | undefined> {
  try {
    const bytes = await admin.identify(identifyCns.namespaceDescriptors, nsid);
    const { uuid, nguid, eui64 } = decodeNamespaceDescriptors(bytes);
    if (uuid !== undefined || nguid !== undefined || eui64 !== undefined) {
      return { nsid, uuid, nguid, eui64 };
    }
  } catch (error) {
    if (!isRefusal(error)) throw error;
  }
  try {
    const { nsze, nguid, eui64 } = decodeNamespaceIdentity(await admin.identify(identifyCns.namespace, nsid));
    return nsze === 0n ? undefined : { nsid, uuid: undefined, nguid, eui64 };
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return undefined;
  }
}

/** Names of all active namespaces, by ascending NSID. */
export async function listNames(admin: AdminQueue): Promise<NamespaceNames[]> {
  const nsids = await activeNsids(admin);
  const names: NamespaceNames[] = [];
  for (let at = 0; at < nsids.length; at += parallelCount) {
    const group = nsids.slice(at, at + parallelCount);
    const found = await Promise.all(group.map((nsid) => readNames(admin, nsid)));
    for (const one of found) if (one !== undefined) names.push(one);
  }
  return names;
}

/**
 * What a namespace promises, read anew, or `undefined` if it is not active (any more).
 *
 * @throws {ControllerError} If the connection is lost, the controller refuses, or the format is not one that
 * this initiator reads.
 */
export async function readProperties(
  association: Association,
  nsid: number,
): Promise<NamespaceProperties | undefined> {
  const namespace = decodeNamespaceIdentity(await association.admin.identify(identifyCns.namespace, nsid));
  // One that went away since its names were read is all zeros, format included.
  if (namespace.nsze === 0n) return undefined;
  const { identity, commandSetLimits } = association;
  return namespaceProperties(namespace, identity, commandSetLimits, (blockSizeBytes) =>
    association.transferBlocksMax(blockSizeBytes),
  );
}

/** The controller answered with a status, so the association itself is fine. */
export function isRefusal(error: unknown): boolean {
  return error instanceof ControllerError && error.status !== undefined;
}
