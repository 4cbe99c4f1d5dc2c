/** Reads archives by the table in cpio(5), "New ASCII Format". */

export interface ArchiveRecord {
  /** As they stand in the header, from the inode to the checksum. */
  readonly fields: readonly number[];
  readonly path: string;
  readonly body: string;
}

/** All that one archive holds, in order. */
export function readArchive(archive: Uint8Array): readonly ArchiveRecord[] {
  const bytes = Buffer.from(archive);
  const records: ArchiveRecord[] = [];
  for (let at = 0; ; ) {
    if (bytes.toString("latin1", at, at + 6) !== "070701") throw new Error(`no header at byte ${at}`);
    const fields = Array.from({ length: 13 }, (_, index) =>
      Number.parseInt(bytes.toString("latin1", at + 6 + index * 8, at + 14 + index * 8), 16),
    );
    const [bodyBytes = 0, nameBytes = 0] = [fields[6], fields[11]];
    const path = bytes.toString("utf8", at + 110, at + 110 + nameBytes - 1);
    const bodyAt = Math.ceil((at + 110 + nameBytes) / 4) * 4;
    at = Math.ceil((bodyAt + bodyBytes) / 4) * 4;
    if (path === "TRAILER!!!") {
      if (bytes.subarray(at).some((byte) => byte !== 0))
        throw new Error(`something stands behind byte ${at}`);
      return records;
    }
    records.push({ fields, path, body: bytes.toString("latin1", bodyAt, bodyAt + bodyBytes) });
  }
}
