/**
 * fio in the configurations that its manual offers for verification, from what sees most to what is usual.
 *
 * All of them: one job, `ioengine=psync`, one pwrite after another (with more in flight and `norandommap` the manual
 * warns of false alarms, and newer versions leave out the write sequence); `verify=crc32c`, which brings a header with
 * offset, sequence and seed as every method with a checksum does; `do_verify=1`. `serialize_overlap` and
 * `verify_async` are for more than one request in flight. `verify_write_sequence` and `verify_header_seed`, of newer
 * versions, are on unless fio switches them off; insisting on the seed with `norandommap` and mixed sizes gave false
 * alarms (3.42), as did `experimental_verify` there (3.33 and 3.42), so both are left as they are.
 *
 * @packageDocumentation
 */
import { bytesWritten, type Contender, lengthBytesMax, space } from "./contender.ts";
import { runProgram } from "./program.ts";

type Options = Readonly<Record<string, string>>;

const passCount = bytesWritten / space.fileBytes;
/** Of a random read-write job, in percent. */
const readPercent = 30;
const longerThanAnyRun = 1_000_000;

const fixedSize: Options = { bs: `${space.blockBytes}` };
/** fio then has a header every 4096 bytes, and compares no write sequence. */
const mixedSizes: Options = { bsrange: `${space.blockBytes}-${lengthBytesMax}` };
/** With the random map, which is the default, each block is written once; then all are read; and again. */
const passes: Options = { rw: "randwrite", loops: `${passCount}` };
/** Blocks are written again before any of them is read, as an application's are. */
const overwrites: Options = { rw: "randwrite", norandommap: "1", io_size: `${bytesWritten}` };
/** Each write is read back and verified before the next. */
const atOnce: Options = { verify_backlog: "1" };
/** Reads in between, which fio does not compare; io_size counts them. */
const readsAndWrites: Options = {
  ...overwrites,
  rw: "randrw",
  rwmixread: `${readPercent}`,
  io_size: `${Math.ceil((bytesWritten * 100) / (100 - readPercent) / space.blockBytes) * space.blockBytes}`,
  // Never reached, so that all is verified at the end, as by default; but it keeps fio 3.33 from comparing header
  // seeds, which is a false alarm here without any fault. Newer versions do not compare them here anyway.
  verify_backlog: `${longerThanAnyRun}`,
};

const configurations: readonly {
  readonly name: string;
  readonly summary: string;
  readonly options: Options;
}[] = [
  {
    name: "fio fixed, passes",
    summary: `randwrite, bs=4k, random map, loops=${passCount}: each block once, then all are read back, ${passCount} times over`,
    options: { ...fixedSize, ...passes },
  },
  {
    name: "fio fixed, at once",
    summary: "randwrite, bs=4k, norandommap, verify_backlog=1: each write is read back before the next",
    options: { ...fixedSize, ...overwrites, ...atOnce },
  },
  {
    name: "fio fixed, at end",
    summary: "randwrite, bs=4k, norandommap: blocks are overwritten, and read back at the end",
    options: { ...fixedSize, ...overwrites },
  },
  {
    name: "fio mixed, passes",
    summary: `randwrite, bsrange=4k-64k, random map, loops=${passCount}`,
    options: { ...mixedSizes, ...passes },
  },
  {
    name: "fio mixed, at once",
    summary: "randwrite, bsrange=4k-64k, norandommap, verify_backlog=1",
    options: { ...mixedSizes, ...overwrites, ...atOnce },
  },
  {
    name: "fio mixed, at end",
    summary: `randrw, rwmixread=${readPercent}, bsrange=4k-64k, norandommap: the usual load, read back at the end`,
    options: { ...mixedSizes, ...readsAndWrites },
  },
];

export function fioContenders(program: string): Contender[] {
  return configurations.map(({ name, summary, options }) => ({
    name,
    summary,
    async run({ path, seed, environment, folder, signal }) {
      const all: Options = {
        name: "contrast",
        filename: path,
        size: `${space.fileBytes}`,
        ioengine: "psync",
        randseed: `${seed}`,
        verify: "crc32c",
        do_verify: "1",
        // One fault is enough, and what is said of it first.
        verify_fatal: "1",
        // It would be left in the folder of whoever runs this.
        verify_state_save: "0",
        ...options,
      };
      const flags = Object.entries(all).map(([option, value]) => `--${option}=${value}`);
      const { code, stdout, stderr } = await runProgram(program, ["--thread", ...flags], {
        env: environment,
        cwd: folder,
        signal,
      });
      const finding = findingOf(stderr) ?? findingOf(stdout);
      if ((code === 0) !== (finding === undefined))
        throw new Error(`fio ended with ${code}: ${stderr.slice(0, 500) || stdout.slice(0, 500)}`);
      return finding;
    },
  }));
}

/** @returns For example `fio-3.33`; `undefined` if there is no such program. */
export async function fioVersion(program: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    return (await runProgram(program, ["--version"], { signal })).stdout.trim();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/**
 * What fio called the first fault it saw, without figures.
 *
 *   verify: bad header numberio 1159, wanted 3000 at file …       => bad header numberio
 *   crc32c: verify failed at file … offset 4096, length 4096 …    => crc32c
 */
export function findingOf(output: string): string | undefined {
  const [, header, method] =
    /^(?:verify: (bad (?:header \w+|magic))|(\w+): verify failed)/m.exec(output) ?? [];
  return header ?? method;
}
