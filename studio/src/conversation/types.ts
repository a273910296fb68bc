import type { Attached, Message as Told, Queued, SendBody, Summary } from "../api/conversations";
import type { Failure } from "../api/errors";
import type { Tree } from "./tree";

export type { Attached, Node, Progress, Queued, Summary } from "../api/conversations";

export type Id = string;

/** A message as the server told it; `written`: tokens of a reply so far, where they are counted. */
export type Message = Told & { written?: number };

/** Something said that the server has not confirmed. Sending it again with its id is safe. */
export interface Sending {
  body: SendBody;
  attachments: Attached[];
  /** Whether something was pending when it was said: then it will stand in the queue. */
  queues: boolean;
  /** Where the conversation that begins with it is put. */
  folder?: string;
  /** Why it did not go out; null while it is on its way. */
  failure: Failure | null;
}

/** What failed, and at what: the id of a message or of a queued item; null for the whole page. */
export interface Trouble {
  on: Id | null;
  failure: Failure;
}

/**
 * A conversation as the pages show it; replaced by a new value with every change of structure.
 * The words of messages are kept apart (`Shelf`), so that streaming changes none of this.
 */
export interface Shown {
  id: Id;
  /** here: as the server told it; unmade: begun in this tab, the server does not know of it yet. */
  state: "here" | "unmade" | "gone" | "failed";
  /** Why it could not be read, in state `failed`. */
  failure: Failure | null;
  summary: Summary | null;
  head: Id | null;
  version: number;
  tree: Tree;
  /** The branch that is shown, oldest first. */
  path: readonly Id[];
  queue: readonly Queued[];
  sending: readonly Sending[];
  /** Replies that are being written, on any branch. */
  live: readonly Id[];
  trouble: Trouble | null;
  /** The message that was deleted last, while it can come back. */
  undo: Id | null;
  /** Votes of this person, by group: the winner, or null for a tie. */
  votes: Readonly<Record<Id, Id | null>>;
}

export function isLive(message: Pick<Message, "state">): boolean {
  return message.state === "waiting" || message.state === "writing";
}
