/**
 * What a command's data descriptor (SGL1) must be on NVMe/TCP.
 *
 * @see NVM Express TCP Transport Specification, data transfer; SGL identifiers 01h and 5Ah.
 * @packageDocumentation
 */
import { isSglAddressZero, readSglIdentifier, readSglLength, sglIdentifier } from "../nvme/commands.ts";
import { type StatusCode, statusCode } from "../nvme/status.ts";

/** What is wrong with the SGL of a command whose data goes to the host, or `undefined`. */
export function dataInProblem(view: DataView, at: number, lengthBytes: number): StatusCode | undefined {
  if (readSglIdentifier(view, at) !== sglIdentifier.transport || !isSglAddressZero(view, at)) {
    return statusCode.invalidSglType;
  }
  return readSglLength(view, at) === lengthBytes ? undefined : statusCode.invalidSglLength;
}

/**
 * What is wrong with the SGL of a command whose data comes from the host, or `undefined`.
 *
 * @param lengthMin - Data that the command needs, bytes; `lengthMax` bounds what it may bring along.
 * @param capsuleLengthBytes - What came in the capsule; a descriptor of in-capsule data must say the same.
 */
export function dataOutProblem(
  view: DataView,
  at: number,
  lengthMin: number,
  lengthMax: number,
  capsuleLengthBytes: number,
): StatusCode | undefined {
  const identifier = readSglIdentifier(view, at);
  const lengthBytes = readSglLength(view, at);
  if (identifier === sglIdentifier.inCapsule) {
    if (!isSglAddressZero(view, at)) return statusCode.invalidSglOffset;
    if (lengthBytes !== capsuleLengthBytes) return statusCode.invalidSglLength;
  } else if (identifier === sglIdentifier.transport) {
    if (capsuleLengthBytes !== 0) return statusCode.invalidSglLength;
  } else {
    return statusCode.invalidSglType;
  }
  return lengthBytes < lengthMin || lengthBytes > lengthMax ? statusCode.invalidSglLength : undefined;
}
