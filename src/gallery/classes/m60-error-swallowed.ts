import { nvmOpcode, readSglIdentifier, sglIdentifier } from "../../sut/nvme/commands.ts";
import { readCqeStatus } from "../../sut/nvme/completions.ts";
import { capsuleEntryOffset as entry, pduType } from "../../sut/nvme/pdu.ts";
import { strikesOf } from "../chances.ts";
import type { WireMutant } from "../mutant.ts";
import type { WireConnection } from "../wire/nvme-interceptor.ts";

/** Offsets within an SQE and a CQE. */
const slbaHighOffset = 44;
const statusOffset = 14;

/** A few writes are sent to a block far beyond the volume, which the target refuses; the host is told of success. */
export const errorSwallowed: WireMutant = {
  level: "wire",
  setting: "embedded",
  nvme: (chance) => {
    const strikes = strikesOf(chance, { count: 10, apart: { min: 10, max: 30 } });
    /** A write that is sure to fail. */
    let doomed: { readonly cid: number | undefined; readonly connection: WireConnection } | undefined;
    return {
      intercept: (pdu, connection) => {
        if (pdu.opcode === nvmOpcode.write) {
          // Of data that is still to be asked for the host would miss the request.
          const isWhole = readSglIdentifier(pdu.view, entry) === sglIdentifier.inCapsule;
          const isWaiting = doomed !== undefined && !doomed.connection.isClosed;
          if (!connection.qid || !isWhole || isWaiting || !strikes.isDue()) return true;
          doomed = { cid: pdu.cid, connection };
          connection.send(pdu.changed((view) => view.setUint32(entry + slbaHighOffset, 0x00ff_ffff, true)));
          return false;
        }
        const isDoomed = doomed?.connection === connection && doomed.cid === pdu.cid;
        if (pdu.type !== pduType.capsuleResp || !isDoomed) return true;
        doomed = undefined;
        if (readCqeStatus(pdu.view, entry) === 0) return true;
        strikes.strike();
        connection.send(pdu.changed((view) => view.setUint16(entry + statusOffset, 0, true)));
        return false;
      },
    };
  },
};
