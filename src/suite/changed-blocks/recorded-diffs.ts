/**
 * A service whose diffs are kept as they are answered, for somebody else than who asked.
 *
 * @packageDocumentation
 */
import type { AnswerPage } from "../../model/diff-contract.ts";
import type { VolumeService } from "../../sut/port.ts";
import { replaced } from "../../sut/replaced.ts";

/** @param pages - Receives every page that is asked for. */
export function recordingDiffs(service: VolumeService, pages: AnswerPage[]): VolumeService {
  return replaced(service, {
    async *diff(request, options) {
      for await (const page of service.diff(request, options)) {
        pages.push(page);
        yield page;
      }
    },
  });
}
