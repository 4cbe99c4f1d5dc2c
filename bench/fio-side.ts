/**
 * harrow's side of the fio bench, forked by it: a whole run on a file, or its kernels alone, and the CPU time it took.
 *
 * Runs what is built, as `transport.ts` does. CPU time is that of the whole process, its thread pool, its compiler
 * and the kernel's work for it included, from the first write to the last check; starting Node and opening the file
 * are left out, as fio's own figures leave out its start.
 *
 * @packageDocumentation
 */
import type { SideRequest } from "./fio-file.ts";
import { measureKernels } from "./fio-kernels.ts";
import { measureRun } from "./fio-run.ts";

process.once("message", (request: SideRequest) => {
  (request.what === "run" ? measureRun(request) : measureKernels(request)).then(
    (result) => process.send?.(result, () => process.disconnect()),
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
      process.exitCode = 1;
      process.disconnect();
    },
  );
});
