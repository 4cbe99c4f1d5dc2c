import { expect, test } from "vitest";
import { reconnectDelayMs, reconnectPolicyDefault } from "../../../src/sut/initiator/reconnect.ts";

test("reconnecting backs off from 0.2 to 5 seconds, with jitter down to the half", () => {
  const delays = (random: number) =>
    [1, 2, 3, 5, 6, 60].map((attempt) =>
      reconnectDelayMs({ ...reconnectPolicyDefault, random: () => random }, attempt),
    );
  expect(delays(0)).toEqual([100, 200, 400, 1600, 2500, 2500]);
  expect(delays(0.5)).toEqual([150, 300, 600, 2400, 3750, 3750]);
});
