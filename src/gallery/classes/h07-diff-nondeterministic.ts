import type { VolumeService } from "../../sut/port.ts";
import { replaced } from "../../sut/replaced.ts";
import { nowAndThen } from "../chances.ts";
import type { PortMutant } from "../mutant.ts";

/** The same question about two snapshots, asked again, is answered otherwise: a range is missing. */
export const diffNondeterministic: PortMutant = {
  level: "port",
  setting: "memory",
  config: { snapshots: { every: 20, keep: 4 }, checks: { diffs: { enabled: true } } },
  service: (service, scene) => {
    const isLie = nowAndThen(scene, { oneOf: 2, most: 10 });
    const asked = new Set<string>();
    const diff: VolumeService["diff"] = async function* (request, options) {
      const question = `${request.snapshotUuid} ${request.baseSnapshotUuid}`;
      let isToLie = asked.has(question);
      asked.add(question);
      for await (const page of service.diff(request, options)) {
        const isShort = isToLie && page.ranges.length > 0 && isLie();
        if (isShort) isToLie = false;
        yield isShort ? { ...page, ranges: page.ranges.slice(1) } : page;
      }
    };
    return replaced(service, { diff });
  },
};
