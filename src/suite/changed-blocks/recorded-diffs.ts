/**
 * A service whose diffs are kept as they are answered, for somebody else than who asked.
 *
 * @packageDocumentation
 */
import type { AnswerPage } from "../../model/diff-contract.ts";
import type { VolumeService } from "../../sut/port.ts";

/** @param pages - Receives every page that is asked for. */
export function recordingDiffs(service: VolumeService, pages: AnswerPage[]): VolumeService {
  const diff: VolumeService["diff"] = async function* (request, options) {
    for await (const page of service.diff(request, options)) {
      pages.push(page);
      yield page;
    }
  };
  return new Proxy(service, {
    get(target, key) {
      if (key === "diff") return diff;
      const own = Reflect.get(target, key);
      return typeof own === "function" ? own.bind(target) : own;
    },
  });
}
