import type { Id } from "./types";

/** The same replies in an order that tells nothing of their models, and that a reload keeps. */
export function shuffled(question: Id, replies: readonly Id[]): Id[] {
  const mixed = replies.map((id) => ({ id, place: hash(question + id) }));
  return mixed.sort((a, b) => a.place - b.place || (a.id < b.id ? -1 : 1)).map(({ id }) => id);
}

/** FNV-1a over UTF-16 units, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1)
    value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  return value >>> 0;
}

/**
 * Replies to one question as a person steps through them: those that were asked for together are
 * one step. `groups` are the replies' groups, "" for none.
 */
export function steps(replies: readonly Id[], groups: readonly string[]): Id[][] {
  const found: Id[][] = [];
  const places = new Map<string, Id[]>();
  replies.forEach((id, at) => {
    const group = groups[at] ?? "";
    const there = group === "" ? undefined : places.get(group);
    if (there) {
      there.push(id);
      return;
    }
    const step = [id];
    found.push(step);
    if (group !== "") places.set(group, step);
  });
  return found;
}
