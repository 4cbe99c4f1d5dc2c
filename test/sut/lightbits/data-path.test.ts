import { describe, expect, test } from "vitest";
import { DataPath, parseEndpoint } from "../../../src/sut/lightbits/data-path.ts";
import { SimulatedClock } from "../../../src/sut/simulated-clock.ts";

const uuid = "0f0e0d0c-0b0a-4908-8706-050403020100";

describe("parseEndpoint", () => {
  test.for([
    ["10.0.0.1:4420", "10.0.0.1", 4420],
    ["[fe80::1]:1", "fe80::1", 1],
    ["storage-1.example.org:65535", "storage-1.example.org", 65535],
  ] as const)("reads %s", ([text, host, port]) => {
    expect(parseEndpoint(text)).toEqual({ host, port });
  });

  test.for([
    "",
    "10.0.0.1",
    "10.0.0.1:",
    "10.0.0.1:0",
    "10.0.0.1:65536",
    "fe80::1:4420",
    "a b:1",
    "\u001b[2J:1",
  ])("refuses '%s'", (text) => {
    expect(() => parseEndpoint(text)).toThrow(/expected host:port/);
  });
});

describe("a data path", () => {
  const connect = () => Promise.reject(new Error("not asked for"));
  const clock = new SimulatedClock();

  test.for([
    { subsystemNqn: "", nvmeEndpoints: ["10.0.0.1:4420"] },
    { subsystemNqn: "nqn.x", nvmeEndpoints: [] },
    { subsystemNqn: "nqn.x", nvmeEndpoints: ["nowhere"] },
  ])("is not made to a cluster that says %j", async (info) => {
    await using path = new DataPath({ connect, clusterInfo: async () => info, waitTimeoutMs: 1000, clock });
    await expect(path.openNamespace(uuid)).rejects.toMatchObject({ code: "ERR_BAD_ANSWER" });
  });

  test("that comes to stand after it was closed is closed too", async () => {
    let stand = () => {};
    const standing = new Promise<void>((resolve) => (stand = resolve));
    let isClosed = false;
    const path = new DataPath({
      connect: async () => {
        await standing;
        return {
          openNamespace: () => Promise.reject(new Error("not asked for")),
          [Symbol.asyncDispose]: async () => {
            isClosed = true;
          },
        };
      },
      clusterInfo: async () => ({ subsystemNqn: "nqn.x", nvmeEndpoints: ["10.0.0.1:4420"] }),
      waitTimeoutMs: 1000,
      clock,
    });
    const opening = path.openNamespace(uuid);
    await path[Symbol.asyncDispose]();
    stand();
    await expect(opening).rejects.toMatchObject({ code: "ERR_ABORTED" });
    expect(isClosed).toBe(true);
    expect(clock.pendingCount).toBe(0);
  });
});
