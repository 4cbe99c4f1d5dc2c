/**
 * Performs the operations of an lts: those of a batch in flight together, batch after batch.
 *
 * @packageDocumentation
 */
import { effectOf, type Operation, positionOf } from "../../selectors/operations.ts";
import type { Visit } from "../../selectors/workload.ts";
import type { BlockDevice, Outcome } from "../../sut/port.ts";
import type { Run } from "../run.ts";
import { outcomeText } from "../target-failure.ts";

export async function mutate(run: Run, lts: number): Promise<void> {
  const visit = run.workload.visit(lts);
  run.digest.visit(visit);
  run.tracker.beginLts(lts);
  const { device } = run.target.volumes[visit.extent.volume]!;
  const { operations } = visit;
  for (let first = 0; first < operations.length; ) {
    let end = first;
    while (end < operations.length && operations[end]!.batch === operations[first]!.batch) end++;
    await Promise.all(
      operations.slice(first, end).map((operation) => perform(run, device, visit, operation)),
    );
    first = end;
  }
  run.tracker.endLts(lts);
  run.ledger.visited();
}

async function perform(run: Run, device: BlockDevice, visit: Visit, operation: Operation): Promise<void> {
  const { kind, operationId, blockCount } = operation;
  const position = positionOf(visit.lts, operationId);
  run.tracker.submit(position);
  const outcome = await issue(run, device, visit, operation, position);
  run.tracker.complete(position, outcome.kind);
  run.ledger.completed(kind, blockCount, outcome.kind);
  if (outcome.kind !== "ok")
    run.targetError(
      `lts ${visit.lts}, operation ${operationId} (${kind} of ${blockCount} ${blockCount === 1 ? "block" : "blocks"}): ${outcomeText(outcome)}`,
    );
}

async function issue(
  run: Run,
  device: BlockDevice,
  { extent }: Visit,
  { kind, firstBlock, blockCount }: Operation,
  position: number,
): Promise<Outcome> {
  const block = extent.firstBlock + firstBlock;
  if (effectOf(kind) === "data") {
    const { sectorsPerBlock: sectorCount, blockSizeBytes } = run.workload.geometry;
    const buffer = await run.writeBuffers.take();
    try {
      run.workload.run.inflate(
        { volume: extent.volume, block, blockCount, sectorCount },
        buffer.address,
        position,
      );
      const from = buffer.bytes.subarray(0, blockCount * blockSizeBytes);
      return await device.write({ block, blockCount, from, fua: kind === "writeFua" });
    } finally {
      run.writeBuffers.giveBack(buffer);
    }
  }
  if (kind === "flush") return device.flush();
  if (kind === "writeZeroes") return device.writeZeroes({ block, blockCount });
  return device.deallocate({ ranges: [{ block, blockCount }] });
}
