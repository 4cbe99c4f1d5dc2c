import type { Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { AgentShell } from "../../../src/sut/vm/agent-shell.ts";
import { type RawServer, serveRaw } from "../lightbits/raw-server.ts";

// Recorded from the agent in a guest (BusyBox 1.35.0 httpd).
const recorded = {
  // echo out; echo err >&2; exit 3
  run: "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 8\r\nX-Exit-Status: 3\r\nX-Stdout-Bytes: 4\r\n\r\nout\nerr\n",
  unauthorized:
    'HTTP/1.1 401 Unauthorized\r\nDate: Sat, 21 Nov 2026 16:32:14 GMT\r\nConnection: close\r\nContent-type: text/html\r\nWWW-Authenticate: Basic realm="harrow"\r\n\r\n<HTML><HEAD><TITLE>401 Unauthorized</TITLE></HEAD>\n<BODY><H1>401 Unauthorized</H1>\n\n</BODY></HTML>\n',
  notFound:
    "HTTP/1.1 404 Not Found\r\nDate: Sat, 21 Nov 2026 16:32:14 GMT\r\nConnection: close\r\nContent-type: text/html\r\n\r\n<HTML><HEAD><TITLE>404 Not Found</TITLE></HEAD>\n<BODY><H1>404 Not Found</H1>\nThe requested URL was not found\n</BODY></HTML>\n",
};

const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one[Symbol.asyncDispose]();
});

async function shellOn(
  answer: (socket: Socket, request: string) => void,
  token = "secret",
): Promise<AgentShell> {
  const server: RawServer = await serveRaw(answer);
  const shell = new AgentShell({
    port: Number(new URL(server.url).port),
    token: () => token,
    description: "the guest",
  });
  open.push(shell, server);
  return shell;
}

const saying = (text: string) => (socket: Socket) => void socket.end(text, "latin1");
const ran = (headers: string, body: string) => saying(`HTTP/1.1 200 OK\r\n${headers}\r\n${body}`);

