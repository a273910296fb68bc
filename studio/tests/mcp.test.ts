import { describe, expect, it } from "vitest";

import { callMcpTool, listMcpServers, removeMcpServer } from "../src/api/mcp";
import { begun, readGiven, variables } from "../src/mcp/given";

const SCHEMA = {
  type: "object",
  properties: {
    path: { type: "string" },
    lines: { type: "integer", default: 10 },
    deep: { type: "boolean" },
    kind: { enum: ["text", "binary"] },
    tags: { type: ["array", "null"] },
    where: { type: "object" },
    note: { type: "string" },
  },
  required: ["path", "lines", "deep", "kind", "tags", "where"],
};

describe("arguments of a tool", () => {
  it("begin with all that must be there", () => {
    expect(JSON.parse(begun(SCHEMA))).toEqual({
      path: "",
      lines: 10,
      deep: false,
      kind: "text",
      tags: [],
      where: {},
    });
    expect(begun({ type: "object" })).toBe("{}");
  });

  it("begin empty where a stranger's schema is none", () => {
    for (const odd of [{}, { required: "path" }, { required: [1] }, { properties: 3 }])
      expect(JSON.parse(begun(odd))).toEqual({});
    expect(JSON.parse(begun({ required: ["a"], properties: { a: true } }))).toEqual({ a: "" });
  });

  it("are read as JSON", () => {
    const given = { path: "a", lines: 1, deep: true, kind: "text", tags: [], where: {}, more: 1 };
    expect(readGiven(JSON.stringify(given), SCHEMA)).toEqual({ arguments: given });
    expect(readGiven("  ", {})).toEqual({ arguments: {} });
  });

  it("say what is wrong with them", () => {
    expect(readGiven("{", {})).toEqual({ fault: "json" });
    for (const typed of ["[]", "3", "null", '"x"'])
      expect(readGiven(typed, {}), typed).toEqual({ fault: "object" });
    expect(
      readGiven('{"path": "", "toString": 1}', { required: ["path", "toString", "x"] }),
    ).toEqual({ fault: "missing", names: ["x"] });
    expect(readGiven("{}", { required: ["toString"] })).toEqual({
      fault: "missing",
      names: ["toString"],
    });
  });
});

it("names of variables stand between spaces or commas of either language", () => {
  expect(variables(" A_B, C　D、E,A_B\n")).toEqual(["A_B", "C", "D", "E"]);
  expect(variables("")).toEqual([]);
});

describe("the API", () => {
  it("is asked at the address of a name with any characters", async () => {
    const asked: [string, string, unknown][] = [];
    const to = {
      key: null,
      fetch: (path: RequestInfo | URL, what?: RequestInit) => {
        const body: unknown = typeof what?.body === "string" ? JSON.parse(what.body) : null;
        asked.push([what?.method ?? "GET", path as string, body]);
        return Promise.resolve(new Response("{}"));
      },
    };
    const { signal } = new AbortController();
    await listMcpServers(to, signal);
    await callMcpTool(to, { server: "a/b 検", tool: "t", arguments: { x: 1 } }, signal);
    await removeMcpServer(to, "a?b");
    const name = "a%2Fb%20%E6%A4%9C";
    expect(asked).toEqual([
      ["GET", "/studio/api/mcp", null],
      ["POST", `/studio/api/mcp/call/${name}`, { tool: "t", arguments: { x: 1 } }],
      ["DELETE", "/studio/api/mcp/servers/a%3Fb", null],
    ]);
  });
});
