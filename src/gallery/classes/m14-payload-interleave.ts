import { nvmOpcode } from "../../sut/nvme/commands.ts";
import { strikesOf } from "../chances.ts";
import type { Chance, WireMutant } from "../mutant.ts";
import type { WireConnection } from "../wire/nvme-interceptor.ts";
import type { WirePdu } from "../wire/wire-pdu.ts";

/** Pieces of a transfer are swapped in these units, bytes: cache lines, which know nothing of sectors. */
const lineBytes = 64;
const linesPerSector = 8;
/** Time in which a second write must follow, ms; else the first goes on as it is. */
const waitMs = 20;

/** A few times, two writes that are on their way together swap a piece of their data. */
export const payloadInterleave: WireMutant = {
  level: "wire",
  setting: "embedded",
  nvme: (chance) => {
    const strikes = strikesOf(chance, { count: 10, apart: { min: 10, max: 30 } });
    let first: { readonly pdu: WirePdu; readonly connection: WireConnection } | undefined;
    const letGo = (): void => {
      first?.connection.send(first.pdu);
      first = undefined;
    };
    let timer: NodeJS.Timeout | undefined;
    return {
      intercept: (pdu, connection) => {
        if (!connection.qid || pdu.opcode !== nvmOpcode.write || pdu.data.length === 0) return true;
        if (first === undefined) {
          if (!strikes.isDue()) return true;
          first = { pdu, connection };
          timer = setTimeout(letGo, waitMs);
          return false;
        }
        if (first.connection !== connection) return true;
        clearTimeout(timer);
        strikes.strike();
        for (const mixed of swapped(chance, first.pdu, pdu)) connection.send(mixed);
        first = undefined;
        return false;
      },
    };
  },
};

/** Two PDUs of which a piece of the data, not aligned to sectors, is exchanged. */
function swapped({ choices }: Chance, a: WirePdu, b: WirePdu): readonly WirePdu[] {
  const sectorCount = Math.min(a.data.length, b.data.length) / (lineBytes * linesPerSector);
  const start = choices.below(sectorCount - 1) * linesPerSector + 1 + choices.below(linesPerSector - 1);
  const end = start + 2 + choices.below(linesPerSector - 1);
  const into = (to: WirePdu, from: WirePdu): WirePdu =>
    to.changed((_, data) => from.data.copy(data, start * lineBytes, start * lineBytes, end * lineBytes));
  return [into(a, b), into(b, a)];
}
