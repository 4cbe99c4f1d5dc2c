import { MockAgent } from "undici";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { connectLightbits } from "../../../src/sut/lightbits/service.ts";
import type { VolumeService } from "../../../src/sut/port.ts";
import { SimulatedClock } from "../../../src/sut/simulated-clock.ts";

const endpoint = "http://127.0.0.1:9";
const volumeUuid = "0f0e0d0c-0b0a-4908-8706-050403020100";
const snapshotUuid = "1f0e0d0c-0b0a-4908-8706-050403020100";
const otherUuid = "2f0e0d0c-0b0a-4908-8706-050403020100";

let agent: MockAgent;
let service: VolumeService;
let clock: SimulatedClock;
let running: Disposable;

beforeEach(async () => {
  clock = new SimulatedClock();
  running = clock.runAutomatically();
  agent = new MockAgent();
  agent.disableNetConnect();
  service = await connectLightbits({
    endpoint,
    dispatcher: agent,
    clock,
    random: () => 0,
    connectNamespaces: () => Promise.reject(new Error("no data path here")),
  });
});
afterEach(() => {
  running[Symbol.dispose]();
  return agent.close();
});

const json = { headers: { "content-type": "application/json" } };

/** A service whose snapshots are a list, and whose creation is what the test makes of it. */
function serve(
  create: (attempt: number, description: string) => { readonly status: number; readonly body: object },
) {
  const snapshots: object[] = [];
  let attemptCount = 0;
  const pool = agent.get(endpoint);
  pool
    .intercept({ path: "/api/v2/projects/default/snapshots", method: "POST" })
    .reply((request) => {
      attemptCount += 1;
      const { description } = JSON.parse(String(request.body));
      const { status, body } = create(attemptCount, description);
      return { statusCode: status, data: body, responseOptions: json };
    })
    .persist();
  pool
    .intercept({ path: (path) => path.startsWith("/api/v2/projects/default/snapshots?"), method: "GET" })
    .reply(200, () => ({ snapshots }), json)
    .persist();
  return { snapshots, attempts: () => attemptCount };
}

const refusal = (code: number, message: string) => ({ error: message, code, message });
const snapshot = (fields: object = {}) => ({
  UUID: snapshotUuid,
  name: "s",
  size: "4096",
  state: "Available",
  sourceVolumeUUID: volumeUuid,
  ...fields,
});
const creating = "Creating a snapshot when another snapshot is creating is not allowed";
const taken = "Another snapshot with same name exists";

