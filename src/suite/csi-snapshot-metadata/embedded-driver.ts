/**
 * The embedded target as the driver under test: a process of its own, whose volumes are written over NVMe/TCP and
 * managed over REST, so that nothing but gRPC stands between the suite and its answers.
 *
 * @packageDocumentation
 */
import { randomUUID } from "node:crypto";
import { connectCsiSnapshotMetadata, type CsiTimeouts } from "../../sut/csi/client.ts";
import type { CsiStyle } from "../../sut/csi/server/answer.ts";
import { csiTokenSecret } from "../../sut/csi/server/server.ts";
import { launchEmbedded } from "../../sut/embedded/launch.ts";
import { connectController } from "../../sut/initiator/controller.ts";
import type { DriverUnderTest } from "./driver.ts";
import { serviceHooks } from "./service-hooks.ts";

export interface EmbeddedDriver extends AsyncDisposable {
  readonly driver: DriverUnderTest;
  readonly address: string;
}

/** @throws {LaunchError} If it cannot be started; nothing is left. */
export async function embeddedDriver({
  serveCommand,
  style,
  timeouts,
}: {
  /** Program and leading arguments that run the target. */
  readonly serveCommand: readonly string[];
  readonly style: CsiStyle;
  readonly timeouts: CsiTimeouts;
}): Promise<EmbeddedDriver> {
  const hostId = randomUUID();
  const target = await launchEmbedded({
    command: serveCommand,
    csi: style,
    service: {
      connectNamespaces: ({ endpoints: [endpoint], subsystemNqn }) =>
        connectController({
          host: endpoint!.host,
          port: endpoint!.port,
          subsystemNqn,
          hostNqn: `nqn.2014-08.org.nvmexpress:uuid:${hostId}`,
          hostId,
        }),
    },
  });
  const address = target.csiAddress ?? "";
  try {
    const client = await connectCsiSnapshotMetadata({
      address,
      access: { dialect: "csi", secrets: { [csiTokenSecret]: target.token } },
      ...timeouts,
    });
    const hooks = serviceHooks(target.service);
    return {
      driver: { client, hooks, snapshots: [] },
      address,
      [Symbol.asyncDispose]: async () => {
        // Its volumes are in its memory, and gone with it.
        await client[Symbol.asyncDispose]();
        await target[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await target[Symbol.asyncDispose]();
    throw error;
  }
}
