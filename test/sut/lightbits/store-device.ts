/**
 * A store's namespace as a block device without a wire between, for tests of the control plane.
 *
 * @packageDocumentation
 */

import { ControllerError } from "../../../src/sut/initiator/errors.ts";
import type { NamespaceConnection } from "../../../src/sut/data-path/data-path.ts";
import { type BlockDevice, ok } from "../../../src/sut/port.ts";
import type { Namespace, VolumeStore } from "../../../src/sut/store/port.ts";

/** A connection whose namespaces are the store's. */
export class StoreConnection implements NamespaceConnection {
  isClosed = false;
  readonly #store: VolumeStore;

  constructor(store: VolumeStore) {
    this.#store = store;
  }

  async openNamespace({ uuid }: { readonly uuid: string }): Promise<BlockDevice> {
    if (this.isClosed) throw new ControllerError("ERR_CLOSED", "the controller is closed");
    const namespace = this.#store.namespaces.find((candidate) => candidate.uuid === uuid);
    if (namespace === undefined) throw new ControllerError("ERR_NAMESPACE_GONE", `no namespace ${uuid}`);
    return deviceOf(namespace);
  }

  async [Symbol.asyncDispose]() {
    this.isClosed = true;
  }
}

function deviceOf(namespace: Namespace): BlockDevice {
  const { uuid, nsid, blockSizeBytes, blockCount } = namespace;
  return {
    identity: { name: uuid, uuid, nsid },
    capabilities: {
      blockSizeBytes,
      transferBlocksMax: 256,
      atomicWriteBlocks: 1,
      atomicWriteBlocksPowerFail: 1,
      volatileWriteCache: true,
      deallocatedReads: "zeros",
      writeZeroes: true,
      deallocate: true,
      compare: false,
      compareAndWriteBlocksMax: 0,
    },
    blockCount,
    read: async ({ block, blockCount, into }) => {
      namespace.read(block, blockCount, into);
      return ok;
    },
    write: async ({ block, blockCount, from }) => {
      namespace.write(block, blockCount, from);
      return ok;
    },
    writeZeroes: async ({ block, blockCount }) => {
      namespace.zero(block, blockCount);
      return ok;
    },
    deallocate: async () => ok,
    compare: async () => ({ kind: "failed", code: "ERR_UNSUPPORTED", message: "not here" }),
    compareAndWrite: async () => ({ kind: "failed", code: "ERR_UNSUPPORTED", message: "not here" }),
    flush: async () => {
      await namespace.flush();
      return ok;
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}
