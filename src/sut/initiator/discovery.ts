/**
 * Asks a discovery controller which subsystems there are and where.
 *
 * One short association per question; persistent discovery is left out.
 *
 * @packageDocumentation
 */
import {
  type DiscoveryEntry,
  decodeDiscoveryEntries,
  decodeDiscoveryHeader,
  discoveryRecordLengthBytes,
  logPage,
} from "../nvme/log-pages.ts";
import { discoveryNqn } from "../nvme/names.ts";
import type { AdminQueue } from "./admin-queue.ts";
import { Association } from "./association.ts";
import type { AssociationOptions } from "./association-options.ts";
import { controllerDefaults } from "./controller.ts";
import { ControllerError } from "./errors.ts";
import { Ticker } from "./ticker.ts";

export type DiscoveryOptions = Partial<Omit<AssociationOptions, "subsystemNqn">> &
  Pick<AssociationOptions, "host" | "port" | "hostNqn" | "hostId"> & { readonly signal?: AbortSignal };

/** Times that the log may change while it is read before that is an error. */
const attemptsMax = 10;
/** Most entries that are believed, which bounds the memory taken. */
const entryCountMax = 4096;
const entriesPerRead = 16;

/**
 * Entries of the discovery log page, read so that they belong together.
 *
 * @throws {ControllerError} If there is no discovery controller, or its log never stays the same.
 */
export async function discover(options: DiscoveryOptions): Promise<DiscoveryEntry[]> {
  const { signal, ...rest } = options;
  const merged = { ...controllerDefaults, ...rest };
  const ticker = new Ticker(merged.clock);
  const events = { onRoom: () => {}, onLost: () => {}, onAsyncEvent: () => {} };
  try {
    const association = await Association.open(
      { ...merged, subsystemNqn: discoveryNqn, ioQueueCount: 0, keepAliveMs: 0 },
      events,
      ticker,
      signal,
    );
    try {
      const entriesMax = association.transferBlocksMax(discoveryRecordLengthBytes);
      return await readLog(association.admin, Math.min(entriesPerRead, entriesMax));
    } finally {
      await association.shutDown();
    }
  } finally {
    ticker.stop();
  }
}

async function readLog(admin: AdminQueue, entriesAtOnce: number): Promise<DiscoveryEntry[]> {
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const before = decodeDiscoveryHeader(await readRecords(admin, 0, 1));
    const entryCount = Number(before.recordCount);
    if (before.recordFormat !== 0 || entryCount > entryCountMax) {
      const what = `format ${before.recordFormat} with ${before.recordCount} entries`;
      throw new ControllerError(
        "ERR_UNSUPPORTED",
        `discovery log has ${what}: format 0 with at most ${entryCountMax} expected`,
      );
    }
    const entries: DiscoveryEntry[] = [];
    for (let at = 0; at < entryCount; at += entriesAtOnce) {
      const count = Math.min(entriesAtOnce, entryCount - at);
      entries.push(...decodeDiscoveryEntries(await readRecords(admin, 1 + at, count)));
    }
    const after = decodeDiscoveryHeader(await readRecords(admin, 0, 1));
    if (after.generation === before.generation) return entries;
  }
  throw new ControllerError("ERR_TARGET", `discovery log changed during each of ${attemptsMax} readings`);
}

/** Records of the log page: 0 is the header, entries follow. */
function readRecords(admin: AdminQueue, first: number, count: number): Promise<Buffer> {
  return admin.getLogPage({
    logId: logPage.discovery,
    lengthBytes: count * discoveryRecordLengthBytes,
    offsetBytes: first * discoveryRecordLengthBytes,
    nsid: 0,
  });
}
