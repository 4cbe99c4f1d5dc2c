/** PDUs put together byte by byte, as the NVMe/TCP Transport Specification lays them out, without our encoders. */
import { crc32c } from "@node-rs/crc32";
import fc from "fast-check";
import { bytes, zeros } from "../../sut/nvme/bytes.ts";

export const icReq = bytes(`00 00 80 00  80 00 00 00  00 00  00  00  00 00 00 00  ${zeros(112)}`);
/** MAXH2CDATA 128 KiB, no digests. */
export const icResp = bytes(`01 00 80 00  80 00 00 00  00 00  00  00  00 00 02 00  ${zeros(112)}`);
/** The same with both digests. */
export const icRespDigests = bytes(`01 00 80 00  80 00 00 00  00 00  00  03  00 00 02 00  ${zeros(112)}`);

/** Connect of an I/O queue: CID 0, QID 1. Its 1024 bytes of data are zeros. */
export const connectIo = bytes(`
  04 00 48 48  48 04 00 00
  7f 40 00 00  01 00 00 00  ${zeros(24)}
  00 04 00 00  00 00 00 01
  00 00 01 00      ; RECFMT 0, QID 1
  ${zeros(20)}
  ${zeros(1024)}`);

/** Write of block 5 of namespace 1, one block of 16 bytes, which travel in the capsule; CID 0x21. */
export const write = bytes(`
  04 00 48 48      ; CapsuleCmd, no digests, HLEN 72, PDO 72
  58 00 00 00      ; PLEN 88
  01 40 21 00      ; Write, PSDT 01b, CID 0x21
  01 00 00 00      ; NSID 1
  ${zeros(24)}
  10 00 00 00      ; SGL length 16
  00 00 00 01      ; in the capsule
  05 00 00 00  00 00 00 00
  00 00 00 00      ; NLB 0: one block
  ${zeros(12)}
  00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f`);

/** The same command with CID 0x22 and other data. */
export const otherWrite = Buffer.concat([write.subarray(0, 72), Buffer.alloc(16, 0xee)]);
otherWrite[10] = 0x22;

/** Success of CID 0x21 on queue 1, SQHD 7. */
export const written = bytes(`
  05 00 18 00  18 00 00 00
  00 00 00 00  00 00 00 00
  07 00 01 00      ; SQHD 7, SQID 1
  21 00 00 00      ; CID 0x21, success`);

/** The write with header and data digest of the bytes as they are; digests stand behind header and data. */
export function withDigests(pdu: Buffer): Buffer {
  const header = Buffer.from(pdu.subarray(0, 72));
  header[1] = 0x03;
  header[3] = 76;
  header.writeUInt32LE(pdu.length + 8, 4);
  const data = pdu.subarray(72);
  return Buffer.concat([header, digest(header), data, digest(data)]);
}

/** CRC-32C, little-endian. */
export function digest(of: Uint8Array): Buffer {
  const four = Buffer.alloc(4);
  four.writeUInt32LE(crc32c(of));
  return four;
}

/** A PDU of a host after connection initialization, on a connection without digests. */
export const hostPdu: fc.Arbitrary<Buffer> = fc.oneof(
  // Command capsule, with data or without.
  fc
    .record({
      entry: fc.uint8Array({ minLength: 64, maxLength: 64 }),
      data: fc.uint8Array({ maxLength: 200 }),
      padding: fc.nat({ max: 10 }),
    })
    .map(({ entry, data, padding }) => {
      const pdo = data.length === 0 ? 0 : 72 + padding * 4;
      return pdu(0x04, { flags: 0, hlen: 72, pdo }, entry, data);
    }),
  // H2CData, LAST or not.
  fc
    .record({
      start: fc.uint8Array({ minLength: 8, maxLength: 8 }),
      data: fc.uint8Array({ minLength: 1, maxLength: 3000 }),
      flags: fc.constantFrom(0, 4),
    })
    .map(({ start, data, flags }) => {
      const fields = Buffer.alloc(16);
      fields.set(start);
      fields.writeUInt32LE(data.length, 8);
      return pdu(0x06, { flags, hlen: 24, pdo: 24 }, fields, data);
    }),
  // What this version of the specification does not know, of a length that can be.
  fc
    .record({ type: fc.constantFrom(0x0a, 0x0c, 0x7e), rest: fc.uint8Array({ maxLength: 60 }) })
    .map(({ type, rest }) => pdu(type, { flags: 0, hlen: 8, pdo: 0 }, rest, new Uint8Array(0))),
  // A header that contradicts itself: HLEN of another type.
  fc
    .uint8Array({ minLength: 16, maxLength: 16 })
    .map((entry) => pdu(0x04, { flags: 0, hlen: 24, pdo: 0 }, entry, new Uint8Array(0))),
);

function pdu(
  type: number,
  { flags, hlen, pdo }: { readonly flags: number; readonly hlen: number; readonly pdo: number },
  fields: Uint8Array,
  data: Uint8Array,
): Buffer {
  const end = 8 + fields.length;
  const start = data.length === 0 ? end : pdo;
  const whole = Buffer.alloc(start + data.length);
  whole[0] = type;
  whole[1] = flags;
  whole[2] = hlen;
  whole[3] = pdo;
  whole.writeUInt32LE(whole.length, 4);
  whole.set(fields, 8);
  whole.set(data, start);
  return whole;
}

/** Cuts bytes at some places. */
export function cut(whole: Buffer, places: readonly number[]): Buffer[] {
  const sorted = [0, ...places.map((place) => place % (whole.length + 1)), whole.length].sort(
    (a, b) => a - b,
  );
  return sorted.slice(1).map((end, index) => whole.subarray(sorted[index], end));
}
