import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { QmpConnection } from "../../../src/sut/vm/qmp.ts";

// Recorded from QEMU 7.2.22.
const greeting =
  '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian 1:7.2+dfsg-7+deb12u18+b3"}, "capabilities": ["oob"]}}\r\n';
const capable = '{"return": {}, "id": 1}\r\n';
const stopped =
  '{"timestamp": {"seconds": 1795278706, "microseconds": 303215}, "event": "STOP"}\r\n{"return": {}, "id": 2}\r\n';
const paused = '{"return": {"status": "paused", "singlestep": false, "running": false}, "id": 3}\r\n';
const refused =
  '{"id": 2, "error": {"class": "GenericError", "desc": "File descriptor named \'3\' has not been found"}}\r\n';

let directory: string;
let path: string;
const open: (() => Promise<void>)[] = [];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "harrow-qmp-"));
  path = join(directory, "qmp.sock");
});
afterEach(async () => {
  for (const close of open.splice(0)) await close();
  await rm(directory, { recursive: true });
});

/** Says its part after the connection was made, and one more after each line it is told. */
async function serve(parts: readonly (string | ((socket: Socket) => void))[]): Promise<string[]> {
  const told: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let next = 0;
    const say = () => {
      const part = parts[next++];
      if (typeof part === "string") socket.write(part);
      else part?.(socket);
    };
    socket.on("error", () => undefined).setEncoding("utf8");
    socket.on("data", (text: string) => {
      for (const line of text.trimEnd().split("\n")) {
        told.push(line);
        say();
      }
    });
    say();
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  open.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });
  return told;
}

describe("a connection to the monitor", () => {
  test("greets, asks and passes over events between answers", async () => {
    const told = await serve([greeting, capable, stopped, paused]);
    using monitor = await QmpConnection.open(path);
    expect(await monitor.execute("stop")).toEqual({});
    expect(await monitor.execute("query-status")).toMatchObject({ status: "paused" });
    expect(told.map((line) => JSON.parse(line) as unknown)).toEqual([
      { execute: "qmp_capabilities", id: 1 },
      { execute: "stop", id: 2 },
      { execute: "query-status", id: 3 },
    ]);
  });

  test("understands answers that come byte by byte", async () => {
    const slowly = (text: string) => async (socket: Socket) => {
      for (const byte of Buffer.from(text)) {
        socket.write(Uint8Array.of(byte));
        await new Promise(setImmediate);
      }
    };
    await serve([greeting, capable, (socket) => void slowly(stopped)(socket)]);
    using monitor = await QmpConnection.open(path);
    expect(await monitor.execute("stop")).toEqual({});
  });

  test("hands on arguments, and tells QEMU's reason when it refuses", async () => {
    const told = await serve([greeting, capable, refused, paused]);
    using monitor = await QmpConnection.open(path);
    await expect(monitor.execute("migrate", { uri: "fd:3" })).rejects.toMatchObject({
      code: "ERR_TARGET",
      message: "QEMU refused migrate: File descriptor named '3' has not been found",
    });
    expect(JSON.parse(told[1]!)).toMatchObject({ arguments: { uri: "fd:3" } });
    // The connection is as good as before.
    expect(await monitor.execute("query-status")).toMatchObject({ status: "paused" });
  });

  const greetings: Record<string, readonly [string | ((socket: Socket) => void), string, RegExp]> = {
    "says nothing": ["", "ERR_TIMEOUT", /no greeting within 100 ms/],
    "greets in another language": ["220 mail.example ESMTP\r\n", "ERR_BAD_ANSWER", /220 mail\.example/],
    "says JSON that is no greeting": ['{"return": {}}\n', "ERR_BAD_ANSWER", /what QMP does not know/],
    "closes at once": [(socket) => socket.destroy(), "ERR_UNREACHABLE", /closed the connection/],
    "says a line without an end": ["x".repeat(2 ** 20 + 1), "ERR_BAD_ANSWER", /more than 1048576 characters/],
  };
  test.for(Object.entries(greetings))("is not made to a server that %s", async ([, [part, code, words]]) => {
    await serve([part]);
    await expect(QmpConnection.open(path, 100)).rejects.toMatchObject({
      name: "ServiceError",
      code,
      message: expect.stringMatching(words),
    });
  });

  const failures: Record<string, readonly [string | ((socket: Socket) => void), string]> = {
    "closes in place of an answer": [(socket) => socket.end(), "ERR_UNREACHABLE"],
    "closes in the middle of an answer": [(socket) => socket.end(stopped.slice(0, 90)), "ERR_UNREACHABLE"],
    "answers with garbage": ["\u0000\u0001{{{\n", "ERR_BAD_ANSWER"],
    "answers another command": ['{"return": {}, "id": 77}\r\n', "ERR_BAD_ANSWER"],
    "could not read the command": [
      '{"error": {"class": "GenericError", "desc": "JSON parse error, invalid keyword \'nonsense\'"}}\r\n',
      "ERR_BAD_ANSWER",
    ],
    "gives no answer": ["", "ERR_TIMEOUT"],
  };
  test.for(Object.entries(failures))(
    "fails all that is asked when the server %s",
    async ([, [part, code]]) => {
      await serve([greeting, capable, part, ""]);
      using monitor = await QmpConnection.open(path, 200);
      const results = await Promise.allSettled([monitor.execute("stop"), monitor.execute("query-status")]);
      for (const result of results) expect(result).toMatchObject({ status: "rejected", reason: { code } });
      await expect(monitor.execute("cont")).rejects.toMatchObject({ code });
    },
  );

  test("says that there is no monitor", async () => {
    await expect(QmpConnection.open(path)).rejects.toMatchObject({
      code: "ERR_UNREACHABLE",
      message: expect.stringContaining("ENOENT"),
    });
  });
});
