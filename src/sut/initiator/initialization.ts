/**
 * What host and controller agree on before the first command of a connection: ICReq, and the terms of ICResp.
 *
 * @packageDocumentation
 */
import { decodeIcResp, encodeIcReq } from "../nvme/initialization.ts";
import { fatalErrorStatus, PduError, type PduHeader, type WireFormat } from "../nvme/pdu.ts";
import { Slab } from "../nvme/slab.ts";
import type { Loss } from "./command-slot.ts";

/** `prefer` takes what the controller grants; `require` refuses to go on without. */
type DigestMode = "off" | "prefer" | "require";

export interface DigestModes {
  readonly headerDigest: DigestMode;
  readonly dataDigest: DigestMode;
}

/** What holds for all further PDUs. */
export interface ConnectionTerms {
  readonly wire: WireFormat;
  /** Most data that the controller takes in one H2CData. */
  readonly h2cDataLengthMax: number;
}

/** The ICReq that opens a connection. */
export function icReqOf({ headerDigest, dataDigest }: DigestModes): Uint8Array {
  const slab = new Slab(128);
  encodeIcReq(slab, 0, {
    hostAlignmentBytes: 4,
    r2tCountMax: 1,
    headerDigest: headerDigest !== "off",
    dataDigest: dataDigest !== "off",
  });
  return slab.bytes;
}

/**
 * Reads an ICResp; the loss says which digest is required and not offered.
 *
 * @throws {PduError} If it enables what was not asked for.
 */
export function termsOf(header: PduHeader, modes: DigestModes): ConnectionTerms | Loss {
  const response = decodeIcResp(header);
  const loss =
    digestLoss("header", modes.headerDigest, response.headerDigest) ??
    digestLoss("data", modes.dataDigest, response.dataDigest);
  if (loss !== undefined) return loss;
  return {
    wire: {
      headerDigest: response.headerDigest,
      dataDigest: response.dataDigest,
      alignmentBytes: response.controllerAlignmentBytes,
    },
    h2cDataLengthMax: response.h2cDataLengthMax,
  };
}

function digestLoss(name: string, mode: DigestMode, isGranted: boolean): Loss | undefined {
  if (isGranted && mode === "off") {
    const { unsupportedParameter } = fatalErrorStatus;
    throw new PduError(unsupportedParameter, 11, `ICResp enables a ${name} digest that was not asked for`);
  }
  if (isGranted || mode !== "require") return undefined;
  const message = `the controller does not offer the ${name} digest that is required`;
  return { code: "ERR_UNSUPPORTED", message, isPermanent: true };
}