describe("creating a snapshot", () => {
  // Everything that the service may say while another snapshot is being created.
  const busy: Record<string, { status: number; body: object }> = {
    "400 with the known text": { status: 400, body: refusal(3, creating) },
    "400 with FailedPrecondition": { status: 400, body: refusal(9, "source volume is being updated") },
    "409 with Aborted": { status: 409, body: refusal(10, "another operation runs") },
    "500": { status: 500, body: refusal(13, "internal") },
    "503": { status: 503, body: refusal(14, "unavailable") },
  };
  test.for(Object.entries(busy))("is tried again after %s", async ([, answer]) => {
    const served = serve((attempt) => (attempt < 3 ? answer : { status: 200, body: snapshot() }));
    expect(await service.createSnapshot({ name: "s", volumeUuid })).toMatchObject({ uuid: snapshotUuid });
    expect(served.attempts()).toBe(3);
  });

  test("is tried again after a 400 that says nothing while another is Creating", async () => {
    const served = serve((attempt) =>
      attempt === 1 ? { status: 400, body: refusal(3, "no") } : { status: 200, body: snapshot() },
    );
    served.snapshots.push(snapshot({ UUID: otherUuid, name: "t", state: "Creating" }));
    await service.createSnapshot({ name: "s", volumeUuid });
    expect(served.attempts()).toBe(2);
  });

  test("is not tried again after a 400 that says nothing while no other is Creating", async () => {
    const served = serve(() => ({ status: 400, body: refusal(3, "bad retention") }));
    await expect(service.createSnapshot({ name: "s", volumeUuid })).rejects.toMatchObject({
      code: "ERR_INVALID_REQUEST",
      message: expect.stringContaining("bad retention"),
    });
    expect(served.attempts()).toBe(1);
  });

  // The answer was an error, and the snapshot is there all the same.
  const unclear: Record<string, { status: number; body: object }> = {
    "500": { status: 500, body: refusal(13, "internal") },
    "503": { status: 503, body: refusal(14, "unavailable") },
    "504": { status: 504, body: refusal(4, "deadline") },
    "an answer that makes no sense": { status: 200, body: [] },
  };
  test.for(Object.entries(unclear))("finds its snapshot by name after %s", async ([, answer]) => {
    const served = serve((_, description) => {
      served.snapshots.push(snapshot({ description }));
      return answer;
    });
    expect(await service.createSnapshot({ name: "s", volumeUuid })).toMatchObject({ uuid: snapshotUuid });
    expect(served.attempts()).toBe(1);
  });

  test("knows its snapshot by the volume if the service keeps no descriptions", async () => {
    const served = serve(() => {
      served.snapshots.push(snapshot());
      return { status: 500, body: refusal(13, "internal") };
    });
    expect(await service.createSnapshot({ name: "s", volumeUuid })).toMatchObject({ uuid: snapshotUuid });
  });

  test("takes its late snapshot for its own when the second try finds the name taken", async () => {
    const served = serve((attempt, description) => {
      if (attempt === 1) return { status: 503, body: refusal(14, "unavailable") };
      served.snapshots.push(snapshot({ description }));
      return { status: 400, body: refusal(3, taken) };
    });
    expect(await service.createSnapshot({ name: "s", volumeUuid })).toMatchObject({ uuid: snapshotUuid });
  });

  test.for([
    [400, 3],
    [409, 6],
    [503, 14],
  ] as const)(
    "does not take another's snapshot of that name for its own after %i",
    async ([status, code]) => {
      const served = serve(() => ({ status, body: refusal(code, taken) }));
      served.snapshots.push(snapshot({ UUID: otherUuid, description: "somebody else's" }));
      await expect(service.createSnapshot({ name: "s", volumeUuid })).rejects.toMatchObject({
        code: "ERR_CONFLICT",
      });
      expect(served.attempts()).toBe(1);
    },
  );

  test("believes a 500 after five of them", async () => {
    const served = serve(() => ({ status: 500, body: refusal(13, "disk on fire") }));
    await expect(service.createSnapshot({ name: "s", volumeUuid })).rejects.toMatchObject({
      code: "ERR_TARGET",
      message: expect.stringContaining("disk on fire"),
    });
    expect(served.attempts()).toBe(5);
    // 12.5, 25, 50 and 100 ms between them: half of what doubles from 25 ms.
    expect(clock.now()).toBe(187.5);
  });

  test("stops at once for a refusal that waiting does not change", async () => {
    for (const [status, code, expected] of [
      [401, 16, "ERR_UNAUTHENTICATED"],
      [403, 7, "ERR_FORBIDDEN"],
      [404, 5, "ERR_NOT_FOUND"],
      [501, 12, "ERR_UNSUPPORTED"],
    ] as const) {
      const served = serve(() => ({ status, body: refusal(code, "no") }));
      await expect(service.createSnapshot({ name: "s", volumeUuid })).rejects.toMatchObject({
        code: expected,
      });
      expect(served.attempts()).toBe(1);
      await agent.close();
      agent = new MockAgent();
      agent.disableNetConnect();
      service = await connectLightbits({
        endpoint,
        dispatcher: agent,
        connectNamespaces: () => Promise.reject(new Error("no data path here")),
      });
    }
  });
});

