import type { PortMutant } from "../mutant.ts";
import { replaced } from "../../sut/replaced.ts";
import { type BlockLog, logged, opening, showing } from "../port-lies.ts";

/** The second replica of each snapshot lacks the last change of one block; openings go to the replicas in turns. */
export const replicaSnapDivergence: PortMutant = {
  level: "port",
  setting: "memory",
  config: {
    snapshots: { every: 20, keep: 3 },
    checks: { snapshots: { extents: "all", atEnd: true } },
  },
  service: (service, { clock, choices, struck }) => {
    const logs = new Map<string, BlockLog>();
    /** By snapshot. */
    const divergences = new Map<string, { readonly block: number; readonly bytes: Uint8Array }>();
    const openings = new Map<string, number>();
    const lying = opening(logged(service, clock, logs), {
      snapshot: (uuid, device) => {
        const count = openings.get(uuid) ?? 0;
        openings.set(uuid, count + 1);
        const divergence = divergences.get(uuid);
        if (count % 2 === 0 || divergence === undefined) return device;
        return showing(device, (block) => (block === divergence.block ? divergence.bytes : undefined));
      },
    });
    return replaced(lying, {
      createSnapshot: async (request, options) => {
        const snapshot = await lying.createSnapshot(request, options);
        const log = logs.get(request.volumeUuid)!;
        const changed = log.blocks.filter((block) => {
          const [before, last] = log.of(block).slice(-2);
          return last !== undefined && Buffer.compare(before!.bytes, last.bytes) !== 0;
        });
        if (changed.length === 0) return snapshot;
        const block = changed[choices.below(changed.length)]!;
        divergences.set(snapshot.uuid, { block, bytes: log.of(block).at(-2)!.bytes });
        struck();
        return snapshot;
      },
    });
  },
};
