import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { tokenExpiryMs, tokenSource, withoutToken } from "../../../src/sut/lightbits/token.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "harrow-token-"));
});
afterEach(() => rm(folder, { recursive: true }));

describe("tokenSource", () => {
  test("prefers the flag to the file and the file to the environment", async () => {
    const file = join(folder, "jwt");
    await writeFile(file, "from-file\n");
    const environment = { LIGHTBITS_JWT: " from-environment ", OTHER: "from-other" };
    expect(await tokenSource({ token: "from-flag", file, environment })()).toBe("from-flag");
    expect(await tokenSource({ file, environment })()).toBe("from-file");
    expect(await tokenSource({ environment })()).toBe("from-environment");
    expect(await tokenSource({ environment, variable: "OTHER" })()).toBe("from-other");
  });

  test("reads a file anew each time it is asked", async () => {
    const file = join(folder, "jwt");
    const source = tokenSource({ file, environment: {} });
    await writeFile(file, "first");
    expect(await source()).toBe("first");
    await writeFile(file, "second");
    expect(await source()).toBe("second");
  });

  test.for([
    ["nothing", {}, /a JWT or LIGHTBITS_JWT is required/],
    ["an empty variable", { environment: { LIGHTBITS_JWT: " " } }, /a JWT or LIGHTBITS_JWT is required/],
    ["an empty flag", { token: "" }, /that was given is empty/],
    ["a token with a space in it", { token: "secret secret" }, /printable ASCII/],
    ["a token of another script", { token: "sécret" }, /printable ASCII/],
    ["a file that is not there", { file: "/nowhere/jwt" }, /\/nowhere\/jwt cannot be read \(ENOENT\)/],
    ["a folder", { file: "/" }, /cannot be read \(EISDIR\)/],
    ["a file without end", { file: "/dev/zero" }, /1 to 65536 printable/],
  ] as const)("refuses %s, without showing it", async ([, places, message]) => {
    const error = await tokenSource({ environment: {}, ...places })().catch((cause: unknown) => cause);
    expect(error).toMatchObject({
      code: "ERR_INVALID_REQUEST",
      message: expect.stringMatching(message),
    });
    expect(String(error)).not.toMatch(/s[eé]cret/);
  });
});

describe("withoutToken", () => {
  test("takes a token out of a text", () => {
    expect(withoutToken("Bearer eyJhbGci.x.y was refused", "eyJhbGci.x.y")).toBe(
      "Bearer (token) was refused",
    );
  });

  test("leaves names alone in which a token of a letter stands by chance", () => {
    expect(withoutToken("nqn.2014-08.org.nvmexpress:uuid:1", "x")).toBe("nqn.2014-08.org.nvmexpress:uuid:1");
  });
});

describe("tokenExpiryMs", () => {
  test("reads the claim of the JWT in RFC 7519, section 3.1", () => {
    const jwt =
      "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." +
      "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ." +
      "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    expect(tokenExpiryMs(jwt)).toBe(1_300_819_380_000);
  });

  test.for(["opaque", "a.b.c", "a.e30.c", "a.eyJleHAiOiIxIn0.c", "a.eyJleHAiOjFlOTl9.c", "..", ""])(
    "knows nothing of '%s'",
    (token) => {
      expect(tokenExpiryMs(token)).toBeUndefined();
    },
  );
});
