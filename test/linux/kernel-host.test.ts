/**
 * Debian's NVMe/TCP host, in a guest, uses the embedded target on this machine, and neither complains of the other.
 *
 * After each test the kernel's log is read: a line that it does not write in every good run, and that the test has not
 * brought about, is a failure. So is whatever the target warns of.
 *
 * @packageDocumentation
 */
import { createHash, randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { serveEmbedded } from "../../src/sut/embedded/server.ts";
import { startBitFlipper } from "./bit-flipper.ts";
import { EmbeddedTarget, readBytes } from "./embedded-target.ts";
import { KernelHost, machineAddress } from "./kernel-host.ts";
import { whileReconnecting, whileSilent } from "./kernel-log.ts";
import { unavailable } from "./unavailable.ts";

const mib = 2 ** 20;
const withDigests = ["--hdr-digest", "--data-digest"];

describe.skipIf(unavailable !== undefined)("Debian's NVMe/TCP host with the embedded target", () => {
  let host: KernelHost;
  let target: EmbeddedTarget;
  /** UUIDs of a volume with blocks of 4096 bytes, 256 MiB, and of one with blocks of 512 bytes, 64 MiB. */
  let large: string;
  let small: string;
  /** What the kernel and the target may say because the test has asked for it. */
  let expected: RegExp[] = [];
  let expectedWarning: RegExp | undefined;

  beforeAll(async () => {
    target = await EmbeddedTarget.start();
    large = await target.createVolume("large", 256, 4096);
    small = await target.createVolume("small", 64, 512);
    host = await KernelHost.start();
    console.log(`guest: ${await host.versions()}`);
  });

  afterAll(async () => {
    await host?.[Symbol.asyncDispose]();
    await target?.[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    expected = [];
    expectedWarning = undefined;
    await host.log.mark();
  });

  afterEach(async () => {
    await host.disconnectAll();
    expect(await host.log.findings(expected), "what the kernel has logged").toEqual([]);
    expect(target.newWarnings()).toMatch(expectedWarning ?? /^$/);
  });

  const connect = (...options: string[]) => host.connect({ nqn: target.nqn, port: target.port, options });

  test("finds the subsystem by discovery, at the address that is advertised, and connects to all that it finds", async () => {
    const at = `-t tcp -a ${machineAddress} -s ${target.port}`;
    const log = JSON.parse(await host.run(`nvme discover ${at} -o json`)) as {
      records: readonly Record<string, string>[];
    };
    expect(
      log.records.map(({ subtype, subnqn, traddr, trsvcid }) => [subtype, subnqn, traddr, trsvcid]),
    ).toEqual([
      [
        "current discovery subsystem",
        "nqn.2014-08.org.nvmexpress.discovery",
        machineAddress,
        String(target.port),
      ],
      ["nvme subsystem", target.nqn, machineAddress, String(target.port)],
    ]);
    await host.run(`nvme connect-all ${at} --reconnect-delay=1`);
    await host.device(large);
    expect(await host.run("cat /sys/class/nvme/nvme*/subsysnqn")).toBe(`${target.nqn}\n`);
  });

  test.for<[string, string[]]>([
    ["without digests", []],
    ["with header digests", ["--hdr-digest"]],
    ["with data digests", ["--data-digest"]],
    ["with both digests and one queue", [...withDigests, "--nr-io-queues=1"]],
    ["without flow control of the submission queue", ["--disable-sqflow"]],
  ])("reads what it has written, %s", async ([, options]) => {
    await connect(...options);
    for (const uuid of [large, small]) {
      const device = await host.device(uuid);
      await host.run(`dd if=/dev/urandom of=/tmp/data bs=64k count=24 2>/dev/null
dd if=/tmp/data of=${device} bs=1M seek=1 oflag=direct 2>/dev/null
dd if=${device} of=/tmp/back bs=1M skip=1 count=2 iflag=direct 2>/dev/null
cmp -n 1572864 /tmp/data /tmp/back`);
    }
    await host.disconnect(target.nqn);
    expect(await host.run("ls /sys/class/nvme; ls /sys/block | grep nvme || true")).toBe("");
  });

  test("sees in Identify what the volumes are, and no path states that the target does not have", async () => {
    await connect();
    const device = await host.device(small);
    const controller = JSON.parse(await host.run("nvme id-ctrl /dev/nvme0 -o json")) as Record<
      string,
      unknown
    >;
    expect(controller).toMatchObject({
      ...{ subnqn: target.nqn, mdts: 5, oncs: 0x0d, vwc: 7, cntrltype: 1, nn: 1024, kas: 10, ioccsz: 1028 },
      // Several controllers, but no asymmetric access.
      ...{ cmic: 2, anacap: 0, anagrpmax: 0, nanagrpid: 0 },
    });
    const namespace = JSON.parse(await host.run(`nvme id-ns ${device} -o json`)) as Record<string, unknown>;
    expect(namespace).toMatchObject({
      ...{ nsze: 64 * 2048, ncap: 64 * 2048, nmic: 1, dlfeat: 9, nlbaf: 0, flbas: 0, anagrpid: 0 },
      ...{ nguid: small.replaceAll("-", ""), eui64: "0000000000000000" },
      lbafs: [{ ms: 0, ds: 9, rp: 0 }],
    });
    const descriptors = JSON.parse(await host.run(`nvme ns-descs ${device} -o json`)) as Record<
      string,
      unknown
    >;
    expect(descriptors).toMatchObject({
      "ns-descs": [{ nguid: small.replaceAll("-", "") }, { uuid: small }],
    });
    const list = JSON.parse(await host.run("nvme list -o json")) as { Devices: readonly object[] };
    expect(list.Devices).toHaveLength(2);
    const limits = await host.run(`cd /sys/block/${device.slice("/dev/".length)}/queue
cat logical_block_size fua write_cache max_hw_sectors_kb discard_granularity max_discard_segments write_zeroes_max_bytes`);
    expect(limits.trim().split("\n")).toEqual([
      "512",
      "1",
      "write back",
      "128",
      "512",
      "256",
      String(32 * mib),
    ]);
    await host.run(`nvme list-subsys
nvme smart-log /dev/nvme0
nvme error-log /dev/nvme0
nvme fw-log /dev/nvme0
nvme effects-log /dev/nvme0 --csi=0
nvme nvm-id-ctrl /dev/nvme0
nvme nvm-id-ns /dev/nvme0 -n 1
nvme list-ns /dev/nvme0
nvme changed-ns-list-log /dev/nvme0
for feature in 1 2 4 5 6 7 10 11 15; do nvme get-feature /dev/nvme0 -f $feature; done
nvme get-property /dev/nvme0 -o 0x1c
nvme flush ${device}`);
  });

  test("notices volumes that come, grow and go, and takes none for one that was there before", async () => {
    await connect();
    await host.device(large);
    const { service } = target.launched;
    const first = await target.createVolume("first", 16, 512);
    const device = await host.device(first);
    await service.resizeVolume({ uuid: first, sizeBytes: 24 * mib });
    expect(await host.sizeOf(device, 24 * mib)).toBe(24 * mib);
    // Faster than the host looks: to Linux, an NSID with another UUID is an error.
    await service.deleteVolume(first);
    const second = await target.createVolume("second", 32, 4096);
    await host.deviceGone(first);
    expect(await host.sizeOf(await host.device(second), 32 * mib)).toBe(32 * mib);
    await service.deleteVolume(second);
    await host.deviceGone(second);
  });

  test("has zeroes and deallocation honoured, as it sees itself and as harrow's initiator does", async () => {
    await connect(...withDigests);
    const device = await host.device(large);
    await host.run(`tr '\\0' '\\377' </dev/zero | dd of=${device} bs=1M count=8 iflag=fullblock oflag=direct 2>/dev/null
blkdiscard -o ${mib} -l ${mib} ${device}
blkdiscard -z -o ${2 * mib + 4096} -l ${mib - 8192} ${device}
fallocate -p -o ${4 * mib} -l 65536 ${device}
fallocate -z -o ${5 * mib} -l 65536 ${device}`);
    const wanted = new Uint8Array(8 * mib).fill(0xff);
    wanted.fill(0, mib, 2 * mib);
    wanted.fill(0, 2 * mib + 4096, 3 * mib - 4096);
    for (const at of [4 * mib, 5 * mib]) wanted.fill(0, at, at + 65_536);
    await using initiator = await target.openVolume(large);
    expect(Buffer.compare(await readBytes(initiator, 0, 8 * mib), wanted)).toBe(0);
    expect(await host.digestOf(device, 8)).toBe(sha256(wanted));

    const from = randomBytes(mib);
    expect(await initiator.write({ block: 256, blockCount: 256, from })).toEqual({ kind: "ok" });
    wanted.set(from, mib);
    expect(await host.digestOf(device, 8)).toBe(sha256(wanted));
    await host.run(`blkdiscard ${device}`);
    expect(await host.digestOf(device, 8)).toBe(sha256(new Uint8Array(8 * mib)));
  });

  test.for<[string, string, string[]]>([
    [
      "4 KiB, two jobs",
      "large",
      ["--bs=4k", "--iodepth=16", "--size=8m", "--numjobs=2", "--offset_increment=64m"],
    ],
    ["4 to 256 KiB with flushes", "large", ["--bsrange=4k-256k", "--iodepth=8", "--size=24m", "--fsync=16"]],
    ["1 MiB, eight times what one command may transfer", "large", ["--bs=1m", "--iodepth=4", "--size=48m"]],
    ["512 bytes", "small", ["--bs=512", "--iodepth=32", "--size=1m"]],
    ["64 KiB with forced unit access", "small", ["--bs=64k", "--iodepth=4", "--size=8m", "--sync=1"]],
  ])("has fio verify all that it writes with data digests, in blocks of %s", async ([, name, options]) => {
    await connect(...withDigests);
    const path = await host.device(name === "large" ? large : small);
    await host.fio({ path, options: ["--rw=randrw", ...options] });
  });

  test("makes a file system, and finds it clean and its files whole after it has connected anew", async () => {
    await connect(...withDigests);
    await host.loadFileSystem(await host.device(large));
    await host.disconnect(target.nqn);
    await connect();
    await host.compareFileSystem(await host.device(large));
  });

  test("goes on with its load when the target is stopped, or killed, and started again", async () => {
    expected = [...whileReconnecting];
    await connect(...withDigests);
    const path = await host.device(large);
    const options = ["--rw=randrw", "--bsrange=4k-128k", "--iodepth=8", "--size=160m", "--fsync=64"];
    const load = host.fio({ path, options: [...options, "--time_based", "--runtime=16"] });
    load.catch(() => undefined);
    await sleep(3000);
    await target.launched.restart();
    await sleep(5000);
    expect(target.newWarnings()).toBe("");
    await target.launched.kill();
    await sleep(1500);
    await target.launched.restart();
    await load;
    const reconnects = (await host.log.lines()).filter((line) => line.includes("Successfully reconnected"));
    expect(reconnects).toHaveLength(2);
  });

  test("gives a target up that stands still for longer than the keep alive time-out, and comes back", async () => {
    expected = [...whileReconnecting, ...whileSilent];
    await connect("--keep-alive-tmo=2");
    const path = await host.device(large);
    const { pid } = target;
    process.kill(pid, "SIGSTOP");
    await sleep(8000);
    process.kill(pid, "SIGCONT");
    await host.fio({ path, options: ["--rw=randrw", "--bs=64k", "--size=4m"] });
    expect((await host.log.lines()).some((line) => line.includes("Successfully reconnected"))).toBe(true);
  });

  test("resets its controller as often as it likes", async () => {
    expected = [/^nvme nvme\d+: resetting controller$/];
    await connect();
    const device = await host.device(large);
    await host.run(`for _ in 1 2 3 4 5; do
  nvme reset /dev/nvme0
  dd if=${device} of=/dev/null bs=64k count=4 iflag=direct 2>/dev/null
done`);
  });

  test("reads and writes as two hosts on two paths, and goes on with the one that is left", async () => {
    await connect("--nr-io-queues=1");
    const device = await host.device(large);
    const id = "5c1c5a2e-6c9e-4f1f-9d5c-0000000000b2";
    const where = `transport=tcp,traddr=${machineAddress},trsvcid=${target.port},nqn=${target.nqn}`;
    const who = `hostnqn=nqn.2014-08.org.nvmexpress:uuid:${id},hostid=${id}`;
    // What `nvme connect` writes, which takes two hosts for one.
    await host.run(`echo '${where},${who},nr_io_queues=1,reconnect_delay=1' >/dev/nvme-fabrics
echo round-robin >/sys/class/nvme-subsystem/nvme-subsys0/iopolicy`);
    expect(await host.run("cat /sys/class/nvme/nvme*/state")).toBe("live\nlive\n");
    const load = host.fio({
      path: device,
      options: ["--rw=randrw", "--bs=16k", "--iodepth=8", "--size=16m"],
    });
    load.catch(() => undefined);
    await sleep(500);
    await host.run("echo 1 >/sys/class/nvme/nvme0/delete_controller");
    await load;
    expect(await host.run("cat /sys/class/nvme/nvme*/state")).toBe("live\n");
  });

  test("is told why it cannot connect: a subsystem that does not exist", async () => {
    expected = [
      /^nvme nvme\d+: Connect Invalid Data Parameter, subsysnqn "nqn\.2024-01\.test:none"$/,
      /^nvme nvme\d+: failed to connect queue: 0 ret=16770$/,
    ];
    expectedWarning =
      /^warn: [\d.:]+: Connect refused, connect invalid parameters .*no subsystem "nqn\.2024-01\.test:none"$/m;
    const address = `-t tcp -a ${machineAddress} -s ${target.port}`;
    expect(await host.fails(`nvme connect ${address} -n nqn.2024-01.test:none`)).toMatch(
      /could not add new controller/,
    );
    expect(await host.log.lines()).toHaveLength(2);
  });

  test("is told why it cannot connect: digests that a target does not grant", async () => {
    expected = [/^nvme_tcp: queue 0: (header|data) digest mismatch host: enabled ctrl: disabled$/];
    await using plain = await serveEmbedded({
      store: { kind: "memory" },
      headerDigest: false,
      dataDigest: false,
    });
    const port = Number(plain.nvmeEndpoint.split(":").at(-1));
    const at = `-t tcp -a ${machineAddress} -s ${port} -n ${plain.subsystemNqn}`;
    for (const option of withDigests) await host.fails(`nvme connect ${at} ${option}`);
    expect(await host.log.lines()).toHaveLength(2);
    await host.connect({ nqn: plain.subsystemNqn, port });
    await host.disconnect(plain.subsystemNqn);
  });

  test("notices a flipped bit by the digests, in either direction, and so does the target", async () => {
    expected = [
      ...whileReconnecting,
      /^nvme nvme\d+: (header|data) digest error: recv 0x[0-9a-f]+ expected 0x[0-9a-f]+$/,
      /^nvme nvme\d+: Received C2HTermReq \(FES = Header Digest Error\)$/,
      /^nvme nvme\d+: receive failed: {2}-(22|5)$/,
    ];
    expectedWarning =
      /^warn: [\d.:]+: closing after a protocol error: header digest of a PDU of type 0x04 is .*$/;
    await using wire = await startBitFlipper(target.port);
    await host.connect({ nqn: target.nqn, port: wire.port, options: withDigests });
    const device = await host.device(large);
    await host.run("dd if=/dev/urandom of=/tmp/data bs=64k count=32 2>/dev/null");
    for (const offset of ["middle", "header"] as const) {
      wire.flip("target", offset);
      await host.run(`dd if=/tmp/data of=${device} bs=64k oflag=direct 2>/dev/null`);
      wire.flip("host", offset);
      await host.run(`dd if=${device} of=/tmp/back bs=64k count=32 iflag=direct 2>/dev/null
cmp /tmp/data /tmp/back`);
    }
    expect(wire.flippedCount).toBe(4);
    const said = (await host.log.lines()).join("\n");
    await host.disconnect(target.nqn);
    for (const word of ["data digest error", "header digest error", "C2HTermReq"])
      expect(said).toContain(word);
  });

  test("finds what it has flushed when the target has lost its volatile cache", async () => {
    expected = [...whileReconnecting];
    await using volatile = await EmbeddedTarget.start({ volatileCache: true });
    const uuid = await volatile.createVolume("v", 64, 4096);
    await host.connect({ nqn: volatile.nqn, port: volatile.port, options: withDigests });
    const device = await host.device(uuid);
    await host.run(`dd if=/dev/urandom of=/tmp/data bs=1M count=4 2>/dev/null
dd if=/tmp/data of=${device} bs=64k conv=fsync 2>/dev/null`);
    const options = ["--rw=randwrite", "--bs=16k", "--offset=8m", "--size=4m", "--randseed=5"];
    // Written with forced unit access, and verified after the crash.
    await host.fio({ path: device, options: [...options, "--sync=1", "--do_verify=0"] });
    await volatile.launched.kill();
    await volatile.launched.restart();
    await host.fio({ path: device, options: [...options, "--verify_only=1"] });
    await host.run(`dd if=${device} of=/tmp/back bs=1M count=4 iflag=direct 2>/dev/null
cmp /tmp/data /tmp/back`);
    await host.disconnect(volatile.nqn);
    expect(volatile.newWarnings()).toBe("");
  });

  test("connects and disconnects twenty times, and leaves nothing behind in the target", async () => {
    const round = `nvme connect -t tcp -a ${machineAddress} -s ${target.port} -n '${target.nqn}'
  nvme disconnect -n '${target.nqn}' >&2`;
    await host.run(round);
    const [fileCount, memoryMiB] = [target.openFileCount, target.memoryMiB];
    await host.run(`for _ in $(seq 20); do
  ${round}
done`);
    expect(target.openFileCount).toBeLessThanOrEqual(fileCount);
    expect(target.memoryMiB).toBeLessThan(memoryMiB + 32);
  });
});

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
