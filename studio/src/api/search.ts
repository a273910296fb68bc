import { callJson, type Connection } from "./client";
import type { Shape } from "./shapes";

/** What was found; `marks` in characters, not in UTF-16 units. */
export type Hit = Shape<"Hit">;

export type Hits = Shape<"Hits">;

/** Longest question that the server takes, in characters. */
export const LONGEST_QUERY = 500;

export function search(
  to: Connection,
  words: string,
  before: number | null,
  signal?: AbortSignal,
): Promise<Hits> {
  const query = new URLSearchParams({ q: words });
  if (before !== null) query.set("before", String(before));
  return callJson(to, `/studio/api/search?${query.toString()}`, signal ? { signal } : {});
}
