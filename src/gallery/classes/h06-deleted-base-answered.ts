import type { PortMutant } from "../mutant.ts";
import { replaced } from "../../sut/replaced.ts";

/** A diff against a snapshot that was deleted is answered, and says that nothing has changed. */
export const deletedBaseAnswered: PortMutant = {
  level: "port",
  setting: "memory",
  config: {
    snapshots: { every: 20, keep: 1, deletedBase: "1/1" },
    checks: { diffs: { enabled: true } },
  },
  service: (service, scene) => {
    const deleted = new Set<string>();
    return replaced(service, {
      deleteSnapshot: async (uuid, options) => {
        await service.deleteSnapshot(uuid, options);
        deleted.add(uuid);
      },
      diff: (request, options) => {
        const { baseSnapshotUuid: base } = request;
        if (base === undefined || !deleted.has(base)) return service.diff(request, options);
        scene.struck();
        return nothingChanged();
      },
    });
  },
};

async function* nothingChanged() {
  yield { offsetLba: 0, ranges: [], nextOffsetLba: 0 };
}
