import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { inflateBlock } from "../../src/generators/content.ts";
import { rng } from "../../src/generators/pcg.ts";
import { valueStream } from "../../src/generators/streams.ts";
import { volumeView } from "../../src/model/view.ts";
import type { Violation } from "../../src/model/violation.ts";
import { parseConfig } from "../../src/runner/config/load.ts";
import { Run } from "../../src/runner/run.ts";
import { enterVisit, performVisit } from "../../src/runner/visitors/mutate.ts";
import { validateAll } from "../../src/runner/visitors/validate.ts";
import { serveEmbedded } from "../../src/sut/embedded/server.ts";
import { connectLightbits } from "../../src/sut/lightbits/service.ts";
import { overTcp } from "../support/over-tcp.ts";

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  for (let one = opened.pop(); one !== undefined; one = opened.pop()) await one[Symbol.asyncDispose]();
});

/** A run over NVMe/TCP on a target that keeps its volumes in a directory. */
async function runOnDirectory(lts: number) {
  const directory = await mkdtemp(join(tmpdir(), "harrow-flip-"));
  opened.push({ [Symbol.asyncDispose]: () => rm(directory, { recursive: true }) });
  const served = await serveEmbedded({ store: { kind: "directory", path: directory } });
  opened.push(served);
  const service = await connectLightbits({
    endpoint: served.apiUrl,
    connectNamespaces: overTcp(),
  });
  opened.push(service);
  const config = parseConfig(
    "geometry: { volumeSize: 16MiB }\nwindow: { size: 4 }\nrunner: { stopAfterViolations: 50 }\n",
    "test",
  );
  const { uuid } = await service.createVolume({
    name: "flip",
    sizeBytes: 16 * 2 ** 20,
    sectorSizeBytes: 4096,
  });
  const device = await service.openVolume(uuid);
  opened.push(device);
  const violations: Violation[] = [];
  const run = new Run({
    config,
    seed: 77n,
    name: "flip",
    target: {
      description: "",
      service,
      volumes: [{ uuid, device, isCreated: true }],
      failure: undefined,
      faults: undefined,
      isLasting: false,
      keep: () => {},
      [Symbol.asyncDispose]: async () => {},
    },
    log: { info: () => {}, warn: () => {} },
    signal: new AbortController().signal,
    onViolation: (violation) => violations.push(violation),
  });
  for (let next = 0; next < lts; next++) await performVisit(run, enterVisit(run, run.workload.visit(next)));
  await device.flush();
  return { run, violations, directory };
}

/** The newest content of some block, and where the target keeps it. */
async function findStored(run: Run, path: string): Promise<{ block: number; offset: number }> {
  const extent = run.workload.geometry.extent(run.workload.window.pd(run.tracker.ltsCompleteMax));
  const states = new Float64Array(256);
  run.reconciler.stateOf(extent, volumeView(run.tracker, 0, run.tracker.ltsCompleteMax), states);
  const inExtent = states.findIndex((state) => state > 0);
  const block = extent.firstBlock + inExtent;
  const { format } = run.workload.run;
  const vd = rng(format.seed, BigInt(states[inExtent]!), valueStream(0, block));
  const expected = inflateBlock(format, { vd, volume: 0, block, sectorCount: 8 });
  const file = await open(path);
  try {
    const bytes = await file.readFile();
    const offset = bytes.indexOf(expected);
    expect(offset % 4096).toBe(0);
    return { block, offset };
  } finally {
    await file.close();
  }
}

describe("one flipped bit in the target's data files", () => {
  test("is found, in its block, and named with its byte", async () => {
    const { run, violations, directory } = await runOnDirectory(400);
    await validateAll(run);
    expect(violations).toEqual([]);
    const path = join(directory, "blocks-4096");
    const { block, offset } = await findStored(run, path);
    const file = await open(path, "r+");
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, offset + 2049);
    await file.write(Buffer.of(byte[0]! ^ 0x20), 0, 1, offset + 2049);
    await file.close();
    await validateAll(run);
    expect(violations).toHaveLength(1);
    expect(violations[0]).toMatchObject({
      class: "bit-flip",
      rule: "quiescent",
      volume: 0,
      block,
      blockCount: 1,
      rereads: "same",
    });
    expect(violations[0]!.summary).toBe("bit 5 of byte 2049 is flipped, all else is right");
  });
});
