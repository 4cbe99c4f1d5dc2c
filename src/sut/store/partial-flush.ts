/**
 * Making some blocks of a namespace durable (FUA) without what else waits in a volatile cache.
 *
 * @packageDocumentation
 */
import type { Namespace } from "./port.ts";

/** What a namespace can do beyond {@link Namespace} if it can tell its blocks apart. */
export interface PartialFlush {
  /** Resolves when every call on these blocks that returned before it is on stable media. */
  flushBlocks(block: number, blockCount: number): Promise<void>;
}

/** Flushes a range, or all of the namespace if it knows no less. */
export function flushBlocks(namespace: Namespace, block: number, blockCount: number): Promise<void> {
  return canFlushBlocks(namespace) ? namespace.flushBlocks(block, blockCount) : namespace.flush();
}

function canFlushBlocks(namespace: Namespace): namespace is Namespace & PartialFlush {
  return "flushBlocks" in namespace;
}
