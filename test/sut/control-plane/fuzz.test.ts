import fc from "fast-check";
import { expect, test } from "vitest";
import { controlPlaneApp } from "../../../src/sut/control-plane/server.ts";
import { FakeStore } from "./fake-store.ts";

const uuid = "00000000-0000-4000-8000-000000000001";

test("any request gets an answer in the service's shape that is not an internal error", async () => {
  const store = new FakeStore();
  const { app, dispose } = controlPlaneApp({ store, subsystemNqn: "nqn.x", nvmeEndpoints: [] });
  const volumeUuid = (await store.createVolume({ name: "v", sizeBytes: 2 ** 20, blockSizeBytes: 4096 })).uuid;
  await store.createSnapshot({ name: "s", volumeUuid });

  const text = fc.oneof(
    fc.constantFrom(
      "default",
      "volumes",
      "snapshots",
      "diff",
      "rollback",
      "",
      "%ff",
      "%2e%2e",
      "..",
      uuid,
      "v",
      "constructor",
    ),
    fc.string({ maxLength: 6 }).map(encodeURIComponent),
  );
  const path = fc.array(text, { maxLength: 5 }).map((parts) => `/api/v2/${parts.join("/")}`);
  const likely = fc.constantFrom(
    "/api/v2/volumes",
    "/api/v2/snapshots",
    `/api/v2/volumes/${uuid}`,
    `/api/v2/volumes/${uuid}/rollback`,
    "/api/v2/snapshots/00000000-0000-4000-8000-000000000002",
    "/api/v2/snapshots/diff/00000000-0000-4000-8000-000000000002",
  );
  const fields = [
    "name",
    "size",
    "acl",
    "replicaCount",
    "labels",
    "sourceVolumeUUID",
    "srcSnapshotUUID",
    "newName",
    "Force",
    "__proto__",
  ];
  const values = fc.oneof(
    fc.constantFrom<unknown>("v", "1 gib", "99999 tib", 1, true, uuid, { values: ["x"] }, null),
    fc.jsonValue(),
  );
  const body = fc.oneof(
    fc.dictionary(fc.constantFrom(...fields), values).map((value) => JSON.stringify(value)),
    fc.json(),
    fc.string(),
    fc.constant('{"__proto__":{"name":"v"}}'),
  );
  const query = fc.dictionary(
    fc.constantFrom(
      "name",
      "Name",
      "UUID",
      "limit",
      "offsetUUID",
      "showAll",
      "offsetLBA",
      "baseSnapshotUUID",
      "x",
    ),
    fc.oneof(
      fc.constantFrom("v", "true", "0", "64", "18446744073709551615", uuid),
      fc.string({ maxLength: 6 }),
    ),
  );
  const method = fc.constantFrom("GET" as const, "POST" as const, "PUT" as const, "DELETE" as const);
  const request = fc.record({ method, url: fc.oneof(path, likely), query, payload: body });

  await fc.assert(
    fc.asyncProperty(request, async ({ method, url, query, payload }) => {
      const withBody = method === "POST" || method === "PUT";
      const reply = await app.inject({
        method,
        url,
        query,
        ...(withBody && { payload, headers: { "content-type": "application/json" } }),
      });
      expect(reply.statusCode, `${method} ${url}: ${reply.body}`).toBeLessThan(500);
      if (reply.statusCode >= 400)
        expect(reply.json()).toMatchObject({ code: expect.any(Number), details: [] });
      expect(reply.body).not.toContain("node_modules");
    }),
    { numRuns: 1500 },
  );
  await dispose();
});
