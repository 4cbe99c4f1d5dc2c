/**
 * What every route of the control plane needs: the catalog, projects, ETags, and work that goes on after the
 * answer.
 *
 * @packageDocumentation
 */

import type { FastifyRequest } from "fastify";
import type { Log } from "../log.ts";
import type { StoredSnapshot, StoredVolume } from "../store/port.ts";
import { type Catalog, defaultProjectName } from "./catalog.ts";
import { etagMismatchText, StatusError } from "./status.ts";

export class RouteContext {
  readonly catalog: Catalog;
  /** Most ranges in one page of a diff. */
  readonly diffPageRangesMax: number;
  readonly log: Log;
  readonly #pending = new Set<Promise<void>>();

  constructor(options: {
    readonly catalog: Catalog;
    readonly diffPageRangesMax: number;
    readonly log: Log;
  }) {
    this.catalog = options.catalog;
    this.diffPageRangesMax = options.diffPageRangesMax;
    this.log = options.log;
  }

  /** Lets work go on after the answer; a failure then can only be logged. */
  continueInBackground(what: string, work: Promise<unknown>): void {
    const pending = work.then(
      () => undefined,
      (error: unknown) => this.log.error(`${what} failed after it was accepted: ${describeError(error)}`),
    );
    this.#pending.add(pending);
    void pending.then(() => this.#pending.delete(pending));
  }

  /** Resolves when all work in the background has ended. */
  async idle(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
  }
}

/**
 * Refuses a project that this target does not have. The names come from path, query and body, of which any
 * may be absent.
 */
export function checkProject(...names: readonly (string | undefined)[]): void {
  for (const name of names) {
    if (name !== undefined && name !== defaultProjectName) {
      throw new StatusError(
        "NotFound",
        `project ${name} not found: this target has only ${defaultProjectName}`,
      );
    }
  }
}

/** Refuses with 412 if the client named another ETag than the object has now. */
export function checkEtag(
  request: FastifyRequest,
  catalog: Catalog,
  object: StoredVolume | StoredSnapshot,
): void {
  const wanted = request.headers["if-match"];
  if (wanted === undefined || wanted.trim() === "*") return;
  if (wanted.trim().replace(/^"(.*)"$/, "$1") !== catalog.etag(object)) {
    throw new StatusError("FailedPrecondition", etagMismatchText, 412);
  }
}

/** One page of a list in the order of UUIDs, so that a page can start after an object that is gone by then. */
export function listPage<Item extends { readonly uuid: string }>(
  items: readonly Item[],
  { offsetUuid, limit }: { readonly offsetUuid: string | undefined; readonly limit: number },
): readonly Item[] {
  return items
    .filter(({ uuid }) => offsetUuid === undefined || uuid > offsetUuid)
    .sort((a, b) => (a.uuid < b.uuid ? -1 : 1))
    .slice(0, limit);
}

/** An error as a log shows it, with its stack; never as a client sees it. */
export function describeError(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
