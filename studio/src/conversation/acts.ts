import type { AgainBody, ConsentBody, ConversationBody, SamplingBody } from "../api/conversations";
import type { ErrorKind, Failure } from "../api/errors";
import { steadyNow } from "./clock";
import { failureIn, type Chats } from "./chats";
import { blank, headed, isPending, sendBody, settle } from "./shown";
import type { Attached, Id, Message, Queued, Sending } from "./types";

/** How replies are asked for. */
export interface Asking {
  /** One, or up to four that answer side by side. */
  models: readonly string[];
  sampling: SamplingBody;
}

/** What is said. */
export interface Saying {
  text: string;
  attachments: readonly Attached[];
  when?: "queue" | "now" | "steer";
  /** In place of this question, as a branch beside it. */
  instead?: Id;
  /** Where a conversation that begins with it is put. */
  folder?: string;
  /** The replies' names are hidden until somebody has voted. */
  blind?: boolean;
}

/** A message that is being sent. */
interface Way {
  /** When it went out, of `steadyNow()`. */
  since: number;
  call: AbortController;
  arrived: boolean;
}

/** Failures that are over when the server's news arrive again. */
const WAITS = new Set<ErrorKind | undefined>(["offline", "key"]);

/** What a person does. Nothing that fails is lost: it stays where it was, with the reason. */
export class Acts {
  /** Conversations whose outbox is being emptied. */
  private readonly posting = new Set<Id>();
  private readonly ways = new Map<Id, Way>();

  constructor(private readonly chats: Chats) {
    // What was said while nobody listened goes out by itself when somebody does again.
    chats.onOpen(() => {
      for (const { id, sending } of [...chats.all()])
        if (WAITS.has(sending[0]?.failure?.kind)) this.resend(id);
    });
  }

  /** Says something, in a new conversation where `id` is null. Gives the conversation's name. */
  send(id: Id | null, what: Saying, how: Asking): Id {
    const { world } = this.chats;
    const conversation = id ?? world.newId();
    if (!this.chats.get(conversation)) this.chats.put(blank(conversation, "unmade"));
    const sending = this.sending(conversation, what, how);
    this.chats.change(conversation, (shown) => ({
      ...shown,
      sending: [...shown.sending, sending],
      trouble: null,
      undo: null,
    }));
    void this.post(conversation);
    return conversation;
  }

  /** Says something else in place of a question. Its files go along, as copies. */
  instead(id: Id, question: Message, text: string, how: Asking): Promise<boolean> {
    const { api, shelf } = this.chats;
    // What was compared without names is so in other words, too.
    const replies = this.chats.get(id)?.tree.after(question.id) ?? [];
    const blind = replies.some((one) => shelf.get(one)?.asked["blind"] === true);
    return this.attempt(id, question.id, async () => {
      const attachments: Attached[] = [];
      for (const file of question.attachments)
        attachments.push(await api.attach(file.name, await api.file(file.id)));
      this.send(id, { text, attachments, when: "now", instead: question.id, blind }, how);
    });
  }

  private sending(conversation: Id, what: Saying, how: Asking): Sending {
    const shown = this.chats.get(conversation);
    const attachments = [...what.attachments];
    const ids = attachments.map((one) => one.id);
    const body = sendBody(this.chats.world.newId(), what.text, { ...how, attachments: ids });
    if (what.when && what.when !== "queue") body.when = what.when;
    if (what.blind && how.models.length > 1) body.blind = true;
    const place = what.instead === undefined ? undefined : shown?.tree.get(what.instead);
    if (place?.parent) body.parent = place.parent;
    else if (place) body.root = true;
    const queues = shown !== undefined && isPending(shown);
    const folder = what.folder ? { folder: what.folder } : {};
    return { body, attachments, queues, failure: null, ...folder };
  }

  /** Tries again what did not go out, and what waited behind it. */
  resend(id: Id): void {
    this.chats.change(id, (shown) => ({
      ...shown,
      sending: shown.sending.map((one) => ({ ...one, failure: null })),
    }));
    void this.post(id);
  }

  /** Milliseconds that a message has been on its way and nobody has answered. */
  waited(message: Id): number {
    const way = this.ways.get(message);
    return way && !way.arrived ? steadyNow() - way.since : 0;
  }

  /**
   * Takes back what did not go out, or was not answered yet. Gives it, to be written anew; null
   * where it is known to have arrived.
   */
  discard(id: Id, message: Id): Sending | null {
    const way = this.ways.get(message);
    if (way?.arrived) return null;
    way?.call.abort();
    const found = this.chats.get(id)?.sending.find((one) => one.body.id === message);
    this.unlist(id, message);
    void this.post(id);
    return found ?? null;
  }

