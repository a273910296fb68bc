import type { Stage, Usage } from "../api/chat";
import type { Failure } from "../api/errors";

export type Id = string;

/** What a person wrote. */
export interface Question {
  id: Id;
  role: "user";
  /** The reply that this answers; null for the first of a conversation. */
  parent: Id | null;
  text: string;
}

/**
 * Where a reply stands. `waiting` and `writing` are alive; the others are final.
 *
 * waiting -> writing -> done | stopped | failed; `interrupted` is what a reload makes of a live one.
 */
export type ReplyState = "waiting" | "writing" | "done" | "stopped" | "failed" | "interrupted";

/** What a model wrote. */
export interface Reply {
  id: Id;
  role: "assistant";
  /** The question that this answers; several replies may answer one (branches). */
  parent: Id;
  model: string;
  text: string;
  reasoning: string;
  state: ReplyState;
  progress: { stage: Stage; done: number; total: number | null } | null;
  /** Why the model ended, in the API's words; null while it has not. */
  finish: string | null;
  usage: Usage | null;
  failure: Failure | null;
  /** Milliseconds since 1970 at which it was asked for. */
  askedAt: number;
  /** Milliseconds from asking to the first and to the newest piece, as measured here. */
  firstAfter: number | null;
  lastAfter: number | null;
}

export type Message = Question | Reply;

/** Messages as rows of a tree; `head` is the newest message of the branch that is shown. */
export interface Conversation {
  id: Id;
  createdAt: number;
  head: Id | null;
  messages: Readonly<Record<Id, Message>>;
}
