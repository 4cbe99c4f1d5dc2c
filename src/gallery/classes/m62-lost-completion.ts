import { pduType } from "../../sut/nvme/pdu.ts";
import { nthOf } from "../chances.ts";
import type { WireMutant } from "../mutant.ts";

/** The completion of one command gets lost on its way to the host. */
export const lostCompletion: WireMutant = {
  level: "wire",
  setting: "embedded",
  config: { target: { kind: "embedded", commandTimeout: "1s" }, checks: { liveness: true } },
  nvme: (chance) => {
    const isLost = nthOf(chance, { min: 100, max: 300 });
    return {
      intercept: (pdu, { qid }) => !(pdu.type === pduType.capsuleResp && Boolean(qid) && isLost()),
    };
  },
};
