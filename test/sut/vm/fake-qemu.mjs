/**
 * Stands in for QEMU: takes its command line, serves an agent on the forwarded port and a monitor on the socket.
 *
 * FAKE_QEMU says how it goes wrong: `exit`, `ports N` (the first N starts find the port taken), `hang` (no agent),
 * `stranger` (an agent with another token), `no-save` (refuses to save its state).
 */
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  fstatSync,
  readFileSync,
  readSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import { createServer as createSocketServer } from "node:net";

const parameters = process.argv.slice(2);
const [mode = "", argument = ""] = (process.env.FAKE_QEMU ?? "").split(" ");
if (parameters[0] === "--version") {
  console.log("QEMU emulator version 7.2.22 (a fake)");
  process.exit(0);
}
appendFileSync("starts", `${JSON.stringify(parameters)}\n`);
const starts = readFileSync("starts", "utf8").trimEnd().split("\n").length;

if (mode === "exit") {
  appendFileSync("console.log", "[    1.0] Kernel panic - not syncing: VFS\n");
  console.error("qemu-system-x86_64: fake trouble");
  process.exit(1);
}
if (mode === "ports" && starts <= Number(argument)) {
  console.error(
    "qemu-system-x86_64: -netdev user: Could not set up host forwarding rule 'tcp:127.0.0.1:1-:80'",
  );
  process.exit(1);
}

const argumentOf = (name) => parameters[parameters.indexOf(name) + 1];
let token;
if (parameters.includes("-incoming")) {
  const bytes = Buffer.alloc(fstatSync(3).size);
  readSync(3, bytes);
  [, token] = /^a machine with token (\w+)$/.exec(bytes.toString()) ?? [];
  if (token === undefined) {
    console.error("qemu-system-x86_64: load of migration failed: Invalid argument");
    process.exit(1);
  }
} else {
  const initrd = readFileSync(argumentOf("-initrd"), "latin1");
  const at = initrd.lastIndexOf("etc/harrow/token\0");
  token = /[0-9a-f]{48}/.exec(initrd.slice(at + 17))[0];
  appendFileSync("console.log", "harrow: ready\n");
}

let state = parameters.includes("-incoming") ? "inmigrate" : "running";
if (state === "inmigrate") setTimeout(() => (state = "paused"), 30);

const port = Number(/hostfwd=tcp:127\.0\.0\.1:(\d+)-\S+?:80/.exec(argumentOf("-netdev"))[1]);
const wanted = `Basic ${Buffer.from(`harrow:${mode === "stranger" ? "x" : token}`).toString("base64")}`;
if (mode !== "hang")
  createServer((request, response) => {
    if (state !== "running") return;
    if (request.headers.authorization !== wanted) {
      response.writeHead(401).end();
      return;
    }
    let body = "";
    request.on("data", (part) => (body += part));
    request.on("end", () => {
      appendFileSync("scripts", `${body.trim().split("\n").at(-1)}\n`);
      const stdout = body === "dmesg" ? "[    0.000000] Linux version 6.1.0\n[    1.5] x\n" : body;
      const [, status] = /^exit (\d+)$/.exec(body) ?? [];
      const stderr = status === undefined ? "" : `status ${status}`;
      response
        .writeHead(200, { "X-Exit-Status": status ?? 0, "X-Stdout-Bytes": stdout.length })
        .end(stdout + stderr);
    });
  }).listen(port, "127.0.0.1");

const commands = {
  qmp_capabilities: () => ({}),
  "query-status": () => ({ status: state }),
  "migrate-set-parameters": () => ({}),
  "query-migrate": () =>
    mode === "no-save" ? { status: "failed", "error-desc": "No space" } : { status: "completed" },
  stop: () => (state = "paused") && {},
  cont: () => (state = "running") && {},
  migrate: ({ uri }) => {
    execFileSync("sh", ["-c", uri.replace(/^exec:/, "")], { input: `a machine with token ${token}` });
    state = "postmigrate";
    return {};
  },
  quit: () => {
    setTimeout(() => process.exit(0), 5);
    return {};
  },
};
if (existsSync("qmp.sock")) unlinkSync("qmp.sock");
createSocketServer((socket) => {
  socket.on("error", () => undefined);
  socket.write('{"QMP": {"version": {}, "capabilities": []}}\r\n');
  socket.setEncoding("utf8").on("data", (text) => {
    for (const line of text.trim().split("\n")) {
      const { execute, id, arguments: given } = JSON.parse(line);
      socket.write(`${JSON.stringify({ return: commands[execute](given), id })}\r\n`);
    }
  });
}).listen("qmp.sock");
writeFileSync("fake.pid.new", String(process.pid));
renameSync("fake.pid.new", "fake.pid");
