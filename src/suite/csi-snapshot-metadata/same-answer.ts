/**
 * Whether two answers say the same, or one is what is left of another.
 *
 * @packageDocumentation
 */
import type { Answer } from "./answers.ts";
import { minus, rangesOf, rangesText, since } from "./byte-ranges.ts";
import { ContractFailure } from "./contract-test.ts";

/** @throws {ContractFailure} Unless both have the same tuples, type and capacity. */
export function expectSame(what: string, expected: Answer, observed: Answer): void {
  expectSameHead(what, expected, observed);
  const at = expected.tuples.findIndex((tuple, index) => {
    const other = observed.tuples[index];
    return tuple.byteOffset !== other?.byteOffset || tuple.sizeBytes !== other.sizeBytes;
  });
  if (at < 0 && expected.tuples.length === observed.tuples.length) return;
  const [lost, found] = [rangesOf(expected.tuples), rangesOf(observed.tuples)];
  expectNothing(what, "is missing", minus(lost, found));
  expectNothing(what, "was not there before", minus(found, lost));
  const place = at < 0 ? expected.tuples.length : at;
  throw new ContractFailure(`${what}: the same bytes are cut otherwise, from tuple ${place} on`);
}

/**
 * Expects the answer from an offset on to be what the whole one has there. Its first tuple may start before the
 * offset, if it holds it.
 *
 * @throws {ContractFailure}
 */
export function expectTail(what: string, whole: Answer, offset: number, tail: Answer): void {
  expectSameHead(what, whole, tail);
  const [first] = tail.tuples;
  if (first !== undefined && first.byteOffset + first.sizeBytes <= offset)
    throw new ContractFailure(
      `${what}: the first tuple, ${first.sizeBytes} bytes at ${first.byteOffset}, ends before the offset`,
    );
  const [all, left] = [rangesOf(whole.tuples), rangesOf(tail.tuples)];
  expectNothing(what, "is missing", minus(since(all, offset), left));
  expectNothing(what, "is not in the whole answer", minus(left, all));
  if (whole.type !== "FIXED_LENGTH") return;
  const tuples = whole.tuples.filter(({ byteOffset, sizeBytes }) => byteOffset + sizeBytes > offset);
  if (tuples.length !== tail.tuples.length)
    throw new ContractFailure(
      `${what}: ${tail.tuples.length} tuples, where the whole answer has ${tuples.length}`,
    );
}

function expectSameHead(what: string, expected: Answer, observed: Answer): void {
  if (expected.type === undefined || observed.type === undefined) return;
  if (expected.type !== observed.type)
    throw new ContractFailure(`${what}: block_metadata_type is ${observed.type}, and was ${expected.type}`);
  if (expected.capacityBytes !== observed.capacityBytes)
    throw new ContractFailure(
      `${what}: volume_capacity_bytes is ${observed.capacityBytes}, and was ${expected.capacityBytes}`,
    );
}

function expectNothing(what: string, wrong: string, ranges: ReturnType<typeof minus>): void {
  if (ranges.length > 0) throw new ContractFailure(`${what}: ${rangesText(ranges)} ${wrong}`);
}
