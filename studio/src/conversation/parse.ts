import type { Conversation, Message, ReplyState } from "./types";

type Fields = Record<string, unknown>;

const STATES: Record<ReplyState, true> = {
  waiting: true,
  writing: true,
  done: true,
  stopped: true,
  failed: true,
  interrupted: true,
};

/**
 * A conversation from its JSON; null when it is something else.
 *
 * Storage is open to whatever runs in the tab and to older versions of this page. What the pages
 * walk along (names, parents, the head) is checked in full, so that nothing kept can break them.
 */
export function parseConversation(text: string): Conversation | null {
  const value = json(text);
  if (!isFields(value) || typeof value["id"] !== "string") return null;
  if (typeof value["createdAt"] !== "number" || !isFields(value["messages"])) return null;
  const messages = value["messages"];
  const { head } = value;
  if (head !== null && (typeof head !== "string" || !Object.hasOwn(messages, head))) return null;
  // A message is put in after its parent, so each parent known by then means no ring and no gap.
  const seen = new Set<unknown>([null]);
  for (const [id, message] of Object.entries(messages)) {
    if (!isMessage(message) || message.id !== id || !seen.has(message.parent)) return null;
    seen.add(id);
  }
  return value as unknown as Conversation;
}

function json(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isMessage(value: unknown): value is Message {
  if (!isFields(value) || typeof value["text"] !== "string") return false;
  if (value["role"] === "user") return value["parent"] === null || isText(value["parent"]);
  return (
    value["role"] === "assistant" &&
    [value["parent"], value["model"], value["reasoning"]].every(isText) &&
    Object.hasOwn(STATES, String(value["state"])) &&
    [value["failure"], value["usage"]].every((part) => part === null || isFields(part)) &&
    (value["finish"] === null || isText(value["finish"]))
  );
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}
