/**
 * Why a path can not be used, in words for people.
 *
 * @packageDocumentation
 */
import { ServiceError, type ServiceErrorCode } from "../port.ts";

/** @param what - Goes on after the path: "is a directory: name a file in it". */
export function refused(code: ServiceErrorCode, path: string, what: string, cause?: unknown): ServiceError {
  return new ServiceError(code, `${path} ${what}`, cause === undefined ? undefined : { cause });
}

export function inUse(path: string, use: string): ServiceError {
  return refused("ERR_BUSY", path, `${use}: free it first, or name another device`);
}

/**
 * What an error of open(2) means.
 *
 * @param opener - Who has it open, if that is known.
 */
export function openError(
  path: string,
  cause: unknown,
  { purpose, opener }: { readonly purpose: "reading" | "writing"; readonly opener: () => string | undefined },
): unknown {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  const told = (serviceCode: ServiceErrorCode, what: string) => refused(serviceCode, path, what, cause);
  switch (code) {
    case "EACCES":
    case "EPERM":
      return told(
        "ERR_FORBIDDEN",
        `may not be opened for ${purpose}: run as a user who may, or change its mode`,
      );
    case "EROFS":
      return told("ERR_FORBIDDEN", "lies on a read-only file system or device");
    case "EBUSY":
    case "ETXTBSY": {
      const who = opener();
      const program = who === undefined ? "another program" : `another program (${who})`;
      return told("ERR_BUSY", `is in use by ${program}, which has claimed it: stop that first`);
    }
    case "EEXIST":
      return told(
        "ERR_CONFLICT",
        "was made by somebody else at this moment, or is a link that leads nowhere",
      );
    case "ENOENT":
    case "ENOTDIR":
      return told("ERR_NOT_FOUND", "cannot be made: there is no such folder");
    case "ENXIO":
    case "ENOMEDIUM":
      return told("ERR_NOT_FOUND", "has no device or medium behind it");
    case "EINVAL":
      return told("ERR_UNSUPPORTED", "is on a file system without O_DIRECT: leave out direct");
    default:
      return cause instanceof Error ? told("ERR_TARGET", `cannot be opened: ${cause.message}`) : cause;
  }
}
