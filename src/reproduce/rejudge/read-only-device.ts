/**
 * Devices that are only read: a target's own behind a guard, and the place of one that is not there.
 *
 * @packageDocumentation
 */
import type { BlockDevice, DeviceCapabilities, DeviceIdentity, Outcome } from "../../sut/port.ts";

/** What can be read. */
export type Readable = Pick<BlockDevice, "identity" | "capabilities" | "blockCount" | "read"> &
  AsyncDisposable;

const refusal: Outcome = {
  kind: "failed",
  code: "ERR_UNSUPPORTED",
  message: "it is only looked at: nothing may be written",
};
const refuse = (): Promise<Outcome> => Promise.resolve(refusal);

/** Passes on reads, and refuses everything else. */
export function readOnly(inner: Readable): BlockDevice {
  return {
    identity: inner.identity,
    capabilities: inner.capabilities,
    get blockCount() {
      return inner.blockCount;
    },
    read: (request, options) => inner.read(request, options),
    write: refuse,
    writeZeroes: refuse,
    deallocate: refuse,
    compare: refuse,
    compareAndWrite: refuse,
    flush: refuse,
    [Symbol.asyncDispose]: async () => inner[Symbol.asyncDispose](),
  };
}

/** The place of a volume of which nothing can be read. */
export function absentDevice(
  {
    identity,
    capabilities,
    blockCount,
  }: {
    readonly identity: DeviceIdentity;
    readonly capabilities: DeviceCapabilities;
    readonly blockCount: number;
  },
  why: string,
): BlockDevice {
  const gone: Outcome = { kind: "failed", code: "ERR_NAMESPACE_GONE", message: why };
  return readOnly({
    identity,
    capabilities,
    blockCount,
    read: () => Promise.resolve(gone),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
}