  /** Sends what waits, one after the other: the order is the person's. */
  private async post(id: Id): Promise<void> {
    if (this.posting.has(id)) return;
    this.posting.add(id);
    try {
      for (;;) {
        const next = this.chats.get(id)?.sending[0];
        if (!next || next.failure) return;
        await this.postOne(id, next);
      }
    } finally {
      this.posting.delete(id);
    }
  }

  private async postOne(id: Id, { body, attachments, folder }: Sending): Promise<void> {
    const { api } = this.chats;
    const way = { since: steadyNow(), call: new AbortController(), arrived: false };
    this.ways.set(body.id, way);
    try {
      if (this.chats.get(id)?.state === "unmade") await this.create(id, body, way.call, folder);
      const { state, replies, version } = await api.send(id, body, way.call);
      way.arrived = true;
      if (state === "queued") this.queued(id, body.id, body, attachments);
      else await this.answered(id, [body.id, ...replies], replies[0], version);
      this.unlist(id, body.id);
    } catch (error) {
      if (way.arrived) {
        this.unlist(id, body.id); // the server has it; what became of it could not be read
        void this.chats.read(id);
        return;
      }
      const why = failureIn(error);
      this.chats.change(id, (shown) => ({
        ...shown,
        sending: shown.sending.map((one) =>
          one.body.id === body.id ? { ...one, failure: why } : one,
        ),
      }));
    } finally {
      this.ways.delete(body.id);
    }
  }

  private async create(
    id: Id,
    { models }: Sending["body"],
    by: AbortController,
    folder?: string,
  ): Promise<void> {
    try {
      await this.chats.api.create(id, models?.[0] ?? null, folder, by);
    } catch (error) {
      // Its name was used up by a conversation that was deleted: a new one has to begin.
      if (failureIn(error).kind === "gone") this.chats.lost(id);
      throw error;
    }
    this.chats.made(id);
  }

  /** Its place in the queue, until the queue itself is told. */
  private queued(
    conversation: Id,
    id: Id,
    { text, models = [] }: Sending["body"],
    attachments: Attached[],
  ): void {
    const item: Queued = { id, text, attachments, models, created_at: Date.now() / 1000 };
    this.chats.change(conversation, (shown) =>
      shown.queue.some((one) => one.id === id) || shown.tree.has(id)
        ? settle(shown)
        : settle({ ...shown, queue: [...shown.queue, item] }),
    );
  }

  /** Shows replies that were asked for, also while the event stream is away. */
  private async answered(
    conversation: Id,
    ids: Id[],
    head: Id | undefined,
    version: number,
  ): Promise<void> {
    const { api, shelf } = this.chats;
    const missing = ids.filter((id) => !shelf.get(id));
    const found: Message[] = missing.length > 0 ? await api.read(conversation, missing) : [];
    for (const message of found) shelf.put(message);
    // Also those that are known here: an older answer may have taken them out of the tree.
    for (const id of ids) {
      const message = shelf.get(id);
      if (message) this.chats.place(conversation, message);
    }
    if (head !== undefined)
      this.chats.change(conversation, (shown) => headed(shown, head, version));
  }

  private unlist(id: Id, message: Id): void {
    this.chats.change(id, (shown) => ({
      ...shown,
      sending: shown.sending.filter((one) => one.body.id !== message),
    }));
  }

  /** Asks for another reply to the same question, or for one that goes on from `beginning`. */
  again(id: Id, message: Id, how: Asking, beginning = ""): Promise<boolean> {
    const body: AgainBody = { id: this.chats.world.newId(), sampling: how.sampling };
    const [model] = how.models;
    if (model !== undefined) body.model = model;
    if (beginning !== "") body.beginning = beginning;
    return this.attempt(id, message, async () => {
      const { replies, version } = await this.chats.api.again(id, message, body);
      await this.answered(id, replies, replies[0], version);
    });
  }

  /** Answers what a reply asks consent for; without answers, one that was cut off goes on. */
  consent(
    id: Id,
    reply: Id,
    answers: NonNullable<ConsentBody["answers"]>,
    always: boolean,
  ): Promise<boolean> {
    return this.attempt(id, reply, async () => {
      const { api } = this.chats;
      this.chats.place(id, await api.consent(id, reply, { answers, always }));
    });
  }

  /** Stops a reply (null: all of the conversation). What they said is kept. */
  stop(id: Id, reply: Id | null): Promise<boolean> {
    return this.attempt(id, reply, async () => {
      const stopped = await this.chats.api.stop(id, reply);
      this.chats.want(stopped, id); // also while the event stream is away
    });
  }

