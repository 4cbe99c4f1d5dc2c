import { describe, expect, test } from "vitest";
import { ControllerError } from "../../../src/sut/initiator/errors.ts";
import { type ConnectNamespaces, DataPath } from "../../../src/sut/data-path/data-path.ts";
import { endpointsOf, parseEndpoint } from "../../../src/sut/data-path/endpoints.ts";
import type { DiscoveryEntry } from "../../../src/sut/nvme/log-pages.ts";
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
  const discover = () => Promise.reject(new Error("not asked for"));
  const discoveryEndpoints: string[] = [];
  const clock = new SimulatedClock();

  test.for([
    { subsystemNqn: "", nvmeEndpoints: ["10.0.0.1:4420"] },
    { subsystemNqn: "nqn.x", nvmeEndpoints: [] },
    { subsystemNqn: "nqn.x", nvmeEndpoints: ["nowhere"] },
  ])("is not made to a cluster that says %j", async (info) => {
    const subsystem = async () => ({ discoveryEndpoints, ...info });
    await using path = new DataPath({ connect, discover, subsystem, waitTimeoutMs: 1000, clock });
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
      discover,
      subsystem: async () => ({
        subsystemNqn: "nqn.x",
        nvmeEndpoints: ["10.0.0.1:4420"],
        discoveryEndpoints,
      }),
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

  /** A cluster of three endpoints, of which some refuse connections. */
  function clusterOf(refusing: ReadonlySet<string>) {
    const tried: string[] = [];
    const lost: string[] = [];
    const connect: ConnectNamespaces = async ({ endpoints: [endpoint] }) => {
      const host = endpoint!.host;
      tried.push(host);
      if (refusing.has(host)) throw new ControllerError("ERR_CONNECTION_LOST", `${host}: refused`);
      return {
        openNamespace: () => {
          if (lost.includes(host)) throw new ControllerError("ERR_CLOSED", `${host}: given up`);
          throw new ControllerError("ERR_NAMESPACE_GONE", `opened on ${host}`);
        },
        [Symbol.asyncDispose]: async () => undefined,
      };
    };
    const subsystem = async () => ({
      subsystemNqn: "nqn.x",
      nvmeEndpoints: ["a:1", "b:1", "c:1"],
      discoveryEndpoints,
    });
    const path = new DataPath({ connect, discover, subsystem, waitTimeoutMs: 1000, clock });
    return { path, tried, lost };
  }

  test("goes through the endpoints until one can be connected to, and stays with it", async () => {
    const { path, tried } = clusterOf(new Set(["a", "b"]));
    await expect(path.openNamespace(uuid)).rejects.toThrow(/opened on c \(does the volume's ACL/);
    await expect(path.openNamespace(uuid)).rejects.toThrow("opened on c");
    expect(tried).toEqual(["a", "b", "c"]);
  });

  test("says what the last endpoint said when none can be connected to", async () => {
    const { path, tried } = clusterOf(new Set(["a", "b", "c"]));
    await expect(path.openNamespace(uuid)).rejects.toMatchObject({
      code: "ERR_UNREACHABLE",
      message: expect.stringContaining("refused"),
    });
    expect(new Set(tried)).toEqual(new Set(["a", "b", "c"]));
  });

  test("begins with another endpoint after a connection that was given up", async () => {
    const { path, tried, lost } = clusterOf(new Set());
    await expect(path.openNamespace(uuid)).rejects.toThrow("opened on a");
    lost.push("a");
    await expect(path.openNamespace(uuid)).rejects.toThrow("opened on b");
    expect(tried).toEqual(["a", "b"]);
  });

  const entry = {
    transportType: 3,
    subtype: 2,
    subsystemNqn: "nqn.x",
    address: "10.0.0.9",
    serviceId: "4420",
  } as DiscoveryEntry;

  test("asks the discovery controllers in turn when the cluster names no other endpoint", async () => {
    const asked: string[] = [];
    let where: unknown;
    await using path = new DataPath({
      connect: async (given) => {
        where = given;
        throw new ControllerError("ERR_UNSUPPORTED", "far enough");
      },
      discover: async ({ host, port }) => {
        asked.push(`${host}:${port}`);
        if (host === "d") throw new ControllerError("ERR_CONNECTION_LOST", "nobody there");
        return host === "e" ? [] : [entry];
      },
      subsystem: async () => ({
        subsystemNqn: "nqn.x",
        nvmeEndpoints: [],
        discoveryEndpoints: ["d:8009", "e:8009", "f:8009"],
      }),
      waitTimeoutMs: 1000,
      clock,
    });
    await expect(path.openNamespace(uuid)).rejects.toThrow("far enough");
    expect(asked).toEqual(["d:8009", "e:8009", "f:8009"]);
    expect(where).toEqual({ subsystemNqn: "nqn.x", endpoints: [{ host: "10.0.0.9", port: 4420 }] });
  });

  test("takes of a discovery log only what leads to its subsystem over TCP", () => {
    const others = [
      { ...entry, transportType: 1 },
      { ...entry, subtype: 3 },
      { ...entry, subsystemNqn: "nqn.y" },
      { ...entry, serviceId: "none" },
      { ...entry, address: "a b" },
    ];
    expect(endpointsOf([...others, entry], "nqn.x")).toEqual([{ host: "10.0.0.9", port: 4420 }]);
  });
});