describe("the shell of an agent", () => {
  test("gives status and both outputs of a script as the agent answers them", async () => {
    const requests: string[] = [];
    const shell = await shellOn((socket, request) => {
      requests.push(request);
      socket.end(recorded.run);
    });
    expect(await shell.run("echo out; echo err >&2; exit 3")).toEqual({
      status: 3,
      stdout: "out\n",
      stderr: "err\n",
    });
    expect(requests[0]).toMatch(/^POST \/cgi-bin\/run HTTP\/1\.1\r\n/);
    // RFC 7617: harrow:secret in base64.
    expect(requests[0]).toMatch(/\r\nauthorization: Basic aGFycm93OnNlY3JldA==\r\n/i);
    expect(requests[0]).toMatch(/\r\ncontent-length: 30\r\n/i);
  });

  test("asks for the token with each request", async () => {
    const requests: string[] = [];
    const server = await serveRaw((socket, request) => {
      requests.push(request);
      socket.end(recorded.run);
    });
    let token = "one";
    const shell = new AgentShell({
      port: Number(new URL(server.url).port),
      token: () => token,
      description: "x",
    });
    open.push(shell, server);
    await shell.run("true");
    token = "two";
    await shell.run("true");
    const said = requests.map((request) => /Basic (\S+)/i.exec(request)?.[1]);
    expect(said).toEqual(["aGFycm93Om9uZQ==", "aGFycm93OnR3bw=="]);
  });

  test("runs several scripts at the same time", async () => {
    const waiting: Socket[] = [];
    const shell = await shellOn((socket) => {
      waiting.push(socket);
      if (waiting.length === 3) for (const one of waiting) one.end(recorded.run);
    });
    const results = await Promise.all(["a", "b", "c"].map((script) => shell.run(script)));
    expect(results.map(({ status }) => status)).toEqual([3, 3, 3]);
  });

  const answers: Record<string, readonly [(socket: Socket) => void, string, RegExp]> = {
    "refuses the token": [saying(recorded.unauthorized), "ERR_UNAUTHENTICATED", /refused the token/],
    "does not know the path": [saying(recorded.notFound), "ERR_BAD_ANSWER", /HTTP status 404/],
    "is no HTTP server": [saying("SSH-2.0-OpenSSH_9.2\r\n"), "ERR_BAD_ANSWER", /does not speak HTTP/],
    "closes without an answer": [saying(""), "ERR_UNREACHABLE", /whether the script ran is not known/],
    "closes in the middle of the body": [
      saying(recorded.run.replace("Length: 8", "Length: 800")),
      "ERR_UNREACHABLE",
      /whether the script ran/,
    ],
    "leaves out the status": [
      ran("X-Stdout-Bytes: 0\r\n", ""),
      "ERR_BAD_ANSWER",
      /x-exit-status .*undefined/,
    ],
    "gives a status that no process has": [
      ran("X-Exit-Status: 256\r\nX-Stdout-Bytes: 0\r\n", ""),
      "ERR_BAD_ANSWER",
      /256, at most 255/,
    ],
    "gives a status twice": [
      ran("X-Exit-Status: 0\r\nX-Exit-Status: 1\r\nX-Stdout-Bytes: 0\r\n", ""),
      "ERR_BAD_ANSWER",
      /x-exit-status/,
    ],
    "gives a length that is no number": [
      ran("X-Exit-Status: 0\r\nX-Stdout-Bytes: 0x10\r\n", ""),
      "ERR_BAD_ANSWER",
      /x-stdout-bytes .*0x10/,
    ],
    "announces more output than it sends": [
      ran("X-Exit-Status: 0\r\nX-Stdout-Bytes: 10\r\n", "short"),
      "ERR_BAD_ANSWER",
      /10 bytes of standard output were announced, 5 came/,
    ],
    "announces more output than is taken": [
      ran("X-Exit-Status: 0\r\nX-Stdout-Bytes: 1000001\r\n", ""),
      "ERR_BAD_ANSWER",
      /1000001, at most 1000000/,
    ],
    "announces a longer body than is taken": [
      ran("X-Exit-Status: 0\r\nX-Stdout-Bytes: 0\r\nContent-Length: 99999999999\r\n", ""),
      "ERR_BAD_ANSWER",
      /content-length/,
    ],
  };
  test.for(Object.entries(answers))(
    "fails with a clear word if the other side %s",
    async ([, [answer, code, words]]) => {
      const shell = await shellOn(answer);
      const error = await shell.run("true", { stdoutBytesMax: 1_000_000 }).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ name: "ServiceError", code, message: expect.stringMatching(words) });
      expect((error as Error).message).toMatch(/^the guest: /);
    },
  );

  test("stops reading a body that does not end", async () => {
    let sentBytes = 0;
    const shell = await shellOn((socket) => {
      socket.write("HTTP/1.1 200 OK\r\nX-Exit-Status: 0\r\nX-Stdout-Bytes: 4\r\n\r\n");
      const part = Buffer.alloc(65_536, "x");
      const more = () => {
        do sentBytes += part.length;
        while (!socket.destroyed && socket.write(part));
      };
      socket.on("drain", more);
      more();
    });
    await expect(shell.run("yes")).rejects.toMatchObject({
      code: "ERR_BAD_ANSWER",
      message: expect.stringContaining("longer than the 1048580 bytes"),
    });
    expect(sentBytes).toBeLessThan(64 * 2 ** 20);
  });

  test("gives up an agent that says nothing after the time-out", async () => {
    const shell = await shellOn(() => undefined);
    await expect(shell.run("sleep 100", { timeoutMs: 50 })).rejects.toMatchObject({
      code: "ERR_TIMEOUT",
      message: "the guest: no answer within 50 ms; the script may go on",
    });
  });

  test("gives up an agent that stops in the middle of its answer after the time-out", async () => {
    const shell = await shellOn((socket) => void socket.write(recorded.run.slice(0, -3)));
    await expect(shell.run("true", { timeoutMs: 50 })).rejects.toMatchObject({ code: "ERR_TIMEOUT" });
  });

  test("stops waiting when it is told to, before and after the script was sent", async () => {
    const shell = await shellOn(() => undefined);
    await expect(shell.run("true", { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "ERR_ABORTED",
    });
    const stop = new AbortController();
    const running = shell.run("true", { signal: stop.signal });
    setTimeout(() => stop.abort(), 20);
    await expect(running).rejects.toMatchObject({
      code: "ERR_ABORTED",
      message: "the guest: cancelled; the script may go on",
    });
  });

  test("says that nobody listens", async () => {
    const server = await serveRaw(() => undefined);
    const port = Number(new URL(server.url).port);
    await server[Symbol.asyncDispose]();
    const shell = new AgentShell({ port, token: () => "secret", description: "the guest" });
    open.push(shell);
    await expect(shell.run("true")).rejects.toMatchObject({
      code: "ERR_UNREACHABLE",
      message: expect.stringContaining("ECONNREFUSED"),
    });
  });

  test("tells no message the token", async () => {
    for (const [answer] of Object.values(answers)) {
      const shell = await shellOn(answer, "s3cret-token");
      const error = (await shell.run("true").catch((reason: unknown) => reason)) as Error;
      expect(String(error.message)).not.toContain("s3cret-token");
    }
  });
});
