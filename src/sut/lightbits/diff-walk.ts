/**
 * All pages of a diff, one after the other, each asked for when the one before it has been taken.
 *
 * Nothing is judged: ranges are shown as they came, and so is a page that leads nowhere. What is seen to is that
 * the walk ends, whatever the service answers.
 *
 * @packageDocumentation
 */

import type { Clock } from "../clock.ts";
import { type DiffPage, ServiceError } from "../port.ts";
import type { DiffQuestion } from "./api.ts";

interface DiffWalk {
  readonly snapshotUuid: string;
  readonly baseSnapshotUuid?: string;
  readonly offsetLba?: number;
  readonly readPage: (asked: DiffQuestion) => Promise<DiffPage>;
  /** How long it may take in all, with the time that its reader takes. */
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/** Pages of one diff after which it counts as endless; at 10000 chunks of 256 KiB per page, 250 TiB. */
const diffPagesMax = 100_000;
/** Blocks to which an offset is rounded down by the service. */
const offsetBlocks = 64;

/** @throws {ServiceError} That of a page; `ERR_TIMEOUT` or `ERR_BAD_ANSWER` for a diff without end. */
export async function* walkDiff(walk: DiffWalk): AsyncGenerator<DiffPage, void, undefined> {
  const { snapshotUuid, baseSnapshotUuid, readPage, timeoutMs, clock } = walk;
  const startMs = clock.now();
  let offsetLba = walk.offsetLba ?? 0;
  for (let pageCount = 0; pageCount < diffPagesMax; pageCount++) {
    const page = await readPage({ snapshotUuid, baseSnapshotUuid, offsetLba }).catch((error: unknown) => {
      if (pageCount > 0 && error instanceof ServiceError)
        error.message += `; it is the diff's page ${pageCount + 1}, from block ${offsetLba}, and those before it are not the whole`;
      throw error;
    });
    const { nextOffsetLba } = page;
    yield page;
    // A page that does not lead on ends the answer too: whoever judges it sees where it points. One that leads to
    // the same chunk leads back, since the service rounds down.
    if (Math.floor(nextOffsetLba / offsetBlocks) <= Math.floor(offsetLba / offsetBlocks)) return;
    if (clock.now() - startMs > timeoutMs)
      throw new ServiceError(
        "ERR_TIMEOUT",
        `diff of ${snapshotUuid}: not at its end after ${timeoutMs} ms and ${pageCount + 1} pages, at block ${nextOffsetLba}`,
      );
    offsetLba = nextOffsetLba;
  }
  throw new ServiceError("ERR_BAD_ANSWER", `diff of ${snapshotUuid}: no end within ${diffPagesMax} pages`);
}
