/**
 * What every change has to pass of `kernel-host.test.ts`: Debian's NVMe/TCP host connects to the embedded target, fio
 * verifies what it has written, and a file system is clean after a load.
 *
 * @packageDocumentation
 */
import { describe, expect, test } from "vitest";
import { EmbeddedTarget } from "./embedded-target.ts";
import { KernelHost } from "./kernel-host.ts";
import { unavailable } from "./unavailable.ts";

describe.skipIf(unavailable !== undefined)(
  "Debian's NVMe/TCP host with the embedded target, in short",
  () => {
    test("verifies its data with digests, finds its file system clean, and complains of nothing", async () => {
      await using target = await EmbeddedTarget.start();
      await using host = await KernelHost.start();
      await host.log.mark();
      const uuid = await target.createVolume("volume", 256, 4096);
      const options = ["--hdr-digest", "--data-digest"];
      await host.connect({ nqn: target.nqn, port: target.port, options });
      const path = await host.device(uuid);
      await host.fio({
        path,
        options: ["--rw=randrw", "--bsrange=4k-256k", "--iodepth=8", "--size=16m", "--fsync=16"],
      });
      await host.loadFileSystem(path);
      await host.disconnect(target.nqn);
      expect(await host.log.findings(), "what the kernel has logged").toEqual([]);
      expect(target.newWarnings()).toBe("");
    });
  },
);
