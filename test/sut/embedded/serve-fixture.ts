/**
 * What `harrow serve` does with the flags that a launch gives it.
 *
 * @packageDocumentation
 */

import { parseArgs } from "node:util";
import { serveProcess } from "../../../src/sut/embedded/process.ts";

const { values } = parseArgs({
  options: {
    host: { type: "string" },
    "nvme-port": { type: "string" },
    "api-port": { type: "string" },
    "csi-port": { type: "string" },
    "csi-style": { type: "string" },
    "token-env": { type: "string" },
    directory: { type: "string" },
    "volatile-cache": { type: "boolean" },
    "volatile-cache-seed": { type: "string" },
    "exit-with-parent": { type: "boolean" },
  },
});
const stop = new AbortController();
process.once("SIGTERM", () => stop.abort());
const token = process.env[values["token-env"] ?? ""];
const { directory } = values;
await serveProcess(
  {
    store: {
      ...(directory === undefined ? { kind: "memory" } : { kind: "directory", path: directory }),
      ...(values["volatile-cache"] && {
        volatileCache: { seed: Number(values["volatile-cache-seed"] ?? 0) },
      }),
    },
    nvmePort: Number(values["nvme-port"]),
    apiPort: Number(values["api-port"]),
    ...(values["csi-port"] !== undefined && {
      csi: {
        port: Number(values["csi-port"]),
        style: values["csi-style"] === "variable" ? "variable" : "fixed",
      },
    }),
    ...(values.host !== undefined && { host: values.host }),
    ...(token !== undefined && { token }),
  },
  {
    output: process.stdout,
    parent: values["exit-with-parent"] ? process.stdin : undefined,
    stop: stop.signal,
  },
);
process.exit();
