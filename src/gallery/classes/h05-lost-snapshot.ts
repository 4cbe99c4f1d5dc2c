import { oneOf } from "../chances.ts";
import type { PortMutant } from "../mutant.ts";

/** A snapshot that was acknowledged is gone after a crash. */
export const lostSnapshot: PortMutant = {
  level: "port",
  setting: "jittery",
  config: {
    // None is deleted, none is read: only the look after a crash asks for them.
    snapshots: { every: 15, keep: 1000 },
    faults: { crash: { every: 60 } },
    checks: { durability: true },
    runner: { stopAfterViolations: 1 },
  },
  faults: (faults, service, scene) => {
    let hasStruck = false;
    return {
      ...faults,
      crash: async () => {
        await faults.crash();
        const snapshot = oneOf(scene, await service.listSnapshots());
        if (snapshot === undefined || hasStruck) return;
        hasStruck = true;
        await service.deleteSnapshot(snapshot.uuid);
        scene.struck();
      },
    };
  },
};
