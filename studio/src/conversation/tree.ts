import type { ChatMessage } from "../api/models";
import { advance, isLive } from "./reply";
import type { Conversation, Id, Message, Reply } from "./types";

export function emptyConversation(id: Id, now: number): Conversation {
  return { id, createdAt: now, head: null, messages: {} };
}

/** The messages of the branch that is shown, oldest first. */
export function path(conversation: Conversation, to = conversation.head): Message[] {
  const found: Message[] = [];
  let id = to;
  while (id !== null) {
    const message: Message | undefined = conversation.messages[id];
    if (!message) break;
    found.push(message);
    id = message.parent;
  }
  return found.reverse();
}

/** The conversation with a message put in (or replaced); a new one becomes the head. */
export function withMessage(conversation: Conversation, message: Message): Conversation {
  const known = message.id in conversation.messages;
  return {
    ...conversation,
    head: known ? conversation.head : message.id,
    messages: { ...conversation.messages, [message.id]: message },
  };
}

/** The replies to the same question, oldest first. */
export function siblings(conversation: Conversation, reply: Reply): Reply[] {
  return Object.values(conversation.messages).filter(
    (message): message is Reply => message.role === "assistant" && message.parent === reply.parent,
  );
}

/** Shows the branch through `id`, down to its newest message. */
export function withBranch(conversation: Conversation, id: Id): Conversation {
  let head = id;
  for (;;) {
    const below = Object.values(conversation.messages).filter((one) => one.parent === head);
    const newest = below.at(-1);
    if (!newest) return { ...conversation, head };
    head = newest.id;
  }
}

/** The reply that is being written on any branch, if one is. */
export function liveReply(conversation: Conversation): Reply | null {
  for (const message of Object.values(conversation.messages))
    if (message.role === "assistant" && isLive(message)) return message;
  return null;
}

/**
 * What a model is given: the branch up to a question. Replies without a word are left out, and the
 * questions around them become one turn: many chat templates refuse two turns of one side in a row.
 */
export function toRequest(conversation: Conversation, question: Id): ChatMessage[] {
  const turns: ChatMessage[] = [];
  for (const { role, text } of path(conversation, question)) {
    if (role === "assistant" && text === "") continue;
    const before = turns.at(-1);
    if (before?.role === role) before.content += `\n\n${text}`;
    else turns.push({ role, content: text });
  }
  return turns;
}

/** A conversation as it comes out of storage: what was alive then is interrupted now. */
export function afterReload(conversation: Conversation, now: number): Conversation {
  const messages: Record<Id, Message> = {};
  for (const [id, message] of Object.entries(conversation.messages))
    messages[id] =
      message.role === "assistant" ? advance(message, { type: "reload" }, now) : message;
  return { ...conversation, messages };
}
