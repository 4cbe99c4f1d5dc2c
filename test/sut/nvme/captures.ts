/** PDUs captured between Linux hosts and Linux targets, byte by byte. */
import { bytes, zeros } from "./bytes.ts";

export const icReqPlain = bytes(`
  00 00 80 00      ; ICReq, no flags, HLEN 128, PDO 0
  80 00 00 00      ; PLEN 128
  00 00            ; PFV 0
  00               ; HPDA 0: alignment 4
  00               ; no digests
  00 00 00 00      ; MAXR2T 0: one R2T
  ${zeros(112)}`);

export const icReqBothDigests = bytes(`00 00 80 00  80 00 00 00  00 00  00  03  00 00 00 00  ${zeros(112)}`);

export const icRespLinux = bytes(`
  01 00 80 00  80 00 00 00
  00 00            ; PFV 0
  00               ; CPDA 0
  00               ; no digests
  00 00 40 00      ; MAXH2CDATA 4 MiB
  ${zeros(112)}`);

export const connectAdmin = bytes(`
  04 00 48 48      ; CapsuleCmd, no digests, HLEN 72, PDO 72
  48 04 00 00      ; PLEN 1096
  7f 40 00 00      ; fabrics, PSDT 01b, CID 0
  01 00 00 00      ; Connect
  ${zeros(24)}
  00 04 00 00      ; SGL length 1024
  00 00 00 01      ; in the capsule
  00 00 00 00      ; RECFMT 0, QID 0
  1f 00 00 00      ; SQSIZE 31, CATTR 0
  88 13 00 00      ; KATO 5000 ms
  ${zeros(12)}`);

export const connectAdminDigests = bytes(`
  04 03 48 4c      ; both digests, PDO 76
  50 04 00 00      ; PLEN 1104
  7f 40 00 00  01 00 00 00  ${zeros(24)}  00 04 00 00  00 00 00 01
  00 00 00 00
  1f 00 04 00      ; CATTR: SQ flow control disabled
  88 13 00 00  ${zeros(12)}
  fc 99 aa c2      ; header digest`);

export const propertyGetCap = bytes(`
  04 01 48 00  4c 00 00 00
  7f 40 01 00      ; CID 1
  04 00 00 00      ; Property Get
  ${zeros(28)}
  00 00 00 5a      ; transport SGL of length 0
  01 00 00 00      ; 8 bytes
  ${zeros(20)}
  9c a3 1d 55      ; header digest`);

/** SQE alone. */
export const propertySetCc = bytes(`
  7f 40 00 10      ; CID 0x1000
  ${zeros(32)}
  00 00 00 5a
  00 00 00 00      ; 4 bytes
  14 00 00 00      ; CC
  60 00 46 00      ; 0x00460060
  ${zeros(12)}`);

export const capReply = bytes(`
  05 00 18 00  18 00 00 00
  ff 03 00 0f      ; CAP low: MQES 1023, TO 7.5 s
  20 08 00 00      ; CAP high: NVM and several command sets
  02 00 00 00      ; SQHD 2, SQID 0
  01 00 00 00      ; CID 1, success`);

export const identifyControllerSqe = bytes(`
  06 40 02 00      ; Identify, CID 2
  ${zeros(28)}
  00 10 00 00      ; 4096 bytes
  00 00 00 5a
  01 00 00 00      ; CNS 01
  ${zeros(20)}`);

export const asyncEventReply = bytes(`
  05 00 18 00  18 00 00 00
  02 00 04 00      ; notice, namespace attribute changed, log page 04
  00 00 00 00
  17 00 00 00      ; SQHD 23
  1f 00 00 00      ; CID 0x1f`);

/** CDW10..CDW13 of a readahead of 64 KiB at LBA 0x280. */
export const readaheadDwords = bytes("80 02 00 00  00 00 00 00  7f 00 00 80  07 00 00 00");

export const r2t256KiB = bytes(`
  09 00 18 00  18 00 00 00
  65 00            ; CID 0x65
  05 00            ; TTAG 5
  00 00 00 00      ; offset 0
  00 00 04 00      ; 256 KiB
  00 00 00 00`);

/** Header alone; 262144 bytes of data follow. */
export const h2cData256KiB = bytes(`
  06 04 18 18      ; H2CData, LAST
  18 00 04 00      ; PLEN 262168
  65 00  05 00  00 00 00 00  00 00 04 00  00 00 00 00`);

/** Header alone; 4096 bytes of data and their digest follow. */
export const c2hDataDigests = bytes(`
  07 0f 18 1c      ; C2HData, LAST, SUCCESS, both digests, PDO 28
  20 10 00 00      ; PLEN 4128
  42 00 00 00      ; CID 0x42
  00 00 00 00      ; offset 0
  00 10 00 00      ; 4096 bytes
  00 00 00 00
  dc 88 36 96      ; header digest`);

export const responseDigest = bytes(`
  05 01 18 00  1c 00 00 00
  00 00 00 00  00 00 00 00
  00 00 01 00      ; SQHD 0, SQID 1
  62 00 00 00      ; CID 0x62, success
  6f 11 d7 a5      ; header digest`);

export const hostRefused = bytes(`
  05 00 18 00  18 00 00 00
  00 02 01 00      ; IPO 512 of the data: the host NQN
  00 00 00 00  00 00 00 00
  00 00 08 83      ; connect invalid host, DNR`);

export const subsystemUnknown = bytes(`
  05 00 18 00  18 00 00 00
  00 01 01 00      ; IPO 256 of the data: the subsystem NQN
  00 00 00 00  00 00 00 00
  00 00 04 83      ; connect invalid parameters, DNR`);
