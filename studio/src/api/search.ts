import { callJson, type Connection } from "./client";

/** A message, or a title, that was found; after `serve/shapes/conversations.py`. */
export interface Hit {
  conversation: string;
  title: string;
  /** null: the title itself was found. */
  message: string | null;
  role: "user" | "assistant" | null;
  snippet: string;
  /** [start, end) in `snippet`, in characters (not in UTF-16 units). */
  marks: [number, number][];
  /** Seconds since 1970. */
  created_at: number;
}

export interface Hits {
  data: Hit[];
  more: boolean;
}

/** Longest question that the server takes, in characters. */
export const LONGEST_QUERY = 500;

export function search(
  to: Connection,
  words: string,
  before: string | null,
  signal?: AbortSignal,
): Promise<Hits> {
  const query = new URLSearchParams({ q: words });
  if (before !== null) query.set("before", before);
  return callJson(to, `/studio/api/search?${query.toString()}`, signal ? { signal } : {});
}
