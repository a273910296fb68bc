import { call, callJson, type Connection } from "./client";
import type { Shape } from "./shapes";

/** Something that assistants remember of the person. */
export type Fact = Shape<"FactShown">;

export type Facts = Shape<"FactList">;

const FACTS = "/studio/api/facts";
const at = (id: string) => `${FACTS}/${encodeURIComponent(id)}`;

/** What is remembered, the newest first; with words to look for, the likeliest first. */
export function listFacts(to: Connection, words: string, signal: AbortSignal): Promise<Facts> {
  const query = words === "" ? "" : `?${new URLSearchParams({ q: words }).toString()}`;
  return callJson(to, `${FACTS}${query}`, { signal });
}

export function changeFact(to: Connection, id: string, text: string): Promise<Fact> {
  return callJson(to, at(id), { method: "PATCH", body: { text } });
}

/** Deletes a fact; it can come back for a while. */
export async function deleteFact(to: Connection, id: string): Promise<void> {
  await call(to, at(id), { method: "DELETE" });
}

export function restoreFact(to: Connection, id: string): Promise<Fact> {
  return callJson(to, `${at(id)}/restore`, { method: "POST", body: {} });
}

/** Deletes all of them for good; says how many there were. */
export async function clearFacts(to: Connection): Promise<number> {
  return (await callJson<{ deleted: number }>(to, FACTS, { method: "DELETE" })).deleted;
}
