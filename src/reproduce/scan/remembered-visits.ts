/**
 * A history that remembers the visits it was asked for last: whoever looks at every block of an extent asks for the
 * same ones again and again.
 *
 * @packageDocumentation
 */
import type { History, Visit } from "../../selectors/history.ts";
import { operationAt } from "../../selectors/operations.ts";

/** Visits that are remembered; then all are forgotten. */
const visitsMax = 16_384;

export function rememberedVisits(history: History): History {
  const visits = new Map<number, Visit>();
  const visit = (lts: number): Visit => {
    const known = visits.get(lts);
    if (known !== undefined) return known;
    if (visits.size === visitsMax) visits.clear();
    const found = history.visit(lts);
    visits.set(lts, found);
    return found;
  };
  return {
    geometry: history.geometry,
    run: history.run,
    window: history.window,
    sizes: history.sizes,
    control: history.control,
    visit,
    operationOn: (lts, block) =>
      visit(lts).operations.find(
        ({ firstBlock, blockCount }) => block >= firstBlock && block < firstBlock + blockCount,
      ),
    operationOf: (position) => {
      const { lts, operationId } = operationAt(position);
      const { extent, operations } = visit(lts);
      const operation = operations.find((one) => one.operationId === operationId);
      return operation === undefined ? undefined : { extent, operation };
    },
    sampleExtent: (lts, number) => history.sampleExtent(lts, number),
    readsAt: (lts) => history.readsAt(lts),
    preRead: (lts, operationId) => history.preRead(lts, operationId),
    cloneVisits: (clone, snapshotLts) => history.cloneVisits(clone, snapshotLts),
    cloneVolume: (clone) => history.cloneVolume(clone),
  };
}