  /** Shows the branch through a message. */
  show(id: Id, message: Id): Promise<boolean> {
    const shown = this.chats.get(id);
    if (shown?.path.includes(message)) return Promise.resolve(true);
    const head = shown?.tree.has(message) ? shown.tree.newest(message) : null;
    if (head !== null) this.chats.change(id, (one) => headed(one, head, one.version));
    return this.attempt(
      id,
      message,
      async () => this.chats.absorb(await this.chats.api.change(id, { head: message })),
      () => {
        // What is said next goes to the server's branch: that one is shown.
        const before = shown?.head ?? null;
        this.chats.change(id, (one) =>
          one.head === head ? headed(one, before, one.version) : one,
        );
      },
    );
  }

  model(id: Id, model: string): Promise<boolean> {
    const shown = this.chats.get(id);
    if (!shown || shown.state === "unmade") return Promise.resolve(true);
    return this.attempt(id, null, async () =>
      this.chats.absorb(await this.chats.api.change(id, { model })),
    );
  }

  /** Deletes a message and all below it; it can come back for a while. */
  remove(id: Id, message: Id): Promise<boolean> {
    return this.attempt(id, message, async () => {
      this.chats.absorb(await this.chats.api.remove(id, message));
      this.chats.change(id, (shown) => ({ ...shown, undo: message }));
    });
  }

  putBack(id: Id): Promise<boolean> {
    const undo = this.chats.get(id)?.undo;
    if (!undo) return Promise.resolve(true);
    return this.whole(id, () => this.chats.api.putBack(id, undo));
  }

  /** Brings a deleted conversation back. */
  restore(id: Id): Promise<boolean> {
    return this.attempt(id, null, async () => {
      await this.chats.api.restore(id);
      await this.chats.read(id);
    });
  }

  rate(id: Id, message: Id, rating: -1 | 0 | 1, remark: string): Promise<boolean> {
    const before = this.chats.shelf.get(message);
    if (before) this.chats.shelf.put({ ...before, rating, remark });
    return this.attempt(
      id,
      message,
      async () => this.chats.place(id, await this.chats.api.rate(id, message, rating, remark)),
      () => before && this.chats.shelf.put(before),
    );
  }

  /** Says which of several replies is best (null: none is), and goes on with that one. */
  vote(
    id: Id,
    group: Id,
    winner: Id | null,
    { shown, blind }: { shown: readonly Id[]; blind: boolean },
  ): Promise<boolean> {
    return this.attempt(id, shown[0] ?? null, async () => {
      const vote = { id: this.chats.world.newId(), group, winner, shown: [...shown], blind };
      await this.chats.api.vote(id, vote);
      this.chats.change(id, (one) => ({ ...one, votes: { ...one.votes, [group]: winner } }));
      if (winner !== null) await this.show(id, winner);
    });
  }

  rewrite = (id: Id, item: Id, text: string) =>
    this.queue(id, item, () => this.chats.api.rewrite(id, item, text));

  withdraw = (id: Id, item: Id) => this.queue(id, item, () => this.chats.api.withdraw(id, item));

  merge = (id: Id, item: Id, other: "previous" | "next") =>
    this.queue(id, item, () => this.chats.api.merge(id, item, other));

  now = (id: Id, item: Id) => this.queue(id, item, () => this.chats.api.now(id, item));

  steer = (id: Id) => this.queue(id, null, () => this.chats.api.steer(id));

  private queue(id: Id, item: Id | null, act: () => Promise<Queued[]>): Promise<boolean> {
    return this.attempt(
      id,
      item,
      async () => {
        const queue = await act();
        this.chats.change(id, (shown) => settle({ ...shown, queue }));
        if (this.chats.get(id)?.live.length === 0) await this.chats.read(id);
      },
      (why) => {
        if (why.kind === "gone") void this.chats.read(id); // it has become a question meanwhile
      },
    );
  }

  private whole(id: Id, act: () => Promise<ConversationBody>): Promise<boolean> {
    return this.attempt(id, null, async () => {
      this.chats.absorb(await act());
      this.forget(id);
    });
  }

  /** Closes the notice of what failed or was deleted. */
  forget(id: Id): void {
    this.chats.change(id, (shown) =>
      shown.trouble || shown.undo ? { ...shown, trouble: null, undo: null } : shown,
    );
  }

  private async attempt(
    id: Id,
    on: Id | null,
    act: () => Promise<void>,
    undo?: (why: Failure) => void,
  ): Promise<boolean> {
    this.forget(id);
    try {
      await act();
      return true;
    } catch (error) {
      const why = failureIn(error);
      undo?.(why);
      this.chats.change(id, (shown) => ({ ...shown, trouble: { on, failure: why } }));
      return false;
    }
  }
}
