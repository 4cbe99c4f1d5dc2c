import { expect, test } from "vitest";
import { serveControlPlane } from "../../../src/sut/control-plane/server.ts";
import { connectLightbits } from "../../../src/sut/lightbits/service.ts";
import { openStore } from "../../../src/sut/store/open.ts";
import { serveTarget } from "../../../src/sut/target/server.ts";
import { overTcp } from "../../support/over-tcp.ts";

const subsystemNqn = "nqn.2016-01.com.example:cluster";

test("volumes of a cluster that names only a discovery controller are reached by what that says", async () => {
  await using store = await openStore({ kind: "memory" });
  await using target = await serveTarget({ store, subsystemNqn, serial: "1", host: "127.0.0.1", port: 0 });
  await using plane = await serveControlPlane({
    store,
    subsystemNqn,
    nvmeEndpoints: [],
    discoveryEndpoints: [target.address],
  });
  await using service = await connectLightbits({
    endpoint: plane.url,
    connectNamespaces: overTcp(),
  });
  const { uuid } = await service.createVolume({ name: "v", sizeBytes: 2 ** 20, sectorSizeBytes: 4096 });
  await using device = await service.openVolume(uuid);
  expect(device.identity.uuid).toBe(uuid);
});
