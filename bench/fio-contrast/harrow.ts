/**
 * `harrow fuzz` on the same file: its defaults, but for the size of the volume and of the writes, which are as fio's.
 *
 * One operation at a time, as fio's psync has it: so the order of the writes is the same in every run with one seed.
 * What is run is what was built.
 *
 * @packageDocumentation
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ConfigInput } from "../../src/runner/config/schema.ts";
import { bytesWritten, type Contender, lengthBytesMax, space } from "./contender.ts";
import { runProgram } from "./program.ts";

const program = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const consistentExitCode = 0;
const violationExitCode = 1;

/** The part of what `harrow fuzz --json` prints that is used. */
interface Report {
  readonly violations: readonly { readonly class: string }[];
}

export const harrowContenders: readonly Contender[] = [
  contender({
    name: "harrow",
    summary: "sizes 4k-64k, defaults: one write in 16 is preceded by a read",
    reads: {},
  }),
  contender({
    name: "harrow, pre-read",
    summary: "the same with reads.preRead 1/1: blocks are read and checked before each write replaces them",
    reads: { preRead: "1/1" },
  }),
];

function contender({
  name,
  summary,
  reads,
}: {
  readonly name: string;
  readonly summary: string;
  readonly reads: NonNullable<ConfigInput["reads"]>;
}): Contender {
  return {
    name,
    summary,
    async run({ path, seed, environment, folder, signal }) {
      const config: ConfigInput = {
        seed,
        geometry: { volumeSize: space.fileBytes, blockSize: space.blockBytes },
        operations: { blocks: { min: 1, max: lengthBytesMax / space.blockBytes } },
        reads,
        runner: { kind: "sequential", bytes: bytesWritten },
        target: { kind: "block", path, io: "sync" },
        overwrite: true,
        record: "never",
        failures: join(folder, "failures"),
      };
      const file = join(folder, "contrast.yml");
      // YAML is a superset of JSON.
      await writeFile(file, JSON.stringify(config));
      const { code, stdout, stderr } = await runProgram(process.execPath, [program, "fuzz", file, "--json"], {
        env: environment,
        signal,
      });
      if (code !== consistentExitCode && code !== violationExitCode)
        throw new Error(`harrow ended with ${code}: ${stderr.slice(0, 500)}`);
      const [violation] = (JSON.parse(stdout) as Report).violations;
      if ((code === violationExitCode) !== (violation !== undefined))
        throw new Error(`harrow ended with ${code} and ${violation?.class ?? "no violation"}`);
      return violation?.class;
    },
  };
}
