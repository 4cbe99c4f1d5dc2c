/**
 * What an error of a system call means for the data: the `Outcome` of a request on a file or device.
 *
 * Linux says little about what a failed write left behind, so it is `unknown` unless the call was certainly
 * refused before anything was done. A read changes nothing and is always `failed`.
 *
 * @packageDocumentation
 */
import { constants } from "node:os";
import type { Outcome, OutcomeCode } from "../port.ts";

/** Why a request stopped, and how much of it was done before. */
export interface IoFailure {
  readonly code: OutcomeCode;
  /** The call was refused before it did anything. */
  readonly isRefusal: boolean;
  readonly text: string;
  /** Bytes that earlier system calls of the same request moved. */
  readonly doneBytes: number;
  /** Earlier writes were lost with it, which the kernel tells once only. */
  readonly losesWrites?: true;
  /** A program's call was refused because pages of the range were dirty in the page cache. */
  readonly isBusy?: true;
}

const { errno } = constants;
/** Numbers of `asm-generic/errno.h` that Node does not name. */
const linuxErrno = { EREMOTEIO: 121, EBADE: 52 };

/** What util-linux says of an error, with `strerror` of glibc or musl in the C locale. */
const texts: readonly (readonly [RegExp, number])[] = [
  [/Invalid argument$/, errno.EINVAL],
  [/(Input\/output|I\/O) error$/, errno.EIO],
  [/No space left on device$/, errno.ENOSPC],
  [/(Disk q|Q)uota exceeded$/, errno.EDQUOT],
  [/(Operation n|N)ot supported$/, errno.EOPNOTSUPP],
  [/fallocate failed: keep size mode .* unsupported$/, errno.EOPNOTSUPP],
  [/(Device or r|R)esource busy$/, errno.EBUSY],
  [/No such device or address$/, errno.ENXIO],
  [/No such device$/, errno.ENODEV],
  [/Read-only file system$/, errno.EROFS],
  [/Operation not permitted$/, errno.EPERM],
  [/Permission denied$/, errno.EACCES],
  [/No data available$/, errno.ENODATA],
  [/(Connection|Operation) timed out$/, errno.ETIMEDOUT],
  [/Link has been severed$/, errno.ENOLINK],
  [/Remote I\/O error$/, linuxErrno.EREMOTEIO],
  [/Invalid exchange$/, linuxErrno.EBADE],
  [/File too large$/, errno.EFBIG],
];

/** Refused before anything was done. */
const refusals: ReadonlyMap<number, OutcomeCode> = new Map([
  [errno.EINVAL, "ERR_INVALID_REQUEST"],
  [errno.EFAULT, "ERR_INVALID_REQUEST"],
  [errno.EBADF, "ERR_CLOSED"],
  [errno.EFBIG, "ERR_OUT_OF_RANGE"],
  [errno.EROFS, "ERR_TARGET"],
  [errno.EPERM, "ERR_TARGET"],
  [errno.EACCES, "ERR_TARGET"],
]);

/** Errors on the way, with the block layer's meanings (`blk_errors` of the Linux kernel). */
const failures: ReadonlyMap<number, OutcomeCode> = new Map([
  [errno.EIO, "ERR_MEDIA"],
  [errno.ENODATA, "ERR_MEDIA"],
  [errno.EILSEQ, "ERR_MEDIA"],
  [errno.ENOSPC, "ERR_CAPACITY"],
  [errno.EDQUOT, "ERR_CAPACITY"],
  [errno.ENXIO, "ERR_NAMESPACE_GONE"],
  [errno.ENODEV, "ERR_NAMESPACE_GONE"],
  [errno.ETIMEDOUT, "ERR_TIMEOUT"],
  [errno.ENOLINK, "ERR_CONNECTION_LOST"],
  [errno.EOPNOTSUPP, "ERR_UNSUPPORTED"],
  [linuxErrno.EREMOTEIO, "ERR_TARGET"],
  [linuxErrno.EBADE, "ERR_TARGET"],
]);

/** @throws {unknown} What is no error of a system call: a bug. */
export function failureOf(error: unknown, doneBytes: number): IoFailure {
  const number = errnoOf(error);
  if (number === undefined) throw error;
  return failureOfNumber(number, (error as Error).message, doneBytes);
}

/** @param text - What a program of util-linux said when its one system call on a range failed. */
export function failureOfText(text: string): IoFailure {
  const number = texts.find(([pattern]) => pattern.test(text))?.[1];
  // Busy is what the kernel says before it begins; see `zeroing.ts`.
  if (number === errno.EBUSY)
    return { code: "ERR_TARGET", isRefusal: true, isBusy: true, text, doneBytes: 0 };
  return failureOfNumber(number, text, 0);
}

function failureOfNumber(number: number | undefined, text: string, doneBytes: number): IoFailure {
  const refusal = number === undefined ? undefined : refusals.get(number);
  const code = refusal ?? (number === undefined ? undefined : failures.get(number)) ?? "ERR_TARGET";
  return { code, isRefusal: refusal !== undefined, text, doneBytes };
}

/** Fewer bytes were there to read than the size at opening says. */
export function endFailure(doneBytes: number): IoFailure {
  const text = "the data ends here: the file or device has become shorter since it was opened";
  return { code: "ERR_OUT_OF_RANGE", isRefusal: true, text, doneBytes };
}

/** The caller aborted between two system calls. */
export function abortFailure(doneBytes: number): IoFailure {
  return { code: "ERR_ABORTED", isRefusal: true, text: "the call was aborted", doneBytes };
}

/** @param what - The request in words: "write of 8 blocks at 4096 on <name>". */
export function outcomeOf(failure: IoFailure, changesBlocks: boolean, what: string): Outcome {
  const { code, isRefusal, text, doneBytes } = failure;
  const message = `${what}: ${text}`;
  if (!changesBlocks || (isRefusal && doneBytes === 0)) return { kind: "failed", code, message };
  const part = doneBytes === 0 ? "" : `; ${doneBytes} bytes were done before`;
  return { kind: "unknown", code, message: `${message}${part}` };
}

/** The positive number of a system call's error, if it is one. */
function errnoOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("errno" in error) || typeof error.errno !== "number") return undefined;
  return Math.abs(error.errno);
}
