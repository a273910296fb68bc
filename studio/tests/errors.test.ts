import { describe, expect, it } from "vitest";

import { failureOf, kindOf } from "../src/api/errors";

describe("what a failure of the server means", () => {
  it("is told by its code, whatever the status", () => {
    for (const status of [507, 500, 0]) expect(kindOf(status, "storage_error")).toBe("storage");
    expect(kindOf(429, "")).toBe("busy");
    expect(kindOf(503, "")).toBe("unavailable");
    expect(kindOf(500, "")).toBe("server");
    expect(kindOf(400, "invalid_request")).toBe("refused");
  });

  it("comes with the server's own words", () => {
    const error = { message: "The disk is full.", code: "storage_error" };
    expect(failureOf(507, { error }, null, 0)).toEqual({
      kind: "storage",
      said: "The disk is full.",
      retryAt: null,
    });
  });
});
