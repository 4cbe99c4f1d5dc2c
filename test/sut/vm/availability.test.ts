import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { guestUnavailable } from "../../../src/sut/vm/availability.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "harrow-available-"));
  vi.stubEnv("PATH", `/nonexistent:${directory}`);
  vi.spyOn(process, "platform", "get").mockReturnValue("linux");
  vi.spyOn(process, "arch", "get").mockReturnValue("x64");
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  rmSync(directory, { recursive: true, force: true });
});

function install(...names: readonly string[]): void {
  for (const name of names) {
    writeFileSync(join(directory, name), "");
    chmodSync(join(directory, name), 0o755);
  }
}

describe("whether a guest can be had", () => {
  test("is answered with what to do on a machine of another kind", () => {
    vi.spyOn(process, "arch", "get").mockReturnValue("arm64");
    expect(guestUnavailable()).toBe("guests are prepared on Linux on x86-64, and this is linux on arm64");
  });

  test("is answered with what is missing of apt", () => {
    install("apt-get", "apt-cache", "qemu-system-x86_64");
    expect(guestUnavailable()).toMatch(/^dpkg-deb is not in PATH: .* use a Debian machine/);
  });

  test("is answered with how to install QEMU", () => {
    install("apt-get", "apt-cache", "dpkg-deb");
    expect(guestUnavailable()).toBe(
      "qemu-system-x86_64 is not installed: apt-get install --no-install-recommends qemu-system-x86",
    );
  });

  test("is answered with nothing if all is there", () => {
    install("apt-get", "apt-cache", "dpkg-deb", "qemu-system-x86_64");
    expect(guestUnavailable()).toBeUndefined();
  });

  test("does not take a file that cannot be run for a program", () => {
    install("apt-get", "apt-cache", "dpkg-deb", "qemu-system-x86_64");
    chmodSync(join(directory, "qemu-system-x86_64"), 0o644);
    expect(guestUnavailable()).toMatch(/^qemu-system-x86_64 is not installed/);
  });
});
