import { streamChat, type ChatEvent } from "../api/chat";
import type { Connection } from "../api/client";
import { ApiError, failure } from "../api/errors";
import type { ChatBody } from "../api/models";
import type { Sampling } from "../settings/settings";
import { steadyNow } from "./clock";
import { advance, newReply, type ReplyEvent } from "./reply";
import type { ConversationStore } from "./store";
import {
  afterReload,
  emptyConversation,
  liveReply,
  toRequest,
  withBranch,
  withMessage,
} from "./tree";
import type { Conversation, Id, Question, Reply } from "./types";

/** How a reply is asked for. */
export interface Asking {
  model: string;
  sampling: Sampling;
  connection: Connection;
}

/** What the world around gives; tests give their own. */
export interface World {
  now: () => number;
  newId: () => Id;
  /** Calls back soon, at most once per drawn frame: many pieces make one repaint. */
  soon: (run: () => void) => void;
  /** Calls back after some seconds: a growing reply is saved now and then, not per piece. */
  later: (run: () => void) => void;
  stream: (to: Connection, body: ChatBody, signal: AbortSignal) => AsyncIterable<ChatEvent>;
}

/**
 * The conversations of this tab and their running replies.
 *
 * Lives beside the pages, not inside one, so that a reply goes on while another page is looked at.
 * Everything that changes a reply goes through `advance`; whoever listens is told once per frame.
 */
export class Chats {
  private readonly open = new Map<Id, Conversation | null>();
  private readonly running = new Map<Id, AbortController>();
  private readonly listeners = new Set<() => void>();
  private readonly unsaved = new Set<Id>();
  private told = true;
  /** Whether the last save succeeded. */
  kept = true;

  constructor(
    private readonly store: ConversationStore,
    private readonly world: World,
  ) {}

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** A conversation; null when there is none of that name, undefined while nobody knows yet. */
  get(id: Id): Conversation | null | undefined {
    return this.open.get(id);
  }

  /** Brings a conversation from the store, unless it is here. */
  async load(id: Id): Promise<void> {
    if (this.open.has(id)) return;
    const found = await this.store.load(id);
    if (this.open.has(id)) return;
    this.open.set(id, found && afterReload(found, this.world.now()));
    this.tell();
  }

  /**
   * Says something in a conversation (a new one, if there is none of that name) and asks for a
   * reply. Gives its id; null, and nothing is said, while another reply is being written or the
   * conversation is still looked for.
   */
  send(id: Id | null, text: string, how: Asking): Id | null {
    const known = id === null ? null : this.open.get(id);
    if (known === undefined || (known && liveReply(known))) return null;
    const conversation = known ?? emptyConversation(this.world.newId(), this.world.now());
    const question: Question = {
      id: this.world.newId(),
      role: "user",
      parent: conversation.head,
      text,
    };
    this.put(withMessage(conversation, question));
    this.ask(conversation.id, question.id, how);
    return conversation.id;
  }

  /** Asks again for a reply to the question that `reply` answered; the earlier one stays beside. */
  retry(id: Id, reply: Reply, how: Asking): void {
    this.ask(id, reply.parent, how);
  }

  /** Ends the running reply and keeps what it has said. */
  stop(id: Id): void {
    const conversation = this.open.get(id);
    const reply = conversation && liveReply(conversation);
    if (!reply) return;
    this.change(id, reply.id, { type: "stop" });
    this.running.get(reply.id)?.abort();
  }

  /** Shows another branch. */
  show(id: Id, message: Id): void {
    const conversation = this.open.get(id);
    if (conversation) this.put(withBranch(conversation, message));
  }

  /** Takes the question of a failed reply off the branch, to be written anew. Gives its text. */
  takeBack(id: Id, reply: Reply): string {
    const conversation = this.open.get(id);
    const question = conversation?.messages[reply.parent];
    if (!conversation || question?.role !== "user") return "";
    this.put({ ...conversation, head: question.parent });
    return question.text;
  }

  /** Conversations that changed since they were last saved. */
  takeUnsaved(): Conversation[] {
    const found = [...this.unsaved].map((id) => this.open.get(id));
    this.unsaved.clear();
    return found.filter((one): one is Conversation => one !== null && one !== undefined);
  }

  private ask(id: Id, question: Id, how: Asking): void {
    const conversation = this.open.get(id);
    if (!conversation || liveReply(conversation)) return;
    const reply = newReply(this.world.newId(), question, how.model, this.world.now());
    this.put(withMessage(conversation, reply));
    const abort = new AbortController();
    this.running.set(reply.id, abort);
    const body = requestBody(conversation, question, how);
    void this.follow(id, reply.id, this.world.stream(how.connection, body, abort.signal)).finally(
      () => this.running.delete(reply.id),
    );
  }

  private async follow(id: Id, reply: Id, events: AsyncIterable<ChatEvent>): Promise<void> {
    try {
      for await (const event of events) this.change(id, reply, event);
    } catch (error) {
      // A stopped reply is final already, so its aborted stream changes nothing.
      const seen = error instanceof ApiError ? error.failure : failure("broken", String(error));
      this.change(id, reply, { type: "fail", failure: seen });
    }
  }

  private change(id: Id, reply: Id, event: ReplyEvent): void {
    const conversation = this.open.get(id);
    const now = conversation?.messages[reply];
    if (!conversation || now?.role !== "assistant") return;
    const next = advance(now, event, this.world.now());
    if (next !== now) this.put(withMessage(conversation, next));
  }

  private put(conversation: Conversation): void {
    this.open.set(conversation.id, conversation);
    if (this.unsaved.size === 0) this.world.later(() => void this.save());
    this.unsaved.add(conversation.id);
    this.tell();
  }

  private async save(): Promise<void> {
    for (const conversation of this.takeUnsaved()) {
      const kept = await this.store.save(conversation);
      if (kept !== this.kept) {
        this.kept = kept;
        this.tell();
      }
    }
  }

  private tell(): void {
    if (!this.told) return;
    this.told = false;
    this.world.soon(() => {
      this.told = true;
      for (const listener of this.listeners) listener();
    });
  }
}

/** The body of the request; what is left to the model's own default is left out. */
export function requestBody(conversation: Conversation, question: Id, how: Asking): ChatBody {
  const { temperature, topP, maxTokens } = how.sampling;
  return {
    model: how.model,
    messages: toRequest(conversation, question),
    ...(temperature === null ? {} : { temperature }),
    ...(topP === null ? {} : { top_p: topP }),
    ...(maxTokens === null ? {} : { max_tokens: maxTokens }),
  };
}

export const browserWorld: World = {
  now: steadyNow,
  newId,
  soon: (run) => {
    // A hidden page draws no frames, but its title and storage still follow.
    if (document.visibilityState === "visible") requestAnimationFrame(run);
    else setTimeout(run, 100);
  },
  later: (run) => setTimeout(run, 700),
  stream: streamChat,
};

/** Enough chance that two never meet; `randomUUID` is missing where a page is not served safely. */
function newId(): Id {
  const parts = crypto.getRandomValues(new Uint32Array(3));
  return Array.from(parts, (part) => part.toString(36).padStart(7, "0")).join("");
}
