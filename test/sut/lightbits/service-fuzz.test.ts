import fc from "fast-check";
import { MockAgent } from "undici";
import { afterEach, beforeEach, expect, test } from "vitest";
import { connectLightbits } from "../../../src/sut/lightbits/service.ts";
import { ServiceError, type VolumeService } from "../../../src/sut/port.ts";
import { SimulatedClock } from "../../../src/sut/simulated-clock.ts";

const endpoint = "http://127.0.0.1:9";
const uuid = "0f0e0d0c-0b0a-4908-8706-050403020100";

let agent: MockAgent;
let service: VolumeService;
let clock: SimulatedClock;
let answer: () => { readonly status: number; readonly body: string };

beforeEach(async () => {
  clock = new SimulatedClock();
  agent = new MockAgent();
  agent.disableNetConnect();
  for (const method of ["GET", "POST", "PUT", "DELETE"]) {
    agent
      .get(endpoint)
      .intercept({ path: () => true, method })
      .reply(() => {
        const { status, body } = answer();
        const headers = { "content-type": "application/json" };
        return { statusCode: status, data: body, responseOptions: { headers } };
      })
      .persist();
  }
  service = await connectLightbits({
    endpoint,
    dispatcher: agent,
    clock,
    connectNamespaces: () => Promise.reject(new Error("no data path here")),
  });
});
afterEach(() => agent.close());

const calls: ((service: VolumeService) => Promise<unknown>)[] = [
  (it) => it.createVolume({ name: "v", sizeBytes: 4096, sectorSizeBytes: 4096 }),
  (it) => it.getVolume(uuid),
  (it) => it.listVolumes(),
  (it) => it.resizeVolume({ uuid, sizeBytes: 8192 }),
  (it) => it.deleteVolume(uuid),
  (it) => it.createSnapshot({ name: "s", volumeUuid: uuid }),
  (it) => it.listSnapshots(),
  (it) => it.deleteSnapshot(uuid),
  (it) => it.cloneSnapshot({ name: "c", snapshotUuid: uuid }),
  (it) => it.rollbackVolume({ volumeUuid: uuid, snapshotUuid: uuid }),
  (it) => it.openVolume(uuid),
  (it) => it.openSnapshot(uuid),
  async (it) => {
    let pageCount = 0;
    for await (const _ of it.diff({ snapshotUuid: uuid })) if (++pageCount === 3) break;
  },
];

test("every call to a service that answers anything at all ends, with a value or a ServiceError", async () => {
  const state = fc.constantFrom(
    "Creating",
    "Available",
    "Deleting",
    "Deleted",
    "Failed",
    "Updating",
    2,
    3,
    "?",
  );
  const object = fc.record(
    {
      UUID: fc.constantFrom(uuid, "x"),
      size: fc.constantFrom("4096", "8192", -1, []),
      state,
      name: fc.constantFrom("v", "s", 0),
    },
    { requiredKeys: ["UUID"] },
  );
  const document = fc.oneof(
    object,
    fc.record({ volumes: fc.array(object), snapshots: fc.array(object) }, { requiredKeys: [] }),
    fc.record(
      { nextOffsetLBA: fc.constantFrom("64", "0", 1, "x"), lbaRanges: fc.json() },
      { requiredKeys: [] },
    ),
    fc.record({ subsystemNQN: fc.constant("nqn.x"), nvmeEndpoints: fc.constantFrom(["a:1"], ["a"], []) }),
    fc.record({
      code: fc.nat(17),
      message: fc.constantFrom("", "same name exists", "another snapshot is creating"),
    }),
  );
  const body = fc.oneof(
    { weight: 8, arbitrary: document.map((value) => JSON.stringify(value)) },
    fc.string(),
  );
  const status = fc.constantFrom(200, 200, 200, 200, 400, 404, 409, 429, 500, 503, 504, 302);
  const script = fc.array(fc.record({ status, body }), { minLength: 1, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(script, fc.constantFrom(...calls), async (answers, call) => {
      let index = 0;
      answer = () => answers[index++ % answers.length]!;
      try {
        await clock.advanceThrough(call(service));
      } catch (error) {
        expect(error).toBeInstanceOf(ServiceError);
      }
    }),
    { numRuns: 400 },
  );
});
