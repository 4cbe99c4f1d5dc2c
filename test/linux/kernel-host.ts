/**
 * Debian's NVMe/TCP host in a guest, and what it is told to do: connect, read, write, make file systems.
 *
 * The guest reaches this machine's 127.0.0.1 as 10.0.2.2.
 *
 * @packageDocumentation
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog } from "../../src/sut/log.ts";
import { Guest } from "../../src/sut/vm/guest.ts";
import { prepareGuest } from "../../src/sut/vm/prepare.ts";
import { KernelLog } from "./kernel-log.ts";
import { vmDirectory } from "./vm-directory.ts";

/** This machine's loopback interface, as a guest sees it. */
export const machineAddress = "10.0.2.2";

interface Connection {
  readonly nqn: string;
  /** On 127.0.0.1 of this machine. */
  readonly port: number;
  /** Further options of `nvme connect`. */
  readonly options?: readonly string[];
}

interface FioJob {
  /** Such as `/dev/nvme0n1`, or a file. */
  readonly path: string;
  /** `--rw`, `--bs` and the like. */
  readonly options: readonly string[];
}

export class KernelHost implements AsyncDisposable {
  readonly guest: Guest;
  readonly log: KernelLog;
  readonly #directory: string;

  private constructor(guest: Guest, directory: string) {
    this.guest = guest;
    this.#directory = directory;
    this.log = new KernelLog(guest);
  }

  static async start(): Promise<KernelHost> {
    const images = await prepareGuest({ directory: vmDirectory, log: silentLog });
    const directory = await mkdtemp(join(tmpdir(), "harrow-host-"));
    try {
      const guest = await Guest.start({ directory, images, role: "host", withExtras: true, log: silentLog });
      return new KernelHost(guest, directory);
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** Versions of what runs in the guest. */
  async versions(): Promise<string> {
    return (await this.run("uname -r; nvme version | head -n 1; fio --version; mke2fs -V 2>&1 | head -n 1"))
      .trim()
      .replaceAll("\n", ", ");
  }

  /**
   * Runs a script in the guest and returns what it printed.
   *
   * @throws {Error} Its status is not 0; the message holds what it said, and what the kernel said since the mark.
   */
  async run(script: string, timeoutMs = 120_000): Promise<string> {
    const { status, stdout, stderr } = await this.guest.shell.run(`set -eu\n${script}`, { timeoutMs });
    if (status === 0) return stdout;
    const kernel = await this.log.lines().catch(() => []);
    throw new Error(
      `status ${status} of a script in the guest:\n${script}\n${stdout}${stderr}kernel:\n${kernel.join("\n")}`,
    );
  }

  /** Status, and what a script says on its standard error, for what ought to fail. */
  async fails(script: string): Promise<string> {
    const { status, stderr } = await this.guest.shell.run(script, { timeoutMs: 30_000 });
    if (status === 0) throw new Error(`no failure of a script in the guest:\n${script}`);
    return stderr;
  }

  /** Connects, with a delay of one second before it connects anew. */
  async connect({ nqn, port, options = [] }: Connection): Promise<void> {
    const address = `-t tcp -a ${machineAddress} -s ${port} -n '${nqn}'`;
    await this.run(`nvme connect ${address} --reconnect-delay=1 ${options.join(" ")}`);
  }

  async disconnect(nqn: string): Promise<void> {
    await this.run(`nvme disconnect -n '${nqn}' >&2`);
  }

  async disconnectAll(): Promise<void> {
    await this.run('[ -z "$(ls /sys/class/nvme)" ] || nvme disconnect-all');
  }

  /** Waits until a volume is there as a block device, and returns its path. */
  async device(uuid: string): Promise<string> {
    const path = await this.run(`${findDevice(uuid)}
for _ in $(seq 100); do
  find_device && exit
  sleep 0.1
done
echo "no block device of ${uuid} after 10 s: $(ls /dev)" >&2
exit 1`);
    return path.trim();
  }

  /** Waits until a volume is no block device any more. */
  async deviceGone(uuid: string): Promise<void> {
    await this.run(`${findDevice(uuid)}
for _ in $(seq 100); do
  find_device || exit 0
  sleep 0.1
done
exit 1`);
  }

  /** Waits until a block device has a size, and returns the size that it has after 10 s at the most. */
  async sizeOf(path: string, expectedBytes: number): Promise<number> {
    const size = await this.run(`for _ in $(seq 100); do
  [ "$(blockdev --getsize64 ${path})" = ${expectedBytes} ] && break
  sleep 0.1
done
blockdev --getsize64 ${path}`);
    return Number(size);
  }

  /** Writes with fio and has it verify what it reads back; the script fails at the first byte that differs. */
  async fio(job: FioJob): Promise<void> {
    await this.run(fioScript(job), 240_000);
  }

  /** SHA-256 of the first bytes of a block device, read past the page cache, in hexadecimal digits. */
  async digestOf(path: string, lengthMiB: number): Promise<string> {
    const reading = `dd if=${path} bs=1M count=${lengthMiB} iflag=direct 2>/dev/null`;
    return (await this.run(`${reading} | sha256sum`)).slice(0, 64);
  }

  /** Makes an ext4 file system, loads it with files, and checks it when it is unmounted. */
  async loadFileSystem(path: string): Promise<void> {
    await this.run(`mke2fs -q -t ext4 -F ${path}
mkdir -p /mnt
mount -t ext4 ${path} /mnt
cp -r /usr/sbin /mnt/
tar -cf /mnt/all.tar -C /usr sbin
sync
${fioScript({ path: "/mnt/verified", options: ["--rw=randrw", "--bs=16k", "--size=8m", "--iodepth=8", "--fsync=32"] })}
rm /mnt/verified
umount /mnt
e2fsck -f -n ${path} >&2`);
  }

  /** Mounts what {@link loadFileSystem} has made, compares it with what it came from, and checks it once more. */
  async compareFileSystem(path: string): Promise<void> {
    await this.run(`mount -t ext4 ${path} /mnt
mkdir /tmp/all
tar -xf /mnt/all.tar -C /tmp/all
diff -r /usr/sbin /mnt/sbin >&2
diff -r /usr/sbin /tmp/all/sbin >&2
rm -r /tmp/all
fstrim /mnt
umount /mnt
e2fsck -f -n ${path} >&2`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.guest[Symbol.asyncDispose]();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** A shell function that prints the block device of a volume, and fails if there is none. */
function findDevice(uuid: string): string {
  return `find_device() {
  for file in /sys/block/nvme*/wwid; do
    case $file in *c[0-9]*n*) continue ;; esac
    [ "$(cat "$file" 2>/dev/null)" = 'uuid.${uuid}' ] || continue
    file=\${file%/wwid}
    echo "/dev/\${file##*/}"
    return 0
  done
  return 1
}`;
}

/** What fio says goes to standard error, if it fails. */
function fioScript({ path, options }: FioJob): string {
  const fixed =
    "--name=verify --ioengine=libaio --direct=1 --verify=crc32c --verify_fatal=1 --thread --group_reporting";
  return `work=$(mktemp)
fio ${fixed} --filename=${path} ${options.join(" ")} >"$work" 2>&1 || { status=$?; cat "$work" >&2; exit "$status"; }
rm "$work"`;
}
