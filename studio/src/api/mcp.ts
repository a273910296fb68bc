import { call, callJson, type Connection } from "./client";
import type { Shape } from "./shapes";

export type McpServer = Shape<"McpServerShown">;
export type McpServers = Shape<"McpServerList">;
export type McpDetail = Shape<"McpServerDetail">;
export type McpTool = Shape<"McpToolShown">;
export type McpAnswer = Shape<"McpAnswer">;
export type NewMcpServer = Shape<"NewMcpServer">;

const SERVERS = "/studio/api/mcp";
const at = (place: string, name: string) => `${SERVERS}/${place}/${encodeURIComponent(name)}`;

export function listMcpServers(to: Connection, signal: AbortSignal): Promise<McpServers> {
  return callJson(to, SERVERS, { signal });
}

/** A server with the tools that it listed last; does not start it. */
export function readMcpServer(
  to: Connection,
  name: string,
  signal: AbortSignal,
): Promise<McpDetail> {
  return callJson(to, at("servers", name), { signal });
}

/** Starts a server and has it list its tools; its state says what went wrong. */
export function checkMcpServer(
  to: Connection,
  name: string,
  signal: AbortSignal,
): Promise<McpDetail> {
  return callJson(to, at("check", name), { method: "POST", body: {}, signal });
}

export interface ToolCall {
  server: string;
  tool: string;
  arguments: Record<string, unknown>;
}

export function callMcpTool(
  to: Connection,
  { server, tool, arguments: given }: ToolCall,
  signal: AbortSignal,
): Promise<McpAnswer> {
  const body = { tool, arguments: given };
  return callJson(to, at("call", server), { method: "POST", body, signal });
}

export function addMcpServer(to: Connection, body: NewMcpServer): Promise<McpDetail> {
  return callJson(to, SERVERS, { method: "POST", body });
}

/** Takes a server out; it can be put back until Kataribe ends. */
export async function removeMcpServer(to: Connection, name: string): Promise<void> {
  await call(to, at("servers", name), { method: "DELETE" });
}

export function restoreMcpServer(to: Connection, name: string): Promise<McpDetail> {
  return callJson(to, at("restore", name), { method: "POST", body: {} });
}
