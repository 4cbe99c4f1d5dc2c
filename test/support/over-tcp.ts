/**
 * The way to the namespaces of a target in a test: over NVMe/TCP.
 *
 * @packageDocumentation
 */
import type { ConnectNamespaces } from "../../src/sut/data-path/data-path.ts";
import { connectController } from "../../src/sut/initiator/controller.ts";
import { hostNqnOfUuid } from "../../src/sut/nvme/names.ts";

const hostId = "5c1c5a2e-6c9e-4f1f-9d5c-000000000001";

/** What is left out of the options is as the initiator has it. */
export function overTcp(options: Partial<Parameters<typeof connectController>[0]> = {}): ConnectNamespaces {
  return ({ endpoints: [endpoint], subsystemNqn }) =>
    connectController({
      ...endpoint!,
      ...{ subsystemNqn, hostNqn: hostNqnOfUuid(hostId), hostId },
      ...options,
    });
}