describe("waiting for a snapshot", () => {
  test.for([
    ["Failed", "failed"],
    ["Deleting", "deleting"],
  ])("ends at once when it is shown as %s", async ([state, shown]) => {
    serve(() => ({ status: 200, body: snapshot({ state: "Creating" }) }));
    agent
      .get(endpoint)
      .intercept({ path: `/api/v2/projects/default/snapshots/${snapshotUuid}` })
      .reply(200, snapshot({ state }), json);
    await expect(service.createSnapshot({ name: "s", volumeUuid })).rejects.toMatchObject({
      code: "ERR_TARGET",
      message: `snapshot ${snapshotUuid} was to become Available and is ${shown}`,
    });
  });

  test("ends after two minutes of Creating, and says so", async () => {
    serve(() => ({ status: 200, body: snapshot({ state: "Creating" }) }));
    let readCount = 0;
    agent
      .get(endpoint)
      .intercept({ path: `/api/v2/projects/default/snapshots/${snapshotUuid}` })
      .reply(200, () => (readCount += 1) && snapshot({ state: "Creating" }), json)
      .persist();
    await expect(service.createSnapshot({ name: "s", volumeUuid })).rejects.toMatchObject({
      code: "ERR_TIMEOUT",
      message: expect.stringMatching(
        /^snapshot 1f0e.* is not Available after 120\.0 s and \d+ tries: creating, 4096 bytes$/,
      ),
    });
    expect(clock.now()).toBe(120_000);
    // After 1, 1, 2, 4, ... 256 ms, then every 500.
    expect(readCount).toBe(249);
  });

  test("looks ever more seldom and stops at once when it is Available", async () => {
    serve(() => ({ status: 200, body: snapshot({ state: "Creating" }) }));
    const times: number[] = [];
    agent
      .get(endpoint)
      .intercept({ path: `/api/v2/projects/default/snapshots/${snapshotUuid}` })
      .reply(
        200,
        () => {
          times.push(clock.now());
          return snapshot({ state: clock.now() < 60 ? "Creating" : "Available" });
        },
        json,
      )
      .persist();
    await service.createSnapshot({ name: "s", volumeUuid });
    expect(times).toEqual([1, 2, 4, 8, 16, 32, 64]);
    expect(clock.pendingCount).toBe(0);
  });
});

describe("a diff", () => {
  const path = `/api/v2/projects/default/snapshots/diff/${snapshotUuid}`;
  const serveDiff = (query: string, body: object, status = 200) =>
    agent
      .get(endpoint)
      .intercept({ path: path + query })
      .reply(status, body, json);
  const walk = async () => {
    const offsets: number[] = [];
    for await (const { offsetLba, nextOffsetLba } of service.diff({ snapshotUuid }))
      offsets.push(offsetLba, nextOffsetLba);
    return offsets;
  };

  test("goes on over an empty page that names a next one", async () => {
    serveDiff("", { nextOffsetLBA: "640" });
    serveDiff("?offsetLBA=640", {});
    expect(await walk()).toEqual([0, 640, 640, 0]);
  });

  test.for([640, 64, 639])(
    "ends with page 640, shown as it came, if that names %d as the next",
    async (nextOffsetLba) => {
      serveDiff("", { nextOffsetLBA: "640" });
      serveDiff("?offsetLBA=640", { nextOffsetLBA: String(nextOffsetLba) });
      expect(await walk()).toEqual([0, 640, 640, nextOffsetLba]);
    },
  );

  test("asks for the same page again while the service is busy", async () => {
    serveDiff("", { nextOffsetLBA: "64" });
    serveDiff("?offsetLBA=64", refusal(14, "unavailable"), 503);
    serveDiff("?offsetLBA=64", {});
    expect(await walk()).toEqual([0, 64, 64, 0]);
  });

  test("ends with the error of a page in the middle, not as if it were complete", async () => {
    serveDiff("", { nextOffsetLBA: "64" });
    serveDiff("?offsetLBA=64", refusal(5, "base snapshot not found"), 404);
    await expect(walk()).rejects.toMatchObject({ code: "ERR_NOT_FOUND" });
  });
});
