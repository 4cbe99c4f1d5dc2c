/**
 * The real thin_delta with a filter after it that alters one range: the diff is found to be wrong, and how.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FuzzResult, ThinTarget } from "./thin-target.ts";
import { unavailable } from "./unavailable.ts";

const config = `
geometry: { volumeSize: 16MiB, extentSize: 128KiB }
window: { size: 32, slideAfterRepeats: 4 }
operations:
  blocks: { min: 1, max: 16 }
  weights: { compareAndWrite: 0, compareAndWriteMiss: 0 }
snapshots: { every: 40, keep: 3, withoutBase: 0/1, clones: 0/1, rollback: 0/1 }
checks: { recent: { every: 0 }, diffs: { precision: covering } }
runner: { lts: 250, depth: 8 }
`;

const path = "/usr/sbin/thin_delta";
/** The tools are one program, which goes by its name. */
const real = "/usr/lib/real/thin_delta";

describe.skipIf(unavailable !== undefined)("a diff by thin_delta", () => {
  let target: ThinTarget;

  async function inGuest(script: string): Promise<void> {
    const { status, stderr } = await target.guest.shell.run(`set -eu\n${script}`);
    if (status !== 0) throw new Error(`in the guest: ${stderr}`);
  }

  beforeAll(async () => {
    target = await ThinTarget.start();
    await inGuest(`mkdir -p /usr/lib/real; cp ${path} ${real}`);
  });

  afterAll(async () => {
    await target?.[Symbol.asyncDispose]();
  });

  beforeEach(async () => {
    await target.clear();
  });

  afterEach(async () => {
    await inGuest(`rm ${path}; cp ${real} ${path}`);
  });

  /** The first range of one kind in each of its answers becomes one of another kind. */
  async function fuzz(seed: bigint, lie?: { readonly of: string; readonly to: string }): Promise<FuzzResult> {
    if (lie !== undefined)
      await inGuest(`rm ${path}
cat >${path} <<'END'
#!/bin/sh
set -eu
answer=$(${real} "$@")
echo "$answer" | awk '!isDone && sub(/<${lie.of} /, "<${lie.to} ") { isDone = 1 } { print }'
END
chmod +x ${path}`);
    const result = await target.fuzz({ config, seed });
    const { violations, elapsedMs, ledger, targetFailure } = result;
    const found = violations.map((one) => one.class).join(", ") || (targetFailure ?? "no violation");
    console.log(
      `${lie === undefined ? "thin_delta alone" : `${lie.of} told as ${lie.to}`}: ${(elapsedMs / 1000).toFixed(0)} s, ${ledger.snapshots.taken} snapshots, ${ledger.diffs.proven} diffs proven; ${found}`,
    );
    return result;
  }

  test("is right as it comes", async () => {
    const result = await fuzz(1n);
    expect(result).toMatchObject({ verdict: "consistent", violations: [] });
    expect(result.ledger.diffs.proven).toBeGreaterThan(0);
  });

  test("that leaves out one range is found to omit it", async () => {
    const { violations } = await fuzz(2n, { of: "different", to: "same" });
    expect(violations.map((one) => one.class)).toContain("omission");
  });

  test("that reports a range that is the same is found to do so", async () => {
    const { violations } = await fuzz(3n, { of: "same", to: "different" });
    expect(violations.map((one) => one.class)).toContain("over-report");
  });
});
