import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { describe, expect, test } from "vitest";
import { freePorts, isPortTaken } from "../../../src/sut/vm/ports.ts";

describe("free ports", () => {
  test("are different, can be listened on, and are none that the system gives to connections", async () => {
    const ports = await freePorts(20);
    expect(new Set(ports).size).toBe(20);
    const [first] = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").split("\t").map(Number);
    for (const port of ports) {
      expect(port).toBeLessThan(first!);
      const server = createServer();
      await new Promise<void>((resolve, reject) =>
        server.once("error", reject).listen(port, "127.0.0.1", resolve),
      );
      await new Promise((resolve) => server.close(resolve));
    }
  });
});

describe("what QEMU says when a port is taken", () => {
  test("is told from other trouble", () => {
    // Recorded from QEMU 7.2.22.
    const taken =
      "qemu-system-x86_64: -netdev user,id=n,hostfwd=tcp:127.0.0.1:18999-:80: Could not set up host forwarding rule 'tcp:127.0.0.1:18999-:80'";
    expect(isPortTaken(taken)).toBe(true);
    expect(isPortTaken("qemu-system-x86_64: terminating on signal 15 from pid 23464 (bash)")).toBe(false);
  });
});
