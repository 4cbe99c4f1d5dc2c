import fc from "fast-check";
import { expect, test } from "vitest";
import { LineReader } from "../../../src/sut/embedded/lines.ts";

function read(parts: readonly string[], lengthMax: number): readonly (string | null)[] {
  const said: (string | null)[] = [];
  const reader = new LineReader({
    lengthMax,
    onLine: (line) => void said.push(line),
    onTooLong: () => void said.push(null),
  });
  for (const part of parts) reader.feed(part);
  return said;
}

test("lines come out whole, however the parts fall, and one that is too long is told once and dropped", () => {
  expect(read(["ab", "c\nd\n\ne"], 3)).toEqual(["abc", "d", ""]);
  expect(read(["abcd\nab\nxxxxxxxxx", "xxxx", "\nb\n"], 3)).toEqual([null, "ab", null, "b"]);
});

test("any split into parts gives the same lines", () => {
  const part = fc.string({ unit: fc.constantFrom("a", "b", "\n"), maxLength: 8 });
  fc.assert(
    fc.property(fc.array(part), fc.nat(6), (parts, lengthMax) => {
      const whole = parts.join("");
      const lines = whole.split("\n");
      const rest = lines.pop()!;
      const expected = lines.map((line) => (line.length > lengthMax ? null : line));
      if (rest.length > lengthMax) expected.push(null);
      expect(read(parts, lengthMax)).toEqual(expected);
      expect(read([...whole], lengthMax)).toEqual(expected);
    }),
  );
});
