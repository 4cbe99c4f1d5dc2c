import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Answer, RefusalError, readAnswer } from "../../../src/sut/lightbits/answer.ts";
import { httpStatuses } from "../../../src/sut/lightbits/grpc-status.ts";
import { ServiceError } from "../../../src/sut/port.ts";

const call = "GET /api/v2/x";

function answer(
  httpStatus: number,
  body: string,
  contentType: string | undefined = "application/json",
): Answer {
  return { httpStatus, contentType, body: Buffer.from(body) };
}

function errorOf(given: Answer): ServiceError {
  try {
    readAnswer(call, given);
  } catch (error) {
    if (error instanceof ServiceError) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

describe("readAnswer", () => {
  test("gives the JSON document of a success, whatever the parameters of its content type", () => {
    expect(readAnswer(call, answer(200, '{"a":"1"}'))).toEqual({ a: "1" });
    expect(readAnswer(call, answer(202, "{}", "application/json; charset=utf-8"))).toEqual({});
  });

  const bad: Record<string, Answer> = {
    "is cut short": answer(200, '{"volumes":[{"UUID":'),
    "is empty": answer(200, ""),
    "is a web page": answer(200, "<html>", "text/html"),
    "has no content type": { ...answer(200, "{}"), contentType: undefined },
    "is not UTF-8": {
      httpStatus: 200,
      contentType: "application/json",
      body: Buffer.from([0x22, 0xff, 0x22]),
    },
    "is a redirect": answer(302, "{}"),
    "is an early hint": answer(103, "{}"),
    "is a 404 of something else": answer(404, "<h1>nginx</h1>", "text/html"),
  };
  test.for(Object.entries(bad))("says that a body that %s is no answer", ([, given]) => {
    const error = errorOf(given);
    expect(error.code).toBe("ERR_BAD_ANSWER");
    expect(error.message).toContain(call);
  });

  test("shows the beginning of a strange body without its control characters", () => {
    const { message } = errorOf(answer(200, `\u001b[2Jsorry${"x".repeat(1000)}`));
    expect(message).toMatch(/^GET \/api\/v2\/x: 1009 bytes that are not JSON .*' \[2Jsorryx+…'$/);
    expect(message.length).toBeLessThan(300);
  });

  // The contract: HTTP status, gRPC code in the body, text; and what the port calls it.
  const contract: [number, number, string, string][] = [
    [400, 3, "bad argument", "ERR_INVALID_REQUEST"],
    [400, 11, "offsetLBA exceeds the size", "ERR_INVALID_REQUEST"],
    [400, 9, "volume is being updated", "ERR_BUSY"],
    [400, 2, "Creating a snapshot when another snapshot is creating is not allowed", "ERR_BUSY"],
    [400, 2, "Another snapshot with same name exists", "ERR_CONFLICT"],
    [400, 6, "taken", "ERR_CONFLICT"],
    [401, 16, "no", "ERR_UNAUTHENTICATED"],
    [403, 7, "no", "ERR_FORBIDDEN"],
    [404, 5, "no such snapshot", "ERR_NOT_FOUND"],
    [408, 1, "cancelled", "ERR_TIMEOUT"],
    [409, 6, "exists", "ERR_CONFLICT"],
    [409, 10, "another operation", "ERR_BUSY"],
    [412, 9, "Etag mismatch", "ERR_CONFLICT"],
    [413, 3, "too large", "ERR_INVALID_REQUEST"],
    [429, 8, "slow down", "ERR_BUSY"],
    [500, 13, "internal", "ERR_TARGET"],
    [500, 15, "data loss", "ERR_TARGET"],
    [501, 12, "not implemented", "ERR_UNSUPPORTED"],
    [503, 14, "unavailable", "ERR_BUSY"],
    [504, 4, "deadline", "ERR_TIMEOUT"],
  ];
  test.for(contract)("calls HTTP %i with code %i (%s) %s", ([httpStatus, code, text, expected]) => {
    const first = { error: text, code, message: text, details: [] }; // grpc-gateway v1
    const second = { code, message: text, details: [] }; // grpc-gateway v2
    const stream = { error: { grpc_code: code, http_code: httpStatus, message: text, http_status: "x" } };
    for (const body of [first, second, stream]) {
      const error = errorOf(answer(httpStatus, JSON.stringify(body)));
      expect(error).toBeInstanceOf(RefusalError);
      expect(error).toMatchObject({ code: expected, httpStatus, grpcCode: code });
      expect(error.message).toContain(text);
    }
  });

  test("tells a refusal from its status alone if the body is not the service's", () => {
    expect(errorOf(answer(503, "<h1>busy</h1>", "text/html"))).toMatchObject({ code: "ERR_BUSY" });
    expect(errorOf(answer(401, ""))).toMatchObject({ code: "ERR_UNAUTHENTICATED" });
    expect(errorOf(answer(400, "null"))).toMatchObject({ code: "ERR_INVALID_REQUEST" });
  });

  test("knows the gateway's status for each gRPC code", () => {
    // google.golang.org/grpc/codes, in the order of their numbers.
    expect(Object.values(httpStatuses)).toEqual([
      200, 408, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401,
    ]);
  });

  test("answers any bytes with a document or a ServiceError, with a message of bounded length", () => {
    const bodies = fc.oneof(
      fc.uint8Array({ maxLength: 64 }),
      fc.json().map((text) => Buffer.from(text)),
      fc.json().chain((text) => fc.nat(text.length).map((end) => Buffer.from(text.slice(0, end)))),
      fc.record({ error: fc.anything(), code: fc.anything(), message: fc.anything() }).map((body) => {
        return Buffer.from(
          JSON.stringify(body, (_, value) => (typeof value === "bigint" ? String(value) : value)),
        );
      }),
    );
    const types = fc.constantFrom(undefined, "application/json", "text/html", "application/problem+json");
    fc.assert(
      fc.property(fc.integer({ min: 100, max: 999 }), types, bodies, (httpStatus, contentType, body) => {
        try {
          readAnswer(call, { httpStatus, contentType, body });
        } catch (error) {
          expect(error).toBeInstanceOf(ServiceError);
          expect((error as ServiceError).message.length).toBeLessThan(1000);
        }
      }),
      { numRuns: 20_000 },
    );
  });

  test("survives nesting as deep as the body is long", () => {
    expect(errorOf(answer(200, "[".repeat(1_000_000))).code).toBe("ERR_BAD_ANSWER");
    expect(errorOf(answer(500, "[".repeat(1_000_000))).code).toBe("ERR_TARGET");
  });
});
